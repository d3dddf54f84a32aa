"""Turns a raw post or comment of Reddit into the values of its row.

An item that Reddit calls deleted or removed loses its text here, so that no path can store it: title, body, URLs,
media and flair are blank, the state remains (Reddit's Data API terms; recorded shapes of 2006 to 2026).
A deleted account loses name and id; its content stays.

Only an item without a valid fullname, or a comment without a parent, is refused. Any other invalid field is left empty,
and counted in ``odd`` if the caller passes it: one invalid field must not lose the item.
"""

import contextlib
import math
import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django.db import models

from database import clock
from database.names import folded
from database.text import storable_text
from scraping.content.post_parts import PartIsOdd, gallery_of, parent_of, poll_of
from scraping.models import ContentState, RedditComment, RedditContent, RedditPost
from scraping.reddit.listing import REDDIT_BEGAN

# Ids are base 36 in lower case; Reddit accepts capitals too, so they are accepted here.
FULLNAME = re.compile(r"t[1-6]_[0-9A-Za-z]{1,13}")
_INTEGER = (-(2**31), 2**31 - 1)
_SMALL_DEPTH = 32767
_MEDIA_KEYS = ("preview", "gallery_data", "media_metadata", "media", "thumbnail")
_MEDIA_NESTING_MAX = 50
# Reddit's clock and the database's may differ by a little.
_AHEAD_MAX = timedelta(minutes=10)
_Value = TypeVar("_Value")

_WITHOUT_PARTS: dict[str, Any] = {"gallery": None, "poll": None, "crosspost_parent": "", "crosspost_body": ""}
# The reasons in ``odd`` for a missing time; an update of a stored item does not write the time then.
TIME_REASONS = frozenset(
    {"no created_utc", "created_utc is no time", "created_utc lies before Reddit", "created_utc lies ahead"}
)

_BY_AUTHOR = frozenset({"deleted", "author"})
_BY_MODERATOR = frozenset({"moderator", "automod_filtered"})
# Reddit's placeholders for a title or text (in lower case).
_PLACEHOLDERS = {
    "[deleted]": ContentState.DELETED_BY_AUTHOR,
    "[deleted by user]": ContentState.DELETED_BY_AUTHOR,
    "[removed]": ContentState.REMOVED_BY_MODERATOR,
    "[ removed by moderator ]": ContentState.REMOVED_BY_MODERATOR,
    "[ removed by reddit ]": ContentState.REMOVED_BY_REDDIT,
}
_DELETED_ACCOUNT = "[deleted]"

# The columns that a row loses when its content is deleted on Reddit.
BLANK_POST: dict[str, Any] = {
    "title": "",
    "body": "",
    "url": "",
    "permalink": "",  # its last part is the title
    "domain": "",
    "flair": "",
    "media": None,
    "gallery": None,
    "poll": None,
    "crosspost_parent": "",
    "crosspost_body": "",
}
BLANK_COMMENT: dict[str, Any] = {"body": ""}
BLANK_AUTHOR: dict[str, Any] = {"author": "", "author_fullname": ""}

# An item that no longer exists on Reddit keeps its fullname, its parent's, its subreddit and its times only.
_TOMBSTONE: dict[str, Any] = {
    **BLANK_AUTHOR,
    "score": 0,
    "is_edited": False,
    "distinguished": "",
    "is_stickied": False,
    "is_author_deleted": False,
    "state": ContentState.MISSING,
}
TOMBSTONE_POST: dict[str, Any] = {
    **BLANK_POST,
    **_TOMBSTONE,
    "upvote_ratio": None,
    "num_comments": 0,
    "is_self": False,
    "is_over_18": False,
    "is_spoiler": False,
    "is_locked": False,
    "removed_by_category": "",
}
TOMBSTONE_COMMENT: dict[str, Any] = {
    **BLANK_COMMENT,
    **_TOMBSTONE,
    "is_submitter": False,
    "is_score_hidden": False,
}

# The replacement for a user's own subreddit, whose name contains the user's name.
PROFILE_OF_NOBODY = "u_[deleted]"


class BadItem(ValueError):
    """The item cannot be stored; the text is the reason under which it is counted."""


def post_values(data: dict[str, Any], odd: Counter[str] | None = None) -> dict[str, Any]:
    """Return the column values of a raw post (t3).

    Raises:
        BadItem: it has no valid fullname.
    """
    fields = _Fields(data, odd)
    values = _shared_values(fields, prefix="t3_", text_key="selftext", model=RedditPost)
    values |= {
        "subreddit": fields.text("subreddit", RedditPost),
        "title": fields.text("title"),
        "url": fields.text("url"),
        "permalink": fields.text("permalink"),
        "domain": fields.text("domain", RedditPost),
        "flair": fields.text("link_flair_text", RedditPost, column="flair"),
        "media": _media(data),
        "upvote_ratio": fields.ratio("upvote_ratio"),
        "num_comments": fields.integer("num_comments", low=0),
        "is_self": data.get("is_self") is True,
        "is_over_18": data.get("over_18") is True,
        "is_spoiler": data.get("spoiler") is True,
        "is_locked": data.get("locked") is True,
        "removed_by_category": fields.text("removed_by_category", RedditPost),
        **_parts(data, fields),
    }
    return _settle(values, _post_state(values, data), blank=BLANK_POST, is_author_odd=fields.is_author_odd)


