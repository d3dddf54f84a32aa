"""A schedule's own time limit and retries: taken at the run's creation, and kept by all its attempts."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from maintenance.explanations.runs import explain_run
from maintenance.ledger import dispatch, heartbeat, limits, performing, publishing, requests
from maintenance.models import JobRun, ScheduleControl
from maintenance.registry import get_job
from maintenance.scheduling.holds import FREE
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.slots import Slots
from maintenance.scheduling.tick_batch import TickBatch
from maintenance.stops import JobFailed
from tests.kit import factories
from tests.maintenance.scheduling.recorded_slots import NOON

pytestmark = pytest.mark.django_db
MINUTES = timedelta(minutes=1)


def run_of(slug, **control):
    """The run that a tick creates for a schedule with these values."""
    task = factories.schedule(task=f"maintenance.{slug}")
    ScheduleControl.objects.filter(pk=task.pk).update(**control)
    task = type(task).objects.select_related("control").get(pk=task.pk)
    run = requests.slot_run(schedule=task, job=get_job(slug), slot=NOON)
    run.save()
    return run, task


def fail_for_now(ctx):
    """Meet a server that is away."""
    raise JobFailed("503", is_transient=True)


@pytest.mark.parametrize(
    ("declared", "own", "delays"),
    [
        ((), None, []),
        ((), 2, [5, 5]),
        ((1, 9), None, [1, 9]),
        ((1, 9), 0, []),
        ((1, 9), 1, [1]),
        ((1, 9), 4, [1, 9, 9, 9]),
    ],
)
def test_a_schedules_retries_take_the_jobs_delays(declare, declared, own, delays):
    slug = declare(fail_for_now, retries=tuple(number * MINUTES for number in declared))
    run, _ = run_of(slug, retries=own)

    assert limits.retries_of(get_job(slug), run) == tuple(number * MINUTES for number in delays)


@pytest.mark.django_db(transaction=True)
def test_a_run_keeps_what_was_set_when_it_was_created(declare):
    slug = declare(fail_for_now)
    run, task = run_of(slug, retries=1, time_limit_seconds=120)
    ScheduleControl.objects.filter(pk=task.pk).update(retries=5, time_limit_seconds=600)

    assert performing.perform(run)
    again = JobRun.objects.get(retry_of=run)
    assert (again.retries, again.time_limit_seconds) == (1, 120)
    assert 4 * MINUTES < again.not_before - timezone.now() <= 5 * MINUTES
    JobRun.objects.filter(pk=again.pk).update(not_before=None)
    assert performing.perform(again)
    again.refresh_from_db()

    assert again.status == "failed"
    assert not JobRun.objects.filter(retry_of=again).exists()
    assert {cause.code for cause in explain_run(again)} >= {"own_retries", "own_time_limit"}


@pytest.mark.django_db(transaction=True)
def test_the_heartbeat_and_the_checkpoints_have_the_schedules_limit(declare, monkeypatch):
    seen = {}

    def look(ctx):
        """Look at its limits."""
        seen["hands on after"] = round(ctx._hands_on_at - ctx.checked_at)

    class Watched(heartbeat.Heartbeat):
        def __init__(self, *args, **kwargs):
            seen["limit"] = kwargs["limit"]
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(performing, "Heartbeat", Watched)
    run, _ = run_of(declare(look, time_limit=10 * MINUTES), time_limit_seconds=100)

    performing.perform(run, hands_on=True)

    assert seen == {"limit": timedelta(seconds=100), "hands on after": 80}


def test_the_message_carries_the_limit_to_celery(declare, monkeypatch):
    sent = []

    def send(messages):
        sent.extend(messages)
        return len(messages)

    monkeypatch.setattr(publishing, "send", send)
    slug = declare(fail_for_now)
    own, _ = run_of(slug, time_limit_seconds=100)
    plain, _ = run_of(slug)

    dispatch.publish_all([own, plain])

    assert [message.time_limit for message in sent] == [100 + limits.DEEP_HANG_SECONDS, None]


def test_a_tick_gives_a_run_its_schedules_values():
    with time_machine.travel(NOON, tick=False):
        _, task = run_of("cleanup_tokens", retries=7, time_limit_seconds=60)
        JobRun.objects.all().delete()
        batch = TickBatch(NOON, Modes())
        batch._take(task, None, Slots(in_time=[NOON + MINUTES]), FREE)
        batch.write()

    assert [(run.retries, run.time_limit_seconds) for run in batch.queued] == [(7, 60)]
