"""The freshness of each subreddit of each bot: one row per pair, written by each scrape, cheap to read.

The usual rate is kept by hour of the week (in UTC, from Monday 0:00), because activity depends on the hour. An hour's
rate is a weighted mean of the same hour in earlier weeks; recent weeks have more weight. Each listing computes from it
until when the next post is expected (``due_at``), so that a query for silent subreddits compares two times and reads no
rates.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from database import clock
from database.constraints import DatabaseOnDelete
from database.json_fields import JSONObjectField
from database.messages import MessageField, MessagesQuerySet, PartsField
from database.names import Folded, folded
from scraping.models.bots import BotConfig
from scraping.models.causes import ErrorKind
from scraping.visibility import Person

HOURS: Final = 168
# How far back posts are counted, and how far ahead the next post is predicted.
WEEKS_BACK: Final = 4
WEEKS_AHEAD: Final = 8
# The smallest weight of the latest week.
_WEIGHT_MIN: Final = 0.2
# The rates by hour are used only after so many hours of the week have been seen.
HOURS_KNOWN_MIN: Final = 24
# 1 January 1970 was a Thursday.
_MONDAY: Final = 3 * 24
_HOUR: Final = timedelta(hours=1)
# A reason for silence, in addition to the errors of Reddit (``ErrorKind``).
QUIET: Final = "quiet"


class FreshnessQuerySet(MessagesQuerySet["Freshness"]):
    """Selects rows by silence and visibility."""

    def silent(self, now: datetime | None = None) -> Self:
        """Return the rows of subreddits that cannot be listed, or had no post for longer than chance explains."""
        return self.filter(Q(silent_since__isnull=False) | Q(due_at__lte=now or clock.now()))

    def visible_to(self, user: Person) -> Self:
        """Return the rows of the bots that the user may see."""
        return self.filter(config__in=BotConfig.objects.visible_to(user))


class Freshness(models.Model):
    """How new a bot's posts of one subreddit are, and the usual rate of new ones."""

    config = models.ForeignKey(
        BotConfig,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # freshness_one_per_subreddit
        related_name="freshness",
        verbose_name=_("bot"),
    )
    # The name in the config's list, case-folded (``database.names``).
    subreddit = models.CharField(_("subreddit"), max_length=50)
    newest_at = models.DateTimeField(_("newest post"), null=True, blank=True)
    # The last successful listing, and the last attempt.
    listed_at = models.DateTimeField(_("listed"), null=True, blank=True)
    tried_at = models.DateTimeField(_("tried"), default=clock.now, db_default=Now())
    # Set by a scrape that got no listing, or no new posts where chance does not explain it; and the reason (``QUIET``,
    # or Reddit's error).
    silent_since = models.DateTimeField(_("silent since"), null=True, blank=True)
    why = models.CharField(_("why"), max_length=16, blank=True, default="", db_default="")
    error = MessageField(_("error"), blank=True, default="", db_default="")
    error_parts = PartsField(of="error")
    # The subreddit is silent if no new post appears by then; null: too little is known.
    due_at = models.DateTimeField(_("next post expected by"), null=True, blank=True)
    # {"means": [posts per hour, …], "weeks": [how often seen, …], "until": hour, "open": posts of that hour}; the lists
    # have 168 entries; hours are counted from 1970.
    rates = JSONObjectField(_("posts by hour of the week"), null=True, blank=True)

    objects = FreshnessQuerySet.as_manager()

    class Meta:
        verbose_name = _("freshness of a subreddit")
        verbose_name_plural = _("freshness of subreddits")
        ordering = ["subreddit"]
        constraints = [
            DatabaseOnDelete(name="freshness_config_fk", field="config"),
            models.UniqueConstraint(fields=["config", "subreddit"], name="freshness_one_per_subreddit"),
            models.CheckConstraint(
                name="freshness_subreddit_is_folded", condition=Q(subreddit=Folded("subreddit"))
            ),
            models.CheckConstraint(
                name="freshness_silence_has_a_reason", condition=Q(silent_since__isnull=True) | ~Q(why="")
            ),
        ]
        indexes = [
            # silent(): the dashboard and the alerts
            models.Index(fields=["due_at"], name="freshness_due_at"),
            # the same
            models.Index(
                fields=["silent_since"], name="freshness_silent", condition=Q(silent_since__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"r/{self.subreddit}"

    @property
    def week(self) -> "Week":
        """The usual rates by hour of the week."""
        return Week.of(self.rates)

    @property
    def why_text(self) -> str:
        """Why the subreddit is silent, in the reader's language; empty if it is not."""
        if self.silent_since is None:
            return str(_("no new posts, although some were expected")) if self.is_overdue else ""
        if self.why == QUIET:
            return str(_("no new posts, although some were expected"))
        return str(dict(ErrorKind.choices).get(self.why, self.why))

    @property
    def is_overdue(self) -> bool:
        """Whether a new post should have come by now."""
        return self.due_at is not None and self.due_at <= clock.now()

    @property
    def silent_from(self) -> datetime | None:
        """The start of the silence: the last successful listing, or the last post."""
        if self.silent_since is not None:
            return self.silent_since
        return self.newest_at if self.is_overdue else None


class Week:
    """The usual posts per hour, by hour of the week."""

    def __init__(self, means: list[float], weeks: list[int], until: int | None, pending: int) -> None:
        self.means, self.weeks = means, weeks
        self.until = until  # the current hour, which is not over yet
        self.pending = pending  # its posts so far

    @classmethod
    def of(cls, saved: Any) -> Self:
        """Return the saved week, or an empty one."""
        if isinstance(saved, dict) and len(saved.get("means", ())) == len(saved.get("weeks", ())) == HOURS:
            return cls(list(saved["means"]), list(saved["weeks"]), saved.get("until"), saved.get("open", 0))
        return cls([0.0] * HOURS, [0] * HOURS, None, 0)

    def as_json(self) -> dict[str, Any]:
        """Return the week for the JSON column."""
        means = [round(mean, 3) for mean in self.means]
        return {"means": means, "weeks": self.weeks, "until": self.until, "open": self.pending}

    @property
    def is_known(self) -> bool:
        """Whether enough hours were seen to use the rates."""
        return sum(weeks > 0 for weeks in self.weeks) >= HOURS_KNOWN_MIN

    @property
    def rates(self) -> list[float]:
        """The usual rate of each hour of the week.

        A single observation of an hour proves little. Until the second one, an hour has the mean of the same hour of
        all days; if that time of day was never seen, the mean of all hours.
        """
        of_all = self._mean(range(HOURS), 0.0)
        of_days = [self._mean(range(time, HOURS, 24), of_all) for time in range(24)]
        return [
            mean if weeks > 1 else of_days[place % 24]
            for place, (mean, weeks) in enumerate(zip(self.means, self.weeks, strict=True))
        ]

    def _mean(self, places: Iterable[int], otherwise: float) -> float:
        seen = [self.means[place] for place in places if self.weeks[place]]
        return sum(seen) / len(seen) if seen else otherwise

    def count(self, posts: dict[int, int], *, since: int | None, now: datetime) -> None:
        """Add a listing's new posts by hour; ``since`` is its first complete hour if it met no earlier listing."""
        current = hour_of(now)
        first = self.until if since is None else since
        if first is None:
            first = current
        if since is not None:
            self.pending, self.until = 0, None
        for hour in range(max(first, current - WEEKS_BACK * HOURS), current):
            self._add(hour, posts.get(hour, 0) + (self.pending if hour == self.until else 0))
        self.pending = posts.get(current, 0) + (self.pending if current == self.until else 0)
        self.until = current

    def _add(self, hour: int, posts: int) -> None:
        place = place_of(hour)
        weight = max(1 / (self.weeks[place] + 1), _WEIGHT_MIN)
        self.means[place] += weight * (posts - self.means[place])
        self.weeks[place] += 1

    def expected(self, since: datetime, until: datetime) -> float:
        """Return how many posts are expected between two moments; only the last eight weeks before ``until`` count."""
        rates, posts = self.rates, 0.0
        first = max(hour_of(since), hour_of(until) - WEEKS_AHEAD * HOURS)
        for hour in range(first, hour_of(until) + 1):
            begin, end = max(since, _moment_of(hour)), min(until, _moment_of(hour + 1))
            posts += rates[place_of(hour)] * ((end - begin) / _HOUR)
        return max(posts, 0.0)

    def expected_by(self, posts: float, *, since: datetime) -> datetime | None:
        """Return when so many posts are expected, or None if not within eight weeks."""
        rates, hour, moment = self.rates, hour_of(since), since
        for _number in range(WEEKS_AHEAD * HOURS):
            rate, end = rates[place_of(hour)], _moment_of(hour + 1)
            coming = rate * ((end - moment) / _HOUR)
            if coming >= posts:
                return moment + _HOUR * (posts / rate)
            posts -= coming
            hour, moment = hour + 1, end
        return None


def place_of(hour: int) -> int:
    """Return the place in the week of an hour since 1970."""
    return (hour + _MONDAY) % HOURS


def hour_of(moment: datetime) -> int:
    """Return the number of hours since 1970."""
    return int(moment.timestamp() // 3600)


def _moment_of(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3600, UTC)


def count_by_hour(times: Iterable[datetime], *, after: datetime | None) -> dict[int, int]:
    """Return how many of the posts, newer than ``after``, were made in each of the last hours."""
    counts: dict[int, int] = {}
    first = hour_of(clock.now()) - WEEKS_BACK * HOURS
    for time in times:
        hour = hour_of(time)
        if hour >= first and (after is None or time > after):
            counts[hour] = counts.get(hour, 0) + 1
    return counts


def due_at(
    week: Week, newest_at: datetime | None, *, flat_rate: float | None, posts: float
) -> datetime | None:
    """Return until when the next post is expected; by a constant rate if the week is not known yet."""
    if newest_at is None:
        return None
    if week.is_known:
        return week.expected_by(posts, since=newest_at)
    if not flat_rate or posts / flat_rate > WEEKS_AHEAD * HOURS:
        return None
    return newest_at + _HOUR * (posts / flat_rate)


def of(config_id: int, subreddit: str) -> Freshness:
    """Return the stored row of a pair, or a new one."""
    known = Freshness.objects.filter(config=config_id, subreddit=folded(subreddit)).first()
    return known or Freshness(config_id=config_id, subreddit=folded(subreddit))


def note_listed(
    config_id: int, subreddit: str, *, newest_at: datetime | None, week: Week | None, due_at: datetime | None
) -> None:
    """Store what a listing showed; ``week`` is None if the listing is not in the order of creation."""
    now, row = clock.now(), of(config_id, subreddit)
    newest_at = max((moment for moment in (newest_at, row.newest_at) if moment is not None), default=None)
    is_quiet = due_at is not None and due_at <= now
    values: dict[str, Any] = {
        "newest_at": newest_at,
        "listed_at": now,
        "tried_at": now,
        "silent_since": newest_at if is_quiet else None,
        "why": QUIET if is_quiet else "",
        "error": "",
        "due_at": due_at,
    }
    if week is not None:
        values["rates"] = week.as_json()
    Freshness.objects.update_or_create(config_id=config_id, subreddit=folded(subreddit), defaults=values)


def note_failed(config_id: int, subreddits: Iterable[str], *, kind: str, error: str) -> None:
    """Store that subreddits could not be listed; they count as silent since their last listing."""
    now = clock.now()
    for subreddit in subreddits:
        row = of(config_id, subreddit)
        is_quiet = row.why == QUIET
        since = row.listed_at or now
        if row.silent_since is not None:
            since = min(row.silent_since, since) if is_quiet else row.silent_since
        values = {"tried_at": now, "silent_since": since, "why": kind, "error": error}
        Freshness.objects.update_or_create(config_id=config_id, subreddit=row.subreddit, defaults=values)


def forget_unwanted(config_id: int, subreddits: Iterable[str]) -> None:
    """Delete the rows of subreddits that the bot no longer scrapes."""
    kept = [folded(name) for name in subreddits]
    Freshness.objects.filter(config=config_id).exclude(subreddit__in=kept).delete()
