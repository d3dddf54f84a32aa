"""Template filters that format times, durations and numbers; ``{% load display %}``."""

import json
from datetime import UTC, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.timesince import timesince, timeuntil

from adminkit.moments import with_zone
from database import clock
from database.messages import gettext as _

register = template.Library()

# Below a minute, "3 seconds ago" would change at every refresh.
SOON = timedelta(minutes=1)


@register.filter
def duration(value: timedelta | None) -> str:
    """Format a duration in at most two units: 679 ms, 42.6 s, 1 m 51 s, 2 h 05 m, 3 d 4 h."""
    if value is None:
        return "–"
    seconds = max(0.0, value.total_seconds())
    if seconds < 0.9995:
        return _("%(number)s ms") % {"number": f"{seconds * 1000:.0f}"}
    if seconds < 59.95:
        return _("%(number)s s") % {"number": f"{seconds:.1f}"}
    whole = round(seconds)
    if whole < 3600:
        return _("%(minutes)s m %(seconds)s s") % {"minutes": whole // 60, "seconds": f"{whole % 60:02}"}
    if whole < 86_400:
        hours, minutes = whole // 3600, f"{whole % 3600 // 60:02}"
        return _("%(hours)s h %(minutes)s m") % {"hours": hours, "minutes": minutes}
    return _("%(days)s d %(hours)s h") % {"days": whole // 86_400, "hours": whole % 86_400 // 3600}


@register.simple_tag
def duration_patterns() -> str:
    """Return the patterns of ``duration`` in the reader's language as JSON, for counters that the browser advances."""
    return json.dumps(
        {
            "seconds": _("%(number)s s"),
            "minutes": _("%(minutes)s m %(seconds)s s"),
            "hours": _("%(hours)s h %(minutes)s m"),
            "days": _("%(days)s d %(hours)s h"),
        }
    )


@register.filter
def ago(value: datetime | None) -> str:
    """Format how long ago a moment was, in its largest unit."""
    if value is None:
        return "–"
    now = clock.now()
    if value > now:
        return until(value)
    if now - value < SOON:
        return _("just now")
    return _("%(time)s ago") % {"time": timesince(value, now, depth=1)}


@register.filter
def lasted(value: datetime | None) -> str:
    """Format how long something has lasted so far, in its largest unit."""
    if value is None:
        return "–"
    now = clock.now()
    return timesince(value, now, depth=1) if now - value >= SOON else _("just now")


@register.filter
def until(value: datetime | None) -> str:
    """Format the time left until a moment, in its largest unit."""
    if value is None:
        return "–"
    now = clock.now()
    if value <= now:
        return _("now")
    if value - now < SOON:
        return _("in less than a minute")
    return _("in %(time)s") % {"time": timeuntil(value, now, depth=1)}


@register.filter
def number(value: float | None) -> str:
    """Format a number with a thousands separator, the same in every language: 9,332."""
    if value is None:
        return "–"
    # Of a whole number it is what Django's function returns after it has looked up the formats of the language.
    return f"{value:,}" if type(value) is int else number_format(value, force_grouping=True)


@register.filter
def moment(value: datetime | None) -> str:
    """Format a moment in the console's zone, to the second: 2026-11-24 03:01:35 UTC+8."""
    if value is None:
        return "–"
    return with_zone(timezone.localtime(value))


@register.filter
def iso_moment(value: str | None) -> str:
    """Format a moment that is stored as ISO 8601 text, as ``moment`` does; return any other text unchanged."""
    try:
        kept = datetime.fromisoformat(value) if value else None
    except (TypeError, ValueError):
        return str(value)
    return moment(kept if kept is None or kept.tzinfo else kept.replace(tzinfo=UTC))


@register.filter
def short_moment(value: datetime | None) -> str:
    """Format a moment in its own zone, to the minute: 11-24 04:00."""
    return "–" if value is None else f"{value:%m-%d %H:%M}"


@register.filter
def weekday_moment(value: datetime | None) -> str:
    """Format a moment in its own zone, to the minute; a near one with its day of the week: Mon 11-30 09:20."""
    return "–" if value is None else f"{date_format(value, 'D')} {value:%m-%d %H:%M}"


@register.filter
def get(mapping: dict[object, object], key: object) -> object:
    """Return a mapping's value for a key that is in a variable."""
    return mapping.get(key)


@register.filter
def wall_clock(value: datetime | None) -> str:
    """Format the time of day of a moment in its own zone: 04:00."""
    return "–" if value is None else f"{value:%H:%M}"


@register.filter
def local(value: datetime | None) -> datetime | None:
    """Convert a moment to the console's zone."""
    return None if value is None else timezone.localtime(value)


@register.filter
def zoned(value: datetime | None) -> str:
    """Format a moment in its own zone, to the minute, with the UTC offset: 2027-08-13 04:00 UTC+8."""
    return "–" if value is None else with_zone(value, "%Y-%m-%d %H:%M")


@register.filter
def utc(value: datetime | None) -> datetime | None:
    """Convert a moment to UTC."""
    return None if value is None else value.astimezone(UTC)
