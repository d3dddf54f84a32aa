"""Limits for the automatic end of something that people start, such as a pause or a hold."""

from datetime import datetime, timedelta

from database import clock
from database.messages import gettext as _

# A later end is a typing error; and PostgreSQL can store the year 10,000, which no driver can read back.
FURTHEST_END = timedelta(days=3_653)


def refuse_end(until: datetime | None) -> None:
    """Raise ValueError with the reason if the end is in the past or more than ten years ahead."""
    if until is None:
        return
    if until <= clock.now():
        raise ValueError(_("The end is in the past."))
    if until > clock.now() + FURTHEST_END:
        raise ValueError(_("The end is more than ten years ahead: leave it empty instead."))
