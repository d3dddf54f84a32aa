"""The brake of a sweep: when so much seems gone that a person is asked before it is blanked (ADR 20).

What Reddit marks on single items (deleted by its author, removed by a moderator) never counts. What counts is what
proves little: items left out, subreddits said to be gone, and the same mark on nearly all of an answer.
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
from database.messages import gettext as _
from database.names import folded
from scraping.compliance.doubts import Verdict
from scraping.models import ContentState, RedditComment, RedditPost
from scraping.models.set_aside import PERMISSION, Doubt, SetAside, SweepTally

# Fewer than so many items are never worth a person's time.
ITEMS_MIN: Final = 100
# So many times the usual share is not usual.
TIMES_USUAL: Final = 5
# Items this old or younger; of 1 checked, the share that is usually left out for the first time, at least, while history
# says less. About one post in five is gone after 36 hours, most of them with a mark, and after several checks.
AGES: Final = ((timedelta(days=2), 0.05), (timedelta(days=7), 0.02), (timedelta.max, 0.01))
# What happened within counts as one wave; a decision about it holds for as long.
WAVE: Final = timedelta(hours=48)
# Misses this far apart are counted together; so much of the past is not history yet.
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
    """Return the index in ``AGES`` of an item made then."""
    return next(index for index, (limit, _floor) in enumerate(AGES) if at - created_at <= limit)


class Brake:
    """What a sweep has found so far, and whether that is too much to be believed."""

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
        """Add one answer's items by age, and save the sweep's sums."""
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
        """Return where these items are set aside; None: they may be blanked.

        ``scope``: of missing items the index of their age, of a closed subreddit its name, of marked ones the mark.
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
        """Look at the sweeps that missed them first: an error of Reddit begins all at once."""
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
    """Return how many items of a subreddit are stored that are no tombstones; no more than the brake needs to know."""
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
    """Return the open row of this cause and scope, made or brought up to date; None where none is called for."""
    rows = SetAside.objects.filter(cause=cause, scope=scope)
    wave = rows.filter(state=_State.CONFIRMED, decided_at__gte=clock.now() - WAVE)
    stored = rows.filter(state=_State.OPEN).first()
    if stored is None and (is_usual or wave.exists()):
        return None
    stored = stored or SetAside(cause=cause, scope=scope, created_at=clock.now())
    stored.items += items
    stored.checked, stored.gone, stored.usual_share = checked, gone, usual_share
    stored.save()
    return stored


# --- Decisions ----------------------------------------------------------------------------------


def may_decide(person: User | AnonymousUser) -> bool:
    """Whether the person may decide about what is set aside."""
    return person.is_active and person.has_perm(PERMISSION)


def set_aside_waiting(person: User | AnonymousUser) -> int:
    """Return how many decisions wait that the person may look at."""
    if not (person.is_active and person.has_perm("scraping.view_setaside")):
        return 0
    return SetAside.objects.filter(state=_State.OPEN).count()


class AlreadyDecided(Exception):
    """Somebody else, or Reddit, was faster; the text says so."""


def decide(row: SetAside, *, is_right: bool, by: User | AnonymousUser) -> int:
    """Believe Reddit, or ask it anew as if nothing had been asked; return how many items that is about.

    The next sweep does either: what Reddit shows by then is never blanked.

    Raises:
        PermissionDenied: they may not.
        AlreadyDecided: it waits for no decision any more.
    """
    if not may_decide(by):
        raise PermissionDenied(_("You may not decide about items that are set aside."))
    with transaction.atomic():
        stored = SetAside.objects.select_for_update().get(pk=row.pk)
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
    """Close what waits for a decision although Reddit shows all of its items again; return how many."""
    return (
        SetAside.objects.filter(state=_State.OPEN, doubts__isnull=True)
        .update(state=_State.RETURNED, decided_at=clock.now())
    )  # fmt: skip
