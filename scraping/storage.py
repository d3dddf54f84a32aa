"""Stores what was scraped: bulk upserts by fullname, one transaction a page.

Safety: a second sight never touches who found an item first and when, the hold on a post, nor a comment's post.
Rows are written in the order of their fullnames, so that two scrapes of the same posts wait for each other
instead of deadlocking.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction

from scraping.content import BadItem, comment_values, post_values
from scraping.models import RedditComment, RedditPost, ScrapeSession

# Rows of one INSERT; Django makes it smaller where SQLite allows fewer variables.
BATCH_SIZE = 1000

# Written again at every sight: all that Reddit says of an item.
_SEEN_FIELDS = [
    "author",
    "author_fullname",
    "body",
    "score",
    "edited_at",
    "is_edited",
    "distinguished",
    "is_stickied",
    "state",
    "is_author_deleted",
]
POST_FIELDS = [
    *_SEEN_FIELDS,
    "subreddit",
    "title",
    "url",
    "permalink",
    "domain",
    "flair",
    "media",
    "upvote_ratio",
    "num_comments",
    "is_self",
    "is_over_18",
    "is_spoiler",
    "is_locked",
    "removed_by_category",
]
COMMENT_FIELDS = [*_SEEN_FIELDS, "parent_fullname", "is_submitter", "is_score_hidden"]
# When it was seen; these alone make no change.
SIGHT_FIELDS = ["last_seen_at", "checked_at", "missing_count"]


@dataclass(frozen=True)
class Stored:
    """What became of some items: ``found`` = ``new`` + known, of which ``changed`` differ from before.

    ``skipped`` counts those that could not be stored, by reason; they are not in ``found``.
    """

    found: int = 0
    new: int = 0
    changed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def store_posts(
    items: Iterable[dict[str, Any]], *, session: ScrapeSession | None, seen_at: datetime
) -> Stored:
    """Upsert raw posts (the ``data`` of t3). New ones belong to ``session``."""
    rows, skipped = _normalise(items, post_values)
    return _upsert(
        RedditPost,
        rows,
        fields=POST_FIELDS,
        on_insert={"session_id": session.pk if session else None},
        seen_at=seen_at,
        skipped=skipped,
    )


def store_comments(post: RedditPost, items: Iterable[dict[str, Any]], *, seen_at: datetime) -> Stored:
    """Upsert raw comments (the ``data`` of t1) of a stored post; a comment of another post is skipped.

    Raises:
        IntegrityError: the post has been deleted meanwhile.
    """

    def values_of(data: dict[str, Any]) -> dict[str, Any]:
        if data.get("link_id", post.fullname) != post.fullname:
            raise BadItem("belongs to another post")
        return comment_values(data)

    rows, skipped = _normalise(items, values_of)
    return _upsert(
        RedditComment,
        rows,
        fields=[*COMMENT_FIELDS, "depth"],
        on_insert={"post_id": post.pk},
        seen_at=seen_at,
        skipped=skipped,
    )


def _normalise(
    items: Iterable[dict[str, Any]], values_of: Callable[[dict[str, Any]], dict[str, Any]]
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the rows in the order of their fullnames, each once, and the reasons of those left out."""
    rows: dict[str, dict[str, Any]] = {}
    skipped: Counter[str] = Counter()
    for data in items:
        try:
            values = values_of(data)
        except BadItem as reason:
            skipped[str(reason)] += 1
        else:
            rows[values["fullname"]] = values
    return [rows[fullname] for fullname in sorted(rows)], skipped


def _upsert(
    model: type[RedditPost] | type[RedditComment],
    rows: list[dict[str, Any]],
    *,
    fields: list[str],
    on_insert: dict[str, Any],
    seen_at: datetime,
    skipped: Counter[str],
) -> Stored:
    if not rows:
        return Stored(skipped=skipped)
    table: Any = model._default_manager
    sight = {"first_seen_at": seen_at, "last_seen_at": seen_at, "checked_at": seen_at, "missing_count": 0}
    with transaction.atomic():
        known = {
            before["fullname"]: before
            for before in table.filter(fullname__in=[row["fullname"] for row in rows]).values(
                "fullname", *fields
            )
        }
        table.bulk_create(
            [model(**row, **on_insert, **sight) for row in rows],
            batch_size=BATCH_SIZE,
            update_conflicts=True,
            unique_fields=["fullname"],
            update_fields=[*fields, *SIGHT_FIELDS],
        )
    return Stored(
        found=len(rows),
        new=sum(row["fullname"] not in known for row in rows),
        changed=sum(is_changed(known[row["fullname"]], row) for row in rows if row["fullname"] in known),
        skipped=skipped,
    )


def is_changed(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Return whether any column that both name differs."""
    return any(before[name] != after[name] for name in before.keys() & after.keys())


def stored_posts(fullnames: Iterable[str]) -> list[RedditPost]:
    """Return the stored posts of these fullnames, in this order, with just what fetching comments needs."""
    order = list(fullnames)
    rows = RedditPost.objects.filter(fullname__in=order).only("pk", "fullname", "num_comments")
    found = {post.fullname: post for post in rows}
    return [found[fullname] for fullname in dict.fromkeys(order) if fullname in found]
