"""The state of a judgement from one listing to the next: opened at the second look, followed, and ended."""

from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from scraping.yields.history import History
from scraping.yields.judge import (
    FEWER_SHARE,
    MORE,
    MORE_SHARE,
    SILENT,
    Sum,
    Usual,
    chance,
    chance_allowed,
    far,
    has_ended,
    window_of,
    windows,
)

# A change, other than silence, that has lasted for so many hours is the new usual.
NEW_USUAL: Final = 14 * 24
# The stretches that are shown where nothing is unusual, and the posts to be expected in one.
SHOWN: Final = (24, 168)
SHOWN_POSTS: Final = 10.0
# What cannot be told from chance within so many hours is not judged.
REACH: Final = 336


@dataclass
class Verdict:
    """What the listings so far have shown; hours are counted from 1970.

    Attributes:
        kind: ``silent``, ``fewer`` or ``more``; empty: usual, or too little is known.
        since: the first hour of what is unusual.
        pending: the side, ``low`` or ``high``, that the previous look found unusual: the next one decides.
        after: where the last unusual time ended; what was before it is not judged again.
    """

    kind: str = ""
    since: int | None = None
    pending: str = ""
    after: int | None = None

    @classmethod
    def of(cls, saved: Any) -> Self:
        """Return the saved state, or that of a pair without history."""
        return cls(**saved) if isinstance(saved, dict) and saved.keys() <= set(cls.__annotations__) else cls()

    def as_json(self) -> dict[str, Any]:
        """Return the state for the JSON column."""
        return asdict(self)


@dataclass(frozen=True)
class Figures:
    """Posts since an hour, and between which figures nine such sums out of ten are; and the hour of the next verdict.

    Attributes:
        due: by this hour silence is told from chance if no post comes; None: not within two weeks.
    """

    begin: int
    posts: int
    low: int
    high: int
    due: int | None


def look(history: History, verdict: Verdict, *, subreddits: int) -> Figures | None:
    """Judge a pair after a listing that completed an hour, and return its figures; None: too little is known.

    Args:
        history: what was listed; a change that is the new usual cuts off what was before it.
        verdict: the state before, which is brought up to date.
        subreddits: how many the bot has: the more pairs are looked at, the less chance each one may have.
    """
    if verdict.kind:
        _follow(history, verdict, subreddits)
    else:
        _search(history, verdict, subreddits)
    return figures(history, verdict.since if verdict.kind else None, subreddits=subreddits)


def _search(history: History, verdict: Verdict, subreddits: int) -> None:
    found = far(windows(history, since=verdict.after), subreddits=subreddits)
    side = "" if found is None else "high" if found.kind == MORE else "low"
    if found is not None and side == verdict.pending:
        verdict.kind, verdict.since, verdict.pending = found.kind, _onset(history, found), ""
    else:
        verdict.pending = side


def _follow(history: History, verdict: Verdict, subreddits: int) -> None:
    assert history.until is not None
    assert verdict.since is not None
    sums = windows(history, since=verdict.since, usual_before=verdict.since)
    ended = has_ended(sums, verdict.kind)
    lasted = history.until - verdict.since
    if ended is not None or (not sums and _is_over(history, verdict)):
        verdict.after = ended.begin if ended is not None else history.until
        verdict.kind, verdict.since = "", None
    elif verdict.kind != SILENT and lasted >= NEW_USUAL:
        history.forget_before(verdict.since)
        verdict.kind, verdict.since, verdict.after = "", None, None
    elif (found := far(sums, subreddits=subreddits)) is not None and found.kind != verdict.kind:
        verdict.kind, verdict.since = found.kind, _onset(history, found)


def _is_over(history: History, verdict: Verdict) -> bool:
    """Whether a change is over whose usual figures are forgotten: a silence ends with a post."""
    assert history.until is not None
    assert verdict.since is not None
    if history.until - verdict.since < REACH:
        return False
    return verdict.kind != SILENT or any(history.kept[-24:])


def _onset(history: History, found: Sum) -> int:
    """Return the hour after the last post, for a window without one; else where the window begins."""
    assert history.until is not None
    first, begin = history.until - len(history.kept), found.begin
    if found.posts == 0:
        while begin > first and history.kept[begin - first - 1] == 0:
            begin -= 1
    return begin


def figures(history: History, since: int | None, *, subreddits: int) -> Figures | None:
    """Return the figures since an hour; without one, those of the last day, or of the last week if a day says little."""
    if history.until is None:
        return None
    first = history.until - len(history.kept)
    size = len(history.kept)
    for hours in SHOWN if since is None else (history.until - since,):
        start = max(size - hours, 0)
        usual = Usual(history.kept[: min(start, size - 24)], first + min(start, max(size - 24, 0)))
        if not usual.has_evidence:
            return None
        expected = usual.expected(first + start, history.kept[start:])
        if since is not None or expected >= SHOWN_POSTS or hours == SHOWN[-1]:
            break
    posts = sum(count for count in history.kept[start:] if count is not None)
    made = Sum(window_of(hours), first + start, posts, expected, usual)
    return Figures(made.begin, posts, made.low, made.high, _due(history, usual, subreddits))


def _due(history: History, usual: Usual, subreddits: int) -> int | None:
    """Return the hour by which silence is told from chance, counted from the last post on."""
    assert history.until is not None
    first = history.until - len(history.kept)
    begin = history.until if not history.open_kept else history.until + 1
    while (
        begin > max(first, history.until - REACH)
        and begin <= history.until
        and not history.kept[begin - first - 1]
    ):
        begin -= 1
    expected = 0.0
    for hours in range(1, REACH + 1):
        expected += usual.expected(begin + hours - 1, (0,))
        if chance(0, expected, usual.spread(window_of(hours), expected)) < chance_allowed(hours, subreddits):
            return begin + hours
    return None


def usual_of_listed(history: History, since: int) -> bool:
    """Whether Reddit listed about as many posts since an hour as usual, before the filters of the bot."""
    listed = History(history.until, history.listed, history.listed)
    assert history.until is not None
    first = history.until - len(listed.kept)
    start = max(since - first, 0)
    usual = Usual(listed.kept[:start], first + start)
    expected = usual.expected(first + start, listed.kept[start:]) if usual.has_evidence else 0.0
    posts = sum(count for count in listed.kept[start:] if count is not None)
    return expected > 0 and FEWER_SHARE <= posts / expected < MORE_SHARE
