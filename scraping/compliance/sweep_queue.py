"""Chooses the stored items that a sweep requests, and groups them into requests.

The least recently verified items come first. Items in doubt that are due are mixed with them, so that their absence can
be told from an answer that leaves out everything. An item that makes requests fail is requested alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from scraping.compliance import doubts
from scraping.compliance.doubts import Item
from scraping.content.upserts import Content
from scraping.models import ContentState, ErrorKind, RedditComment, RedditPost
from scraping.models.set_aside import Doubt
from scraping.reddit.answers import Page
from scraping.reddit.client import INFO_SIZE
from scraping.reddit.errors import RedditError

KINDS: Final[tuple[Content, ...]] = (RedditPost, RedditComment)
# How many items of one request may be in doubt.
_DOUBTED_MAX: Final = INFO_SIZE // 2
# How many items that make requests fail one sweep tries again.
_FAILING_MAX: Final = 5
_COLUMNS: Final = (
    "pk", "fullname", "state", "is_author_deleted", "missing_count", "checked_at", "created_at",
)  # fmt: skip

# The errors that a single item may cause; a lost network, refused credentials and a used-up budget are not among them.
_OF_AN_ITEM: Final = frozenset(
    {
        ErrorKind.SERVER_ERROR,
        ErrorKind.BAD_ANSWER,
        ErrorKind.BAD_REQUEST,
        ErrorKind.FORBIDDEN,
        ErrorKind.NOT_FOUND,
        ErrorKind.UNAVAILABLE_FOR_LEGAL_REASONS,
    }
)


def batches(before: datetime) -> Iterator[list[Item]]:
    """Yield the items of each request, as stored at that moment; all were last verified before ``before``."""
    for doubt in doubts.due(before, limit=_FAILING_MAX, failing=True):
        if item := _in_doubt([doubt]):
            yield item
    while items := _batch(before):
        yield items


def _batch(before: datetime) -> list[Item]:
    doubted = _in_doubt(doubts.due(before, limit=_DOUBTED_MAX, failing=False))
    others = _least_recently_checked(before, limit=INFO_SIZE - len(doubted))
    if not doubted and not others:
        return []
    lacking = max(len(doubted), doubts.ALIKE_MIN) - len(others)
    if lacking > 0:
        known = {item.fullname for item in others}
        shown = recently_shown(len(others) + lacking)
        others += [item for item in shown if item.fullname not in known][:lacking]
    return [*doubted, *others]


def _in_doubt(found: list[Doubt]) -> list[Item]:
    """Return the items in doubt that are still stored; delete the doubts about the others."""
    by_name = {doubt.fullname: doubt for doubt in found}
    items = [
        replace(Item(model, *row), doubt=by_name[row[1]])
        for model in KINDS
        for row in model._default_manager.filter(fullname__in=by_name).values_list(*_COLUMNS)
    ]
    if purged := by_name.keys() - {item.fullname for item in items}:
        Doubt.objects.filter(fullname__in=purged).delete()
    return items


def _least_recently_checked(before: datetime, *, limit: int) -> list[Item]:
    """Return up to ``limit`` items not verified since ``before`` and not in doubt, never verified ones first."""
    items: list[Item] = []
    for model in KINDS:
        # Two queries, because an index of PostgreSQL sorts nulls last.
        rows = doubts.not_in_doubt(model._default_manager.order_by("checked_at")).values_list(*_COLUMNS)
        never = list(rows.filter(checked_at__isnull=True)[:limit])
        found = [*never, *rows.filter(checked_at__lt=before)[: limit - len(never)]]
        items += [Item(model, *row) for row in found]
    return sorted(items, key=_queue_place)[:limit]


def _queue_place(item: Item) -> tuple[bool, float]:
    return item.checked_at is not None, item.checked_at.timestamp() if item.checked_at else 0.0


def recently_shown(limit: int) -> list[Item]:
    """Return items that Reddit showed recently, so that it should show them again."""
    for model in KINDS:
        rows: Any = model._default_manager.filter(
            checked_at__isnull=False, state=ContentState.LIVE, missing_count=0
        )
        found = doubts.not_in_doubt(rows.order_by("-checked_at")).values_list(*_COLUMNS)[:limit]
        if items := [Item(model, *row) for row in found]:
            return items
    return []


class Halving:
    """Halves a failing request again and again, down to the item that causes the failure."""

    def __init__(self, items: list[Item], ask: Callable[[list[Item]], Page]) -> None:
        self._items = items
        self._ask = ask
        # Items that Reddit should answer for in any case: if it does not, the failure is not caused by an item.
        self._witness: list[Item] = []

    def answers(self) -> Iterator[tuple[list[Item], Page | None]]:
        """Yield each part with its answer, which is None if the request fails because of this single item.

        Raises:
            RedditError: the failure is not caused by an item.
        """
        parts = [self._items]
        unproven: list[tuple[list[Item], RedditError]] = []
        while parts:
            part = parts.pop()
            try:
                page = self._ask(part)
            except RedditError as error:
                self._raise_unless_an_item_is_to_blame(error, is_alone=len(part) == 1)
                half = len(part) // 2
                if half:
                    parts += [part[half:], part[:half]]
                elif unproven and not self._witness:
                    raise
                else:
                    unproven.append((part, error))
            else:
                self._witness = part[-1:]
                yield part, page
        for part, failure in unproven:
            if not self._witness:
                raise failure
            yield part, None

    def _raise_unless_an_item_is_to_blame(self, error: RedditError, *, is_alone: bool) -> None:
        if error.stops_everything or error.kind not in _OF_AN_ITEM:
            raise error
        is_first = not self._witness
        if is_first:
            shown = recently_shown(len(self._items) + 1)
            self._witness = [item for item in shown if item not in self._items][:1]
        if self._witness and (is_first or is_alone):
            self._ask(self._witness)
