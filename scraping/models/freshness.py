"""The freshness of each subreddit of each bot: one row per pair, written by each scrape, cheap to read.

The usual rate is kept by hour of the week (in UTC, from Monday 0:00), because activity depends on the hour. An hour's
rate is a weighted mean of the same hour in earlier weeks; recent weeks have more weight. Each listing also judges the
hours that it completes (``scraping/yields/``) and stores its verdict, so that a query for silent subreddits reads no
history.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from adminkit.templatetags.display import local, zoned
from database import clock
from database.constraints import DatabaseOnDelete
from database.json_fields import JSONObjectField
from database.messages import MessageField, MessagesQuerySet, PartsField, gettext, ngettext
from database.names import Folded, folded
from scraping.models.bots import BotConfig
from scraping.models.causes import ErrorKind
from scraping.visibility import Person
from scraping.yields.history import HOURS, place_of

# How far back posts are counted, and how far back the next ones are predicted from.
WEEKS_BACK: Final = 8
WEEKS_AHEAD: Final = 8
# The smallest weight of the latest week.
_WEIGHT_MIN: Final = 0.2
# The rates by hour are used only after so many hours of the week have been seen.
HOURS_KNOWN_MIN: Final = 24
_HOUR: Final = timedelta(hours=1)
# A reason for silence, in addition to the errors of Reddit (``ErrorKind``).
QUIET: Final = "quiet"
# Errors that say nothing about the subreddit, unless they last as long as this.
_OF_THE_WAY: Final = (ErrorKind.NETWORK, ErrorKind.RATE_LIMITED, ErrorKind.SERVER_ERROR)
_WAY_LASTS: Final = timedelta(days=1)


class FreshnessQuerySet(MessagesQuerySet["Freshness"]):
    """Selects rows by silence and visibility."""

    def silent(self) -> Self:
        """Return the rows of subreddits that cannot be listed, or had no post for longer than chance explains."""
        return self.filter(silent_since__isnull=False)

    def unusual(self) -> Self:
        """Return the rows of subreddits that bring far fewer or far more posts than usual, but some."""
        return self.filter(verdict__in=UNUSUAL, silent_since__isnull=True)

    def visible_to(self, user: Person) -> Self:
        """Return the rows of the bots that the user may see."""
        return self.filter(config__in=BotConfig.objects.visible_to(user))


class Freshness(models.Model):
    """How new a bot's posts of one subreddit are, and the usual rate of new ones."""

    class Verdict(models.TextChoices):
        """What the last listing showed of the posts that the bot keeps, compared with what is usual."""

        UNKNOWN = "", _("too little is known")
        USUAL = "usual", _("as usual")
        SILENT = "silent", _("silent")
        FEWER = "fewer", _("fewer than usual")
        MORE = "more", _("more than usual")

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
    # Silence can be told from chance if no new post appears by then; null: too little is known, or comes.
    due_at = models.DateTimeField(_("next post expected by"), null=True, blank=True)
    # {"means": [posts per hour, …], "weeks": [how often seen, …], "until": hour, "open": posts of that hour}; the lists
    # have 168 entries; hours are counted from 1970.
    rates = JSONObjectField(_("posts by hour of the week"), null=True, blank=True)
    verdict = models.CharField(
        _("compared with usual"), max_length=6, choices=Verdict, blank=True, default="", db_default=""
    )
    # How many posts the bot has kept since, up to the last listing, and the bounds of nine such sums out of ten.
    counted_from = models.DateTimeField(_("counted from"), null=True, blank=True)
    posts = models.PositiveIntegerField(_("posts"), null=True, blank=True)
    usual_low = models.PositiveIntegerField(_("usually at least"), null=True, blank=True)
    usual_high = models.PositiveIntegerField(_("usually at most"), null=True, blank=True)
    # {"history": posts by hour of eight weeks, "verdict": the state of the judgement}: see ``scraping/yields/``.
    yields = JSONObjectField(_("posts by hour"), null=True, blank=True)

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
            models.CheckConstraint(
                name="freshness_verdict_known",
                condition=Q(verdict__in=["", "usual", "silent", "fewer", "more"]),
            ),
            models.CheckConstraint(
                name="freshness_verdict_has_figures",
                condition=Q(verdict="")
                | Q(
                    counted_from__isnull=False,
                    posts__isnull=False,
                    usual_low__isnull=False,
                    usual_high__isnull=False,
                ),
            ),
        ]
        indexes = [
            # the dashboard: whose next post is expected first
            models.Index(fields=["due_at"], name="freshness_due_at"),
            # silent(): the dashboard and the alerts
            models.Index(
                fields=["silent_since"], name="freshness_silent", condition=Q(silent_since__isnull=False)
            ),
            # unusual(): the alerts
            models.Index(fields=["id"], name="freshness_unusual", condition=Q(verdict__in=["fewer", "more"])),
        ]

    def __str__(self) -> str:
        return f"r/{self.subreddit}"

    @property
    def name(self) -> str:
        """The subreddit as the bot's list spells it; reads the bot."""
        spelt = (name for name in self.config.subreddits if folded(name) == self.subreddit)
        return next(spelt, self.subreddit)

    @property
    def week(self) -> "Week":
        """The usual rates by hour of the week."""
        return Week.of(self.rates)

    @property
    def why_text(self) -> str:
        """Why the subreddit is silent or unusual, in the reader's language; empty if it is neither."""
        if self.silent_since is not None and self.why != QUIET:
            return reason_of_silence(self.why)
        if self.silent_since is None and self.verdict not in UNUSUAL:
            return ""
        return self.figures_text or reason_of_silence(QUIET)

    @property
    def figures_text(self) -> str:
        """How many posts came and what is usual, in the reader's language; empty while too little is known."""
        if not self.verdict:
            return ""
        text = ngettext(
            "%(posts)s post since %(time)s, usually %(low)s to %(high)s in that time",
            "%(posts)s posts since %(time)s, usually %(low)s to %(high)s in that time",
            self.posts or 0,
        )
        return text % {
            "posts": self.posts,
            "time": zoned(local(self.counted_from)),
            "low": self.usual_low,
            "high": self.usual_high,
        }

    @property
    def unusual_from(self) -> datetime | None:
        """The start of the silence, or of what else is unusual; None if all is as usual."""
        if self.silent_since is not None:
            return self.silent_since
        return self.counted_from if self.verdict in UNUSUAL else None


