"""Decides what one answer of Reddit proves, and which items stay in doubt until the next request (ADR 20).

An answer that leaves out nearly all items, or marks nearly all alike, proves nothing. Its items are requested again an
hour later, in requests of which half are other items. An item is gone after two valid answers without it, hours apart.
A suspect answer that stays the same for 18 hours is accepted, except for items that the brake sets aside.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Exists, OuterRef

from scraping.content.upserts import Content
from scraping.models.set_aside import Doubt, SetAside

# After this time, items in doubt because of a suspect answer are requested again.
SUSPECT_FOR: Final = timedelta(hours=1)
# Two misses count separately only if they are this far apart.
MISSES_APART: Final = timedelta(hours=6)
# How often items of closed subreddits and items set aside, which stay in doubt, are requested.
WAITING_FOR: Final = timedelta(hours=12)
# After this time a suspect answer is accepted.
PATIENCE: Final = timedelta(hours=18)
# An answer is suspect if at least this percentage of its items is left out, or marked alike.
SUSPECT_PERCENT: Final = 90
# With fewer items than this, equal marks prove nothing.
ALIKE_MIN: Final = 10
# An item that makes requests fail is requested alone, with growing pauses up to this one.
FAILING_FOR_MAX: Final = timedelta(hours=24)

MARKS: Final = frozenset({"deleted", "removed", "account_deleted"})
_Reason = Doubt.Reason


@dataclass(frozen=True)
class Item:
    """A stored item as it was before the request, with the columns needed to name the outcome."""

    model: Content
    pk: int
    fullname: str
    state: str
    is_author_deleted: bool
    missing_count: int
    checked_at: datetime | None
    created_at: datetime
    doubt: Doubt | None = None

    @property
    def is_confirmed(self) -> bool:
        """Whether a person has confirmed Reddit's answer about it."""
        aside = self.doubt.set_aside if self.doubt else None
        return aside is not None and aside.state == SetAside.State.CONFIRMED


@dataclass(frozen=True)
class Verdict:
    """What one answer says about one item; ``values`` are its new columns if Reddit showed it.

    ``reason`` says why an item is "suspect". ``set_aside`` is the row under which it waits for a decision.
    """

    item: Item
    outcome: str
    values: dict[str, Any] | None = None
    reason: Doubt.Reason | None = None
    set_aside: SetAside | None = None

    @property
    def is_first_miss(self) -> bool:
        """Whether this is the first valid answer that left the item out."""
        doubt = self.item.doubt
        return self.outcome == "missing" and (
            doubt is None or doubt.missed_at is None or self.item.missing_count == 0
        )


# --- Repeated requests --------------------------------------------------------------------------


def not_in_doubt(rows: Any) -> Any:
    """Return the rows of a content table without those in doubt."""
    return rows.filter(~Exists(Doubt.objects.filter(fullname=OuterRef("fullname"))))


def due(at: datetime, *, limit: int, failing: bool) -> list[Doubt]:
    """Return doubts that are due, longest due first: either items that make requests fail, or all others."""
    rows = Doubt.objects.filter(ask_after__lte=at).order_by("ask_after", "pk").select_related("set_aside")
    rows = rows.filter(reason=_Reason.FAILS) if failing else rows.exclude(reason=_Reason.FAILS)
    return list(rows[:limit])


# --- What an answer proves ----------------------------------------------------------------------


def confirm(verdicts: Sequence[Verdict], at: datetime) -> list[Verdict]:
    """Replace the verdicts of one answer by what they prove.

    "absent" becomes "suspect", "missing" (the first time) or "tombstoned" (the second time); a mark on nearly all
    items becomes "suspect".
    """
    # Items in doubt are no evidence, because their own state is in question.
    evidence = [
        verdict
        for verdict in verdicts
        if verdict.item.doubt is None
        and verdict.outcome != "unreadable"
        and not (verdict.outcome == "unchanged" and verdict.values is None)  # a tombstone that was left out
    ]
    outcomes = Counter(verdict.outcome for verdict in evidence)
    mark = next((mark for mark in MARKS if _is_nearly_all(outcomes[mark], evidence)), None)
    alike = mark if outcomes[mark or ""] >= ALIKE_MIN else None
    believes_absence = bool(evidence) and not _is_nearly_all(outcomes["absent"], evidence)
    return [
        _confirm_absence(verdict, at, is_believed=believes_absence)
        if verdict.outcome == "absent"
        else _confirm_mark(verdict, at, alike=alike)
        for verdict in verdicts
    ]


