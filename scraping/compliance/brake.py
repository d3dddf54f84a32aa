"""The brake of a sweep: if too many items seem to be gone, a person decides before they are blanked (ADR 20).

A mark on a single item (deleted by its author, removed by a moderator) never counts. The brake counts weak evidence
only: items left out, subreddits reported as gone, and the same mark on nearly all items of an answer.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext_noop

import audit.events
import audit.words
from database import clock
from database.locks import locked
from database.messages import gettext as _
from database.names import folded
from scraping.compliance.doubts import Verdict
from scraping.models import ContentState, RedditComment, RedditPost
from scraping.models.set_aside import PERMISSION, Doubt, SetAside, SweepTally

# Fewer items than this are never set aside.
ITEMS_MIN: Final = 100
# A share is unusual if it is so many times the usual one.
TIMES_USUAL: Final = 5
# The upper age limits, each with the smallest share of items that counts as usually left out for the first time,
# even if history gives less. About one post in five is gone after 36 hours, most of them with a mark and after several
# checks.
AGES: Final = ((timedelta(days=2), 0.05), (timedelta(days=7), 0.02), (timedelta.max, 0.01))
# Items that go missing within this time belong to one wave; a decision about it is valid for as long.
WAVE: Final = timedelta(hours=48)
# Misses within this time are counted together; sweeps younger than this do not count as history yet.
_NEAR: Final = timedelta(hours=12)
_RECENT: Final = timedelta(hours=72)
_HISTORY: Final = timedelta(days=30)

_State = SetAside.State

audit.words.register(
    {
        "setaside.confirmed": gettext_noop("decided that Reddit is right"),
        "setaside.asked_again": gettext_noop("decided to ask Reddit again"),
    }
)


def age_of(created_at: datetime, at: datetime) -> int:
    """Return the index in ``AGES`` of an item made at ``created_at``."""
    return next(index for index, (limit, _floor) in enumerate(AGES) if at - created_at <= limit)


class Brake:
    """The results of a sweep so far, and whether they are so unusual that a person must decide."""

    def __init__(self, swept_at: datetime) -> None:
        self.swept_at = swept_at
        self._checks: Counter[int] = Counter()
        self._misses: Counter[int] = Counter()
        SweepTally.objects.filter(swept_at__lt=swept_at - _HISTORY).delete()
        self._usual = self._usual_shares()

    def _usual_shares(self) -> list[float]:
        shares = [floor for _limit, floor in AGES]
        for row in _sums(swept_at__lt=self.swept_at - _RECENT):
            if row["age"] < len(shares) and row["checked"]:
                shares[row["age"]] = max(shares[row["age"]], row["missing"] / row["checked"])
        return shares

    def tally(self, *, checked: Counter[int], missing: Counter[int]) -> None:
        """Add the items of one answer by age, and save the sweep's totals."""
        self._checks += checked
        self._misses += missing
        SweepTally.objects.bulk_create(
            [
                SweepTally(
                    swept_at=self.swept_at, age=age, checked=self._checks[age], missing=self._misses[age]
                )
                for age in self._checks
            ],
            update_conflicts=True,
            unique_fields=["swept_at", "age"],
            update_fields=["checked", "missing"],
        )

    def aside(self, cause: str, scope: str, group: Sequence[Verdict]) -> SetAside | None:
        """Return the row under which these items are set aside, or None if they may be blanked.

        ``scope`` is the index of the age for missing items, the name of a closed subreddit, the mark for marked items.
        """
        items = sum(v.item.doubt is None or v.item.doubt.set_aside_id is None for v in group)
        match cause:
            case SetAside.Cause.MISSING:
                missed = {v.item.doubt.missed_at for v in group if v.item.doubt and v.item.doubt.missed_at}
                return self._missing(int(scope), missed, items=items)
            case SetAside.Cause.CLOSED:
                return self._closed(scope, items=items)
        return self._marked(scope, items=items)

    def _missing(self, age: int, missed: set[datetime], *, items: int) -> SetAside | None:
        """Judge missing items by the sweeps that missed them first, because an error of Reddit begins suddenly."""
        near = Sum("missing", default=0)
        gone_near = SweepTally.objects.filter(
            age=age, swept_at__range=(min(missed) - _NEAR, max(missed) + _NEAR)
        ).aggregate(gone=near)["gone"]
        sums = SweepTally.objects.filter(age=age, swept_at__in=missed)
        found = sums.aggregate(checked=Sum("checked", default=0), gone=Sum("missing", default=0))
        is_usual = gone_near < ITEMS_MIN or found["gone"] < TIMES_USUAL * self._usual[age] * found["checked"]
        return _set_aside(
            SetAside.Cause.MISSING,
            str(age),
            items=items,
            is_usual=is_usual,
            usual_share=self._usual[age],
            **found,
        )

    def _closed(self, subreddit: str, *, items: int) -> SetAside | None:
        stored = _stored_of(subreddit)
        is_usual = stored < ITEMS_MIN
        return _set_aside(SetAside.Cause.CLOSED, folded(subreddit)[:50], items=items, is_usual=is_usual)

    def _marked(self, mark: str, *, items: int) -> SetAside | None:
        alike = Doubt.objects.filter(reason=Doubt.Reason.MARKED)[:ITEMS_MIN].count()
        return _set_aside(SetAside.Cause.MARKED, mark, items=items, is_usual=alike < ITEMS_MIN)


