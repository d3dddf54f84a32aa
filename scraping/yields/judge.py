"""Whether a bot keeps far fewer or far more posts of a subreddit than usual (ADR 51).

The posts of the last 3 hours, 6 hours … 2 weeks are compared with what the same hours of the week brought before. A sum
is far from usual if a negative binomial distribution, whose spread comes from the pair's own history, gives it a smaller
chance than the one that the window may use up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scraping.yields.history import HOURS, History, place_of

SILENT, FEWER, MORE = "silent", "fewer", "more"
# The sums that are looked at, in known hours.
WINDOWS: Final = (3, 6, 12, 18, 24, 36, 48, 72, 96, 168, 336)
# What is usual is computed before these many last hours: three times, not once for each window.
SPLITS: Final = (24, 168, 336)
# No judgement before so many known hours, and so many posts in them, precede the window.
KNOWN_MIN: Final = 14 * 24
POSTS_MIN: Final = 20
# A window must not reach back further than this many times its hours: too much of it is not known.
STRETCH_MAX: Final = 1.5
# How many false alarms a bot may have in 30 days by chance, on each side.
ALARMS_A_MONTH: Final = 0.2
# Sums that overlap are not independent: about this many independent looks fit into one window.
LOOKS_A_WINDOW: Final = 3
# What counts as far from usual, however unlikely less may be.
SILENT_SHARE, FEWER_SHARE, MORE_SHARE = 0.05, 0.65, 2.0
# The weight of a day in the level halves in so many days: subreddits grow and shrink.
HALF_LIFE: Final = 14
# The level needs so many days before it foretells anything.
WARM_UP: Final = 10
# An hour of the week counts fully from so many posts of the week on; with fewer it takes the shape of the whole day.
SHAPE_POSTS: Final = 2.0
SPREAD_MIN: Final = 0.001
# The spread that is assumed before the history shows one, and the number of windows whose weight it has.
SPREAD: Final = 0.05
SPREAD_WEIGHT: Final = 4.0
# A day that was this many times above or below the others says nothing about what is usual.
ODD_DAY: Final = 4.0
ODD_DAY_POSTS: Final = 12.0
# The bounds that people are shown hold nine sums out of ten.
SHOWN_TAIL: Final = 0.05
# A sum that is less odd than this ends an alarm; it must have so many posts to be expected.
ENDS_TAIL: Final = 0.1
ENDS_POSTS: Final = 4.0


@dataclass(frozen=True)
class Sum:
    """The posts of a window, and what is usual for it: ``low`` to ``high`` in nine cases of ten."""

    hours: int
    begin: int  # the first hour since 1970
    posts: int
    expected: float
    usual: "Usual"

    @property
    def spread(self) -> float:
        """How far such sums are from what is expected: variance = mean + spread · mean²."""
        return self.usual.spread(self.hours, self.expected)

    @property
    def low(self) -> int:
        """The lower bound of what is usual."""
        return quantile(SHOWN_TAIL, self.expected, self.spread)

    @property
    def high(self) -> int:
        """The upper bound of what is usual."""
        return quantile(1 - SHOWN_TAIL, self.expected, self.spread)

    @property
    def kind(self) -> str:
        """Silent, fewer or more, by the share alone; empty if it is near what is expected."""
        share = self.posts / self.expected
        if share <= SILENT_SHARE:
            return SILENT
        if share <= FEWER_SHARE:
            return FEWER
        return MORE if share >= MORE_SHARE else ""

    @property
    def chance(self) -> float:
        """How likely a sum so far on this side of the expected one is."""
        return chance(self.posts, self.expected, self.spread)

    def is_far(self, allowed: float) -> bool:
        """Whether it is less likely than this; a sum that even chance without any spread allows is not measured."""
        return (
            bool(self.kind)
            and chance(self.posts, self.expected, SPREAD_MIN) < allowed
            and self.chance < allowed
        )


def chance(posts: int, expected: float, spread: float) -> float:
    """Return the probability of so few posts or fewer, or if there are more than expected, of so many or more."""
    if posts < expected:
        return _below(posts, expected, spread)
    return max(1.0 - _below(posts - 1, expected, spread), _tail(posts, expected, spread)) if posts else 1.0


def _log_pmf(posts: int, expected: float, spread: float) -> float:
    size = 1 / spread
    return (
        math.lgamma(posts + size)
        - math.lgamma(size)
        - math.lgamma(posts + 1)
        - size * math.log1p(spread * expected)
        + posts * (math.log(spread * expected) - math.log1p(spread * expected))
    )


def _below(posts: int, expected: float, spread: float) -> float:
    """Return the probability of at most so many posts (negative binomial; variance = mean + spread · mean²)."""
    if posts < 0:
        return 0.0
    term, total, at = math.exp(_log_pmf(posts, expected, spread)), 0.0, posts
    share, size = spread * expected / (1 + spread * expected), 1 / spread
    while term > total * 1e-9:
        total += term
        if not at:
            break
        term *= at / ((at - 1 + size) * share)
        at -= 1
    return min(total, 1.0)


def _tail(posts: int, expected: float, spread: float) -> float:
    """Return the probability of at least so many posts, of more than expected; exact where it is tiny."""
    term, total, at = math.exp(_log_pmf(posts, expected, spread)), 0.0, posts
    share, size = spread * expected / (1 + spread * expected), 1 / spread
    while term > total * 1e-9:
        total += term
        at += 1
        term *= (at - 1 + size) * share / at
    return min(total, 1.0)


def quantile(tail: float, expected: float, spread: float) -> int:
    """Return the smallest number of posts that is not exceeded with this probability."""
    size, share = 1 / spread, spread * expected / (1 + spread * expected)
    mass = math.exp(-size * math.log1p(spread * expected))
    total, at = mass, 0
    while total < tail and at < 10 * expected + 100:
        at += 1
        mass *= (at - 1 + size) * share / at
        total += mass
    return at


class Usual:
    """What is usual for a pair: a shape of the week times a level, and how far sums were from what these foretold.

    Args:
        posts: the known hours before ``until``, oldest first; None where nothing is known.
        until: the first hour after them, since 1970.
    """

    def __init__(self, posts: Sequence[int | None], until: int) -> None:
        self._first = until - len(posts)
        self._hours = [
            (self._first + number, count) for number, count in enumerate(posts) if count is not None
        ]
        self.total = sum(count for _hour, count in self._hours)
        self.weeks = len(self._hours) / HOURS
        self._shape = _shape(self._hours)
        self.level = 0.0
        self._levels: dict[int, float] = {}  # the level before each day
        self._spreads: dict[int, float] = {}
        self._sums: dict[int, dict[int, tuple[float, float, int]]] = {}
        if self.has_evidence:
            self._read_days()

    @property
    def has_evidence(self) -> bool:
        """Whether there is enough history for a judgement."""
        return len(self._hours) >= KNOWN_MIN and self.total >= POSTS_MIN

    def _read_days(self) -> None:
        days = self._sums_by_day()
        odd = {
            day
            for day, (count, usual) in days.items()
            if usual >= ODD_DAY_POSTS and not usual / ODD_DAY <= count <= usual * ODD_DAY
        }
        if odd and len(odd) * 4 <= len(days):
            self._hours = [one for one in self._hours if one[0] // 24 not in odd]
            self._shape = _shape(self._hours)
            days = self._sums_by_day()
        # From the first weeks' mean, the level follows the posts of the last weeks.
        start, factor = sorted(days)[:WARM_UP], 0.5 ** (1 / HALF_LIFE)
        posts = sum(days[day][0] for day in start) / len(start)
        usual = sum(days[day][1] for day in start) / len(start)
        posts, usual = posts * HALF_LIFE, usual * HALF_LIFE
        self.level = posts / usual if usual else 0.0
        for day in range(start[0], max(days) + 1):
            self._levels[day] = self.level
            if day in days and day > start[-1]:
                posts, usual = factor * posts + days[day][0], factor * usual + days[day][1]
                self.level = posts / usual

    def _sums_by_day(self) -> dict[int, tuple[float, float]]:
        sums: dict[int, tuple[float, float]] = {}
        for hour, count in self._hours:
            posts, usual = sums.get(hour // 24, (0.0, 0.0))
            sums[hour // 24] = posts + count, usual + self._shape[place_of(hour)]
        return sums

    def expected(self, begin: int, posts: Sequence[int | None]) -> float:
        """Return the expected posts in the known hours of a stretch that begins with this hour."""
        shape = sum(
            self._shape[place_of(begin + number)] for number, count in enumerate(posts) if count is not None
        )
        return self.level * shape

    def spread(self, hours: int, expected: float) -> float:
        """Return the spread (variance = mean + spread · mean²) of sums over so many hours, doubts included."""
        own = self._spreads.get(hours)
        if own is None:
            own = self._spreads[hours] = self._measured(hours)
        # The shape is itself an estimate, from so many weeks.
        return own + (1 / max(expected, 1e-9) + own) / max(self.weeks, 0.5)

    def _sums_by(self, step: int) -> dict[int, tuple[float, float, int]]:
        """Return posts, posts by the shape and known hours of each stretch of so many hours since 1970."""
        sums = self._sums.get(step)
        if sums is None:
            sums = self._sums[step] = {}
            for hour, count in self._hours:
                posts, usual, known = sums.get(hour // step, (0.0, 0.0, 0))
                sums[hour // step] = posts + count, usual + self._shape[place_of(hour)], known + 1
        return sums

    def _measured(self, hours: int) -> float:
        """Return how far sums of so many hours were from what the shape and the level before them foretold."""
        squares = means = 0.0
        step = hours if 24 % hours == 0 else 12 if hours < 48 else 24
        sums = self._sums_by(step)
        width = max(hours // step, 1)
        starts = 0
        warm = min(self._levels) + WARM_UP
        for slot in range(min(sums), max(sums) + 2 - width):
            day = slot * step // 24
            if day < warm:
                continue
            part = [sums[one] for one in range(slot, slot + width) if one in sums]
            if sum(one[2] for one in part) * 2 < hours:
                continue
            usual = self._levels[day] * sum(one[1] for one in part)
            squares += (sum(one[0] for one in part) - usual) ** 2 - usual
            means += usual**2
            starts += 1
        assumed = SPREAD * math.sqrt(min(1.0, 24 / hours))
        if not means:
            return 2 * assumed
        windows = starts / width
        return (max(squares / means, 0.0) * windows + assumed * SPREAD_WEIGHT) / (windows + SPREAD_WEIGHT)


def _shape(hours: Sequence[tuple[int, int]]) -> list[float]:
    """Return the mean posts of each hour of the week; hours with few posts take the shape of the day and of the week."""
    seen, posts = [0.0] * HOURS, [0.0] * HOURS
    for hour, count in hours:
        place = place_of(hour)
        seen[place] += 1
        posts[place] += count
    if not sum(posts):
        return [0.0] * HOURS
    mean = sum(posts) / sum(seen)
    by_time = [_shrunk(sum(posts[at::24]), sum(seen[at::24]), mean) / mean for at in range(24)]
    days = [slice(24 * day, 24 * day + 24) for day in range(7)]
    by_day = [_shrunk(sum(posts[day]), sum(seen[day]), mean) / mean for day in days]
    return [
        _shrunk(posts[place], seen[place], mean * by_day[place // 24] * by_time[place % 24])
        for place in range(HOURS)
    ]


def _shrunk(posts: float, seen: float, prior: float) -> float:
    """Return the rate of so many posts in so many hours, drawn towards ``prior`` while there are few."""
    if not prior:
        return 0.0
    hours = SHAPE_POSTS / prior
    return (posts + SHAPE_POSTS) / (seen + hours)


def windows(history: History, *, since: int | None = None, usual_before: int | None = None) -> list[Sum]:
    """Return the sums of all windows that can be judged, the shortest first.

    Args:
        history: the hours of a pair.
        since: windows do not begin before this hour: it is when the last alarm ended.
        usual_before: what is usual is taken from before this hour: it is when an alarm that goes on began.
    """
    if history.until is None:
        return []
    known = [number for number, count in enumerate(history.kept) if count is not None]
    first = history.until - len(history.kept)
    found: list[Sum] = []
    usuals: dict[int, Usual] = {}
    for hours in WINDOWS:
        if len(known) < hours + KNOWN_MIN:
            break
        start = known[-hours]
        begin = first + start
        if len(history.kept) - start > STRETCH_MAX * hours + 3 or (since is not None and begin < since):
            break
        split = len(history.kept) - next(size for size in SPLITS if size >= hours)
        split = max(min(start, split, *(() if usual_before is None else (usual_before - first,))), 0)
        if split not in usuals:
            usuals[split] = Usual(history.kept[:split], first + split)
        usual = usuals[split]
        part = history.kept[start:]
        expected = usual.expected(begin, part)
        if not usual.has_evidence or expected <= 0:
            continue
        posts = sum(count for count in part if count is not None)
        found.append(Sum(hours, begin, posts, expected, usual))
    return found


def window_of(hours: int) -> int:
    """Return the shortest window of at least so many hours, or the longest one."""
    return next((size for size in WINDOWS if size >= hours), WINDOWS[-1])


def chance_allowed(hours: int, subreddits: int) -> float:
    """Return the chance below which a window of so many hours is far from usual, of a bot of so many subreddits."""
    return ALARMS_A_MONTH * hours / (720 * LOOKS_A_WINDOW * len(WINDOWS) * max(subreddits, 1))


def far(sums: Sequence[Sum], *, subreddits: int) -> Sum | None:
    """Return the sum that is furthest from usual, or None if chance explains all of them."""
    found = [one for one in sums if one.is_far(chance_allowed(one.hours, subreddits))]
    return min(found, key=lambda one: one.chance / chance_allowed(one.hours, 1), default=None)


def has_ended(sums: Sequence[Sum], kind: str) -> Sum | None:
    """Return the shortest sum with evidence if it is usual again."""
    for one in sums:
        if one.expected >= ENDS_POSTS:
            back = one.posts >= one.expected if kind != MORE else one.posts <= one.expected
            return one if back or one.chance > ENDS_TAIL else None
    return None
