"""Stores scraped items: upserts by fullname, one transaction per page.

The safety principle: an update never changes who found an item first and when, the hold on a post, or the post of a
comment. It changes nothing of an item that was verified after ``seen_at``. Rows are written in the order of their
fullnames, so that two scrapes of the same posts wait for each other instead of deadlocking.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction

from scraping.content.expiry import EXPIRED, Cutoffs, without_expired
from scraping.content.normalise import BadItem, comment_values, post_values
from scraping.content.upserts import Content, note_newest_comment, note_sight, note_sightings, upsert
from scraping.models import RedditComment, RedditPost, ScrapeSession

# Seeing an item counts as a check only this long after its last check: an update of each row for its time alone would
# cost as much as storing it again. So ``checked_at`` may be late by this much, but never early.
SIGHT_PRECISION: Final = timedelta(hours=12)


@dataclass(frozen=True)
class Stored:
    """The counts of stored items: ``found`` = ``new`` + known ones, of which ``changed`` were different before.

    ``skipped`` counts items that could not be stored, by reason; they are not in ``found``. ``odd`` counts invalid
    fields that were left empty; their items are stored.
    """

    found: int = 0
    new: int = 0
    changed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)


def store_posts(
    items: Iterable[dict[str, Any]],
    *,
    session: ScrapeSession | None,
    seen_at: datetime,
    cutoffs: Cutoffs | None = None,
) -> Stored:
    """Upsert raw posts (the ``data`` of t3). New ones belong to ``session``; its bot counts as a finder of them all.

    New posts older than the ``cutoffs`` are not stored, but counted as skipped.
    """
    odd: Counter[str] = Counter()
    found, skipped = _normalise(items, lambda data: post_values(data, odd))
    config_id = session.config_id if session else None
    rows = without_expired(found, cutoffs, config_id=config_id)
    if len(rows) < len(found):
        skipped[EXPIRED] += len(found) - len(rows)
    stored = store_rows(
        RedditPost,
        rows,
        on_insert={"session_id": session.pk if session else None, "config_id": config_id},
        seen_at=seen_at,
        skipped=skipped,
        finder=config_id,
    )
    return replace(stored, odd=odd)


def store_comments(post: RedditPost, items: Iterable[dict[str, Any]], *, seen_at: datetime) -> Stored:
    """Upsert raw comments (the ``data`` of t1) of a stored post; a comment of another post is skipped.

    Raises:
        IntegrityError: the post has been deleted meanwhile.
    """
    odd: Counter[str] = Counter()

    def values_of(data: dict[str, Any]) -> dict[str, Any]:
        if data.get("link_id", post.fullname) != post.fullname:
            raise BadItem("belongs to another post")
        return comment_values(data, odd)

    rows, skipped = _normalise(items, values_of)
    with transaction.atomic():
        # The post first: a purge locks in that order too.
        _note_newest_comment(post, (row["created_at"] for row in rows), seen_at=seen_at)
        stored = store_rows(
            RedditComment,
            rows,
            on_insert={"post_id": post.pk},
            seen_at=seen_at,
            skipped=skipped,
        )
    return replace(stored, odd=odd)


def _note_newest_comment(post: RedditPost, moments: Iterable[datetime], *, seen_at: datetime) -> None:
    """Update the time of the post's newest comment; times in the future are ignored."""
    newest = max((moment for moment in moments if moment <= seen_at), default=None)
    if newest is None or (post.newest_comment_at is not None and post.newest_comment_at >= newest):
        return
    note_newest_comment(post.pk, newest)
    post.newest_comment_at = newest


def _normalise(
    items: Iterable[dict[str, Any]], values_of: Callable[[dict[str, Any]], dict[str, Any]]
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the rows in the order of their fullnames, each once, and count the reasons of skipped items."""
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


def store_rows(
    model: Content,
    rows: list[dict[str, Any]],
    *,
    on_insert: dict[str, Any],
    seen_at: datetime,
    skipped: Counter[str],
    finder: int | None = None,
) -> Stored:
    """Upsert rows of ``normalise.py`` in the given order; see the module for what is never changed.

    ``finder`` is the bot that found these posts.
    """
    if not rows:
        return Stored(skipped=skipped)
    with transaction.atomic(savepoint=False):
        new, changed = upsert(model, rows, on_insert=on_insert, seen_at=seen_at)
        if new < len(rows):
            note_sight(model, rows, seen_at=seen_at, due_before=seen_at - SIGHT_PRECISION)
        if finder is not None:
            note_sightings([row["fullname"] for row in rows], config_id=finder)
    return Stored(found=len(rows), new=new, changed=changed, skipped=skipped)
