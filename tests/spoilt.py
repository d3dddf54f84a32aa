"""Rows as other tools, other hosts and deletions leave them; nothing that the console itself would write."""

from django.db import connection
from django_celery_beat.models import IntervalSchedule, PeriodicTask, SolarSchedule

from tests.kit import factories


def execute(sql, *values):
    """Run a statement past the models."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)


def _crontab(column, value):
    task = factories.schedule()
    execute(
        f"UPDATE django_celery_beat_crontabschedule SET {column} = %s WHERE id = %s", value, task.crontab_id
    )
    return task


def _no_time():
    task = factories.schedule()
    PeriodicTask.objects.filter(pk=task.pk).update(crontab=None)
    return task


def _crontab_gone():
    task = factories.schedule()
    PeriodicTask.objects.filter(pk=task.pk).update(crontab_id=987_654_321)
    return task


def _interval(every, period):
    task = _no_time()
    row = IntervalSchedule.objects.create(every=every, period=period)
    PeriodicTask.objects.filter(pk=task.pk).update(interval=row)
    return task


def _sun():
    task = _no_time()
    row = SolarSchedule.objects.create(event="eclipse", latitude=52, longitude=13)
    PeriodicTask.objects.filter(pk=task.pk).update(solar=row)
    return task


# Each makes a schedule that cannot fire. "crontab gone" breaks a foreign key: delete it before the end of the test.
TIMES = {
    "unknown zone": lambda: _crontab("timezone", "Mars/Phobos"),
    "no zone": lambda: _crontab("timezone", ""),
    "bad field": lambda: _crontab("day_of_week", "7"),
    "no time": _no_time,
    "crontab gone": _crontab_gone,
    "interval of 0": lambda: _interval(0, "seconds"),
    "unknown unit": lambda: _interval(5, "fortnights"),
    "unknown event": _sun,
}