def comment_values(data: dict[str, Any], odd: Counter[str] | None = None) -> dict[str, Any]:
    """Return the column values of a raw comment (t1), except its post.

    Raises:
        BadItem: as for posts, or it has no parent.
    """
    fields = _Fields(data, odd)
    values = _shared_values(fields, prefix="t1_", text_key="body", model=RedditComment)
    values |= {
        "parent_fullname": _fullname(data, "parent_id"),
        "depth": fields.integer("depth", low=0, high=_SMALL_DEPTH),
        "is_submitter": data.get("is_submitter") is True,
        "is_score_hidden": data.get("score_hidden") is True,
    }
    state = _placeholder(values["body"])
    return _settle(values, state, blank=BLANK_COMMENT, is_author_odd=fields.is_author_odd)


def _shared_values(
    fields: "_Fields", *, prefix: str, text_key: str, model: type[RedditContent]
) -> dict[str, Any]:
    fullname = _fullname(fields.data, "name")
    if not fullname.startswith(prefix):
        raise BadItem(f"name is not {prefix}…")
    is_edited, edited_at = fields.edited()
    author_fullname = fields.text("author_fullname")
    return {
        "fullname": fullname,
        "author": fields.text("author", model),
        "author_fullname": author_fullname if FULLNAME.fullmatch(author_fullname) else "",
        "body": fields.text(text_key),
        "score": fields.integer("score"),
        "created_at": fields.created_at(),
        "edited_at": edited_at,
        "is_edited": is_edited,
        "distinguished": fields.text("distinguished", model),
        "is_stickied": fields.data.get("stickied") is True,
    }


def _settle(
    values: dict[str, Any], state: ContentState, *, blank: dict[str, Any], is_author_odd: bool
) -> dict[str, Any]:
    """Set the states of content and account, and blank what must not be kept."""
    # Recorded: "[deleted]" and no author_fullname; null is quoted in public clients.
    without_author = values["author"] in ("", _DELETED_ACCOUNT)
    values["state"] = state
    # Deleted content shows no author either, which says nothing about the account.
    values["is_author_deleted"] = without_author and state == ContentState.LIVE and not is_author_odd
    if without_author:
        values |= BLANK_AUTHOR
    if state != ContentState.LIVE:
        values |= blank
    elif values["is_author_deleted"] and is_profile(values.get("subreddit", "")):
        values |= {"subreddit": without_profile_name(values["subreddit"]), "permalink": "", "domain": ""}
        values |= {"url": ""} if values["is_self"] else {}
    return values


def is_profile(subreddit: str) -> bool:
    """Return whether this is a user's own subreddit, whose name and addresses contain the user's name."""
    return folded(subreddit).startswith("u_")


def without_profile_name(subreddit: str) -> str:
    """Return the subreddit's name, or a replacement if it contains a user's name."""
    return PROFILE_OF_NOBODY if is_profile(subreddit) else subreddit


def _post_state(values: dict[str, Any], data: dict[str, Any]) -> ContentState:
    category = values["removed_by_category"]
    if category in _BY_AUTHOR:
        return ContentState.DELETED_BY_AUTHOR
    if category in _BY_MODERATOR:
        return ContentState.REMOVED_BY_MODERATOR
    if category:
        # reddit, anti_evil_ops, content_takedown …: Reddit adds names to this list.
        return ContentState.REMOVED_BY_REDDIT
    for text in (values["body"], values["title"]):
        if (state := _placeholder(text)) != ContentState.LIVE:
            return state
    if data.get("is_robot_indexable") is False:
        # The only mark on archived link posts: category, title and URL stay as they were.
        by_author = values["author"] == _DELETED_ACCOUNT
        return ContentState.DELETED_BY_AUTHOR if by_author else ContentState.REMOVED_BY_MODERATOR
    return ContentState.LIVE


def _placeholder(text: str) -> ContentState:
    # The longest placeholder has 24 characters; most texts need no copy.
    return _PLACEHOLDERS.get(text.strip().lower(), ContentState.LIVE) if len(text) < 40 else ContentState.LIVE


# --- Single fields ------------------------------------------------------------------------------


