"""Schedules that other tools, other hosts or deletions have damaged are read, shown and repaired without errors."""

import json
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)

from database import zones
from maintenance.models import ScheduleControl
from maintenance.scheduling import edits, maintenance_mode, replanning, schedules
from maintenance.scheduling.firetimes import Crontab
from maintenance.scheduling.reading import read, read_all
from maintenance.scheduling.timing import Timing
from tests import spoilt
from tests.kit import factories

pytestmark = pytest.mark.django_db

REMEDIES = {
    "unknown zone": "This host knows no time zone Mars/Phobos: choose another, or renew its time zone database.",
    "no zone": "This host knows no time zone –: choose another, or renew its time zone database.",
    "bad field": "Day of week: There is no day 7: Sunday is 0, Saturday is 6.",
    "no time": "It has no time: give it one.",
    "crontab gone": "It has no time: give it one.",
    "interval of 0": "Its interval is not longer than zero: give it another time.",
    "unknown unit": "Its interval is not longer than zero: give it another time.",
    "unknown event": "The sun has no such event: give it another time.",
}


@pytest.mark.parametrize("kind", REMEDIES)
def test_a_schedule_that_cannot_fire_says_why_and_what_to_do(kind, spoil):
    task = spoil(kind)

    reading = read(PeriodicTask.objects.get(pk=task.pk))

    assert reading.timing_fault == REMEDIES[kind]
    assert reading.next_run_at is None
    assert reading.takes_crontab


@pytest.fixture
def spoil():
    """Create a schedule with this damage; broken foreign keys are removed before the test's database is checked."""
    made = []

    def of(kind):
        made.append(spoilt.TIMES[kind]())
        return made[-1]

    yield of
    PeriodicTask.objects.filter(pk__in=[task.pk for task in made]).delete()


def test_a_clocked_row_without_a_time_is_a_schedule_without_a_time():
    task = SimpleNamespace(
        crontab=None, interval=None, solar=None, clocked=SimpleNamespace(clocked_time=None),
        start_time=None, expires=None, enabled=True,
    )  # fmt: skip

    assert Timing.of(task).clocked is None


@pytest.mark.parametrize(
    ("kwargs", "fault"),
    [
        ("{", "The parameters are not JSON: write a JSON object."),
        ("[" * 100_000, "The parameters are not JSON: write a JSON object."),
        ("[]", "The parameters are not a JSON object."),
        ("5", "The parameters are not a JSON object."),
        ('{"config": 999999}', "config: There is no bot 999999: give its id or its name."),
        ('{"config": "\\ud800"}', "The parameters are not JSON: write a JSON object."),
        ('{"\\u0000": 1}', "The parameters hold a NUL character."),
        ("{}", "config: This parameter is required."),
    ],
)
def test_parameters_that_no_longer_hold_are_told(kwargs, fault):
    task = factories.schedule(task="maintenance.scrape_now", kwargs=kwargs[:200_000])

    reading = read(task)

    told = f"The job does not take its parameters: {fault}"
    assert (reading.params, reading.params_fault) == (None, told)
    assert reading.next_run_at is not None


@pytest.mark.parametrize("digits", [18, 19, 25, 6_000])
def test_a_key_of_any_length_is_no_bot(digits):
    for value in (f'"{"9" * digits}"', "9" * digits):
        reading = read(factories.schedule(task="maintenance.scrape_now", kwargs=f'{{"config": {value}}}'))

        assert reading.params_fault


def test_a_job_that_is_no_more_is_told_and_somebody_elses_task_is_not():
    gone = read(factories.schedule(task="maintenance.no_such_job"))
    foreign = read(factories.schedule(task="other.task", queue="other", kwargs="{"))

    assert gone.params_fault.startswith("No such job: no_such_job.")
    assert not foreign.is_broken
    assert foreign.job is None


def test_reading_writes_nothing_and_asks_as_much_for_many_as_for_few():
    bots = [factories.bot_config() for _ in range(12)]
    made = [
        factories.schedule(task="maintenance.scrape_now", kwargs=json.dumps({"config": bot.pk}))
        for bot in bots
    ]
    ScheduleControl.objects.all().delete()

    def queries(number):
        tasks = list(
            PeriodicTask.objects.filter(pk__in=[task.pk for task in made[:number]])
            .select_related(*schedules.RELATED)
            .order_by("pk")
        )
        with CaptureQueriesContext(connection) as captured:
            readings = read_all(tasks)
        assert [reading.params for reading in readings] == [{"config": bot.pk} for bot in bots[:number]]
        return len(captured)

    assert queries(2) == queries(12) == 3  # for the bots, for maintenance mode, for planned windows
    assert not ScheduleControl.objects.exists()


def test_a_zone_that_is_unknown_here_keeps_its_name_and_fires_again_where_it_is_known(spoil):
    task = spoil("unknown zone")
    row = CrontabSchedule.objects.get(pk=task.crontab_id)
    row.hour = "5"
    row.save()
    assert CrontabSchedule.objects.filter(pk=row.pk).values_list("timezone").get()[0] == zones.UnknownZone(
        "Mars/Phobos"
    )

    spoilt.execute(
        "UPDATE django_celery_beat_crontabschedule SET timezone = 'Europe/Berlin' WHERE id = %s", row.pk
    )
    replanning.recheck(
        PeriodicTask.objects.get(pk=task.pk),
        now=timezone.now() + timedelta(seconds=1),
        modes=maintenance_mode.Modes(),
    )

    assert read(PeriodicTask.objects.get(pk=task.pk)).zone == "Europe/Berlin"
    assert ScheduleControl.objects.get(pk=task.pk).next_slot_at is not None


def test_neither_localtime_nor_factory_is_offered():
    assert {"localtime", "Factory"}.isdisjoint(zones.offered())
    assert "Asia/Shanghai" in zones.offered()
    assert zones.find("../etc") is zones.find("Europe") is zones.find("x" * 5_000) is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", REMEDIES)
def test_a_broken_schedule_is_paused_resumed_and_retimed(kind, spoil):
    task = spoil(kind)

    edits.pause(task, by=None, reason="broken")
    edits.resume(task, by=None)
    edits.retime(task, by=None, crontab=Crontab.parse("5 5 * * *"), timezone_name="Europe/Berlin")

    healed = read(PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk))
    assert (healed.is_broken, healed.zone, str(healed.crontab)) == (False, "Europe/Berlin", "5 5 * * *")
    assert healed.next_run_at is not None


@pytest.mark.parametrize("model", [IntervalSchedule, ClockedSchedule, SolarSchedule])
def test_other_kinds_that_are_whole_are_read_as_they_are(model):
    row = {
        IntervalSchedule: lambda: {"interval": IntervalSchedule.objects.create(every=5, period="minutes")},
        ClockedSchedule: lambda: {
            "clocked": ClockedSchedule.objects.create(clocked_time=timezone.now() + timedelta(hours=1)),
            "one_off": True,
        },
        SolarSchedule: lambda: {
            "solar": SolarSchedule.objects.create(event="sunrise", latitude=52, longitude=13)
        },
    }[model]()
    task = PeriodicTask.objects.create(name="whole", task="maintenance.cleanup_tokens", **row)

    reading = read(task)

    assert not reading.is_broken
    assert reading.next_run_at is not None
    assert reading.sentence
