"""The request of a ping: the address with what happened, held to the rules for webhooks."""

import re
from http.client import HTTPException
from typing import Final
from urllib.parse import unquote, urlsplit, urlunsplit

from django.conf import settings

from alerts.channels.addresses import AddressRefused
from alerts.channels.answers import ANSWER_LENGTH, Answer
from alerts.channels.http import post
from alerts.channels.webhook import AGENT
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
# A shorter part of an address is no secret.
SECRET_MIN: Final = 8


def send(address: PingAddress, event: str, body: str) -> Answer:
    """Send one ping, and return what the service said, without the address; only 200 to 299 counts as delivered."""
    headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": AGENT}
    try:
        url = address.url
    except SecretUnreadable as error:
        return Answer(str(error))
    try:
        target = address_for(url, event)
        allows_private = settings.WEBHOOKS_TO_PRIVATE_ADDRESSES
        status, text = post(target, body.encode(), headers, allows_private=allows_private)
    except AddressRefused as error:
        return Answer(error.args[0])
    except (OSError, HTTPException, ValueError) as error:
        return Answer(_hidden(Answer.of_error(error).text, url))
    answer = f"HTTP {status} {_hidden(text, url)}".strip()[:ANSWER_LENGTH]
    return Answer(answer, is_delivered=200 <= status < 300)


def address_for(url: str, event: str) -> str:
    """Return the address of an event: its path goes before the query of the address."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + _SUFFIXES[event], fragment=""))


def _hidden(text: str, url: str) -> str:
    """Return the text without the parts of the address, which a server may repeat."""
    parts = urlsplit(url)
    rest = f"{parts.path}?{parts.query}"
    found = {part for one in (rest, unquote(rest)) for part in re.split(r"[/?&=]+", one)}
    for part in sorted(found, key=len, reverse=True):
        if len(part) >= SECRET_MIN:
            text = text.replace(part, "…")
    return text
