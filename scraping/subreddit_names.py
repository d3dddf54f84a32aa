"""Reads the names of subreddits and authors in the forms that people copy."""

import re
from typing import Final
from urllib.parse import unquote

_SCHEME: Final = re.compile(r"^https?://", re.IGNORECASE)
# www., old., new., np., m., de.reddit.com and other hosts.
_HOST: Final = re.compile(r"^(?:[a-z0-9-]+\.)*reddit\.com(?::\d+)?(?=/|\?|#|$)", re.IGNORECASE)


def plain_subreddit(text: str) -> str:
    """Return the name in r/name, /r/name/, u/name, user/name or an address on any host of Reddit.

    A user's own subreddit is u_name. The rest after the name (/new/, /comments/…, ?sort=…) is dropped. Any other text
    is returned unchanged, so that the validator names it.
    """
    text = text.strip()
    parts, is_address = _parts(text)
    match [part.lower() for part in parts[:1]], parts[1:]:
        case ["r"], [name, *_]:
            return name
        case ["u" | "user"], [name, *_]:
            return f"u_{name}"
        case _, [] if parts and not is_address:
            return parts[0]
    return text


def plain_author(text: str) -> str:
    """Return the name in u/name, /user/name/ or the address of a profile on any host of Reddit; empty: it is none.

    The address of something in the profile, such as a post, is none either.
    """
    match _parts(text.strip())[0]:
        case [kind, name] if kind.lower() in ("u", "user"):
            return name
    return ""


def _parts(text: str) -> tuple[list[str], bool]:
    """Return the parts of a path or of an address of Reddit without its host, and whether it had one."""
    without_host = _HOST.sub("", _SCHEME.sub("", text))
    path = unquote(without_host.split("?")[0].split("#")[0])
    return [part for part in path.split("/") if part], without_host != text
