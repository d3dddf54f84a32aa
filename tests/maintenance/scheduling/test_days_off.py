"""Days off: what a calendar knows, where it ends, and what becomes of the slots on them."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.db import OperationalError
from django.urls import reverse
from django.utils import translation
from django_celery_beat.models import ClockedSchedule, PeriodicTask

from maintenance.explanations.schedules import explain_slot
from maintenance.models import JobRun, ScheduleControl
from maintenance.scheduling import days_off, edits, schedules, slot_rows, slots
from maintenance.scheduling.forecast import Hold
from maintenance.scheduling.preview import preview
from maintenance.scheduling.reading import read
from maintenance.scheduling.timing import Timing
from tests.kit import factories
from tests.maintenance.scheduling.windows import pass_time

EVE = datetime(2026, 12, 24, 12, 0, tzinfo=UTC)


def is_off(day, code="CN", *, with_weekends=False):
    return bool(days_off.name_of(code, day, with_weekends=with_weekends))


# --- Calendars -------------------------------------------------------------------------------------


def test_holidays_of_china_with_make_up_workdays():
    # 2026: Spring Festival; 14 February is a Saturday that is worked, 28 February too.
    assert is_off(date(2026, 2, 17))
    assert is_off(date(2026, 2, 20))  # moved
    assert not is_off(date(2026, 2, 14))
    assert not is_off(date(2026, 2, 14), with_weekends=True)
    assert is_off(date(2026, 2, 7), with_weekends=True)  # an ordinary Saturday
    assert not is_off(date(2026, 2, 7))
    assert not is_off(date(2026, 2, 12), with_weekends=True)


def test_a_calendar_that_is_published_each_year_ends_and_then_no_day_is_off():
    assert 2026 <= days_off.last_year("CN") < 2100
    following = days_off.last_year("CN") + 1
    assert not is_off(date(following, 1, 1), with_weekends=True)
    assert not is_off(date(following, 10, 1))
    assert days_off.last_year("DE") == 2100
    assert days_off.ends_soon("DE") is None


def test_names_are_in_the_language_of_the_reader():
    with translation.override("en"):
        assert days_off.name_of("CN", date(2026, 10, 1), with_weekends=False) == "National Day"
    with translation.override("zh-hans"):
        assert days_off.name_of("CN", date(2026, 10, 1), with_weekends=False) == "国庆节"


@pytest.mark.parametrize(
    ("code", "day", "expected"),
    [
        ("DE", date(2026, 6, 4), ""),
        ("DE-BY", date(2026, 6, 4), "Corpus Christi"),
        ("DE-BE", date(2026, 6, 4), ""),
        ("DE-BY", date(2026, 10, 3), "German Unity Day"),
        ("GB-SCT", date(2026, 11, 30), "Saint Andrew's Day"),
        ("DE-XX", date(2026, 10, 3), ""),
    ],
)
def test_a_state_has_its_own_holidays_and_those_of_its_country(code, day, expected):
    assert days_off.name_of(code, day, with_weekends=False) == expected


def test_states_stand_behind_their_country():
    with translation.override("zh-hans"):
        names = list(days_off.calendars().values())
    germany = names.index("德国")

    assert names[germany + 1].startswith("德国 – ")
    assert "英国 – Scotland" in names
    assert all(len(code) <= 20 for code in days_off.calendars())


@pytest.mark.django_db
def test_a_stored_name_is_told_in_the_language_of_whoever_reads_it():
    task = factories.schedule(task="maintenance.cleanup_tokens")
    day = datetime(2026, 10, 1, tzinfo=UTC)
    with translation.override("zh-hans"):  # the language of the tick
        why = days_off.name_of("CN", day.date(), with_weekends=False)
        slot_rows.paused_row(task, "cleanup_tokens", [day], timing=Timing.of(task), why=why).save()
    weekend = days_off.name_of("CN", date(2026, 10, 17), with_weekends=True)
    factories.job_run(message=weekend)
    held, resting = JobRun.objects.order_by("pk")

    assert held.message == "1 slot passed during a pause (National Day): 2026-10-01 00:00 UTC."
    assert resting.message == "weekend"
    with translation.override("zh-hans"):
        assert "国庆节" in held.message
        assert resting.message == "周末"
    assert JobRun.objects.filter(message__contains="National Day").exists()  # English is what is stored


def test_an_unknown_country_or_a_fault_of_the_data_makes_no_day_off(monkeypatch, caplog):
    assert not is_off(date(2026, 1, 1), "XX")

    def fault(*_args):
        raise RuntimeError("spoilt data")

    monkeypatch.setattr(days_off, "_calendar", fault)
    assert not is_off(date(2026, 1, 1), "DE")
    assert "cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("en", ["Albania", "China", "Germany", "Zimbabwe"]),
        ("zh-hans", ["阿尔巴尼亚", "德国", "津巴布韦", "中国"]),
    ],
)
def test_countries_are_named_and_sorted_in_the_readers_language(language, names):
    with translation.override(language):
        found = days_off.calendars()

    assert [name for code, name in found.items() if code in ("AL", "CN", "DE", "ZW")] == names
    assert all(re.search("[一-鿿]", name) for name in found.values()) == (language == "zh-hans")


# --- Slots -----------------------------------------------------------------------------------------


@pytest.fixture
def clock(db):
    PeriodicTask.objects.all().delete()
    with time_machine.travel(EVE, tick=False) as clock:
        yield clock


def reload(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def schedule(crontab="0 6,18 * * *", code="DE", **policies):
    task = factories.schedule(crontab=crontab)
    ScheduleControl.objects.filter(pk=task.pk).update(days_off=code, **policies)
    return reload(task)


def history(task):
    rows = JobRun.objects.filter(schedule=task).order_by("pk")
    return [f"{run.scheduled_for:%d %H:%M} {run.status} {sum(run.counts.values())}" for run in rows]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("policies", [{}, {"catch_up_after_pause": True, "misfire_policy": "run_all"}])
def test_slots_on_holidays_are_one_row_and_are_never_caught_up(clock, scheduler, policies):
    task = schedule(**policies)
    assert read(task).next_run_at == datetime(2026, 12, 24, 18, tzinfo=UTC)
    clock.move_to(EVE + timedelta(hours=7))
    assert read(task).next_run_at == datetime(2026, 12, 27, 6, tzinfo=UTC)
    clock.move_to(EVE)
    pass_time(clock, scheduler, datetime(2026, 12, 27, 7, tzinfo=UTC), timedelta(hours=2))

    assert history(task) == ["24 18:00 succeeded 0", "26 18:00 skipped 4", "27 06:00 succeeded 0"]
    assert "Second Day of Christmas" in JobRun.objects.get(status="skipped").message


@pytest.mark.django_db(transaction=True)
def test_a_schedule_that_only_has_slots_on_holidays_runs_after_the_calendar_ends(clock):
    task = schedule("0 6 1 10 *", code="CN")
    first = read(task).next_run_at

    assert first == datetime(days_off.last_year("CN") + 1, 10, 1, 6, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_another_calendar_lets_no_past_slot_run(clock, scheduler):
    task = schedule()
    clock.move_to(datetime(2026, 12, 24, 18, 0, 1, tzinfo=UTC))
    scheduler.tick()
    JobRun.objects.update(status="succeeded", finished_at=datetime.now(UTC))
    clock.move_to(datetime(2026, 12, 25, 7, tzinfo=UTC))
    scheduler.tick()
    edits.set_policies(reload(task), {"days_off": "", "days_off_weekends": False}, by=None)
    scheduler.tick()
    assert ScheduleControl.objects.get(pk=task.pk).next_slot_at == datetime(2026, 12, 25, 18, tzinfo=UTC)
    clock.move_to(datetime(2026, 12, 25, 18, 0, 1, tzinfo=UTC))
    scheduler.tick()

    assert history(task)[-2:] == ["25 06:00 skipped 1", "25 18:00 queued 0"]


@pytest.mark.django_db(transaction=True)
def test_a_day_off_is_that_of_the_schedules_zone(clock):
    task = factories.schedule(crontab="0 0-23/6 * * *")
    task.crontab.timezone = ZoneInfo("Asia/Shanghai")
    task.crontab.save()
    ScheduleControl.objects.filter(pk=task.pk).update(days_off="DE")
    # 25 December begins in Shanghai at 16:00 UTC.
    assert read(reload(task)).next_run_at == datetime(2026, 12, 26, 16, tzinfo=UTC)


@pytest.mark.django_db(transaction=True)
def test_a_one_off_on_a_day_off_runs_after_it(clock):
    at = datetime(2026, 12, 25, 6, tzinfo=UTC)
    task = PeriodicTask.objects.create(
        name="once",
        task="maintenance.cleanup_tokens",
        one_off=True,
        clocked=ClockedSchedule.objects.create(clocked_time=at),
    )
    ScheduleControl.objects.filter(pk=task.pk).update(days_off="DE")

    shown = read(reload(task)).next_run_at
    assert shown.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%d %H:%M") == "27 00:00"


@pytest.mark.django_db(transaction=True)
def test_the_preview_and_why_name_the_holiday(clock):
    task = schedule()
    shown = preview(Timing.of(task), ZoneInfo("UTC"), task=task, now=EVE)
    held = [slot for slot in shown.slots if slot.held]

    assert {(slot.at.day, slot.held.kind, slot.held.reason) for slot in held} >= {
        (25, Hold.DAY_OFF, "Christmas Day"),
        (26, Hold.DAY_OFF, "Second Day of Christmas"),
    }
    cause = explain_slot(task, datetime(2026, 12, 25, 6, tzinfo=UTC))[0]
    assert (cause.code, "Christmas Day" in cause.text) == ("day_off", True)


@pytest.mark.django_db(transaction=True)
def test_the_form_stores_a_calendar_and_the_preview_follows_what_is_typed(clock, client):
    client.force_login(factories.user(is_superuser=True))
    task = factories.schedule(crontab="0 6 * * *")
    address = reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])
    form = client.get(address).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) or "" for name, field in form.fields.items()}
    values = {name: value for name, value in values.items() if value is not False}
    saved = client.post(address, {**values, "days_off": "CN", "days_off_weekends": "on"})
    assert saved.status_code == 302, saved.context["adminform"].form.errors
    control = ScheduleControl.objects.get(pk=task.pk)
    assert (control.days_off, control.days_off_weekends) == ("CN", True)

    fields = {"minute": "0", "hour": "6", "day_of_month": "*", "month_of_year": "*", "day_of_week": "*"}
    query = {**fields, "timezone": "UTC", "schedule": task.pk, "days_off": "DE"}
    text = client.get(reverse("admin:maintenance_schedule_preview"), query).content.decode()
    assert "Christmas Day" in text
    text = client.get(
        reverse("admin:maintenance_schedule_preview"), {**query, "days_off": "CN"}
    ).content.decode()
    assert "The calendar of China ends in" in text


@pytest.mark.django_db
def test_a_failing_database_ends_the_edit_instead_of_losing_its_slots(monkeypatch):
    task = factories.schedule(task="maintenance.cleanup_tokens")

    def fail(*_arguments, **_options):
        raise OperationalError("gone")

    monkeypatch.setattr(slots, "due_slots", fail)
    with pytest.raises(OperationalError):
        edits.set_policies(reload(task), {"days_off": "CN", "days_off_weekends": False}, by=None)

    assert schedules.control_or_default(reload(task)).days_off == ""
