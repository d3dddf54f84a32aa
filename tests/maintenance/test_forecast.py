"""Every next time that is shown will happen: in the list, in the preview, during a pause and maintenance mode."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.urls import reverse
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, PeriodicTask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from console.celery import app
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import edits, maintenance_mode, schedules, slots
from maintenance.scheduling.beat import LeasedDatabaseScheduler
from maintenance.scheduling.forecast import Hold
from maintenance.scheduling.preview import preview
from maintenance.scheduling.reading import read
from maintenance.scheduling.timing import Timing
from tests.kit import factories
from tests.soak import size

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)  # a Friday
LIST = "admin:django_celery_beat_periodictask_changelist"
PAGE = "admin:django_celery_beat_periodictask_change"
PREVIEW = "admin:maintenance_schedule_preview"
HOUR = timedelta(hours=1)


def reloaded(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def reread(task):
    return read(reloaded(task))


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as clock:
        yield clock


def slots_of(preview):
    return [slot.at for slot in preview.slots]


def once(moment, **fields):
    return PeriodicTask.objects.create(
        name="once",
        task="maintenance.cleanup_tokens",
        one_off=True,
        clocked=ClockedSchedule.objects.create(clocked_time=moment),
        **fields,
    )


# --- The next time ---------------------------------------------------------------------------------


def test_without_a_hold_it_is_the_next_slot(clock):
    reading = reread(factories.schedule(crontab="20 9 * * *"))

    assert (reading.next_run_at, reading.hold) == (NOON.replace(day=28, hour=9, minute=20), Hold.NONE)


def test_a_slot_that_waits_for_its_tick_is_still_to_come(clock):
    task = once(NOON + timedelta(seconds=5))
    clock.shift(10)

    assert reread(task).next_run_at == NOON + timedelta(seconds=5)
    assert not reread(task).is_over


@pytest.mark.slow
def test_under_maintenance_mode_it_is_the_first_slot_after_it(clock, client):
    task = factories.schedule(crontab="20 * * * *", name="Hourly")
    maintenance_mode.start(by=None, reason="deploy", until=NOON + timedelta(days=2, hours=21))
    client.force_login(factories.operator())

    monday = NOON + timedelta(days=2, hours=21, minutes=20)
    assert (reread(task).next_run_at, reread(task).hold) == (monday, Hold.MAINTENANCE)
    edits.pause(paused := factories.schedule(crontab="20 * * * *"), by=None, reason="x", until=NOON + HOUR)
    pages = [reverse(LIST), *(reverse(PAGE, args=[one.pk]) for one in (task, paused))]
    for page in pages:
        assert "after maintenance: Mon 11-30 09:20 UTC" in client.get(page).content.decode()


def test_under_maintenance_mode_without_an_end_no_time_is_shown(clock, client):
    task = factories.schedule(crontab="20 * * * *", name="Hourly")
    maintenance_mode.start(by=None, reason="deploy")
    client.force_login(factories.operator())

    assert reread(task).next_run_at is None
    page = client.get(reverse(LIST)).content.decode()
    assert "after maintenance mode, which has no end yet" in page
    assert "in 20" not in page


def test_under_a_pause_it_is_the_first_slot_at_its_end_or_after_it(clock):
    task = factories.schedule(crontab="0 * * * *")
    edits.pause(task, by=None, reason="x", until=NOON + 5 * HOUR)

    assert (reread(task).next_run_at, reread(task).hold) == (NOON + 5 * HOUR, Hold.PAUSE)


def test_under_both_it_waits_for_the_one_that_ends_last(clock):
    task = factories.schedule(crontab="20 * * * *")
    edits.pause(task, by=None, reason="x", until=NOON + 5 * HOUR)
    maintenance_mode.start(by=None, reason="deploy", until=NOON + 8 * HOUR)
    assert reread(task).next_run_at == NOON + 8 * HOUR + timedelta(minutes=20)
    edits.pause(task, by=None, reason="x", until=NOON + 9 * HOUR)
    assert reread(task).next_run_at == NOON + 9 * HOUR + timedelta(minutes=20)
    edits.pause(task, by=None, reason="x")
    assert reread(task).next_run_at is None


def test_what_makes_up_for_a_hold_runs_at_its_end(clock):
    task = factories.schedule(crontab="20 * * * *")
    ScheduleControl.objects.filter(pk=task.pk).update(catch_up_after_pause=True)
    maintenance_mode.start(by=None, reason="deploy", until=NOON + 5 * HOUR)

    assert reread(task).next_run_at == NOON + 5 * HOUR


def test_a_one_off_runs_at_the_end_of_maintenance_mode(clock):
    task = once(NOON + HOUR)
    maintenance_mode.start(by=None, reason="deploy", until=NOON + 5 * HOUR)

    assert reread(task).next_run_at == NOON + 5 * HOUR


@pytest.mark.parametrize("policy", ["skip", "run_once"])
def test_what_no_scheduler_ticked_is_over_only_if_it_is_not_caught_up(clock, policy):
    missed = once(NOON + HOUR)
    ended = factories.schedule(crontab="0 * * * *", expires=NOON + 2 * HOUR)
    edits.set_policies(reloaded(missed), {"misfire_policy": policy}, by=None)
    edits.set_policies(reloaded(ended), {"misfire_policy": policy}, by=None)
    clock.shift(3 * HOUR)

    shown = [(reading.is_over, reading.next_run_at) for reading in map(reread, (missed, ended))]
    caught_up = [(False, NOON + HOUR), (False, NOON + 2 * HOUR)]
    assert shown == (caught_up if policy == "run_once" else [(True, None)] * 2)


def test_a_one_off_that_maintenance_mode_holds_is_not_over(clock):
    task = once(NOON + HOUR)
    maintenance_mode.start(by=None, reason="deploy")
    clock.shift(2 * HOUR)

    assert (reread(task).is_over, reread(task).next_run_at) == (False, None)
    maintenance_mode.start(by=None, reason="deploy", until=NOON + 5 * HOUR)
    assert (reread(task).is_over, reread(task).next_run_at) == (False, NOON + 5 * HOUR)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("catch_up", [False, True])
@pytest.mark.parametrize("kind", ["pause", "maintenance"])
def test_what_is_shown_under_a_hold_is_what_happens(clock, kind, catch_up):
    PeriodicTask.objects.update(enabled=False)
    task = factories.schedule(crontab="20 * * * *")
    ScheduleControl.objects.filter(pk=task.pk).update(catch_up_after_pause=catch_up)
    task = PeriodicTask.objects.get(pk=task.pk)
    until = NOON + timedelta(hours=3, minutes=10)
    if kind == "pause":
        edits.pause(task, by=None, reason="x", until=until)
    else:
        maintenance_mode.start(by=None, reason="x", until=until)
    shown = reread(task).next_run_at
    clock.move_to(until - timedelta(minutes=2))
    scheduler = LeasedDatabaseScheduler(app=app, lazy=True)
    runs = JobRun.objects.filter(schedule=task, status="queued")
    while not runs.exists():
        clock.shift(30)
        scheduler._sweep_at = float("-inf")
        scheduler.tick()
        scheduler.tick()
        assert timezone_now() < NOON + 6 * HOUR
    scheduler.close()

    assert shown <= timezone_now() <= shown + timedelta(minutes=1)


def timezone_now():
    return datetime.now(UTC)


# --- The state -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_expired_schedule_is_not_on(clock, client):
    task = factories.schedule(crontab="0 * * * *", name="Over", expires=NOON + timedelta(minutes=30))
    client.force_login(factories.operator())

    assert reread(task).is_over
    row = next(row for row in client.get(reverse(LIST)).content.decode().split("<tr") if "Over" in row)
    assert "Ended" in row
    assert 'aria-checked="false"' in row
    assert ">On<" not in row


def test_a_schedule_that_expires_later_is_on(clock):
    assert not reread(factories.schedule(crontab="0 * * * *", expires=NOON + HOUR)).is_over


def test_a_one_off_that_has_run_has_ended_and_is_not_paused(clock):
    task = once(NOON + timedelta(seconds=1))
    PeriodicTask.objects.filter(pk=task.pk).update(enabled=False)  # as a tick leaves it

    assert (reread(task).is_over, reread(task).hold) == (True, Hold.NONE)


@pytest.mark.slow
def test_a_gone_job_is_told_in_the_list_and_can_be_replaced(client):
    task = factories.schedule(task="maintenance.renamed", name="Gone")
    client.force_login(factories.operator())

    assert "No such job: renamed." in client.get(reverse(LIST)).content.decode()
    address = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    form = client.get(address).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) or "" for name, field in form.fields.items()}
    same = client.post(address, {**values, "minute": "7"})
    assert same.status_code == 302, same.context["adminform"].form.errors
    client.post(address, {**values, "opened": "", "minute": "7", "task": "maintenance.cleanup_tokens"})

    task = PeriodicTask.objects.get(pk=task.pk)
    assert (task.task, task.crontab.minute) == ("maintenance.cleanup_tokens", "7")


# --- The preview -----------------------------------------------------------------------------------


def test_the_preview_and_the_list_show_the_same(clock):
    task = factories.schedule(crontab="20 * * * *", expires=NOON + 2 * HOUR)
    shown = slots_of(preview(Timing.of(task), ZoneInfo("UTC"), task=task, now=NOON))

    assert shown == [NOON + timedelta(minutes=20), NOON + timedelta(minutes=80)]
    assert shown[0] == reread(task).next_run_at == ScheduleControl.objects.get(pk=task.pk).next_slot_at


@pytest.mark.slow
def test_the_preview_leaves_out_what_a_hold_holds_up(clock, client):
    task = factories.schedule(crontab="20 * * * *")
    edits.pause(task, by=None, reason="x", until=NOON + 3 * HOUR)
    client.force_login(factories.operator())
    fields = {"minute": "20", "hour": "*", "day_of_month": "*", "month_of_year": "*", "day_of_week": "*"}
    query = {**fields, "timezone": "UTC", "schedule": task.pk}

    page = client.get(reverse(PREVIEW), query).content.decode()
    assert "paused until 2026-11-27 15:00 UTC" in page
    assert "2026-11-27 15:20 UTC" in page
    assert "2026-11-27 14:20 UTC" not in page

    edits.pause(task, by=None, reason="x")
    assert "it runs again once it is resumed" in client.get(reverse(PREVIEW), query).content.decode()
    for schedule in ("", "0", "x", "9" * 30):
        assert client.get(reverse(PREVIEW), {**query, "schedule": schedule}).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hour", "said"),
    [
        ("1-6", "2027-10-31: clocks go back, 02:00 to 03:00 comes twice. This schedule runs both times."),
        (
            "2",
            "2027-10-31: clocks go back, 02:00 to 03:00 comes twice. This schedule runs the first time only",
        ),
        ("2", "2027-03-28: clocks go forward, 02:00 to 03:00 is left out."),
        ("5", None),
    ],
)
def test_the_preview_says_what_changes_of_clocks_do(clock, client, hour, said):
    client.force_login(factories.operator())
    query = {"minute": "0", "hour": hour, "day_of_month": "*", "month_of_year": "*", "day_of_week": "*"}

    page = client.get(reverse(PREVIEW), {**query, "timezone": "Europe/Berlin"}).content.decode()

    assert said in page if said else "clocks go" not in page


FIELDS = {
    "minute": ["*", "0", "0, 30", "*/20", "5-59/7", " 7 "],
    "hour": ["*", "3", "1-6", "2, 4", "22-3", "*/5"],
    "day_of_month": ["*", "1-7", "*/9"],
    "day_of_week": ["*", "MON-fri", "sun", "0, 3"],
}


@hypothesis_settings(
    max_examples=size(15, 1_000), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@pytest.mark.soak
@given(
    fields=st.fixed_dictionaries({name: st.sampled_from(texts) for name, texts in FIELDS.items()}),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    days=st.integers(0, 400),
)
def test_list_preview_beat_and_misfires_give_one_answer(fields, zone, days):
    now = datetime(2026, 3, 1, 0, 20, 30, tzinfo=UTC) + timedelta(days=days)
    with time_machine.travel(now, tick=False):
        row = CrontabSchedule.objects.create(**fields, timezone=zone)
        task = PeriodicTask.objects.create(name=str(row.pk), task="maintenance.cleanup_tokens", crontab=row)
        control = ScheduleControl.objects.get(pk=task.pk)
        shown = slots_of(preview(Timing.of(task), ZoneInfo(zone), task=task, now=now))

        assert reread(task).next_run_at == shown[0] == control.next_slot_at
        assert slots.due_slots(Timing.of(task), control, now=shown[-1]) == shown
        assert schedules.upcoming(task, len(shown)) == shown
