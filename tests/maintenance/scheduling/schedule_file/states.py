"""Random schedules, retentions and pauses, written to the database without the services."""

from datetime import UTC, datetime, time, timedelta

from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    SolarSchedule,
)
from hypothesis import strategies as st

from maintenance.models import (
    MaintenanceMode,
    PlannedWindow,
    RetentionOverride,
    RetentionPolicy,
    ScheduleControl,
)
from maintenance.scheduling import planned_windows, schedules
from maintenance.scheduling.planned_windows import Plan
from scraping.models import BotConfig
from tests.kit import factories

# No NUL, no half of a surrogate pair: no database stores them.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
# What a YAML reader takes for something else if it is not quoted.
TRAPS = st.sampled_from(
    ["yes", "null", "1e3", "0 4 * * *", "- x", "a: b", "#", "2026-12-01", "=", "~", "'", "<<"]
)
WORDS = st.one_of(TEXTS, TRAPS)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
LATER = st.timedeltas(timedelta(days=1), timedelta(days=900))
KINDS = st.sampled_from(["crontab", "interval", "clocked", "solar"])
CRONTABS = st.sampled_from(["0 4 * * *", "*/5 * * * *", "30 2 * * 0", "0 4 13 * fri", "0,30 1-6 * 2 *"])
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Shanghai"])
PARAMETERS = st.dictionaries(st.sampled_from(["days"]), st.integers(30, 400), max_size=1)


def empty():
    """Delete whatever the file has."""
    PeriodicTask.objects.all().delete()
    RetentionPolicy.objects.all().delete()
    MaintenanceMode.objects.all().delete()
    PlannedWindow.objects.all().delete()


@st.composite
def times(draw):
    """Columns of a schedule's time."""
    kind = draw(KINDS)
    columns = {}
    if kind == "crontab":
        names = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
        fields = dict(zip(names, draw(CRONTABS).split(), strict=True))
        zone = draw(ZONES)
        columns["crontab"] = lambda: CrontabSchedule.objects.create(**fields, timezone=zone)
    elif kind == "interval":
        every, period = (
            draw(st.integers(1, 500)),
            draw(st.sampled_from(["days", "hours", "minutes", "seconds"])),
        )
        columns["interval"] = lambda: IntervalSchedule.objects.create(every=every, period=period)
    elif kind == "clocked":
        at = draw(MOMENTS)
        columns["clocked"] = lambda: ClockedSchedule.objects.create(clocked_time=at)
    else:
        event = draw(st.sampled_from(["sunrise", "sunset"]))
        columns["solar"] = lambda: SolarSchedule.objects.get_or_create(
            event=event, latitude="52.5200", longitude="13.4050"
        )[0]
    start = draw(st.none() | MOMENTS)
    end = draw(st.none() | MOMENTS)
    if start and end and end <= start:
        end = start + timedelta(days=1)
    return columns, {"start_time": start, "expires": end, "one_off": kind == "clocked" or draw(st.booleans())}


@st.composite
def states(draw):
    """A function that writes the state."""
    names = draw(st.lists(WORDS.filter(bool), max_size=4, unique=True))
    rows = [(name, *draw(times()), draw(details()), draw(controls())) for name in names]
    overrides = draw(st.lists(st.sampled_from(["python", "rust", "BOT"]), unique=True))
    days = draw(st.lists(st.integers(30, 900), min_size=4, max_size=4))
    windows = draw(st.lists(st.tuples(WORDS.filter(str.strip), st.frozensets(st.integers(0, 6))), max_size=3))
    keeps, mode = draw(st.booleans()), draw(st.none() | st.tuples(WORDS.filter(str.strip), st.none() | LATER))

    def write():
        empty()
        for name, columns, limits, values, control in rows:
            made = {column: make() for column, make in columns.items()}
            if "%d" in values["kwargs"]:  # the key of the bot
                values = {**values, "kwargs": values["kwargs"] % bot().pk}
            task = PeriodicTask.objects.create(name=name, **made, **limits, **values)
            _control(task, *control)
        for reason, weekdays in windows:
            _window(reason.strip(), weekdays)
        if not draw_retention:
            return
        policy = RetentionPolicy.objects.create(
            job="purge_old_content", days=days[0], keeps_live_threads=keeps
        )
        for name, number in zip(overrides, days[1:], strict=False):
            target = {"config": bot()} if name == "BOT" else {"subreddit": name}
            RetentionOverride.objects.create(policy=policy, days=number, **target)
        if mode is not None:
            now = datetime.now(UTC)
            MaintenanceMode.objects.create(
                pk=MaintenanceMode.ROW,
                scope="",
                started_at=now,
                reason=mode[0].strip(),
                until=mode[1] and now + mode[1],
            )

    draw_retention = draw(st.booleans())
    return write


@st.composite
def details(draw):
    job = draw(
        st.sampled_from(["maintenance.cleanup_sessions", "maintenance.scrape_now", "celery.backend_cleanup"])
    )
    params = draw(PARAMETERS) if job == "maintenance.cleanup_sessions" else {}
    kwargs = '{"config": %d}' if job == "maintenance.scrape_now" else str(params).replace("'", '"')
    return {"task": job, "kwargs": kwargs, "description": draw(WORDS)}


def bot():
    """Return the bot that parameters and overrides name."""
    return BotConfig.objects.filter(name="news").first() or factories.bot_config(name="news")


@st.composite
def controls(draw):
    policies = {
        "misfire_policy": draw(st.sampled_from(["skip", "run_once", "run_all"])),
        "misfire_limit": draw(st.integers(1, 1000)),
        "overlap_policy": draw(st.sampled_from(["skip", "queue_one"])),
        "catch_up_after_pause": draw(st.booleans()),
        "days_off": draw(st.sampled_from(["", "CN", "DE"])),
        "days_off_weekends": draw(st.booleans()),
        "retries": draw(st.none() | st.integers(0, 10)),
        "time_limit_seconds": draw(st.none() | st.integers(10, 7_000)),
        "pause_after_failures": draw(st.none() | st.integers(1, 100)),
        "catch_up_hours": draw(st.none() | st.integers(1, 8_760)),
    }
    state = draw(st.sampled_from(["on", "paused", "disabled"]))
    return policies, state, draw(WORDS.filter(str.strip)).strip(), draw(st.none() | LATER)


def _window(reason, weekdays):
    now = datetime.now(UTC).replace(microsecond=0)
    once = Plan(now + timedelta(hours=1), now + timedelta(hours=2), timezone="Asia/Shanghai")
    every_week = Plan(
        weekdays=weekdays, from_time=time(12, 30), to_time=time(12, 0), timezone="Europe/Berlin"
    )
    planned_windows.plan_window(every_week if weekdays else once, by=None, reason=reason)


def _control(task, policies, state, reason, later):
    control = schedules.control_of(task)
    for name, value in policies.items():
        setattr(control, name, value)
    if state == "paused":
        now = datetime.now(UTC)
        control.paused_at, control.pause_reason = now, reason
        control.paused_until = later and now + later
    control.save()
    PeriodicTask.objects.filter(pk=task.pk).update(enabled=state == "on")
    ScheduleControl.objects.filter(pk=task.pk).update(timing="")
