"""Seeding, retiming, pausing, resetting."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, PeriodicTask

from audit.models import Event
from maintenance import registry
from maintenance.models import RetentionPolicy, ScheduleControl
from maintenance.models.deleted_schedules import forget_deleted_schedules
from maintenance.registry import jobs
from maintenance.scheduling import edits, schedules, seeding
from maintenance.scheduling.firetimes import Crontab, InvalidCrontab
from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def seeded(db):
    seeding.seed()


@pytest.fixture
def purge():
    return schedules.for_job("purge_old_content")


def test_every_scheduled_job_has_its_schedule_in_the_zone_of_the_settings(settings):
    seeded = {
        task.task: (str(schedules.crontab_of(task)), str(task.crontab.timezone))
        for task in PeriodicTask.objects.all()
    }

    assert seeded == {job.task_name: (job.crontab, settings.TIME_ZONE) for job in jobs() if job.crontab}
    assert RetentionPolicy.objects.get(job="purge_old_content").days == 90


def test_seeding_again_changes_nothing_an_operator_did(purge):
    edits.retime(purge, by=None, crontab=Crontab.parse("5 5 * * *"), timezone_name="Europe/Berlin")
    RetentionPolicy.objects.filter(job="purge_old_content").update(days=7)
    edits.pause(schedules.for_job("cleanup_tokens"), by=None, reason="audit")
    PeriodicTask.objects.filter(pk=purge.pk).update(name="Sunday purge", kwargs='{"days": 60}')

    assert seeding.seed() == []

    purge = PeriodicTask.objects.get(pk=purge.pk)
    assert str(schedules.crontab_of(purge)) == "5 5 * * *"
    assert str(purge.crontab.timezone) == "Europe/Berlin"
    assert (purge.name, purge.kwargs) == ("Sunday purge", '{"days": 60}')
    assert not schedules.for_job("cleanup_tokens").enabled
    assert RetentionPolicy.objects.get(job="purge_old_content").days == 7


def test_retiming_one_schedule_leaves_others_on_the_same_crontab_alone(purge):
    twin = PeriodicTask.objects.create(name="twin", task="maintenance.cleanup_tokens", crontab=purge.crontab)

    edits.retime(purge, by=None, crontab=Crontab.parse("1 1 * * *"), timezone_name="UTC")

    twin.refresh_from_db()
    assert str(schedules.crontab_of(twin)) == "30 2 * * 0"


def test_retiming_copes_with_a_crontab_row_that_exists_twice(purge):
    for _ in range(2):
        CrontabSchedule.objects.create(
            minute="1", hour="1", day_of_month="*", month_of_year="*", day_of_week="*", timezone="UTC"
        )

    edits.retime(purge, by=None, crontab=Crontab.parse("1 1 * * *"), timezone_name="UTC")

    assert str(schedules.crontab_of(purge)) == "1 1 * * *"


def test_retiming_is_logged_with_before_after_and_reason(purge):
    admin = factories.superuser()

    edits.retime(purge, by=admin, crontab=Crontab.parse("1 1 * * *"), timezone_name="UTC", reason="quieter")

    event = Event.objects.get()
    assert event.actor == admin
    assert event.before["schedule"] == "30 2 * * 0 Asia/Shanghai"
    assert event.after["schedule"] == "1 1 * * * UTC"
    assert event.reason == "quieter"


def test_an_impossible_crontab_is_refused_and_nothing_changes(purge):
    with pytest.raises(InvalidCrontab) as error:
        edits.retime(purge, by=None, crontab=Crontab.parse("0 25 * * *"), timezone_name="UTC")

    assert error.value.field == "hour"
    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=purge.pk))) == "30 2 * * 0"


@pytest.mark.parametrize("verb", ["retime", "pause", "resume", "reset", "keep"])
def test_changing_a_schedule_needs_its_permission(verb, purge):
    takes: dict[str, dict[str, Any]] = {
        "retime": {"crontab": Crontab.parse("1 1 * * *"), "timezone_name": "UTC"},
        "pause": {"reason": "x"},
    }
    arguments = takes.get(verb, {})

    with pytest.raises(PermissionDenied):
        getattr(edits, verb)(purge, by=factories.user(), **arguments)

    assert not Event.objects.exists()


def test_a_pause_keeps_its_reason_and_the_last_run(purge):
    last = timezone.now() - timedelta(days=1)
    PeriodicTask.objects.filter(pk=purge.pk).update(last_run_at=last)
    purge.refresh_from_db()
    admin = factories.superuser()

    edits.pause(purge, by=admin, reason="  migration ")

    purge = PeriodicTask.objects.get(pk=purge.pk)
    control = schedules.control_of(purge)
    assert (purge.enabled, purge.last_run_at) == (False, last)
    assert (control.pause_reason, control.paused_by) == ("migration", admin)
    assert schedules.next_fire(purge) is None


def test_a_pause_needs_a_reason_and_an_end_in_the_future(purge):
    with pytest.raises(ValueError, match="why"):
        edits.pause(purge, by=None, reason=" ")
    with pytest.raises(ValueError, match="past"):
        edits.pause(purge, by=None, reason="x", until=timezone.now())

    assert PeriodicTask.objects.get(pk=purge.pk).enabled


def test_resuming_counts_from_now(purge):
    edits.pause(purge, by=None, reason="x")
    with time_machine.travel(timezone.now() + timedelta(days=30), tick=False):
        edits.resume(purge, by=None)

        assert ScheduleControl.objects.get(pk=purge.pk).effective_from == timezone.now()


def deviation_of(task):
    """Return what a new process reads: the default, the former default, and whether the schedule overrides it."""
    found = schedules.deviation(PeriodicTask.objects.get(pk=task.pk))
    return found and (str(found.default), found.former and str(found.former), found.is_override)


def test_a_schedule_that_differs_from_its_default_can_be_reset(purge):
    assert deviation_of(purge) is None
    edits.retime(purge, by=None, crontab=Crontab.parse("1 1 * * *"), timezone_name="UTC")
    assert deviation_of(purge) == ("30 2 * * 0", None, True)

    edits.reset(purge, by=None)

    assert deviation_of(purge) is None


@pytest.fixture
def deploy(monkeypatch):
    """A new version that declares another default."""

    def deploy(slug, crontab):
        monkeypatch.setitem(registry._registry, slug, replace(registry.get_job(slug), crontab=crontab))

    return deploy


def test_a_deploy_that_changes_a_default_is_reported_and_changes_nothing(purge, deploy):
    deploy("purge_old_content", "0 5 * * 6")
    seeding.seed()

    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=purge.pk))) == "30 2 * * 0"
    assert deviation_of(purge) == ("0 5 * * 6", "30 2 * * 0", False)
    (line,) = schedules.drift_report()
    assert "from 30 2 * * 0 to 0 5 * * 6" in line


def test_an_override_and_a_changed_default_are_told_apart(purge, deploy):
    edits.retime(purge, by=None, crontab=Crontab.parse("1 1 * * *"), timezone_name="UTC")
    deploy("purge_old_content", "0 5 * * 6")

    assert deviation_of(purge) == ("0 5 * * 6", "30 2 * * 0", True)


def test_a_changed_default_is_taken_in_one_step(purge, deploy):
    admin = factories.superuser()
    deploy("purge_old_content", "0 5 * * 6")

    edits.reset(purge, by=admin)

    assert str(schedules.crontab_of(PeriodicTask.objects.get(pk=purge.pk))) == "0 5 * * 6"
    assert deviation_of(purge) is None
    assert schedules.drift_report() == []


def test_a_changed_default_is_declined_in_one_step(purge, deploy):
    admin = factories.superuser()
    deploy("purge_old_content", "0 5 * * 6")

    edits.keep(purge, by=admin)

    assert deviation_of(purge) == ("0 5 * * 6", None, True)
    assert schedules.drift_report() == []
    event = Event.objects.get()
    assert event.before == event.after
    assert "0 5 * * 6" in event.reason


def test_a_pause_that_ends_by_itself_is_the_systems_doing(purge):
    admin = factories.superuser()
    edits.pause(purge, by=admin, reason="lunch", until=timezone.now() + timedelta(minutes=1))

    edits.resume_ended_pauses(timezone.now() + timedelta(minutes=2))

    event = Event.objects.order_by("-pk").first()
    assert (event.actor, event.actor_kind) == (None, "system")
    assert (event.after["enabled"], event.reason) == (True, "The pause ended.")


def test_the_next_fire_time_is_wall_clock_in_the_schedules_zone(purge):
    after = datetime(2026, 11, 23, tzinfo=schedules.zone_of(purge))

    fire = schedules.next_fire(purge, now=after)

    assert fire.astimezone(schedules.zone_of(purge)).isoformat() == "2026-11-29T02:30:00+08:00"


def test_a_sentence_in_both_languages(purge):
    assert schedules.describe(purge, "en") == "At 02:30, only on Sunday"
    assert "星期日" in schedules.describe(purge, "zh-hans")


def test_a_moment_is_written_as_pages_write_all_times(purge):
    at = datetime(2026, 12, 31, 11, tzinfo=UTC)
    once = PeriodicTask(task=purge.task, clocked=ClockedSchedule(clocked_time=at), one_off=True)

    assert schedules.describe(once, "en") == "2026-12-31 19:00:00 UTC+8"


def test_seeding_finds_another_name_where_an_operator_uses_the_jobs_own(purge):
    PeriodicTask.objects.filter(pk=purge.pk).update(task="maintenance.cleanup_tokens")

    assert seeding.seed() == ["purge_old_content"]

    assert schedules.for_job("purge_old_content").name == "Purge old content (purge_old_content)"


def test_an_unknown_zone_is_refused(purge):
    with pytest.raises(InvalidCrontab) as error:
        edits.retime(purge, by=None, crontab=Crontab.parse("1 1 * * *"), timezone_name="Mars/Olympus")

    assert error.value.field == "timezone"


def test_an_edit_of_a_paused_schedule_keeps_what_beat_counts(purge):
    last = timezone.now() - timedelta(days=1)
    edits.pause(purge, by=None, reason="x")
    PeriodicTask.objects.filter(pk=purge.pk).update(last_run_at=last, total_run_count=7)

    edits.retime(purge, by=None, crontab=Crontab.parse("1 1 * * *"), timezone_name="UTC")

    purge = PeriodicTask.objects.get(pk=purge.pk)
    assert (purge.last_run_at, purge.total_run_count) == (last, 7)


# --- Options without effect on our jobs --------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("queue", "heavy"),
        ("exchange", "x"),
        ("routing_key", "x"),
        ("priority", 0),
        ("headers", '{"a": 1}'),
        ("expire_seconds", 60),
        ("args", "[1]"),
    ],
)
def test_what_would_have_no_effect_is_refused_by_name(field, value):
    with pytest.raises(ValidationError) as error:
        factories.schedule(**{field: value})

    assert list(error.value.message_dict) == [field]
    assert not PeriodicTask.objects.filter(**{field: value}).exists()
    assert factories.schedule(task="celery.accumulate", **{field: value}).pk


def test_a_row_that_has_it_already_can_still_be_paused_and_retimed():
    task = factories.schedule()
    PeriodicTask.objects.filter(pk=task.pk).update(queue="heavy")
    task = PeriodicTask.objects.get(pk=task.pk)
    edits.pause(task, by=None, reason="x")
    edits.retime(task, by=None, crontab=Crontab.parse("5 * * * *"), timezone_name="UTC")

    task.refresh_from_db()
    assert (task.enabled, task.crontab.minute) == (False, "5")


def test_deleting_a_schedule_rewrites_no_run_and_its_runs_forget_it_later():
    schedule = factories.schedule(name="nightly")
    run = factories.job_run(schedule=schedule, schedule_name="nightly")
    other = factories.job_run(schedule=factories.schedule())

    with CaptureQueriesContext(connection) as made:
        schedule.delete()

    assert not [query for query in made.captured_queries if 'UPDATE "maintenance_jobrun"' in query["sql"]]
    run.refresh_from_db()
    assert (run.schedule, run.schedule_name) == (None, "nightly")
    assert forget_deleted_schedules(between=lambda: None) == 1
    run.refresh_from_db()
    other.refresh_from_db()
    assert run.schedule_id is None
    assert other.schedule is not None
