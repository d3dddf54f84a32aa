"""The dead man's ping: tells a service outside, each minute, that rules are checked; when it stays out, that one warns.

Nothing in the console can say that all of its processes are dead.
"""

import logging
from datetime import datetime, timedelta
from http.client import HTTPException

from django.conf import settings

from alerts.channels.http import post
from database import clock

logger = logging.getLogger(__name__)

PING_EVERY = timedelta(minutes=1)


class Pinger:
    """Remembers when this process has pinged."""

    def __init__(self) -> None:
        self._last: datetime | None = None

    def ping(self) -> bool:
        """Ping DEAD_MAN_URL, if it is set and a minute has passed; return whether a ping was sent."""
        now = clock.database_now()
        if not settings.DEAD_MAN_URL or (self._last and self._last <= now < self._last + PING_EVERY):
            return False
        self._last = now
        try:
            # Whoever sets the address owns this host: it may be a private one.
            status, _text = post(settings.DEAD_MAN_URL, b"", {}, allows_private=True)
        except (OSError, HTTPException, ValueError) as error:
            logger.warning("The dead man's ping failed: %s", error)
            return False
        if not 200 <= status < 300:
            logger.warning("The dead man's ping was answered by HTTP %s.", status)
        return True
