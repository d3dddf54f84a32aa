"""The reasons for skipped items and empty fields: counted under fixed English texts, shown in the reader's language."""

import re
from collections.abc import Callable
from typing import Final

from database.messages import gettext as _

# The reason for posts that a purge would delete at once.
EXPIRED: Final = "older than the retention"
# The beginnings of the reasons for items that were left out on purpose.
FILTERED: Final = "filtered: "

_LABELS: Final[dict[str, Callable[[], str]]] = {
    "NSFW": lambda: _("NSFW"),
    "not NSFW": lambda: _("not NSFW"),
    "score": lambda: _("score too low"),
    "flair": lambda: _("none of the wanted flairs"),
    "unwanted flair": lambda: _("unwanted flair"),
    "domain": lambda: _("none of the wanted domains"),
    "unwanted domain": lambda: _("unwanted domain"),
    "pattern": lambda: _("does not match"),
    "unwanted pattern": lambda: _("matches the unwanted pattern"),
    EXPIRED: lambda: _("older than the retention"),
    # Of comments.
    "score too low": lambda: _("score too low"),
    "belongs to another post": lambda: _("belongs to another post"),
    "no item": lambda: _("no item"),
    # Of fields.
    "created_utc lies before Reddit": lambda: _("created_utc lies before Reddit"),
    "created_utc lies ahead": lambda: _("created_utc lies ahead"),
}
# Reasons that contain a field of Reddit or a kind of item; the first match counts.
_PATTERNS: Final[list[tuple[re.Pattern[str], Callable[[], str]]]] = [
    (re.compile(r"unexpected kind (?P<value>\S+)"), lambda: _("unexpected kind %(value)s")),
    (re.compile(r"name is not (?P<value>\S+)"), lambda: _("name is not %(value)s")),
    (re.compile(r"(?P<value>\S+) is no fullname"), lambda: _("%(value)s is no fullname")),
    (re.compile(r"(?P<value>\S+) is no text"), lambda: _("%(value)s is no text")),
    (re.compile(r"(?P<value>\S+) is no number"), lambda: _("%(value)s is no number")),
    (re.compile(r"(?P<value>\S+) is no time"), lambda: _("%(value)s is no time")),
    (re.compile(r"(?P<value>\S+) is negative"), lambda: _("%(value)s is negative")),
    (re.compile(r"(?P<value>\S+) is no share"), lambda: _("%(value)s is no share")),
    (re.compile(r"no (?P<value>\S+)"), lambda: _("no %(value)s")),
]


def reason_label(reason: str) -> str:
    """Return a reason in the reader's language; an unknown reason stays as it is."""
    name = reason.removeprefix(FILTERED)
    if name in _LABELS:
        return _LABELS[name]()
    for pattern, text in _PATTERNS:
        if found := pattern.fullmatch(reason):
            return text() % found.groupdict()
    return reason