UNUSUAL: Final = (Freshness.Verdict.FEWER, Freshness.Verdict.MORE)


def reason_of_silence(why: str) -> str:
    """Return why a subreddit is silent, in the reader's language; an earlier release may have named it otherwise."""
    if why == QUIET:
        return gettext("no new posts, although some were expected")
    return str(dict(ErrorKind.choices).get(why, why))


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
            begin, end = max(since, moment_of(hour)), min(until, moment_of(hour + 1))
            posts += rates[place_of(hour)] * ((end - begin) / _HOUR)
        return max(posts, 0.0)


def hour_of(moment: datetime) -> int:
    """Return the number of hours since 1970."""
    return int(moment.timestamp() // 3600)


def moment_of(hour: int) -> datetime:
    """Return the begin of an hour since 1970."""
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


def of(config_id: int, subreddit: str) -> Freshness:
    """Return the stored row of a pair, or a new one."""
    known = Freshness.objects.filter(config=config_id, subreddit=folded(subreddit)).first()
    return known or Freshness(config_id=config_id, subreddit=folded(subreddit))


def note_listed(
    config_id: int,
    subreddit: str,
    *,
    newest_at: datetime | None,
    week: Week | None,
    judged: dict[str, Any] | None = None,
) -> Freshness:
    """Store what a listing showed, and return the row; ``week`` is None if the listing is not in the order of creation.

    ``judged`` has the columns of the judgement; None: it says nothing, as the listing is not in the order of creation.
    """
    now, row = clock.now(), of(config_id, subreddit)
    newest_at = max((moment for moment in (newest_at, row.newest_at) if moment is not None), default=None)
    values: dict[str, Any] = {
        "newest_at": newest_at,
        "listed_at": now,
        "tried_at": now,
        "error": "",
        "verdict": "",
        "counted_from": None,
        "due_at": None,
        **(judged or {}),
    }
    is_silent = values["verdict"] == Freshness.Verdict.SILENT
    values["silent_since"] = values["counted_from"] if is_silent else None
    values["why"] = QUIET if is_silent else ""
    if week is not None:
        values["rates"] = week.as_json()
    row, _made = Freshness.objects.update_or_create(
        config_id=config_id, subreddit=folded(subreddit), defaults=values
    )
    return row


def note_failed(config_id: int, subreddits: Iterable[str], *, kind: str, error: str) -> None:
    """Store that subreddits could not be listed; they count as silent since their last listing.

    Errors of the network, of Reddit's servers or of the budget say that only after a day.
    """
    now = clock.now()
    for subreddit in subreddits:
        row = of(config_id, subreddit)
        if (
            kind in _OF_THE_WAY
            and row.silent_since is None
            and row.listed_at
            and now - row.listed_at < _WAY_LASTS
        ):
            Freshness.objects.filter(pk=row.pk).update(tried_at=now)
            continue
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