def _is_nearly_all(number: int, evidence: Sequence[Verdict]) -> bool:
    return number > 0 and 100 * number >= SUSPECT_PERCENT * len(evidence)


def _confirm_absence(verdict: Verdict, at: datetime, *, is_believed: bool) -> Verdict:
    item, doubt = verdict.item, verdict.item.doubt
    if item.is_confirmed:
        return replace(verdict, outcome="tombstoned")
    if not is_believed and not _is_patience_over(doubt, at):
        return replace(verdict, outcome="suspect", reason=_Reason.SUSPECT)
    missing = replace(verdict, outcome="missing")
    if missing.is_first_miss or (doubt and doubt.missed_at and at - doubt.missed_at < MISSES_APART):
        return missing
    return replace(verdict, outcome="tombstoned")


def _confirm_mark(verdict: Verdict, at: datetime, *, alike: str | None) -> Verdict:
    item = verdict.item
    if verdict.outcome != alike or item.is_confirmed or _is_patience_over(item.doubt, at):
        return verdict
    return replace(verdict, outcome="suspect", reason=_Reason.MARKED, values=None)


def _is_patience_over(doubt: Doubt | None, at: datetime) -> bool:
    if doubt is None or doubt.reason not in (_Reason.SUSPECT, _Reason.MARKED):
        return False
    return at - doubt.since >= PATIENCE


# --- Saving -------------------------------------------------------------------------------------


def save(verdicts: Iterable[Verdict], at: datetime, *, swept_at: datetime) -> None:
    """Store the doubts that remain after an answer, and delete the others; the sweep began at ``swept_at``."""
    settled, doubts = [], []
    for verdict in verdicts:
        doubt = _doubt_after(verdict, at, swept_at)
        if doubt is not None:
            doubts.append(doubt)
        elif verdict.item.doubt is not None:
            settled.append(verdict.item.fullname)
    if settled:
        Doubt.objects.filter(fullname__in=settled).delete()
    if doubts:
        Doubt.objects.bulk_create(
            doubts,
            update_conflicts=True,
            unique_fields=["fullname"],
            update_fields=["reason", "times", "since", "missed_at", "ask_after", "verified_at", "set_aside"],
        )


def _doubt_after(verdict: Verdict, at: datetime, swept_at: datetime) -> Doubt | None:
    """Return the doubt that remains about an item, or None if there is none."""
    earlier = verdict.item.doubt
    doubt = Doubt(
        fullname=verdict.item.fullname,
        reason=_reason_of(verdict),
        times=1,
        since=at,
        missed_at=earlier.missed_at if earlier else None,
        verified_at=earlier.verified_at if earlier else verdict.item.checked_at,
        set_aside=verdict.set_aside,
    )
    if earlier is not None and earlier.reason == doubt.reason:
        doubt.times, doubt.since = earlier.times + 1, earlier.since
    match verdict.outcome:
        case "suspect":
            doubt.ask_after = at + SUSPECT_FOR
            # An answer that proves nothing leaves an item that is set aside where it is.
            doubt.set_aside = earlier.set_aside if earlier else None
        case "missing":
            doubt.missed_at = swept_at if verdict.is_first_miss else doubt.missed_at
            doubt.ask_after = (doubt.missed_at or at) + MISSES_APART
        case "hidden" | "set_aside":
            doubt.ask_after = at + WAITING_FOR
        case "failing":
            doubt.ask_after = at + min(doubt.times * MISSES_APART, FAILING_FOR_MAX)
        case "unreadable" if earlier is not None:
            doubt.ask_after = at + SUSPECT_FOR
        case _:
            return None
    return doubt


def _reason_of(verdict: Verdict) -> Doubt.Reason:
    earlier = verdict.item.doubt
    match verdict.outcome:
        case "failing":
            return _Reason.FAILS
        case "missing":
            return _Reason.MISSING
    return verdict.reason or (_Reason(earlier.reason) if earlier else _Reason.MISSING)
