"""Listing histories with the rhythm of real subreddits, with and without planted silences, halvings and floods.

The recordings hold about 1,800 creation times of each of seven subreddits, over six to ten months, but those of the
posts that a daily front page showed: about nine a day, whatever was posted. So only their rhythm is taken: each day of
a history is made of whole recorded days of the same subreddit and the same day of the week, drawn anew (a block
bootstrap), several laid over each other for a higher rate, thinned for a lower one. What the recordings cannot show is
added: a level that wanders from day to day (a standard deviation of 10 to 25 %, correlated 0.6 with the day before),
and growth or decline by up to 60 % in twelve weeks.

One listing in 20 fails, so that the next one covers its hours too; one in 50 leaves a gap.
"""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from scraping.yields.history import SIZE, History
from scraping.yields.judge import (
    FEWER_SHARE,
    MORE_SHARE,
    WINDOWS,
    Usual,
    chance,
    chance_allowed,
)
from scraping.yields.verdict import Verdict, look
from tests import recorded

# A Monday at 0:00, in hours since 1970.
FIRST: Final = 96
# The weeks before the judged time, and the weeks that are judged.
BEFORE, JUDGED = 8, 4
RATES: Final = (2, 5, 10, 30, 100, 400)
KINDS: Final = {"silence": 0.0, "halving": 0.5, "flood": 3.0}
RIGHT: Final = {"silence": ("silent", "fewer"), "halving": ("silent", "fewer"), "flood": ("more",)}
SUBREDDITS: Final = 10
EVERY: Final = 6
# A change counts as told from chance within a time if that succeeds this often.
TOLD: Final = 0.9

# By day of the week: the hours of the posts of each recorded day.
Days = list[list[list[int]]]


