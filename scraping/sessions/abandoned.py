"""Closes the sessions that a lost worker left open."""

from database import clock
from database.messages import gettext as _
from scraping.models import (
    ScrapeSession,
)

Status = ScrapeSession.Status


def close_abandoned_sessions() -> int:
    """Close sessions whose run is no longer running as INTERRUPTED; return how many."""
    return ScrapeSession.objects.abandoned().update(
        status=Status.INTERRUPTED,
        finished_at=clock.now(),
        error=_("Its run ended before it did; what it had found is stored."),
    )
