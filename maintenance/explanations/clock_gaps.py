"""Times that do not exist on the day on which clocks go forward."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from adminkit.templatetags.display import zoned
from maintenance.explanations.cause import Cause
from maintenance.scheduling.firetimes import InvalidSchedule, clock_changes
from maintenance.scheduling.timing import Timing

DAY = timedelta(days=1)


def in_gap(task: PeriodicTask, at: datetime) -> Iterator[Cause]:
    """Yield that the slot is at this time because its own was left out; nothing if it was not."""
    timing = Timing.of(task)
    crontab, zone = timing.crontab, timing.zone_info
    if crontab is None:
        return
    # By way of UTC: a time that does not exist would stay as it was written.
    at = at.astimezone(UTC)
    local = at.astimezone(zone)
    is_changed = local.utcoffset() != (local - DAY).utcoffset()
    try:
        hours, minutes = crontab.matches["hour"], crontab.matches["minute"]
        if not is_changed or (local.hour in hours and local.minute in minutes):
            return
        for change in clock_changes(crontab, after=at - DAY, zone=zone, days=1):
            own = change.first + (at - change.at)
            if not change.is_back and own < change.last and own.hour in hours and own.minute in minutes:
                text = _(
                    "%(own)s does not exist on %(day)s in %(zone)s: the clocks go forward from %(first)s to"
                    " %(last)s. The slot is at %(at)s instead."
                )
                told = {
                    "own": f"{own:%H:%M}",
                    "day": f"{own:%Y-%m-%d}",
                    "zone": timing.zone_info.key,
                    "first": f"{change.first:%H:%M}",
                    "last": f"{change.last:%H:%M}",
                    "at": zoned(local),
                }
                yield Cause("clocks_forward", text % told, about=task)
    except InvalidSchedule:
        return
