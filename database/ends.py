"""When something that people start ends by itself: a pause, a hold."""

from datetime import datetime, timedelta

from database import clock
from database.messages import gettext as _

# A later end is a typing error, and PostgreSQL stores the year 10,000, which no driver reads back.
FURTHEST_END = timedelta(days=3_653)


def refuse_end(until: datetime | None) -> None:
    """Raise ValueError, which says why, for an end that has passed or is more than ten years ahead."""
    if until is None:
        return
    if until <= clock.now():
        raise ValueError(_("The end is in the past."))
    if until > clock.now() + FURTHEST_END:
        raise ValueError(_("The end is more than ten years ahead: leave it empty instead."))
