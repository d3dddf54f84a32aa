"""Each line of "Needs you": it appears, it disappears, and only the people whom it concerns see it."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from alerts import failures
from console import needs
from console.needs import bots as bot_lines
from console.roles import APPROVERS, BOT_OWNERS, OPERATORS, VIEWERS
from maintenance.models import BeatLease, BeatProcess, JobRun, WorkerProcess
from maintenance.scheduling import edits, replanning, schedules
from scraping.compliance import brake
from tests import spoilt
from tests.kit import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded", "served")]

HOUR = timedelta(hours=1)


@pytest.fixture
def served():
    """A live scheduler and a live worker."""
    now = timezone.now()
    BeatLease.objects.update_or_create(
        pk=BeatLease.ROW, defaults={"holder": "host:1:a", "expires_at": now + HOUR / 60, "ticked_at": now}
    )
    BeatLease.objects.update(expires_at=now + timedelta(seconds=20))
    BeatProcess.objects.create(holder="host:2:b", seen_at=now)
    WorkerProcess.objects.create(name="w", started_at=now, seen_at=now, listening_at=now)


def world(person):
    request = RequestFactory().get("/admin/")
    request.user = person
    return needs.World(request)


def lines(person):
    return needs.lines_for(world(person))


def texts(person):
    return [line.text for line in lines(person)]


def member(*groups):
    person = factories.user()
    person.groups.set(Group.objects.filter(name__in=groups))
    return type(person).objects.get(pk=person.pk)


def number_in_list(url):
    """How many rows the list at this address has."""
    client = Client()
    client.force_login(factories.superuser())
    return client.get(url).context["cl"].result_count


def buttons(line):
    return [action.label for action in line.actions]


def test_nothing_needs_anybody_while_all_is_well():
    factories.job_run()

    assert lines(factories.superuser()) == []
    assert lines(member(BOT_OWNERS)) == []


# --- Runs that wait ---------------------------------------------------------------------------


def blocked_purge(**fields):
    plan = {
        "at": timezone.now().isoformat(),
        "tables": [
            {
                "model": "scraping.RedditPost",
                "rows": 14_077,
                "total": 20_000,
                "sample": [],
                "held_reasons": [],
            }
        ],
    }
    values = {
        "status": "blocked",
        "params": {"days": 30},
        "plan": plan,
        "waiting_since": timezone.now() - HOUR,
    }
    return factories.job_run(job="purge_old_content", **values | fields)


def test_a_blocked_run_says_how_much_it_would_delete_and_by_which_rule():
    run = blocked_purge()

    (line,) = lines(member(APPROVERS))

    assert (line.kind, line.text) == ("blocked", "Purge old content waits for approval")
    assert line.figures == ("14,077 posts", "asked: 30 d, policy: 90 d")
    assert line.since == run.waiting_since
    assert buttons(line) == ["Review"]
    assert line.actions[0].url == reverse("admin:maintenance_jobrun_change", args=[run.pk])
    assert buttons(lines(member(VIEWERS))[0]) == ["Open"]


def test_a_blocked_run_goes_when_it_is_decided_and_concerns_nobody_who_may_not_see_it():
    run = blocked_purge()
    assert lines(member(BOT_OWNERS)) == lines(factories.user()) == []

    assert run.reject(message="no")

    assert lines(member(APPROVERS)) == []


# --- Failures ---------------------------------------------------------------------------------


def purge_run(status, *, ago, **fields):
    at = timezone.now() - ago
    values = {"started_at": at, "finished_at": at, "queued_at": at, "trigger": "schedule"}
    schedule = schedules.for_job("purge_old_content")
    return factories.job_run(
        job="purge_old_content",
        status=status,
        **values | {"schedule": schedule, "scheduled_for": at} | fields,
    )


def test_a_schedule_that_fails_again_and_again_is_one_line():
    purge_run("succeeded", ago=6 * HOUR)
    first = purge_run("failed", ago=5 * HOUR, error="r/foo is private")
    last = purge_run("failed", ago=HOUR, error="r/foo is private")

    (line,) = lines(member(OPERATORS))

    assert (line.kind, line.text, line.error) == (
        "failed",
        "Purge old content is failing",
        "r/foo is private",
    )
    assert line.figures == ("2 of the last 3",)
    assert line.since == first.finished_at
    assert buttons(line) == ["Why", "Retry…"]
    assert line.actions[0].url == reverse("admin:maintenance_jobrun_change", args=[last.pk])
    assert line.actions[1].url == reverse("admin:maintenance_job_run", args=["purge_old_content"])
    assert buttons(lines(member(VIEWERS))[0]) == ["Why"]
    assert lines(member(BOT_OWNERS)) == []


def test_a_failure_that_is_tried_again_by_itself_says_when():
    first = purge_run("failed", ago=HOUR)
    later = timezone.now() + timedelta(minutes=5, seconds=30)
    attempt = {"retry_of": first, "attempt": 2, "trigger": "retry", "not_before": later, "finished_at": None}
    again = purge_run("queued", ago=HOUR, **attempt)
    assert lines(member(OPERATORS))[0].figures == ("is tried again in 5\xa0minutes",)

    JobRun.objects.filter(pk=again.pk).update(status="running", worker="w", heartbeat_at=timezone.now())
    assert lines(member(OPERATORS))[0].figures == ("is being tried again",)


def test_a_failure_whose_beginning_was_not_read_may_be_older(monkeypatch):
    purge_run("succeeded", ago=6 * HOUR)
    runs = [purge_run("failed", ago=number * HOUR) for number in (5, 4, 3)]

    def shown():
        (line,) = lines(member(OPERATORS))
        return line.since, line.may_be_older

    assert shown() == (runs[0].finished_at, False)
    monkeypatch.setattr(failures, "RUNS_MAX", 2)
    runs[0].delete()
    assert shown() == (runs[1].finished_at, True)


def test_a_failure_that_a_later_run_made_good_folds_away():
    purge_run("failed", ago=5 * HOUR, error="503")
    purge_run("failed", ago=4 * HOUR, error="503")
    assert len(lines(factories.superuser())) == 1

    fine = purge_run("succeeded", ago=3 * HOUR, trigger="admin", schedule=None, scheduled_for=None)
    purge_run("succeeded", ago=2 * HOUR)

    looked = world(factories.superuser())
    assert needs.lines_for(looked) == []
    (folded,) = needs.recovered_for(looked)
    assert (folded.text, folded.times, folded.fine_since) == ("Purge old content: 503", 2, fine.finished_at)
    assert needs.recovered_for(world(member(BOT_OWNERS))) == []


def test_a_run_with_other_parameters_makes_nothing_good():
    purge_run("failed", ago=5 * HOUR, params={"days": 30})
    purge_run("succeeded", ago=HOUR)

    assert texts(factories.superuser()) == ["Purge old content is failing"]


def test_neither_a_dry_run_nor_a_failure_of_last_month_needs_anybody():
    purge_run("failed", ago=HOUR, dry_run=True)
    purge_run("failed", ago=timedelta(days=8))
    purge_run(
        "failed",
        ago=timedelta(days=2),
        trigger="admin",
        schedule=None,
        scheduled_for=None,
        params={"days": 7},
    )

    assert lines(factories.superuser()) == []


def test_bots_that_fail_alike_are_one_line():
    for number in range(1, 4):
        factories.job_run(job="scrape_now", status="failed", params={"config": number}, error="503")
    factories.job_run(job="scrape_now", status="failed", params={"config": 4}, error="404")

    assert sorted(texts(factories.superuser())) == [
        "Scrape now is failing",
        "Scrape now is failing for 3 sets of parameters",
    ]


def test_the_owner_of_a_bot_sees_its_failures_and_nobody_elses():
    owner, other = member(BOT_OWNERS), member(BOT_OWNERS)
    bot = factories.bot_config(owner=owner)
    factories.job_run(job="scrape_now", status="failed", params={"config": bot.pk}, error="503")

    (line,) = lines(owner)

    assert buttons(line) == ["Why", "Retry…"]
    assert lines(other) == []


# --- Stalled runs and missed slots ---------------------------------------------------------------


def test_a_run_whose_worker_is_silent_stands_still():
    run = factories.job_run(status="running", heartbeat_at=timezone.now() - HOUR)

    (line,) = lines(member(VIEWERS))

    assert (line.kind, buttons(line)) == ("interrupted", ["Open"])
    assert line.text == f"Cleanup tokens #{run.pk} stands still: its worker is silent"
    assert lines(member(BOT_OWNERS)) == []
    run.beat()
    assert lines(member(VIEWERS)) == []


def test_a_run_that_does_not_stop_is_named():
    factories.job_run(status="running", cancel_requested_at=timezone.now() - HOUR)

    assert "was cancelled and does not stop" in texts(member(VIEWERS))[0]


def missed(**fields):
    return purge_run("missed", ago=3 * HOUR, reason="no_scheduler", counts={"slots_missed": 2}, **fields)


def test_slots_that_were_missed_and_not_caught_up_are_a_line_until_the_schedule_runs():
    missed()

    (line,) = lines(member(OPERATORS))

    assert line.text == "Purge old content: 2 slots were missed and not caught up"
    assert buttons(line) == ["Why", "Run…"]
    assert lines(member(BOT_OWNERS)) == []
    purge_run("succeeded", ago=HOUR)
    assert lines(member(OPERATORS)) == []


def test_a_run_by_hand_makes_up_for_missed_slots_and_so_does_a_pause():
    missed()
    factories.job_run(job="purge_old_content", trigger="admin")
    assert lines(member(VIEWERS)) == []

    missed(scheduled_for=timezone.now() - 2 * HOUR)
    assert len(lines(member(VIEWERS))) == 1
    edits.pause(schedules.for_job("purge_old_content"), by=None, reason="x")
    assert lines(member(VIEWERS)) == []


# --- Schedules, bots, items -----------------------------------------------------------------------


@pytest.mark.slow
def test_a_broken_schedule_says_why_and_goes_when_it_is_mended():
    task = PeriodicTask.objects.get(pk=spoilt.TIMES["unknown zone"]().pk)
    replanning.note_timing(task)

    (line,) = lines(member(OPERATORS))

    assert "is broken" in line.text
    assert "Mars/Phobos" in line.error
    assert buttons(line) == ["Mend…"]
    assert buttons(lines(member(VIEWERS))[0]) == ["Open"]
    assert lines(member(BOT_OWNERS)) == []
    task.delete()
    assert lines(member(OPERATORS)) == []


@pytest.mark.slow
def test_bots_stopped_by_reddit_are_one_line_and_their_owners_see_their_own(monkeypatch):
    owner = member(BOT_OWNERS)
    bots = [factories.bot_config(name=f"bot {number}") for number in range(2)]
    bots.append(factories.bot_config(name="memes", owner=owner))
    for bot in bots:
        bot.note_refusal("private", pause_after=1)

    factories.bot_config(name="fine")
    assert "3 bots stopped by Reddit: memes" in texts(member(VIEWERS))[0]
    assert number_in_list(lines(member(VIEWERS))[0].actions[0].url) == 3
    monkeypatch.setattr(bot_lines, "READ_MAX", 2)
    assert "3 bots stopped by Reddit: memes" in texts(member(VIEWERS))[0]
    (line,) = lines(owner)
    assert line.text == "1 bot stopped by Reddit: memes"
    assert line.actions[0].url == reverse("admin:scraping_botconfig_change", args=[bots[2].pk])
    assert lines(member(BOT_OWNERS)) == lines(factories.user()) == []
    bots[2].is_active = True
    bots[2].save()
    assert lines(owner) == []


def test_items_set_aside_ask_for_a_decision():
    row = factories.set_aside(items=120)
    for _number in range(2):  # Reddit has shown the others again
        factories.doubt_of(set_aside=row)

    (line,) = lines(member(APPROVERS))
    assert "2 items are set aside" in line.text
    assert buttons(line) == ["Review"]
    assert buttons(lines(member(VIEWERS))[0]) == ["Open"]
    assert lines(member(BOT_OWNERS)) == []
    brake.decide(row, is_right=True, by=factories.superuser())
    assert lines(member(APPROVERS)) == []


# --- Services --------------------------------------------------------------------------------------


def test_no_scheduler_and_no_worker_are_lines_of_whoever_sees_all_runs():
    BeatLease.objects.update(holder="")
    BeatProcess.objects.all().delete()
    WorkerProcess.objects.all().delete()
    factories.job_run(status="queued", queued_at=timezone.now() - HOUR)

    assert texts(member(VIEWERS)) == [
        "No scheduler is alive. Nothing scheduled starts: start celery beat.",
        "No worker is alive. No run starts: start a worker.",
    ]
    assert lines(member(BOT_OWNERS)) == []


@pytest.mark.parametrize("on_one_machine", [True, False])
def test_a_missing_standby_is_a_line_but_for_the_console_on_one_machine(settings, on_one_machine):
    settings.USES_PRIVATE_BROKER = on_one_machine
    BeatProcess.objects.all().delete()

    assert any("No standby" in text for text in texts(member(VIEWERS))) is not on_one_machine
    BeatProcess.objects.create(holder="host:2:b", seen_at=timezone.now())
    assert lines(member(VIEWERS)) == []


# --- Cost -------------------------------------------------------------------------------------------


def test_the_list_asks_as_much_for_many_as_for_one():
    def asked():
        person = factories.superuser()
        with CaptureQueriesContext(connection) as captured:
            looked = world(person)
            needs.lines_for(looked)
            needs.recovered_for(looked)
        return len(captured)

    def more(number):
        for index in range(number):
            blocked_purge(params={"days": 10 + index})
            purge_run("failed", ago=HOUR + timedelta(seconds=index), params={"days": index + 1})
            factories.job_run(job=f"gone{index}", status="running", heartbeat_at=timezone.now() - HOUR)
            factories.set_aside(scope=f"{number}x{index}", cause="closed")
            factories.bot_config().note_refusal("private", pause_after=1)

    more(1)
    few = asked()
    more(8)
    assert asked() == few
    assert few <= 15
