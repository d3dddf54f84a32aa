"""Stores the outcome of each item of one answer."""

from datetime import datetime
from typing import Any, Final

from django.db.models import Case, F, QuerySet, Value, When

from scraping.compliance.doubts import Verdict
from scraping.content.normalise import (
    PROFILE_OF_NOBODY,
    TOMBSTONE_COMMENT,
    TOMBSTONE_POST,
)
from scraping.content.upserts import Content, update_changed
from scraping.models import (
    RedditComment,
)

# Reddit may leave an item out once by mistake; after two misses in a row it is gone.
MISSING_MAX: Final = 2


def save(model: Content, verdicts: list[Verdict], asked_at: datetime) -> list[Verdict]:
    """Store the verdicts in a fixed number of statements, and return them with their final outcomes.

    Items that were deleted or seen since the request stay as they are: "unchanged".
    """
    table: Any = model._default_manager
    rows = table.filter(pk__in=[verdict.item.pk for verdict in verdicts])
    # Locked in the order in which scrapes write, so that the two do not deadlock.
    locked = rows.select_for_update(no_key=True).order_by("fullname")
    seen = dict(locked.values_list("pk", "last_seen_at"))
    ours = [v for v in verdicts if v.item.pk in seen and seen[v.item.pk] <= asked_at]
    shown = sorted(
        (v.values for v in ours if v.values is not None), key=lambda values: str(values["fullname"])
    )
    changed = update_changed(model, shown, seen_at=asked_at)

    def rest(*outcomes: str) -> QuerySet[Any]:
        found: QuerySet[Any] = table.filter(pk__in=[v.item.pk for v in ours if v.outcome in outcomes])
        return found

    same = [v.item.pk for v in ours if v.values is not None and v.item.fullname not in changed]
    table.filter(pk__in=same).update(checked_at=asked_at, last_seen_at=asked_at, missing_count=0)
    rest("missing").update(checked_at=asked_at, missing_count=1)
    rest("tombstoned").update(checked_at=asked_at, missing_count=MISSING_MAX, **_tombstone(model))
    # Items without a result move to the end of the queue too; otherwise they would block it for ever.
    rest("unreadable", "hidden", "unchanged", "suspect", "set_aside").update(checked_at=asked_at)
    newer = [pk for pk, seen_at in seen.items() if seen_at > asked_at]
    table.filter(pk__in=newer).update(checked_at=asked_at)
    is_ours = {verdict.item.pk for verdict in ours}
    return [
        verdict
        if verdict.item.pk in is_ours and (verdict.values is None or verdict.item.fullname in changed)
        else Verdict(verdict.item, "unchanged")
        for verdict in verdicts
    ]


def _tombstone(model: Content) -> dict[str, Any]:
    if model is RedditComment:
        return TOMBSTONE_COMMENT
    named = When(subreddit__folded__startswith="u_", then=Value(PROFILE_OF_NOBODY))
    return TOMBSTONE_POST | {"subreddit": Case(named, default=F("subreddit"))}
