"""Why items of an answer were left out or a field was left empty: counted under fixed English words, shown in the reader's."""

import re
from collections.abc import Callable
from typing import Final

from database.messages import gettext as _

# The reason under which posts are counted as skipped that a purge would delete at once.
EXPIRED: Final = "older than the retention"
# How the reasons of skipped items begin that were left out on purpose.
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
    "unwanted pattern": lambda: _("matches what is unwanted"),
    EXPIRED: lambda: _("older than the retention"),
    # Of comments.
    "score too low": lambda: _("score too low"),
    "belongs to another post": lambda: _("belongs to another post"),
    "no item": lambda: _("no item"),
    # Of fields.
    "created_utc lies before Reddit": lambda: _("created_utc lies before Reddit"),
    "created_utc lies ahead": lambda: _("created_utc lies ahead"),
}
# What names a field of Reddit's or a kind of item; the first that fits counts.
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
    """Return a reason in the reader's language; one that is none of ours stays as it is."""
    name = reason.removeprefix(FILTERED)
    if name in _LABELS:
        return _LABELS[name]()
    for pattern, text in _PATTERNS:
        if found := pattern.fullmatch(reason):
            return text() % found.groupdict()
    return reason
