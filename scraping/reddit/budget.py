"""One request budget for each OAuth client id, shared by all workers (ADR 10).

Reddit allows a client id 100 requests per minute, averaged over ten minutes: 1,000 in each window of ten minutes. Each
answer gives the state of the window in its rate headers ``x-ratelimit-used``, ``-remaining`` and ``-reset``. One row
per client id holds what is left of the window. A worker takes requests from it in portions, writes the latest rate
headers when a portion is used up, and returns what it did not need.

A request that would have to wait longer than ``PATIENCE_SECONDS`` raises ``Exhausted`` instead, and the work goes on
in the next window.
"""

import math
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from scraping.models import RequestBudget

# Reddit's documented limit (https://support.reddithelp.com, "Reddit Data API Wiki"), until its headers say otherwise.
WINDOW_SECONDS: Final = 600.0
WINDOW_REQUESTS: Final = 1_000
# Requests that a worker takes at once. Each portion costs one UPDATE; a killed worker loses its portion until the
# window ends.
PORTION: Final = 8
# The share of each window that is reserved for the verification of stored content.
COMPLIANCE_SHARE: Final = 0.1
# The longest time that a worker waits for a request, in all.
PATIENCE_SECONDS = 10.0
# Reddit gives the end of the window in whole seconds, so a window counts as over this much later.
MARGIN_SECONDS: Final = 0.5
# Two ends further apart than this belong to two windows. A smaller difference is rounding or a slow answer: the moment
# at which its headers were made is unknown, so a slow answer makes the end look later.
SAME_WINDOW_SECONDS = 60.0
# An answer whose window ends this soon may belong to the previous window.
LAST_WORDS_SECONDS: Final = 3.0
# The wait after a 429 that gives no time, and the longest wait that is accepted.
BLOCK_SECONDS: Final = 60.0
BLOCK_SECONDS_MAX: Final = 3_600.0
# Longer than one request takes with PRAW's two retries and the pauses before them.
TURN_SECONDS: Final = 60.0

_Answer = TypeVar("_Answer")


class Exhausted(Exception):
    """No request may be sent for ``seconds`` from now."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class RateHeaders:
    """The rate headers of an answer: requests of this window, and seconds until its end."""

    used: float
    remaining: float
    reset: float


@dataclass(frozen=True)
class Portion:
    """Requests given to one worker, for one window."""

    requests: int
    window: int
    seconds: float  # until the window ends


@dataclass(frozen=True)
class State:
    """A budget's row at one moment; every method returns the next one."""

    now: datetime
    window_requests: int
    window: int
    ends_at: datetime
    is_confirmed: bool
    used: int
    used_by_compliance: int
    leased: int
    blocked_until: datetime | None

    @property
    def taken(self) -> int:
        """Requests of this window that were sent or are given out."""
        return self.used + self.leased

    @property
    def seconds_left(self) -> float:
        """Seconds until the next window begins."""
        return (self.ends_at - self.now).total_seconds() + MARGIN_SECONDS

    @property
    def seconds_blocked(self) -> float:
        """Seconds for which no request may be sent after a 429."""
        return (self.blocked_until - self.now).total_seconds() if self.blocked_until else 0.0

    @property
    def time_left(self) -> timedelta:
        """Time until the next window begins."""
        return timedelta(seconds=self.seconds_left)

    @property
    def time_blocked(self) -> timedelta | None:
        """Time for which no request may be sent after a 429; None if requests are allowed."""
        return timedelta(seconds=self.seconds_blocked) if self.seconds_blocked > 0 else None

    def free(self, *, for_compliance: bool) -> int:
        """Return how many requests may still be given away."""
        reserved = 0 if for_compliance else self.reserved
        return max(0, self.window_requests - self.used - self.leased - reserved)

    @property
    def reserved(self) -> int:
        """The part of the compliance share that is not used yet."""
        return max(0, math.floor(self.window_requests * COMPLIANCE_SHARE) - self.used_by_compliance)

    def rolled(self) -> "State":
        """Begin a new window if this one is over; its end is an estimate until Reddit's headers confirm it."""
        if self.seconds_left > 0:
            return self
        return self._next_window(self.now + timedelta(seconds=WINDOW_SECONDS), is_confirmed=False)

    def _next_window(self, ends_at: datetime, *, is_confirmed: bool) -> "State":
        return replace(
            self, window=self.window + 1, ends_at=ends_at, is_confirmed=is_confirmed,
            used=0, used_by_compliance=0, leased=0,
        )  # fmt: skip

    def after_headers(self, headers: RateHeaders, *, seconds_ago: float) -> "State":
        """Apply the rate headers of an answer that arrived ``seconds_ago``."""
        ends_at = self.now + timedelta(seconds=headers.reset - seconds_ago)
        if ends_at + timedelta(seconds=MARGIN_SECONDS) <= self.now:
            return self  # the headers of a window that is over
        state = self
        slack = timedelta(seconds=SAME_WINDOW_SECONDS)
        if self.is_confirmed and ends_at > self.ends_at + slack:
            state = self._next_window(ends_at, is_confirmed=True)
        elif self.is_confirmed and ends_at < self.ends_at - slack:
            if ends_at <= self.now + timedelta(seconds=LAST_WORDS_SECONDS):
                return self  # the headers of the previous window
            state = replace(self, ends_at=ends_at)  # the stored end was wrong
        return replace(
            state,
            # Reddit rounds down, so each answer gives an end that is a little too early: the latest one is right.
            ends_at=max(ends_at, state.ends_at) if state.is_confirmed else ends_at,
            is_confirmed=True,
            used=max(state.used, math.ceil(headers.used)),
            window_requests=max(1, math.floor(headers.used + headers.remaining)),
        )

    def settled(self, portion: Portion, *, spent: int, unconfirmed: int, for_compliance: bool) -> "State":
        """Account for a portion: ``spent`` requests of it were sent, ``unconfirmed`` of them since the last headers.

        Unconfirmed requests count as given until the window ends: headers that are written later may be older, and
        ``used`` keeps only the highest number of all headers.
        """
        if portion.window != self.window:
            return self
        unspent = portion.requests - spent
        return replace(
            self,
            # The headers count all earlier requests, including those of other programs.
            leased=max(0, self.leased - portion.requests + unconfirmed),
            used_by_compliance=max(0, self.used_by_compliance - (unspent if for_compliance else 0)),
        )

    def given(self, requests: int, *, for_compliance: bool) -> tuple["State", Portion | None]:
        """Give away up to ``requests``; the portion is None if there are none now."""
        requests = min(requests, self.free(for_compliance=for_compliance))
        if requests <= 0 or self.seconds_blocked > 0:
            return self, None
        given = replace(
            self,
            leased=self.leased + requests,
            used_by_compliance=self.used_by_compliance + (requests if for_compliance else 0),
        )
        return given, Portion(requests, self.window, self.seconds_left)

    def blocked(self, seconds: float) -> "State":
        """Give nothing away for ``seconds`` from now."""
        until = self.now + timedelta(seconds=min(seconds, BLOCK_SECONDS_MAX))
        return replace(self, blocked_until=max(until, self.blocked_until or until))


