"""Learns what is usual for the runs of schedules, by hour of the week: one statement for many schedules.

Rows are compared by their logarithms, because they vary by factors. What a run is expected to do is the median of
the same hour of the week, times the level of the last three weeks, because tables grow and shrink. How far runs are
from that is measured by the same forecast for each earlier run: the 5th and 95th percentile of its errors. Medians and
percentiles, because a week of nothing must not become what is usual.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import BigIntegerField, Func, Q
from django_celery_beat.models import PeriodicTask

from database.percentiles import percentile_sql
from maintenance.models import JobRun, UsualRows
from maintenance.models.yields import HOURS, SHOWN
from maintenance.yields.rows import RowsDone

# How far back runs count, and how many of a schedule at most: those of each hour in that time.
BACK: Final = timedelta(weeks=12)
RUNS_MAX: Final = 12 * HOURS
# What the latest runs did is compared with earlier ones; so they are not part of what is usual.
LATEST: Final = 2
# The floor of evidence: fewer runs, or runs of a shorter time, say nothing about what is usual.
RUNS_MIN: Final = 8
SPAN_MIN: Final = timedelta(days=14)
# An hour of the week has a median of its own from so many runs on.
RUNS_OF_AN_HOUR: Final = 4
# The level is that of so long a time before a run.
LEVEL: Final = timedelta(days=21)
# A run that did more than so many times the expected rows, or less than this part of them, is odd: it teaches nothing. But
# if it happened more often than once in four weeks that two in a row were odd, such runs are usual here.
ODD: Final = 4
ODD_TIMES_MAX: Final = 3
# Which runs count: as for durations (ADR 42), those that a slot requested and that needed one attempt.
COUNTS: Final = Q(trigger=JobRun.Trigger.SCHEDULE, status=JobRun.Status.SUCCEEDED, dry_run=False, attempt=1)


class Seconds(Func):
    """A time as whole seconds since 1970."""

    arity = 1
    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Convert the time."""
        return self.as_sql(
            compiler, connection, template="EXTRACT(EPOCH FROM %(expressions)s)::bigint", **context
        )

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Convert the text."""
        return self.as_sql(
            compiler, connection, template="CAST(strftime('%%%%s', %(expressions)s) AS integer)", **context
        )


def hour_of_week(moment: datetime) -> int:
    """Return the hour of the week, from Monday 0:00 UTC. 1 January 1970 was a Thursday."""
    return (int(moment.timestamp()) // 3600 + 72) % HOURS


def schedules_that_ran(since: datetime | None) -> list[int]:
    """Return the schedules with a run that counts and ended since; None: all schedules."""
    if since is None:
        return list(PeriodicTask.objects.order_by("pk").values_list("pk", flat=True))
    ended = JobRun.objects.filter(COUNTS, finished_at__gte=since, schedule__isnull=False).order_by()
    return sorted(set(ended.values_list("schedule_id", flat=True)))


def learn(schedules: Sequence[int], *, now: datetime) -> None:
    """Store what is usual for these schedules, by runs whose slots were not after ``now``."""
    runs = JobRun.objects.filter(
        COUNTS, schedule__in=schedules, scheduled_for__gt=now - BACK, scheduled_for__lte=now
    )
    runs = runs.filter(schedule__in=PeriodicTask.objects.values("pk"))
    one = runs.annotate(seconds=Seconds("scheduled_for"), rows=RowsDone("counts")).order_by()
    sql, params = one.values("schedule_id", "seconds", "rows").query.sql_with_params()
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # It guesses one row for each part of the statement, and would loop over thousands; and it would compile the
            # statement for longer than that takes.
            cursor.execute("SET LOCAL enable_nestloop = off")
            cursor.execute("SET LOCAL jit = off")
        cursor.execute(_statement(sql), [*params, connection.ops.adapt_datetimefield_value(now)])
    # An hour of the week in which the schedule ran no more.
    UsualRows.objects.filter(schedule__in=schedules).exclude(learnt_at=now).delete()


def _statement(runs: str) -> str:
    """Return the statement that stores what is usual, by the rows of ``runs``: schedule, second of the slot, rows."""
    return f"""
    WITH {_shape(runs)}, {_spread()}
    INSERT INTO maintenance_usualrows
        (schedule_id, hour_of_week, runs, expected, spread_low, spread_high, runs_a_month, learnt_at)
    SELECT shape.schedule_id, shape.hour, shape.runs, EXP(shape.middle + level.level + spread.middle) - 1,
        (spread.middle - spread.low) / {SHOWN}, (spread.high - spread.middle) / {SHOWN}, runs_a_month, %s
    FROM shape
    JOIN level ON level.schedule_id = shape.schedule_id
    JOIN spread ON spread.schedule_id = shape.schedule_id
    WHERE true
    ON CONFLICT (schedule_id, hour_of_week) DO UPDATE SET runs = excluded.runs, expected = excluded.expected,
        spread_low = excluded.spread_low, spread_high = excluded.spread_high,
        runs_a_month = excluded.runs_a_month, learnt_at = excluded.learnt_at
    """  # noqa: S608  # Django's own SQL, and constants


def _shape(runs: str) -> str:
    """Return the parts up to ``ratio``: how far the logarithm of each run is above the median of its hour of the week."""
    month = 28 * 24 * 3600
    return f"""
    run AS (
        SELECT schedule_id, seconds, (seconds / 3600 + 72) %% {HOURS} AS hour, LN(rows + 1) AS size,
            ROW_NUMBER() OVER (PARTITION BY schedule_id ORDER BY seconds DESC) AS newest
        FROM ({runs}) AS one
    ), past AS (
        SELECT * FROM run WHERE newest > {LATEST} AND newest <= {LATEST + RUNS_MAX}
    ), whole AS (
        SELECT schedule_id, COUNT(*) AS runs, MIN(seconds) AS since, MAX(seconds) AS until, {percentile_sql("size", 0.5)} AS middle
        FROM past GROUP BY schedule_id
        HAVING COUNT(*) >= {RUNS_MIN} AND MAX(seconds) - MIN(seconds) >= {int(SPAN_MIN.total_seconds())}
    ), by_hour AS (
        SELECT schedule_id, hour, COUNT(*) AS runs, {percentile_sql("size", 0.5)} AS middle
        FROM past GROUP BY schedule_id, hour
    ), shape AS (
        SELECT by_hour.schedule_id, hour, until, whole.runs * {month}.0 / (until - since) AS runs_a_month,
            CASE WHEN by_hour.runs >= {RUNS_OF_AN_HOUR} THEN by_hour.runs ELSE whole.runs END AS runs,
            CASE WHEN by_hour.runs >= {RUNS_OF_AN_HOUR} THEN by_hour.middle ELSE whole.middle END AS middle
        FROM by_hour JOIN whole ON whole.schedule_id = by_hour.schedule_id
    ), ratio AS (
        SELECT past.schedule_id, seconds, until, size - middle AS ratio
        FROM past JOIN shape ON shape.schedule_id = past.schedule_id AND shape.hour = past.hour
    )
    """  # noqa: S608  # as above


def _spread() -> str:
    """Return the parts ``spread``, of the errors of earlier forecasts, and ``level``, of the last weeks."""
    level = int(LEVEL.total_seconds())
    return f"""
    error AS (
        SELECT schedule_id, seconds, ratio - AVG(CASE WHEN ABS(ratio) <= LN({ODD}.0) THEN ratio END) OVER (
            PARTITION BY schedule_id ORDER BY seconds RANGE BETWEEN {level} PRECEDING AND 1 PRECEDING
        ) AS error
        FROM ratio
    ), marked AS (
        SELECT schedule_id, seconds, error, CASE WHEN ABS(error) > LN({ODD}.0) THEN 1 ELSE 0 END AS odd
        FROM error WHERE error IS NOT NULL
    ), followed AS (
        SELECT schedule_id, error, odd,
            odd * LAG(odd, 1, 0) OVER slots * (1 - LAG(odd, 2, 0) OVER slots) AS begins
        FROM marked WINDOW slots AS (PARTITION BY schedule_id ORDER BY seconds)
    ), times AS (
        SELECT schedule_id, SUM(begins) AS odd_times FROM followed GROUP BY schedule_id
    ), spread AS (
        SELECT followed.schedule_id, {percentile_sql("error", 0.05)} AS low,
            {percentile_sql("error", 0.5)} AS middle, {percentile_sql("error", 0.95)} AS high
        FROM followed JOIN times ON times.schedule_id = followed.schedule_id
        WHERE odd = 0 OR odd_times > {ODD_TIMES_MAX}
        GROUP BY followed.schedule_id
    ), level AS (
        SELECT schedule_id, {percentile_sql("ratio", 0.5)} AS level
        FROM ratio WHERE seconds > until - {level} GROUP BY schedule_id
    )
    """  # noqa: S608  # as above
