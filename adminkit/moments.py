"""How a moment's time zone is named: by its distance from UTC, because abbreviations such as CST have several meanings."""

from datetime import UTC, datetime, timedelta


def zone_name(moment: datetime) -> str:
    """Return the zone of an aware moment: UTC, UTC+8, UTC−3:30; where clocks change, the one of that moment."""
    offset = moment.utcoffset() or timedelta()
    minutes = round(abs(offset).total_seconds() / 60)
    if not minutes or moment.tzinfo is UTC:
        return "UTC"
    sign = "+" if offset > timedelta() else "−"
    return f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02}" if minutes % 60 else "")


def with_zone(moment: datetime, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Write an aware moment in its own zone, with the zone's name."""
    return f"{moment:{form}} {zone_name(moment)}"
