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
        error=_("The run ended before the session did; everything found until then is stored."),
    )
