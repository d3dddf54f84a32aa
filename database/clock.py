"""The database's clock: the one that all hosts agree on."""

from datetime import datetime, timedelta

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

# Nobody means an end that is further ahead, and PostgreSQL stores one in the year 10,000 that no driver reads back.
FURTHEST_END = timedelta(days=3_653)


def database_now() -> datetime:
    """Return the database's clock, also within a transaction (where PostgreSQL's ``now()`` stands still)."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT clock_timestamp()")
            now: datetime = cursor.fetchone()[0]
            return now
        cursor.execute("SELECT strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')")
        return datetime.fromisoformat(cursor.fetchone()[0])


def refuse_end(until: datetime | None) -> None:
    """Raise ValueError, which says why, for an end that has passed or is more than ten years ahead."""
    if until is None:
        return
    if until <= timezone.now():
        raise ValueError(_("The end is in the past."))
    if until > timezone.now() + FURTHEST_END:
        raise ValueError(_("The end is more than ten years ahead: leave it empty instead."))
