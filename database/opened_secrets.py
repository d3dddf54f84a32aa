"""The stored secrets that this process has decrypted lately, so that the log can leave them out."""

from threading import Lock
from urllib.parse import urlsplit

# More than the Reddit apps, tokens and second factors that one process uses at a time.
KEPT_MAX = 200
# A shorter text is no secret worth hiding, and would be found everywhere.
LENGTH_MIN = 8

_opened: dict[str, None] = {}
_lock = Lock()


# So long is a path that only who was told it knows; the error of a failed request names the path without its host.
PATH_LENGTH_MIN = 16


def remember(secret: str) -> None:
    """Keep the secret in mind, of a web address its path too; what was opened longest ago is forgotten."""
    parts = urlsplit(secret) if "://" in secret else None
    path = secret.partition(parts.netloc)[2] if parts and parts.netloc else ""
    with _lock:
        for text, least in ((path, PATH_LENGTH_MIN), (secret, LENGTH_MIN)):
            if len(text) >= least:
                _opened.pop(text, None)
                _opened[text] = None
        while len(_opened) > KEPT_MAX:
            del _opened[next(iter(_opened))]


def opened() -> list[str]:
    """Return the secrets that were opened lately, the latest first: an address before its path."""
    with _lock:
        return list(reversed(_opened))
