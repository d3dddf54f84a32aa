"""Tells by a signed request to a web address. ``docs/webhooks.md`` describes body and signature to receivers."""

import hashlib
import hmac
import json

from alerts.channels.answers import Answer
from alerts.channels.http import tell
from alerts.channels.texts import Notice, as_json
from alerts.models import Route
from database.fields import SecretUnreadable


def send(route: Route, notice: Notice) -> Answer:
    """Post a message to the route's address; only an answer from 200 to 299 counts as delivered."""
    body = json.dumps(as_json(notice), ensure_ascii=False).encode()
    timestamp = str(int(notice.sent_at.timestamp()))
    try:
        url, secret = route.url, route.secret
    except SecretUnreadable as error:
        return Answer(str(error))
    headers = {
        "Content-Type": "application/json",
        "Console-Delivery": str(notice.id),
        "Console-Timestamp": timestamp,
        "Console-Signature": f"sha256={signature(secret, timestamp, body)}",
    }
    return tell(url, body, headers)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of time stamp and body, in hexadecimal digits."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