_STORED: Final = (
    "window_requests", "window", "ends_at", "is_confirmed", "used", "used_by_compliance", "leased", "blocked_until",
)  # fmt: skip


def state_of(client_id: str) -> State | None:
    """Return a client id's budget as it is now; None before its first request. Writes nothing."""
    row = _read(client_id)
    return State(**{name: row[name] for name in ("now", *_STORED)}).rolled() if row else None


def states_of(clients: QuerySet[RequestBudget]) -> dict[str, State]:
    """Return the budgets of several client ids as they are now, in one query. Writes nothing."""
    rows = clients.values("client_id", *_STORED, now=Now())
    return {
        row["client_id"]: State(**{name: row[name] for name in ("now", *_STORED)}).rolled() for row in rows
    }


def _read(client_id: str) -> dict[str, Any] | None:
    rows = RequestBudget.objects.filter(client_id=client_id)
    row: dict[str, Any] | None = rows.values("pk", "version", *_STORED, now=Now()).first()
    return row


def _change(client_id: str, step: Callable[[State], tuple[State, _Answer]]) -> _Answer:
    """Apply ``step`` to the row by compare-and-set, and return its answer."""
    while True:
        row = _read(client_id)
        if row is None:
            _create(client_id)
            continue
        before = State(**{name: row[name] for name in ("now", *_STORED)})
        after, answer = step(before.rolled())
        if after == before:
            return answer
        rows = RequestBudget.objects.filter(pk=row["pk"], version=row["version"])
        values = {name: getattr(after, name) for name in _STORED}
        if rows.update(version=row["version"] + 1, **values):
            return answer
        time.sleep(random.uniform(0.001, 0.02))  # noqa: S311  # lost the race; do not collide again


def _create(client_id: str) -> None:
    try:
        with transaction.atomic():
            RequestBudget.objects.create(
                client_id=client_id,
                window_requests=WINDOW_REQUESTS,
                ends_at=Now() + timedelta(seconds=WINDOW_SECONDS),
            )
    except IntegrityError:
        if not RequestBudget.objects.filter(client_id=client_id).exists():
            raise