def _fullname(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if value is None:
        raise BadItem(f"no {key}")
    if not isinstance(value, str) or not FULLNAME.fullmatch(value):
        raise BadItem(f"{key} is no fullname")
    return value


class _Fields:
    """Reads the fields of one item; an invalid field is left empty and counted."""

    def __init__(self, data: dict[str, Any], odd: Counter[str] | None) -> None:
        self.data = data
        self._odd = odd

    def text(self, key: str, model: type[models.Model] | None = None, *, column: str | None = None) -> str:
        """Return a text without characters that the database refuses, cut to its column's length."""
        value = self.data.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            return self._drop(f"{key} is no text", "")
        value = storable_text(value)
        if model is None:
            return value
        return value[: getattr(model._meta.get_field(column or key), "max_length", None)]

    @property
    def is_author_odd(self) -> bool:
        """Whether the author is neither a name nor missing; such a value says nothing about the account."""
        return not isinstance(self.data.get("author"), str | None)

    def integer(self, key: str, *, low: int = _INTEGER[0], high: int = _INTEGER[1]) -> int:
        """Return a number within the column's bounds; 0 if there is none, or if it is below ``low``."""
        value = self._number(key)
        if value is not None and value < low and low == 0:
            return self._drop(f"{key} is negative", 0)
        return int(min(max(value or 0, low), high))

    def ratio(self, key: str) -> float | None:
        """Return a share, or None if there is none."""
        value = self._number(key)
        if value is not None and not -1 <= value <= 1:
            return self._drop(f"{key} is no share", None)
        return None if value is None else float(value)

    def created_at(self) -> datetime:
        """Return when the item was made, or the present if Reddit's time is invalid."""
        moment = _moment(self.data.get("created_utc"))
        if moment is None:
            missing = self.data.get("created_utc") is None
            return self._drop("no created_utc" if missing else "created_utc is no time", clock.now())
        if moment < REDDIT_BEGAN:
            return self._drop("created_utc lies before Reddit", clock.now())
        if _lies_ahead(moment):
            return self._drop("created_utc lies ahead", clock.now())
        return moment

    def edited(self) -> tuple[bool, datetime | None]:
        """Return whether the item was edited and, if Reddit gives it, when."""
        value = self.data.get("edited")
        if value is None or isinstance(value, bool):
            return bool(value), None
        moment = _moment(value)
        if moment is None or moment < REDDIT_BEGAN or _lies_ahead(moment):
            return self._drop("edited is no time", (bool(value), None))
        return True, moment

    def part(self, read: Callable[[dict[str, Any]], _Value], instead: _Value) -> _Value:
        """Return a part of a post (``post_parts.py``)."""
        try:
            return read(self.data)
        except PartIsOdd as reason:
            return self._drop(str(reason), instead)

    def _number(self, key: str) -> int | float | None:
        value = self.data.get(key)
        if value is None:
            return None
        # Python's JSON parser accepts NaN and Infinity.
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return self._drop(f"{key} is no number", None)
        return value

    def _drop(self, reason: str, instead: _Value) -> _Value:
        if self._odd is not None:
            self._odd[reason] += 1
        return instead


def _parts(data: dict[str, Any], fields: _Fields) -> dict[str, Any]:
    """Return the columns of a post's gallery, poll and crossposted post."""
    if not (data.get("gallery_data") or data.get("poll_data") or data.get("crosspost_parent")):
        return _WITHOUT_PARTS  # nearly all posts
    gallery, poll, body = fields.part(gallery_of, None), fields.part(poll_of, None), ""
    none: tuple[str, dict[str, Any] | None] = ("", None)
    name, parent = fields.part(parent_of, none)
    if parent is not None:
        with contextlib.suppress(BadItem):
            # A crosspost cannot be crossposted itself, so its parent is always the original.
            shown = post_values({**parent, "crosspost_parent": None})
            # Nothing of a deleted parent is kept, because it would not be blanked together with the parent.
            body, gallery, poll = shown["body"], gallery or shown["gallery"], poll or shown["poll"]
    return {
        "gallery": _storable(gallery, _MEDIA_NESTING_MAX),
        "poll": _storable(poll, _MEDIA_NESTING_MAX),
        "crosspost_parent": name,
        "crosspost_body": body,
    }


def _lies_ahead(moment: datetime) -> bool:
    # For times more than a day ago, which are the most, this host's clock is exact enough and costs no query.
    if moment.timestamp() < time.time() - 86_400:
        return False
    return moment > clock.now() + _AHEAD_MAX


def _moment(seconds: Any) -> datetime | None:
    """Return the moment of a Unix time, or None for anything else."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _media(data: dict[str, Any]) -> dict[str, Any] | None:
    """Return the addresses of previews, galleries and videos, as Reddit gave them."""
    media = {key: _storable(data[key], _MEDIA_NESTING_MAX) for key in _MEDIA_KEYS if data.get(key)}
    if not str(media.get("thumbnail", "")).startswith("http"):
        media.pop("thumbnail", None)  # such as "self", "default", "nsfw", which are no addresses
    return media or None


def _storable(value: Any, nesting: int) -> Any:
    """Return JSON without values that a JSON column refuses."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict | list) and not nesting:
        return None
    if isinstance(value, dict):
        return {storable_text(str(key)): _storable(item, nesting - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item, nesting - 1) for item in value]
    return value
