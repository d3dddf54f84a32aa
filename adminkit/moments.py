"""Names a moment's time zone by its UTC offset, because abbreviations such as CST have several meanings."""

from datetime import UTC, datetime, timedelta


def zone_name(moment: datetime) -> str:
    """Return the UTC offset of an aware moment as text: UTC, UTC+8, UTC−3:30; it may differ in summer and winter."""
    offset = moment.utcoffset() or timedelta()
    minutes = round(abs(offset).total_seconds() / 60)
    if not minutes or moment.tzinfo is UTC:
        return "UTC"
    sign = "+" if offset > timedelta() else "−"
    return f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02}" if minutes % 60 else "")


def with_zone(moment: datetime, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Format an aware moment in its own zone, with the UTC offset."""
    return f"{moment:{form}} {zone_name(moment)}"
