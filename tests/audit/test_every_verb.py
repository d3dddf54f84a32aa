"""Every change writes an event: all service verbs are found by their argument ``by``, and called."""

import importlib
import inspect
import pkgutil
from datetime import time, timedelta

import pytest
from django.contrib import admin
from django.utils import timezone

import accounts
import adminkit
import alerts
import api
import audit
import console
import database
import maintenance
import scraping
from audit import words
from audit.admin_edits import RecordedAdmin
from audit.models import Event
from maintenance.models import FORCE_STOP_AFTER, RetentionPolicy
from maintenance.purging.days import Retention
from maintenance.registry import get_job
from maintenance.scheduling import edits, maintenance_mode, planned_windows, schedules, seeding
from maintenance.scheduling.crontab import Crontab
from maintenance.scheduling.schedule_file.reading import read as read_file
from maintenance.scheduling.timing import Timing
from scraping.models import RedditPost
from tests.kit import factories, pings

pytestmark = pytest.mark.django_db

PACKAGES = (accounts, adminkit, alerts, api, audit, console, database, maintenance, scraping)
# These take ``by`` but change nothing, or write the event itself.
NO_VERBS = {
    "accounts.personal_tokens.of": "answers",
    "accounts.sessions.may_see": "answers",
    "accounts.sessions.of": "answers",
    "maintenance.admin.last_plans.made_now": "makes a plan, and changes nothing",
    "audit.admin_edits.record_deletion": "writes the event",
    "audit.admin_edits.record_deletions": "writes the events",
    "audit.events.record": "writes the event",
    "audit.events.record_changes": "writes the events",
    "audit.events.record_each": "writes the events",
    "scraping.content.export.export": "yields rows; its callers write the event",
    "scraping.content.export_events.recorded": "writes the events",
    "maintenance.ledger.decisions.approval_of": "returns a mandate",
    "maintenance.ledger.decisions.mandate_asked_for": "returns a mandate",
    "maintenance.ledger.decisions.may_decide": "answers",
    "maintenance.ledger.decisions.record_decision": "writes the event",
    "maintenance.ledger.decisions.record_request": "writes the event",
    "maintenance.ledger.decisions.refuse_own": "answers",
    "maintenance.ledger.xray.look": "answers",
    "maintenance.purging.mandate.of_approval": "returns a mandate",
    "maintenance.purging.mandate.of_force": "returns a mandate",
    "maintenance.purging.mandate.of_plan": "returns a mandate",
    "maintenance.retention.refuse_below_floor": "answers",
    "maintenance.scheduling.edit_events.permit": "answers",
    "maintenance.scheduling.edit_events.permit_deletion": "answers",
    "maintenance.scheduling.edits.begin_pause": "saves nothing; its callers write the event",
    "maintenance.scheduling.maintenance_mode.permit": "answers",
    "scraping.sessions.trial.try_on_reddit": "stores nothing",
    "scraping.sessions.trial.try_on_stored": "stores nothing",
}


def functions_with_by():
    found = {}
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # The web's entry point limits the statements of the process that imports it.
            if ".migrations" in module.name or module.name == "console.wsgi":
                continue
            loaded = importlib.import_module(module.name)
            for name, function in inspect.getmembers(loaded, inspect.isfunction):
                public = not name.startswith("_") and function.__module__ == module.name
                by = inspect.signature(function).parameters.get("by")
                if public and by is not None and ("Person" in str(by) or "User" in str(by)):
                    found[f"{module.name}.{name}"] = function
    return found


def crontab():
    return {"crontab": Crontab.parse("1 1 * * *"), "timezone_name": "UTC"}


def paused():
    task = factories.schedule()
    edits.pause(task, by=None, reason="x")
    return task


def many(verb, by, task=None, **values):
    task = task or factories.schedule()
    verb([task.pk], by=by, reason="x", refuse=lambda task: "", **values)


def seeded():
    seeding.seed()
    return schedules.for_job("purge_old_content")


def policy():
    seeding.seed()
    return RetentionPolicy.objects.get(job="purge_old_content")


def unseeded():
    seeding.seed()
    schedules.for_job("cleanup_tokens").delete()
    return get_job("cleanup_tokens")


