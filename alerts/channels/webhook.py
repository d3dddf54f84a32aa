"""Tells by a signed request to a web address. ``docs/webhooks.md`` describes body and signature to receivers."""

import hashlib
import hmac
import json
from http.client import HTTPException

from django.conf import settings

from alerts.channels.addresses import AddressRefused
from alerts.channels.answers import ANSWER_LENGTH, Answer
from alerts.channels.http import post
from alerts.channels.texts import Notice, as_json
from alerts.models import Route
from database.fields import SecretUnreadable

AGENT = "maintenance-console"


def send(route: Route, notice: Notice) -> Answer:
    """Post a message to the route's address; only an answer from 200 to 299 counts as delivered."""
    body = json.dumps(as_json(notice), ensure_ascii=False).encode()
    timestamp = str(int(notice.sent_at.timestamp()))
    try:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": AGENT,
            "Console-Delivery": str(notice.id),
            "Console-Timestamp": timestamp,
            "Console-Signature": f"sha256={signature(route.secret, timestamp, body)}",
        }
        allows_private = settings.WEBHOOKS_TO_PRIVATE_ADDRESSES
        status, text = post(route.url, body, headers, allows_private=allows_private)
    except SecretUnreadable as error:
        return Answer(str(error))
    except AddressRefused as error:
        return Answer(error.args[0])
    except (OSError, HTTPException, ValueError) as error:
        return Answer.of_error(error)
    return Answer(f"HTTP {status} {text}".strip()[:ANSWER_LENGTH], is_delivered=200 <= status < 300)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of time stamp and body, in hexadecimal digits."""
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