def rhythms() -> dict[str, Days]:
    """Return the recorded days of each subreddit that has months of them."""
    found: dict[str, dict[int, list[int]]] = {}
    for post in recorded.posts():
        second = int(post["created_utc"])
        days = found.setdefault(str(post["subreddit"]).lower(), {})
        days.setdefault(second // 86400, []).append(second % 86400 // 3600)
    made = {}
    for name, days in found.items():
        if sum(map(len, days.values())) < 1500 or name == "reddit_api_test":
            continue  # the latter has a few bursts in ten years
        known = sorted(days)
        first, last = known[len(known) // 20], known[-len(known) // 20]
        by_weekday: Days = [[] for _ in range(7)]
        for day in range(first, last):
            by_weekday[(day + 3) % 7].append(days.get(day, []))
        made[name] = by_weekday
    return made


def history(chosen: random.Random, days: Days, *, rate: float, weeks: int) -> list[int]:
    """Return posts by hour, of so many a day on average."""
    base = sum(len(day) for weekday in days for day in weekday) / sum(map(len, days))
    spread, drift = chosen.choice((0.01, 0.03, 0.06)), chosen.choice((-0.6, 0.0, 0.6))
    hours, level = [0] * (weeks * 168), 0.0
    for day in range(weeks * 7):
        level = 0.6 * level + 0.8 * chosen.gauss(0, 1)
        wanted = rate / base * math.exp(math.sqrt(spread) * level - spread / 2)
        wanted *= 1 + drift * (day / (weeks * 7) - 0.5)
        while wanted > 0:
            share = min(wanted, 1.0)
            wanted -= 1
            for hour in chosen.choice(days[day % 7]):
                hours[24 * day + hour] += chosen.random() < share
    return hours


def planted(chosen: random.Random, hours: list[int], *, at: int, share: float) -> list[int]:
    """Return the hours with their posts thinned, or multiplied, from an hour on."""
    if share >= 1:
        return hours[:at] + [round(share * count) for count in hours[at:]]
    return hours[:at] + [sum(chosen.random() < share for _ in range(count)) for count in hours[at:]]


@dataclass
class Watcher:
    """Lists one subreddit every few hours, as sessions do, and judges it."""

    chosen: random.Random
    hours: list[int]
    subreddits: int = SUBREDDITS
    every: int = EVERY
    history: History = field(default_factory=History)
    verdict: Verdict = field(default_factory=Verdict)

    def opened(self, begin: int, end: int) -> Iterator[tuple[int, str]]:
        """Yield hour and kind of each alarm that opens between two hours."""
        self._list(begin, since=FIRST + max(begin - SIZE, 0))
        for now in range(begin + self.every, end, self.every):
            if self.chosen.random() < 1 / 20:
                continue
            self._list(now, since=FIRST + now - 2 if self.chosen.random() < 1 / 50 else None)
            before = self.verdict.kind
            look(self.history, self.verdict, subreddits=self.subreddits)
            if self.verdict.kind and not before:
                yield now, self.verdict.kind

    def _list(self, now: int, *, since: int | None) -> None:
        first = since if since is not None else self.history.until
        assert first is not None
        posts = {hour: self.hours[hour - FIRST] for hour in range(first, FIRST + now)}
        self.history.add(posts, posts, since=since, current=FIRST + now)


def expected_interval(hours: list[int], at: int, *, share: float, subreddits: int = SUBREDDITS) -> int | None:
    """Return the hours after which such a change is told from chance nine times in ten; None: not within two weeks.

    Then the expected posts reach the floor of evidence. It is never shorter than the two looks that a verdict takes.
    """
    usual = Usual(hours[max(at - SIZE, 0) : at], FIRST + at)
    for window in WINDOWS:
        expected = usual.expected(FIRST + at, [0] * window)
        spread, allowed = usual.spread(window, expected), chance_allowed(window, subreddits)
        if share < 1:
            bound = -1
            while bound + 1 <= FEWER_SHARE * expected and chance(bound + 1, expected, spread) < allowed:
                bound += 1
            told = bound >= 0 and (not share or chance_below(bound, share * expected, spread) >= TOLD)
        else:
            bound = math.ceil(MORE_SHARE * expected)
            while chance(bound, expected, spread) >= allowed:
                bound += 1
            told = 1 - chance_below(bound - 1, share * expected, spread) >= TOLD
        if told:
            return max(window, 2 * EVERY)
    return None


def chance_below(posts: int, expected: float, spread: float) -> float:
    """Return the probability of at most so many posts."""
    return chance(posts, expected, spread) if posts < expected else 1 - chance(posts + 1, expected, spread)


@dataclass
class Trial:
    """One planted change: the interval, and after how many hours it was found; None: not within two intervals."""

    rate: int
    interval: int
    found_after: int | None


def trials(
    chosen: random.Random, days: dict[str, Days], kind: str, number: int
) -> tuple[list[Trial], dict[int, int]]:
    """Plant so many changes; return them, and by rate how many others could not be told from chance."""
    done: list[Trial] = []
    unjudged = dict.fromkeys(RATES, 0)
    drawn = 0
    while len(done) < number:
        rate = RATES[drawn % len(RATES)]
        drawn += 1
        hours = history(chosen, days[chosen.choice(sorted(days))], rate=rate, weeks=BEFORE + JUDGED + 3)
        at = BEFORE * 168 + chosen.randrange(2 * 168)
        interval = expected_interval(hours, at, share=KINDS[kind])
        if interval is None:
            unjudged[rate] += 1
            continue
        watcher = Watcher(chosen, planted(chosen, hours, at=at, share=KINDS[kind]))
        alarms = watcher.opened(
            at - 2 * 168 - chosen.randrange(EVERY), min(at + 2 * interval + 1, len(hours))
        )
        found = next((now - at for now, name in alarms if now > at and name in RIGHT[kind]), None)
        done.append(Trial(rate, interval, found))
    return done, unjudged


def false_alarms(
    chosen: random.Random,
    days: dict[str, Days],
    bots: int,
    *,
    every: int = EVERY,
    subreddits: int = SUBREDDITS,
) -> dict[int, int]:
    """Return, by rate, the alarms of so many bots in four weeks in which nothing was planted."""
    found = dict.fromkeys(RATES, 0)
    for number in range(bots * subreddits):
        rate = RATES[number % len(RATES)]
        hours = history(chosen, days[chosen.choice(sorted(days))], rate=rate, weeks=BEFORE + JUDGED)
        watcher = Watcher(chosen, hours, subreddits=subreddits, every=every)
        found[rate] += len(list(watcher.opened(BEFORE * 168, len(hours))))
    return found
