"""The request of a ping: the address with what happened, held to the rules for webhooks."""

from typing import Final
from urllib.parse import urlsplit, urlunsplit

from alerts.channels.answers import Answer
from alerts.channels.http import tell
from alerts.models import Ping, PingAddress
from database.fields import SecretUnreadable

# A test is only written into the service's log.
TEST: Final = "log"
_SUFFIXES: Final = {
    Ping.Event.START: "/start",
    Ping.Event.SUCCESS: "",
    Ping.Event.FAIL: "/fail",
    TEST: "/log",
}


def send(address: PingAddress, event: str, body: str) -> Answer:
    """Send one ping, and return what the service said, without the address."""
    try:
        target = address_for(address.url, event)
    except SecretUnreadable as error:
        return Answer(str(error))
    return tell(target, body.encode(), {"Content-Type": "text/plain; charset=utf-8"})


def address_for(url: str, event: str) -> str:
    """Return the address of an event: its path goes before the query of the address."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + _SUFFIXES[event], fragment=""))
