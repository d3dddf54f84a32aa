"""The list, the dashboard, a schedule's page, the API and ``why`` say the same of a schedule, whatever holds it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db import transaction
from django.urls import reverse
from django_celery_beat.models import ClockedSchedule, PeriodicTask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from database import clock
from maintenance.explanations import explain_schedule
from maintenance.models import BeatLease
from maintenance.scheduling import edits, maintenance_mode, schedules
from maintenance.scheduling.reading import read
from tests.api.calls import Api
from tests.kit import factories
from tests.kit.windows import planned_window
from tests.soak import size

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

# The evening before the clocks go back in Berlin.
NOW = datetime(2026, 10, 24, 20, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIST = "admin:django_celery_beat_periodictask_changelist"
PAGE = "admin:django_celery_beat_periodictask_change"
NEXT = re.compile(r'<time[^>]*next-run"[^>]*datetime="([^"]+)"')
HOLDS = {"paused", "disabled", "maintenance_mode", "group_paused", "planned_window", "day_off"}

ends = st.sampled_from([None, HOUR, 40 * HOUR])
worlds = st.fixed_dictionaries(
    {
        "crontab": st.sampled_from(["0 * * * *", "30 2 * * *", "*/5 * * * *", "0 2 * * 0"]),
        "timezone_name": st.sampled_from(["UTC", "Asia/Kolkata", "Europe/Berlin"]),
        "task": st.sampled_from(["cleanup_tokens", "auto_scraping"]),
        "once": st.sampled_from([None, -2 * HOUR, HOUR / 6, 2 * HOUR]),
        "start_time": st.sampled_from([None, -5 * HOUR, 3 * HOUR]),
        "expires": st.sampled_from([None, -HOUR, 5 * HOUR]),
        "days_off": st.sampled_from(["", "DE"]),
        "catch_up_after_pause": st.booleans(),
        "misfire_policy": st.sampled_from(["skip", "run_once"]),
        "pause": st.none() | st.tuples(ends),
        "mode": st.none() | st.tuples(st.sampled_from(["", "scraping"]), ends),
        "window": st.sampled_from([None, -HOUR / 2, HOUR / 2]),
        "later": st.sampled_from([0, 1, 30]),
    }
)


def stored(task):
    return PeriodicTask.objects.select_related(*schedules.RELATED).get(pk=task.pk)


def planted(world, now):
    """The only schedule, with what holds it."""
    PeriodicTask.objects.all().delete()
    fields = {name: now + world[name] for name in ("start_time", "expires") if world[name] is not None}
    fields["task"] = f"maintenance.{world['task']}"
    if world["once"] is None:
        made = factories.schedule(crontab=world["crontab"], timezone_name=world["timezone_name"], **fields)
    else:
        once = ClockedSchedule.objects.create(clocked_time=now + world["once"])
        made = PeriodicTask.objects.create(name="once", clocked=once, one_off=True, **fields)
    policies = ("days_off", "catch_up_after_pause", "misfire_policy")
    edits.set_policies(stored(made), {name: world[name] for name in policies}, by=None)
    if world["pause"]:
        (end,) = world["pause"]
        edits.pause(stored(made), by=None, reason="x", until=end and now + end)
    if world["mode"]:
        scope, end = world["mode"]
        maintenance_mode.start(by=None, reason="x", until=end and now + end, scope=scope)
    if world["window"] is not None:
        start = now + world["window"]
        planned_window(starts_at=start, ends_at=start + 4 * HOUR)
    return made


def shown(text):
    return [datetime.fromisoformat(moment).astimezone(UTC) for moment in NEXT.findall(text)]


def check(client, person, task, now):
    reading = read(stored(task))
    next_at = reading.next_run_at and reading.next_run_at.astimezone(UTC)
    expected = [next_at] if next_at else []
    assert not (next_at and reading.is_over)

    client.force_login(person)
    assert shown(client.get(reverse(LIST)).content.decode()) == expected
    assert shown(client.get(reverse("admin:index")).content.decode()) == expected
    page = client.get(reverse(PAGE, args=[task.pk])).content.decode()
    assert not next_at or f"{reading.next_run_at:%m-%d %H:%M}" in page
    told = Api.of(person).get(f"schedules/{task.pk}").json()["next_run_at"]
    assert (told and datetime.fromisoformat(told).astimezone(UTC)) == next_at

    codes = {cause.code for cause in explain_schedule(stored(task))}
    if reading.is_over:
        assert codes <= {"ended", "over", "fired_once", "never_fired", "history_deleted"}
    elif reading.held:
        assert codes & HOLDS
        assert "fires" not in codes
    else:
        assert codes & {"fires", "not_yet"}


@given(world=worlds)
@hypothesis_settings(
    max_examples=size(6, 400), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_place_says_the_same_of_a_schedule(client, world):
    with transaction.atomic(), time_machine.travel(NOW, tick=False) as travel:
        clock._reading = None
        task = planted(world, NOW)
        travel.shift(timedelta(minutes=world["later"]))
        clock._reading = None
        now = clock.now()
        lease = {"holder": "x", "expires_at": now + timedelta(seconds=5), "ticked_at": now}
        BeatLease.objects.update_or_create(pk=BeatLease.ROW, defaults=lease)
        check(client, factories.superuser(), task, now)
        transaction.set_rollback(True)
    clock._reading = None