def _sums(**conditions: datetime) -> list[Any]:
    rows = SweepTally.objects.filter(**conditions).order_by().values("age")
    return list(rows.annotate(checked=Sum("checked"), missing=Sum("missing")))


def _stored_of(subreddit: str) -> int:
    """Count the stored items of a subreddit that are no tombstones, only as far as the brake needs it."""
    name = folded(subreddit)
    posts = RedditPost.objects.filter(subreddit__folded=name).exclude(state=ContentState.MISSING)
    found = posts.order_by()[:ITEMS_MIN].count()
    if found < ITEMS_MIN:
        comments = RedditComment.objects.filter(post__subreddit__folded=name)
        found += comments.exclude(state=ContentState.MISSING).order_by()[:ITEMS_MIN].count()
    return found


def _set_aside(
    cause: SetAside.Cause,
    scope: str,
    *,
    items: int,
    is_usual: bool,
    checked: int = 0,
    gone: int = 0,
    usual_share: float | None = None,
) -> SetAside | None:
    """Create or update the open row of this cause and scope and return it; None if no decision is needed."""
    rows = SetAside.objects.filter(cause=cause, scope=scope)
    wave = rows.filter(state=_State.CONFIRMED, decided_at__gte=clock.now() - WAVE)
    # Locked, and its state is not written: a person may decide at this moment.
    stored = rows.filter(state=_State.OPEN).select_for_update().first()
    if stored is None and (is_usual or wave.exists()):
        return None
    figures = {"checked": checked, "gone": gone, "usual_share": usual_share}
    if stored is None:
        return SetAside.objects.create(
            cause=cause, scope=scope, created_at=clock.now(), items=items, **figures
        )
    stored.items += items
    vars(stored).update(figures)
    stored.save(update_fields=["items", *figures])
    return stored


# --- Decisions ----------------------------------------------------------------------------------


def may_decide(person: User | AnonymousUser) -> bool:
    """Whether the person may decide about what is set aside."""
    return person.is_active and person.has_perm(PERMISSION)


def set_aside_waiting(person: User | AnonymousUser) -> int:
    """Return how many open decisions the person may see."""
    if not (person.is_active and person.has_perm("scraping.view_setaside")):
        return 0
    return SetAside.objects.filter(state=_State.OPEN).count()


class AlreadyDecided(Exception):
    """The decision was made before, by another person or by Reddit showing the items again."""


def decide(row: SetAside, *, is_right: bool, by: User | AnonymousUser) -> int:
    """Confirm Reddit's answer, or start the verification over; return the number of items concerned.

    The next sweep carries it out; an item that Reddit shows by then is never blanked.

    Raises:
        PermissionDenied: the person may not decide.
        AlreadyDecided: the row is no longer open.
    """
    if not may_decide(by):
        raise PermissionDenied(_("You may not decide about items that are set aside."))
    with transaction.atomic():
        stored = locked(row)
        if not stored.is_open:
            raise AlreadyDecided(
                _("This has been decided already: %(state)s.") % {"state": stored.get_state_display()}
            )
        stored.state = _State.CONFIRMED if is_right else _State.ASKED_AGAIN
        stored.decided_at = now = clock.now()
        stored.decided_by_id, stored.decided_by_name = by.pk, by.get_username()
        stored.save()
        doubts = Doubt.objects.filter(set_aside=stored)
        if is_right:
            items = doubts.update(ask_after=now)
        else:
            items = doubts.update(
                ask_after=now, since=now, times=1, missed_at=None, reason=Doubt.Reason.SUSPECT, set_aside=None
            )
        audit.events.record(
            "setaside.confirmed" if is_right else "setaside.asked_again",
            stored,
            by=by,
            after={"items": items, "cause": stored.cause, "scope": stored.scope},
        )
    return items


def close_returned() -> int:
    """Close the open rows all of whose items Reddit shows again; return how many."""
    return (
        SetAside.objects.filter(state=_State.OPEN, doubts__isnull=True)
        .update(state=_State.RETURNED, decided_at=clock.now())
    )  # fmt: skip
