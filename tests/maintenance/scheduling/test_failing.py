"""A schedule that pauses itself after failures in a row: which runs count, and that it pauses exactly once."""

import threading
from datetime import timedelta
from itertools import takewhile

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils import translation
from django_celery_beat.models import PeriodicTask
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.models import Event
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import edits, failing, recovery
from tests.kit import factories
from tests.maintenance.scheduling.recorded_slots import NOON

pytestmark = pytest.mark.django_db

COUNTED = {"succeeded", "partial", "failed"}


def watched(number=3, **fields):
    """A schedule that pauses itself after so many failures."""
    task = factories.schedule(**fields)
    ScheduleControl.objects.filter(pk=task.pk).update(pause_after_failures=number)
    return PeriodicTask.objects.get(pk=task.pk)


def ended(task, *statuses, since=NOON, **fields):
    """Runs of the schedule that ended so, one a minute; "+" after a status: it gets another attempt."""
    made = []
    for number, status in enumerate(statuses, start=1):
        at = since + timedelta(minutes=number)
        run = factories.job_run(
            schedule=task,
            trigger="schedule",
            scheduled_for=at,
            status=status.rstrip("+"),
            queued_at=at,
            finished_at=at,
            **fields,
        )
        if status.endswith("+"):
            factories.job_run(schedule=task, trigger="retry", retry_of=run, status="queued")
        made.append(run)
    return made


def is_paused(task):
    return not PeriodicTask.objects.get(pk=task.pk).enabled


@pytest.mark.parametrize(
    ("statuses", "pauses"),
    [
        (["failed"] * 3, True),
        (["failed"] * 5, True),
        (["failed"] * 2, False),
        (["failed", "succeeded", "failed", "failed"], False),
        (["failed", "partial", "failed", "failed"], False),
        (["succeeded", "failed", "failed", "failed"], True),
        (["failed", "failed", "failed", "succeeded"], False),
        (["failed", "cancelled", "failed", "failed"], True),
        (["failed", "cancelled", "failed"], False),
        (["failed", "skipped", "failed", "missed", "failed"], True),
        (["failed", "failed", "failed+"], False),
        (["failed", "interrupted", "failed", "failed"], True),
        ([], False),
    ],
)
def test_only_failures_in_a_row_of_runs_that_ended_pause_a_schedule(statuses, pauses):
    task, bystander = watched(), factories.schedule()
    ended(task, *statuses)
    ended(bystander, *["failed"] * 9)

    assert failing.pause_failing() == pauses

    assert is_paused(task) == pauses
    assert not is_paused(bystander)


def test_dry_runs_and_runs_of_others_do_not_count():
    task, other = watched(2), watched(2)
    ended(task, "failed", "failed", dry_run=True)
    ended(other, "failed")

    assert failing.pause_failing() == 0


def test_the_pause_says_why_in_the_readers_language_and_that_the_console_did_it():
    task = watched(3)
    ended(task, *["failed"] * 3)

    recovery.sweep()

    control = ScheduleControl.objects.get(pk=task.pk)
    assert control.pause_reason == "3 runs in a row failed."
    assert (control.paused_by, control.paused_until) == (None, None)
    with translation.override("zh-hans"):
        assert control.pause_reason == "连续 3 次运行失败。"
    event = Event.objects.get(verb="schedule.paused", subject_id=str(task.pk))
    assert (event.actor_kind, event.reason) == ("system", "3 runs in a row failed.")


def test_resuming_counts_anew_and_a_person_who_repairs_is_not_paused_again_at_once():
    with time_machine.travel(NOON + timedelta(hours=1), tick=False):
        task = watched(2)
        ended(task, "failed", "failed")
        assert failing.pause_failing() == 1
        edits.resume(task, by=None)
        assert failing.pause_failing() == 0

        ended(task, "failed", since=NOON + timedelta(hours=2))
        assert failing.pause_failing() == 0
        ended(task, "failed", since=NOON + timedelta(hours=3))
        assert failing.pause_failing() == 1


def test_a_schedule_that_another_tool_enables_again_counts_anew():
    with time_machine.travel(NOON + timedelta(hours=1), tick=False):
        task = watched(2)
        ended(task, "failed", "failed")
        failing.pause_failing()
        task = PeriodicTask.objects.get(pk=task.pk)
        task.enabled = True
        task.save()

        assert failing.pause_failing() == 0


def test_a_pause_by_a_person_keeps_its_reason():
    task = watched(2)
    ended(task, "failed", "failed")
    edits.pause(task, by=None, reason="disk full")

    assert failing.pause_failing() == 0
    assert ScheduleControl.objects.get(pk=task.pk).pause_reason == "disk full"


@settings(max_examples=60, deadline=None)
@pytest.mark.slow
@given(
    statuses=st.lists(
        st.sampled_from(["failed", "failed+", "succeeded", "partial", "cancelled", "skipped", "interrupted"]),
        max_size=9,
    ),
    number=st.integers(1, 5),
)
def test_the_row_is_that_of_a_plain_count(statuses, number):
    with transaction.atomic():
        task = watched(number)
        ended(task, *statuses)
        counted = [status for status in statuses if status in COUNTED]
        row = len(list(takewhile(lambda status: status == "failed", reversed(counted))))

        assert failing.failures_in_a_row(task.control, up_to=100) == row
        failing.pause_failing()
        assert is_paused(task) == (row >= number)
        transaction.set_rollback(True)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_two_schedulers_at_once_pause_it_once(monkeypatch):
    task = watched(2)
    ended(task, "failed", "failed")
    both = threading.Barrier(2)
    paused = []
    pause_if = edits.pause_if

    def together(*args):
        both.wait(5)  # both have seen the failures
        return pause_if(*args)

    monkeypatch.setattr(edits, "pause_if", together)

    def look():
        try:
            paused.append(failing.pause_failing())
        finally:
            connection.close()

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(paused) == [0, 1]
    assert Event.objects.filter(verb="schedule.paused", subject_id=str(task.pk)).count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("retries", 11),
        ("time_limit_seconds", 9),
        ("time_limit_seconds", 7001),
        ("pause_after_failures", 0),
        ("catch_up_hours", 0),
    ],
)
def test_the_database_refuses_what_is_out_of_range(field, value):
    task = factories.schedule()

    with pytest.raises(IntegrityError), transaction.atomic():
        ScheduleControl.objects.filter(pk=task.pk).update(**{field: value})


def test_a_look_costs_one_query_where_no_schedule_pauses_itself(django_assert_num_queries):
    ended(factories.schedule(), "failed", "failed")

    with django_assert_num_queries(1):
        failing.pause_failing()
    assert JobRun.objects.filter(status="failed").count() == 2