def cancelled():
    run = factories.job_run(status="running", job="cleanup_tokens")
    run.ask_to_cancel()
    type(run).objects.filter(pk=run.pk).update(
        cancel_requested_at=run.cancel_requested_at - 2 * FORCE_STOP_AFTER
    )
    run.refresh_from_db()
    return run


def held():
    return RedditPost.objects.filter(pk=factories.post(held_at=timezone.now(), hold_reason="x").pk)


def posts():
    return RedditPost.objects.filter(pk=factories.post().pk)


def switched_on():
    maintenance_mode.start(by=None, reason="x")


def always_open():
    now = timezone.now()
    return planned_windows.Plan(now - timedelta(hours=1), now + timedelta(hours=1))


def open_window():
    return planned_windows.plan_window(always_open(), by=None, reason="x")


EXAMPLES = {
    "accounts.personal_tokens.make": lambda f, by: f(by, name="x", scopes=["read"], days=7, by=by),
    "accounts.personal_tokens.revoke": lambda f, by: f(factories.personal_token(), by=by),
    "accounts.personal_tokens.revoke_all": lambda f, by: f(factories.personal_token().user, by=by),
    "accounts.sessions.end": lambda f, by: f(factories.listed_session(), by=by),
    "accounts.sessions.end_all": lambda f, by: f(factories.listed_session().user, by=by),
    "accounts.second_factor.reset": lambda f, by: f(factories.user(), by=by, reason="x"),
    "alerts.decisions.acknowledge": lambda f, by: f(factories.alert(), by=by, note="x"),
    "alerts.decisions.mute": lambda f, by: f(factories.alert(), until=in_an_hour(), by=by, reason="x"),
    "alerts.decisions.unmute": lambda f, by: f(muted(), by=by),
    "alerts.quiet.set_quiet_hours": lambda f, by: f(begins=time(22), ends=time(7), zone="UTC", by=by),
    "alerts.quiet.end_quiet_hours": lambda f, by: (factories.quiet_hours(person=by), f(by=by)),
    "alerts.reading.set_reading": lambda f, by: f(language="en", zone="UTC", by=by),
    "alerts.trying.send_test": lambda f, by: f(factories.webhook_route(url="http://127.0.0.1:1/"), by=by),
    "alerts.schedule_pings.addresses.set_address": lambda f, by: f(
        factories.schedule(), "https://hc-ping.example.org/x", by=by
    ),
    "alerts.schedule_pings.addresses.remove_address": lambda f, by: f(pings.ping_address().schedule, by=by),
    "alerts.schedule_pings.addresses.try_address": lambda f, by: f(
        pings.ping_address(url="http://127.0.0.1:1/").schedule, by=by
    ),
    "maintenance.ledger.requests.request_run": lambda f, by: f(job="cleanup_tokens", trigger="admin", by=by),
    "maintenance.ledger.requests.cancel_run": lambda f, by: f(factories.job_run(status="queued"), by=by),
    "maintenance.ledger.interventions.retry_run": lambda f, by: f(factories.job_run(), by=by, reason="x"),
    "maintenance.ledger.requests.force_stop_run": lambda f, by: f(cancelled(), by=by),
    "maintenance.ledger.requests.approve_run": lambda f, by: f(blocked(), by=by, reason="x"),
    "maintenance.ledger.requests.reject_run": lambda f, by: f(blocked(), by=by, reason="x"),
    "maintenance.retention.change": lambda f, by: f(policy(), Retention(60), by=by),
    "maintenance.scheduling.maintenance_mode.start": lambda f, by: f(by=by, reason="x"),
    "maintenance.scheduling.maintenance_mode.end": lambda f, by: (switched_on(), f(by=by)),
    "maintenance.scheduling.planned_windows.plan_window": lambda f, by: f(always_open(), by=by, reason="x"),
    "maintenance.scheduling.planned_windows.end_now": lambda f, by: f(open_window(), by=by),
    "maintenance.scheduling.planned_windows.delete_window": lambda f, by: f(open_window(), by=by),
    "maintenance.scheduling.seeding.create_default": lambda f, by: f(unseeded(), by=by),
    "maintenance.scheduling.edits.delete": lambda f, by: f(factories.schedule(), by=by),
    "maintenance.scheduling.hooks.open_hook": lambda f, by: f(factories.schedule(), by=by),
    "maintenance.scheduling.hooks.close_hook": lambda f, by: f(factories.schedule_hook().schedule, by=by),
    "maintenance.scheduling.edits.keep": lambda f, by: f(seeded(), by=by),
    "maintenance.scheduling.edits.pause": lambda f, by: f(factories.schedule(), by=by, reason="x"),
    "maintenance.scheduling.edits.reset": lambda f, by: f(seeded(), by=by),
    "maintenance.scheduling.edits.resume": lambda f, by: f(paused(), by=by),
    "maintenance.scheduling.edits.retime": lambda f, by: f(factories.schedule(), by=by, **crontab()),
    "maintenance.scheduling.edits.shift": lambda f, by: f(factories.schedule(), by=by, minutes=5),
    "maintenance.scheduling.creation.create": lambda f, by: f(
        {"name": "x", "task": "maintenance.cleanup_tokens"}, Timing(every=timedelta(hours=1)), by=by
    ),
    "maintenance.scheduling.creation.duplicate": lambda f, by: f(factories.schedule(), by=by),
    "maintenance.scheduling.edits.finish": lambda f, by: f(factories.schedule(one_off=True), by=by),
    "maintenance.scheduling.edits.set_details": lambda f, by: f(
        factories.schedule(), {"description": "x"}, by=by
    ),
    "maintenance.scheduling.edits.set_time": lambda f, by: f(
        factories.schedule(), time=Timing(every=timedelta(hours=1)), by=by
    ),
    "maintenance.scheduling.schedule_file.applying.apply": lambda f, by: f(
        read_file(
            "version: 1\nschedules: [{name: x, job: cleanup_tokens, every: 1 hour}]", now=timezone.now()
        ),
        by=by,
        prune=False,
    ),
    "maintenance.scheduling.edits.set_policies": lambda f, by: f(
        factories.schedule(), {"misfire_limit": 7}, by=by
    ),
    "maintenance.scheduling.many_edits.delete_many": lambda f, by: many(f, by),
    "maintenance.scheduling.many_edits.pause_many": lambda f, by: many(f, by, until=None),
    "maintenance.scheduling.many_edits.resume_many": lambda f, by: many(f, by, paused()),
    "maintenance.scheduling.many_edits.shift_many": lambda f, by: many(f, by, minutes=5),
    "scraping.admin.bot_edits.add_bot": lambda f, by: f({"name": "x", "subreddits": ["python"]}, by=by),
    "scraping.admin.bot_edits.change_bot": lambda f, by: f(factories.bot_config(), {"name": "x"}, by=by),
    "scraping.admin.bot_edits.delete_bot": lambda f, by: f(
        factories.bot_config(), by=by, with_schedules=True
    ),
    "scraping.compliance.brake.decide": lambda f, by: f(factories.set_aside(), is_right=True, by=by),
    "scraping.content.holds.hold_posts": lambda f, by: f(posts(), by=by, reason="x"),
    "scraping.content.holds.release_posts": lambda f, by: f(held(), by=by, reason="x"),
}


def in_an_hour():
    return timezone.now() + timedelta(hours=1)


def muted():
    return factories.alert(subject_id=factories.mute(subject_id="7").subject_id)


def blocked():
    return factories.job_run(status="blocked", job="cleanup_tokens")


def by_last_names(names):
    """Return names as package and function, without modules, because a module may be split."""
    return {(name.partition(".")[0], name.rpartition(".")[2]): name for name in names}


def test_every_verb_has_an_example_or_a_reason_to_need_none():
    known = by_last_names({**EXAMPLES, **NO_VERBS})

    assert sorted(by_last_names(functions_with_by()).keys() - known.keys()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_verb_writes_an_event_of_its_person_with_words(name):
    key = next(iter(by_last_names([name])))
    function = functions_with_by()[by_last_names(functions_with_by())[key]]
    person = factories.superuser(username="ada")

    EXAMPLES[name](function, person)

    written = Event.objects.filter(actor=person)
    assert written, f"{name} wrote no event"
    assert all(words.is_known(event.verb) for event in written)


def test_every_admin_writes_what_is_edited_in_it():
    assert [one for one in admin.site._registry.values() if not isinstance(one, RecordedAdmin)] == []
