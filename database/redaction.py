"""Takes secrets out of a text: those of the settings, those that were opened lately, and what looks like one.

Every line of the log passes here, and every text in which somebody else's program may have spoken: errors, messages,
lines of runs, tracebacks. None should hold a secret; this is for the address in the error of a driver, or the header
in the error of a server.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final
from urllib.parse import quote, urlsplit

from django.conf import settings

from database.opened_secrets import LENGTH_MIN, opened

HIDDEN: Final = "[hidden]"
# A quotation mark as it is, within a quoted text, or within a page.
_MARK: Final = r"""(?:\\?["']|&quot;|&\#x27;)"""
# Between a name and its secret; afterwards the name and this stay. What is hidden already stays too.
_IS: Final = rf"""{_MARK}?+\s*+[=:]\s*+(?!\[hidden\])"""
_QUOTED: Final = rf"""(?P<mark>{_MARK})[^\n]+?(?P=mark)"""

# A header whose whole value is one.
_HEADERS: Final = re.compile(
    rf"""((?:authorization|cookie){_IS})(?:{_QUOTED}|[^\n"\'}})\]]+)""", re.IGNORECASE
)
# What follows a name that tells that it is a secret: password=…, "access_token": "…", client_secret: …
# A subreddit may have such a name: "r/secret: 5 posts".
_NAMES: Final = (
    r"pass(?:word|wd|phrase)|(?<![a-z])pass|secret|token|api[_-]?key|sessionid|csrftoken|otp|code_verifier"
)
_NAMED: Final = re.compile(
    rf"""(?<![\w-])((?<!\br/)[\w-]*?(?:{_NAMES}){_IS})(?:{_QUOTED}|[^\s,;&"\'}})\]]+)""", re.IGNORECASE
)
# A word of plain letters is none: "basic authentication".
_SCHEMES: Final = re.compile(
    r"\b(bearer|basic|digest)\s+(?=\S*(?:[0-9=+/]|(?-i:[a-z][A-Z])))[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE
)
_PASSWORD_IN_ADDRESS: Final = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/@]+@", re.IGNORECASE)
# Addresses of other schemes are those of messengers, which are made of tokens: slack://…, tgram://…
_ADDRESS: Final = re.compile(r"\b([a-z][a-z0-9+.-]*)://[^\s\"'<>]+", re.IGNORECASE)
_PLAIN_SCHEMES: Final = frozenset(
    {"http", "https", "redis", "rediss", "redis+socket", "postgres", "postgresql", "sqlite", "smtp", "smtps", "smtp+tls",
     "smtp+ssl", "file", "ftp", "unix", "memory", "ws", "wss", "rpc", "amqp", "socket"}
)  # fmt: skip
# Web hooks of Slack, Discord, Teams and Telegram: whoever knows the path may send.
_HOOKS: Final = re.compile(r"(/services/(?=T)|/api/webhooks/(?=\d)|/webhookb2/|/bot(?=\d+:))[\w:@.~%/-]{16,}")
# A token of Fernet, JWT or Django's signing; one of this console's personal tokens.
_TOKENS: Final = re.compile(
    r"\bgAAAA[A-Za-z0-9_=-]{40,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?|\bmct_[A-Za-z0-9_-]{16,}"
)
# Most texts have none of these, and need no other search.
_HINT: Final = re.compile(
    rf"://|/services/T|/api/webhooks/|/webhookb2/|/bot\d|bearer|basic|digest|authorization|cookie|{_NAMES}|gAAAA|eyJ|mct_",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Return the text with ``[hidden]`` for each secret; what has none stays as it is."""
    for secret in (*_of_settings(), *opened()):
        if secret in text:
            text = text.replace(secret, HIDDEN)
    if _HINT.search(text) is None:
        return text
    if "://" in text:
        text = _ADDRESS.sub(_address, text)
        text = _PASSWORD_IN_ADDRESS.sub(rf"\1:{HIDDEN}@", text)
    text = _HOOKS.sub(rf"\1{HIDDEN}", text)
    text = _SCHEMES.sub(rf"\1 {HIDDEN}", text)
    text = _HEADERS.sub(rf"\1{HIDDEN}", text)
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    return _TOKENS.sub(HIDDEN, text)


def _address(found: re.Match[str]) -> str:
    is_plain = found[1].lower() in _PLAIN_SCHEMES
    return found[0] if is_plain else f"{found[1]}://{HIDDEN}"


@cache
def _of_settings() -> tuple[str, ...]:
    """Return the secrets of the settings, the longest first: one may contain another."""
    found = {secret for secret in _given() if isinstance(secret, str) and len(secret) >= LENGTH_MIN}
    found |= {quote(secret, safe="") for secret in found}
    return tuple(sorted(found, key=len, reverse=True))


# Names of settings that hold a secret, or a list of them.
_SETTINGS: Final = re.compile(r"(?:SECRET|SECRET_KEY|SECRET_KEY_FALLBACKS|ENCRYPTION_KEY|TOKEN|PASSWORD)\Z")


def _given() -> Iterator[Any]:
    for name in filter(_SETTINGS.search, dir(settings)):
        value = getattr(settings, name)
        yield from value if isinstance(value, list | tuple) else [value]
    yield from (database.get("PASSWORD") for database in settings.DATABASES.values())
    yield urlsplit(settings.CELERY_BROKER_URL).password
    yield settings.DEAD_MAN_URL