class Allowance:
    """The request allowance of one client in one thread; call ``give_back`` at the end."""

    def __init__(self, client_id: str, *, for_compliance: bool = False) -> None:
        self.client_id = client_id
        self.for_compliance = for_compliance
        self.slept = 0.0  # seconds in all
        self._portion: Portion | None = None
        self._expires = 0.0  # time.monotonic()
        self._left = 0
        self._spent = 0  # of the portion
        self._unconfirmed = 0  # sent since the last rate headers
        self._headers: RateHeaders | None = None
        self._headers_at = 0.0

    def fill(self) -> None:
        """Make sure that at least one request may be sent.

        Raises:
            Exhausted: none may be sent for longer than ``PATIENCE_SECONDS``.
        """
        patience = PATIENCE_SECONDS
        while self._left <= 0 or time.monotonic() >= self._expires:
            wait = self._lease()
            if wait <= 0:
                return
            if wait > patience:
                raise Exhausted(wait)
            self._sleep(wait)
            patience -= wait

    def take(self) -> None:
        """Count one request as sent.

        Raises:
            Exhausted: see ``fill``.
        """
        self.fill()
        self._left -= 1
        self._spent += 1
        self._unconfirmed += 1

    def note(self, headers: RateHeaders) -> None:
        """Keep an answer's rate headers; they are written to the row with the next portion."""
        if self._headers is not None and headers.used < self._headers.used and self._is_same_window(headers):
            return  # an older answer that arrived later
        self._headers, self._headers_at, self._unconfirmed = headers, time.monotonic(), 0
        self._left = min(self._left, math.floor(headers.remaining))

    def _is_same_window(self, headers: RateHeaders) -> bool:
        assert self._headers is not None
        return (
            headers.reset <= self._headers.reset - (time.monotonic() - self._headers_at) + SAME_WINDOW_SECONDS
        )

    def refused(self, seconds: float | None) -> float:
        """Stop all workers of the client id after a 429 that asked for ``seconds``; return the seconds of the stop."""
        wait = BLOCK_SECONDS if seconds is None else min(max(seconds, 1.0), BLOCK_SECONDS_MAX)
        self._settle(lambda state: (state.blocked(wait), None))
        return wait

    def give_back(self) -> None:
        """Return the requests that were not sent."""
        if self._portion is not None or self._headers is not None:
            self._settle(lambda state: (state, None))

    def _lease(self) -> float:
        """Take a portion and return 0, or return the seconds after which there may be one."""

        def step(state: State) -> tuple[State, tuple[Portion | None, float]]:
            state, portion = state.given(PORTION, for_compliance=self.for_compliance)
            free = state.free(for_compliance=self.for_compliance)
            wait = state.seconds_left if free <= 0 else 0.0
            return state, (portion, max(wait, state.seconds_blocked, 0.05))

        portion, wait = self._settle(step)
        if portion is None:
            return wait
        self._portion, self._left = portion, portion.requests
        self._expires = time.monotonic() + portion.seconds
        return 0.0

    def _settle(self, then: Callable[[State], tuple[State, _Answer]]) -> _Answer:
        """Write the portion's use and the rate headers to the row, and apply ``then`` in the same write."""
        portion, headers = self._portion, self._headers

        def step(state: State) -> tuple[State, _Answer]:
            if headers is not None:
                state = state.after_headers(headers, seconds_ago=time.monotonic() - self._headers_at)
            if portion is not None:
                state = state.settled(
                    portion,
                    spent=self._spent,
                    unconfirmed=self._unconfirmed,
                    for_compliance=self.for_compliance,
                )
            return then(state)

        answer = _change(self.client_id, step)
        self._portion, self._headers = None, None
        self._left = self._spent = self._unconfirmed = 0
        return answer

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Send morechildren requests of this client id one at a time, as Reddit asks (https://www.reddit.com/dev/api).

        Raises:
            Exhausted: others held the turn for longer than ``PATIENCE_SECONDS``.
        """
        holder, began = uuid.uuid4().hex, time.monotonic()
        rows = RequestBudget.objects.filter(client_id=self.client_id)
        if not rows.exists():
            _create(self.client_id)
        while not rows.filter(Q(turn_until__isnull=True) | Q(turn_until__lt=Now())).update(
            turn_holder=holder, turn_until=Now() + timedelta(seconds=TURN_SECONDS)
        ):
            if time.monotonic() - began > PATIENCE_SECONDS:
                raise Exhausted(PATIENCE_SECONDS)
            self._sleep(random.uniform(0.05, 0.2))  # noqa: S311  # gives all workers the same chance
        try:
            yield
        finally:
            rows.filter(turn_holder=holder).update(turn_holder="", turn_until=None)

    def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        self.slept += seconds
