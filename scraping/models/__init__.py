"""What is scraped, by whom, and what was found."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Case, DateTimeField, Exists, F, OuterRef, Q, Value, When
from django.db.models.functions import Coalesce, Greatest
from django.utils.translation import gettext_lazy as _

from database import clock
from database.constraints import DatabaseOnDelete
from database.fields import EncryptedTextField, SecretUnreadable
from database.json_fields import JSONObjectField, JSONTextsField
from database.messages import MessageField, MessagesQuerySet, PartsField, as_json, from_json, message_of
from database.names import Folded, folded
from scraping.models.set_aside import Doubt, SetAside, SweepTally  # noqa: F401  # Django looks for models here
from scraping.patterns import compiled
from scraping.skip_reasons import EXPIRED as EXPIRED
from scraping.skip_reasons import reason_label
from scraping.visibility import Person, is_superuser, sees_everybodys

# r/name: 2 to 21 letters, digits and underscores; a user's own subreddit is u_name.
SUBREDDIT_NAME = re.compile(r"^(?:u_[A-Za-z0-9_-]{1,30}|[A-Za-z0-9][A-Za-z0-9_]{1,20})\Z")

# What `up` and `sandbox_reddit` use as client id; an app with this id must never meet the real Reddit.
SANDBOX_CLIENT_ID = "sandbox"

# Listings of many subreddits that Reddit offers as if they were one.
AGGREGATES = frozenset({"all", "popular"})
# Names of no subreddit: lists of the person who is signed in, and of chance.
RESERVED_NAMES = frozenset({"friends", "mod", "random", "randnsfw", "myrandom"})


def validate_subreddits(value: Any) -> None:
    """Refuse anything but a non-empty list of subreddit names without the leading r/."""
    if not isinstance(value, list) or not value:
        raise ValidationError(_("Name at least one subreddit."), code="required")
    for name in value:
        if isinstance(name, str) and folded(name) in RESERVED_NAMES:
            raise ValidationError(
                _("r/%(name)s is no subreddit, but leads to others: name those."),
                code="reserved",
                params={"name": name},
            )
        if isinstance(name, str) and (
            "+" in name or (folded(name).split("-")[0] in AGGREGATES and "-" in name)
        ):
            raise ValidationError(
                _(
                    "%(name)s is a list of several subreddits, which are not read together: name each by itself."
                ),
                code="several",
                params={"name": repr(name)},
            )
        if not isinstance(name, str) or not SUBREDDIT_NAME.match(name):
            raise ValidationError(
                _("%(name)s is not a subreddit name: write it without r/, such as python."),
                code="invalid",
                params={"name": repr(name)},
            )
    if len({folded(name) for name in value}) != len(value):
        raise ValidationError(_("A subreddit is named twice."), code="duplicate")


class RedditAppQuerySet(models.QuerySet["RedditApp"]):
    """Owners of Reddit apps."""

    def visible_to(self, user: Person) -> Self:
        """Return the apps that the user may see and give to a bot: shared ones and their own."""
        if is_superuser(user):
            return self
        return self.filter(Q(owner__isnull=True) | Q(owner_id=user.pk)) if user.pk else self.none()


class RedditApp(models.Model):
    """An OAuth client registered with Reddit; its bots share one rate budget."""

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="reddit_apps",
        verbose_name=_("owner"),
        help_text=_("Who alone may give it to bots. Empty: it is shared, everybody may."),
    )
    name = models.CharField(_("name"), max_length=100, unique=True)
    client_id = models.CharField(_("client id"), max_length=100, unique=True)
    client_secret = EncryptedTextField(_("client secret"), blank=True)
    user_agent = models.CharField(
        _("user agent"),
        max_length=200,
        help_text=_("As Reddit asks: platform:app id:version (by /u/name)"),
    )

    objects = RedditAppQuerySet.as_manager()

    class Meta:
        verbose_name = _("Reddit app")
        verbose_name_plural = _("Reddit apps")

    def __str__(self) -> str:
        return self.name

    @property
    def has_readable_secret(self) -> bool:
        """Whether a key of FIELD_ENCRYPTION_KEY fits its secret."""
        try:
            return isinstance(self.client_secret, str)
        except SecretUnreadable:
            return False

    @property
    def is_sandbox(self) -> bool:
        """Whether this app belongs to the synthetic Reddit of `sandbox_reddit`."""
        return self.client_id == SANDBOX_CLIENT_ID


def validate_pattern(value: str) -> None:
    """Refuse what is no regular expression of RE2 (https://github.com/google/re2/wiki/Syntax)."""
    try:
        compiled(value)
    except ValueError as error:
        raise ValidationError(
            _(
                "This is no regular expression: %(error)s. (Look-around and back-references are not supported.)"
            ),
            code="invalid",
            params={"error": error},
        ) from None


def validate_texts(value: Any) -> None:
    """Refuse anything but a list of texts that are not empty."""
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise ValidationError(_("Write one a line."), code="invalid")


class BotConfigQuerySet(models.QuerySet["BotConfig"]):
    """States and owners of bot configs."""

    def auto_scraped(self) -> Self:
        """Return configs that `auto_scraping` scrapes."""
        return self.filter(is_active=True, auto_scrape=True)

    def named(self, text: str) -> "BotConfig":
        """Return the config of this id, or of this name if only one has it.

        Raises:
            ValidationError: none or several, with the remedy.
        """
        text = text.strip()
        # No key has more than 19 digits, and Python reads no number of thousands of them.
        if text.isdecimal() and len(text) < 20 and (config := self.filter(pk=int(text)).first()):
            return config
        # PostgreSQL refuses even to compare a NUL.
        configs = [] if "\0" in text else list(self.filter(name=text)[:2])
        if len(configs) == 1:
            return configs[0]
        if configs:
            raise ValidationError(_("Several bots are named %(name)s: give the id instead.") % {"name": text})
        raise ValidationError(_("There is no bot %(name)s: give its id or its name.") % {"name": text})

    def visible_to(self, user: Person) -> Self:
        """Return the configs that the user may see (``scraping/visibility.py``)."""
        return self if sees_everybodys(user) else self.managed_by(user)

    def managed_by(self, user: Person) -> Self:
        """Return the configs that the user may change, delete and scrape with: their own, or all for a superuser."""
        if is_superuser(user):
            return self
        return self.filter(owner_id=user.pk) if user.pk else self.none()


class BotConfig(models.Model):
    """What one bot scrapes: which subreddits, how, and how much."""

    class Sort(models.TextChoices):
        """Reddit's listings of a subreddit."""

        NEW = "new", _("new")
        HOT = "hot", _("hot")
        TOP = "top", _("top")
        RISING = "rising", _("rising")
        CONTROVERSIAL = "controversial", _("controversial")
        SEARCH = "search", _("search, newest first")

    class TimeFilter(models.TextChoices):
        """The span of a top or controversial listing."""

        HOUR = "hour", _("past hour")
        DAY = "day", _("past day")
        WEEK = "week", _("past week")
        MONTH = "month", _("past month")
        YEAR = "year", _("past year")
        ALL = "all", _("all time")

    class CommentPolicy(models.TextChoices):
        """How much of each comment tree is fetched."""

        NONE = "none", _("no comments")
        FIRST_PAGE = "first_page", _("first page")
        BUDGETED = "budgeted", _("as many as the requests per post bring")
        COMPLETE = "complete", _("complete")

    class Nsfw(models.TextChoices):
        """Which posts are kept, by Reddit's mark "over 18"."""

        ANY = "any", _("keep all posts")
        EXCLUDE = "exclude", _("leave NSFW posts out")
        ONLY = "only", _("keep NSFW posts only")

    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        related_name="bot_configs",
        verbose_name=_("owner"),
    )
    name = models.CharField(_("name"), max_length=100)
    app = models.ForeignKey(
        RedditApp,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="bot_configs",
        verbose_name=_("Reddit app"),
        help_text=_("Empty: the app of REDDIT_CLIENT_ID."),
    )
    subreddits = JSONTextsField(_("subreddits"), validators=[validate_subreddits])
    sort = models.CharField(_("listing"), max_length=16, choices=Sort, default=Sort.NEW)
    time_filter = models.CharField(
        _("time span"),
        max_length=8,
        choices=TimeFilter,
        default=TimeFilter.DAY,
        help_text=_("Of top and controversial."),
    )
    query = models.CharField(
        _("search for"),
        max_length=512,
        blank=True,
        help_text=_("In Reddit's search syntax; only of a search."),
    )
    post_limit = models.PositiveIntegerField(
        _("posts per subreddit"),
        default=100,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text=_("1 to 1,000 per run; Reddit lists no more."),
    )
    comment_policy = models.CharField(
        _("comments"), max_length=16, choices=CommentPolicy, default=CommentPolicy.FIRST_PAGE
    )
    comment_limit = models.PositiveIntegerField(
        _("comments per post"),
        default=500,
        validators=[MinValueValidator(1), MaxValueValidator(100_000)],
    )
    comment_depth = models.PositiveIntegerField(
        _("comment depth"),
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("Replies nested deeper than this are left out; 1 keeps top-level comments only."),
    )
    comment_requests = models.PositiveSmallIntegerField(
        _("requests per post"),
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text=_("What the comments of one post may cost where they are limited by requests."),
    )
    comment_min_score = models.IntegerField(
        _("lowest comment score"),
        null=True,
        blank=True,
        help_text=_("Comments below it are left out, unless Reddit still hides their score. Empty: all."),
    )
    comment_refresh_hours = models.PositiveSmallIntegerField(
        _("refresh comments for"),
        default=24,
        validators=[MaxValueValidator(168)],
        help_text=_("Hours after a post was made in which later runs fetch its new comments; 0: never."),
    )
    # The filters: see scraping/sessions/filters.py.
    nsfw = models.CharField(_("NSFW"), max_length=8, choices=Nsfw, default=Nsfw.ANY)
    min_score = models.IntegerField(
        _("lowest score"),
        null=True,
        blank=True,
        help_text=_("Of the moment when the post is listed: new posts have a score of 1."),
    )
    flairs_wanted = JSONTextsField(
        _("only these flairs"), default=list, blank=True, validators=[validate_texts]
    )
    flairs_unwanted = JSONTextsField(
        _("not these flairs"), default=list, blank=True, validators=[validate_texts]
    )
    domains_wanted = JSONTextsField(
        _("only these domains"), default=list, blank=True, validators=[validate_texts]
    )
    domains_unwanted = JSONTextsField(
        _("not these domains"), default=list, blank=True, validators=[validate_texts]
    )
    pattern_wanted = models.CharField(
        _("only posts that match"),
        max_length=500,
        blank=True,
        validators=[validate_pattern],
        help_text=_("A regular expression (RE2), looked for in title and text, whatever the case."),
    )
    pattern_unwanted = models.CharField(
        _("not posts that match"), max_length=500, blank=True, validators=[validate_pattern]
    )
    is_active = models.BooleanField(_("active"), default=True)
    auto_scrape = models.BooleanField(
        _("scrape automatically"), default=True, help_text=_("Scraped by the job auto_scraping.")
    )
    # What Reddit answered to whole sessions, how often in a row; the third time pauses the config.
    refusal_kind = models.CharField(_("Reddit's refusal"), max_length=16, blank=True, editable=False)
    refusals = models.PositiveSmallIntegerField(_("refusals in a row"), default=0, editable=False)
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=clock.now, editable=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = BotConfigQuerySet.as_manager()

    class Meta:
        verbose_name = _("bot")
        verbose_name_plural = _("bots")
        ordering = ["name"]
        permissions = [("view_everybodys_content", _("Can see everybody's bots, sessions and content"))]
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="botconfig_name_unique_per_owner"),
            models.CheckConstraint(
                name="botconfig_post_limit_1_to_1000", condition=Q(post_limit__range=(1, 1000))
            ),
            models.CheckConstraint(
                name="botconfig_comment_limit_1_to_100000", condition=Q(comment_limit__range=(1, 100_000))
            ),
            models.CheckConstraint(
                name="botconfig_comment_depth_1_to_100", condition=Q(comment_depth__range=(1, 100))
            ),
            models.CheckConstraint(
                name="botconfig_sort_known",
                condition=Q(sort__in=["new", "hot", "top", "rising", "controversial", "search"]),
            ),
            models.CheckConstraint(
                name="botconfig_search_has_query", condition=~Q(sort="search") | ~Q(query="")
            ),
            models.CheckConstraint(
                name="botconfig_nsfw_known", condition=Q(nsfw__in=["any", "exclude", "only"])
            ),
            models.CheckConstraint(
                name="botconfig_comment_policy_known",
                condition=Q(comment_policy__in=["none", "first_page", "budgeted", "complete"]),
            ),
            models.CheckConstraint(
                name="botconfig_comment_requests_1_to_1000", condition=Q(comment_requests__range=(1, 1000))
            ),
            models.CheckConstraint(
                name="botconfig_refresh_hours_to_168", condition=Q(comment_refresh_hours__range=(0, 168))
            ),
            models.CheckConstraint(
                name="botconfig_paused_is_inactive",
                condition=Q(paused_at__isnull=True) | (Q(is_active=False) & ~Q(refusal_kind="")),
            ),
        ]
        indexes = [
            # auto_scraping: WHERE is_active AND auto_scrape ORDER BY id
            models.Index(
                fields=["id"], name="botconfig_auto_scraped", condition=Q(is_active=True, auto_scrape=True)
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the config; one that is active is paused no more."""
        if self.is_active and self.paused_at is not None:
            self.paused_at, self.refusal_kind, self.refusals = None, "", 0
        super().save(*args, **kwargs)

    @property
    def pause_reason(self) -> str:
        """Why Reddit's answers paused it, in the reader's language; empty while it is not paused."""
        return message_of(ScrapeSession.ErrorKind(self.refusal_kind).label) if self.paused_at else ""

    def note_refusal(self, kind: str, *, pause_after: int) -> bool:
        """Count a session to which Reddit answered only ``kind``; return whether that pauses the config."""
        self.refusals = self.refusals + 1 if self.refusal_kind == kind else 1
        self.refusal_kind = kind
        pauses = self.refusals >= pause_after
        if pauses:
            self.is_active, self.paused_at = False, clock.now()
        self._record_refusals()
        return pauses

    def forget_refusals(self) -> None:
        """Begin to count anew: Reddit answered."""
        if self.refusals and self.paused_at is None:
            self.refusal_kind, self.refusals = "", 0
            self._record_refusals()

    def _record_refusals(self) -> None:
        # Not save(): updated_at tells edits by people, and their other fields are not ours to write.
        values = {"refusal_kind": self.refusal_kind, "refusals": self.refusals}
        if self.paused_at is not None:
            values |= {"is_active": False, "paused_at": self.paused_at}
        BotConfig.objects.filter(pk=self.pk).update(**values)


class Watermark(models.Model):
    """How far a config has listed one subreddit, newest first: all posts up to ``newest_at`` have been listed."""

    config = models.ForeignKey(
        BotConfig,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # watermark_one_per_subreddit
        related_name="watermarks",
        verbose_name=_("bot"),
    )
    # As the config's list has it, folded (``database.names``).
    subreddit = models.CharField(_("subreddit"), max_length=50)
    # As Reddit writes it, which is how its posts are stored.
    name = models.CharField(_("subreddit"), max_length=50)
    # "new" or "search:…": another listing has seen other posts.
    listing = models.CharField(_("listing"), max_length=600)
    newest_at = models.DateTimeField(_("newest post"))
    listed_at = models.DateTimeField(_("listed"))
    posts_per_hour = models.FloatField(_("posts an hour"), null=True, blank=True)
    # The first posts of that listing, by fullname: the next listing has met it where it shows one of them.
    anchors = models.JSONField(_("listed last"), null=True, blank=True)
    # What the first listing reached back to, where there was more: older posts are not for a deep reading.
    since = models.DateTimeField(_("listed since"), null=True, blank=True)
    # When late approvals were last looked for, and how many hours behind the newest post.
    deep_at = models.DateTimeField(_("late approvals looked for"), null=True, blank=True)
    late_hours = models.FloatField(_("hours covered for late approvals"), null=True, blank=True)

    class Meta:
        verbose_name = _("watermark")
        verbose_name_plural = _("watermarks")
        ordering = ["subreddit"]
        constraints = [
            DatabaseOnDelete(name="watermark_config_fk", field="config"),
            models.UniqueConstraint(fields=["config", "subreddit"], name="watermark_one_per_subreddit"),
            models.CheckConstraint(
                name="watermark_subreddit_is_folded", condition=Q(subreddit=Folded("subreddit"))
            ),
            models.CheckConstraint(
                name="watermark_rate_not_negative",
                condition=Q(posts_per_hour__isnull=True) | Q(posts_per_hour__gte=0),
            ),
        ]

    def __str__(self) -> str:
        return f"r/{self.name}"


class RequestBudget(models.Model):
    """What is left of one OAuth client id's requests in Reddit's current window (``scraping/reddit/budget.py``).

    Times are the database's clock. Every change is one UPDATE guarded by ``version``, but for the two fields
    of the morechildren turn, which guard themselves.
    """

    client_id = models.CharField(_("client id"), max_length=100)
    # Requests a window holds, as Reddit's headers last said.
    window_requests = models.PositiveIntegerField(_("requests per window"))
    # Grows with every window, so that a portion of an earlier one is known as such.
    window = models.PositiveBigIntegerField(_("window"), default=1)
    ends_at = models.DateTimeField(_("window ends"))
    # Whether a header has told when the window ends; until then it is guessed.
    is_confirmed = models.BooleanField(_("confirmed by Reddit"), default=False)
    used = models.PositiveIntegerField(_("used"), default=0)
    used_by_compliance = models.PositiveIntegerField(_("used to verify stored content"), default=0)
    # Given to workers and not yet accounted for.
    leased = models.PositiveIntegerField(_("given to workers"), default=0)
    # After a 429.
    blocked_until = models.DateTimeField(_("blocked until"), null=True, blank=True)
    turn_holder = models.CharField(_("sends morechildren"), max_length=64, blank=True)
    turn_until = models.DateTimeField(_("sends morechildren until"), null=True, blank=True)
    version = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = _("request budget")
        verbose_name_plural = _("request budgets")
        constraints = [
            models.UniqueConstraint(fields=["client_id"], name="requestbudget_one_per_client"),
            models.CheckConstraint(
                name="requestbudget_window_not_empty", condition=Q(window_requests__gte=1)
            ),
        ]

    def __str__(self) -> str:
        return self.client_id


class ScrapeSessionQuerySet(MessagesQuerySet["ScrapeSession"]):
    """States of scrape sessions."""

    def finished_before(self, cutoff: datetime) -> Self:
        """Return sessions that ended before the cutoff; a running one never has."""
        return self.filter(finished_at__lt=cutoff)

    def running(self) -> Self:
        """Return sessions that are under way."""
        return self.filter(status=ScrapeSession.Status.RUNNING)

    def abandoned(self) -> Self:
        """Return sessions still marked running though their run is not: their worker died."""
        return self.running().exclude(run__status="running")

    def visible_to(self, user: Person) -> Self:
        """Return the sessions of the configs that the user may see; those of deleted ones only who sees all."""
        return self if sees_everybodys(user) else self.filter(config__in=BotConfig.objects.managed_by(user))


class ScrapeSession(models.Model):
    """One scrape of one bot config.

    RUNNING ─► SUCCEEDED | PARTIAL (some subreddit failed) | FAILED | CANCELLED | INTERRUPTED
    """

    class Kind(models.TextChoices):
        """Who asked for it."""

        MANUAL = "manual", _("manual")
        AUTO = "auto", _("automatic")

    class Status(models.TextChoices):
        """See the class."""

        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        PARTIAL = "partial", _("partial")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        INTERRUPTED = "interrupted", _("interrupted")

    class ErrorKind(models.TextChoices):
        """Why Reddit did not answer as hoped."""

        NONE = "", _("none")
        NOT_CONFIGURED = "not_configured", _("no Reddit app")
        UNAUTHORIZED = "unauthorized", _("credentials refused")
        PRIVATE = "private", _("private subreddit")
        QUARANTINED = "quarantined", _("quarantined subreddit")
        FORBIDDEN = "forbidden", _("forbidden")
        BANNED = "banned", _("banned subreddit")
        NOT_FOUND = "not_found", _("no such subreddit")
        RATE_LIMITED = "rate_limited", _("rate limit")
        UNAVAILABLE_FOR_LEGAL_REASONS = "legal", _("unavailable for legal reasons")
        SERVER_ERROR = "server_error", _("Reddit's server failed")
        NETWORK = "network", _("network")
        BAD_ANSWER = "bad_answer", _("unreadable answer")
        BAD_REQUEST = "bad_request", _("request refused")
        INTERNAL = "internal", _("our own fault")

        @property
        def is_transient(self) -> bool:
            """Whether it may be right again within the hour."""
            # "forbidden" is a 403 that names no reason.
            return self.value in ("rate_limited", "server_error", "network", "bad_answer", "forbidden")

    config = models.ForeignKey(
        BotConfig,
        on_delete=models.SET_NULL,
        null=True,
        related_name="sessions",
        verbose_name=_("bot"),
    )
    config_name = models.CharField(_("bot's name"), max_length=100)
    # The row of maintenance.JobRun this session belongs to; scraping knows nothing more of it.
    run = models.ForeignKey(
        "maintenance.JobRun",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        related_name="sessions",
        verbose_name=_("run"),
    )
    kind = models.CharField(_("type"), max_length=8, choices=Kind, default=Kind.MANUAL)
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.RUNNING)
    started_at = models.DateTimeField(_("started"), default=clock.now)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    posts_found = models.PositiveIntegerField(_("posts found"), default=0)
    posts_new = models.PositiveIntegerField(_("new posts"), default=0)
    comments_found = models.PositiveIntegerField(_("comments found"), default=0)
    comments_new = models.PositiveIntegerField(_("new comments"), default=0)
    items_skipped = models.PositiveIntegerField(_("items skipped"), default=0)
    requests_used = models.PositiveIntegerField(_("requests used"), default=0)
    retries = models.PositiveIntegerField(_("requests repeated"), default=0)
    has_gap = models.BooleanField(
        _("gap"), default=False, help_text=_("The listing ended before a post that the last one had listed.")
    )
    # {subreddit: {"posts_found": int, "comments_new": int, ..., "skipped": {reason: int}, "warnings": [str],
    #  "error_kind": str, "error": str}}
    totals = JSONObjectField(_("totals by subreddit"), default=dict)
    # Where an interrupted session goes on (``scraping/sessions/checkpoint.py``), and when, if it waits for its budget.
    checkpoint = JSONObjectField(_("checkpoint"), null=True, blank=True)
    resume_at = models.DateTimeField(_("goes on"), null=True, blank=True)
    error_kind = models.CharField(
        _("cause"), max_length=16, choices=ErrorKind, default=ErrorKind.NONE, blank=True
    )
    error = MessageField(_("error"), blank=True)
    error_parts = PartsField(of="error")

    objects = ScrapeSessionQuerySet.as_manager()

    class Meta:
        verbose_name = _("scrape session")
        verbose_name_plural = _("scrape sessions")
        ordering = ["-id"]
        constraints = [
            DatabaseOnDelete(name="scrapesession_run_fk", field="run", action="SET NULL"),
            models.UniqueConstraint(
                fields=["config"],
                condition=Q(status="running"),
                name="scrapesession_one_running_per_config",
            ),
            models.CheckConstraint(
                name="scrapesession_status_known",
                condition=Q(
                    status__in=["running", "succeeded", "partial", "failed", "cancelled", "interrupted"]
                ),
            ),
            models.CheckConstraint(
                name="scrapesession_finished_unless_running",
                condition=Q(status="running", finished_at__isnull=True)
                | (~Q(status="running") & Q(finished_at__isnull=False)),
            ),
        ]
        indexes = [
            # cleanup_sessions: WHERE finished_at < cutoff, in key order
            models.Index(fields=["finished_at"], name="scrapesession_finished_at"),
            # admin: sessions of one status, newest first
            models.Index(fields=["status", "-id"], name="scrapesession_status"),
        ]

    def __str__(self) -> str:
        return f"{self.config_name} #{self.pk}"

    @property
    def totals_by_subreddit(self) -> list[tuple[str, dict[str, Any]]]:
        """The totals as a page shows them: what was counted, with lists of what was skipped and warned of."""
        rows = []
        for name, total in self.totals.items():
            if not isinstance(total, dict):
                continue
            skipped, warnings = total.get("skipped"), total.get("warnings")
            rows.append(
                (
                    name,
                    {
                        **total,
                        "skipped": list(skipped.items()) if isinstance(skipped, dict) else [],
                        "skipped_in_words": [(reason_label(why), number) for why, number in skipped.items()]
                        if isinstance(skipped, dict)
                        else [],
                        "warnings": from_json(total, "warnings") if isinstance(warnings, list) else [],
                        "error": from_json(total, "error"),
                    },
                )
            )
        return rows

    @property
    def posts_expired(self) -> int:
        """Posts that were not stored, because a purge would delete them at once."""
        skipped = (
            number
            for _, total in self.totals_by_subreddit
            for why, number in total["skipped"]
            if why == EXPIRED
        )
        return sum(number for number in skipped if type(number) is int)

    @property
    def duration(self) -> timedelta:
        """Time from start to end, or to now while running."""
        return (self.finished_at or clock.now()) - self.started_at

    def record(self, **values: Any) -> bool:
        """Save facts of a running session. False: somebody has closed it meanwhile."""
        rows = ScrapeSession.objects.running().filter(pk=self.pk)
        if "totals" in values:
            values["totals"] = as_json(values["totals"])
        if not rows.update(**values):
            return False
        for name, value in values.items():
            setattr(self, name, value)
        return True

    @property
    def has_transient_error(self) -> bool:
        """Whether what went wrong, anywhere, may be right again within the hour."""
        kinds = [self.error_kind, *(total.get("error_kind") for _, total in self.totals_by_subreddit)]
        if any(kind.is_transient for kind in self.ErrorKind if kind in kinds):
            return True
        # Whatever a post's comments answered, their next try is due.
        return self.config is not None and self.config.due_walks.filter(next_try_at__lte=clock.now()).exists()

    def close(self, status: str, *, error_kind: str = ErrorKind.NONE, error: str = "", **values: Any) -> bool:
        """RUNNING ─► a final status. False: somebody has closed it before."""
        return self.record(
            status=status, finished_at=clock.now(), error_kind=error_kind, error=error, **values
        )


class ContentState(models.TextChoices):
    """What became of an item on Reddit."""

    LIVE = "live", _("live")
    DELETED_BY_AUTHOR = "author", _("deleted by its author")
    REMOVED_BY_MODERATOR = "moderator", _("removed by a moderator")
    REMOVED_BY_REDDIT = "reddit", _("removed by Reddit")
    MISSING = "missing", _("missing")


class RedditPostQuerySet(models.QuerySet["RedditPost"]):
    """States of posts."""

    def created_before(
        self,
        cutoff: datetime,
        *,
        subreddits: Mapping[str, datetime] | None = None,
        configs: Mapping[int, datetime] | None = None,
        keeps_live_threads: bool = False,
    ) -> Self:
        """Return posts made on Reddit before the cutoff (exclusive).

        Args:
            cutoff: for every post without one of its own.
            subreddits: the cutoffs of subreddits, by name however it is capitalised.
            configs: the cutoffs of posts first found by these bots, by id. A post with two cutoffs of its own has
                the earlier one: keeping too long can be mended, deleting too early cannot.
            keeps_live_threads: let the newest stored comment of a post be from before its cutoff too.
        """
        names: defaultdict[datetime, list[str]] = defaultdict(list)
        for name, moment in (subreddits or {}).items():
            names[moment].append(folded(name))
        ids: defaultdict[datetime, list[int]] = defaultdict(list)
        for pk, moment in (configs or {}).items():
            ids[moment].append(pk)
        own = sorted({*names, *ids})
        if not own:
            found = self.filter(created_at__lt=cutoff)
            return found._without_comments_since(cutoff) if keeps_live_threads else found
        # The first branch that fits decides: the earliest cutoff stands first.
        branches = [
            When(
                Q(subreddit__folded__in=names[moment]) | Q(config_id__in=ids[moment]),
                then=Value(moment, DateTimeField()),
            )
            for moment in own
        ]
        limit = Case(*branches, default=Value(cutoff, DateTimeField()))
        # The first term follows from the second; it is what lets the database use the index on created_at.
        found = self.filter(created_at__lt=max(cutoff, *own)).filter(created_at__lt=limit)
        return found._without_comments_since(limit) if keeps_live_threads else found

    def _without_comments_since(self, limit: datetime | Case) -> Self:
        return self.filter(Q(newest_comment_at__isnull=True) | Q(newest_comment_at__lt=limit))

    def by_rule(
        self,
        cutoff: datetime,
        rules: Sequence[tuple[str, int | None, datetime]],
        *,
        keeps_live_threads: bool = False,
    ) -> "models.QuerySet[RedditPost, Any]":
        """Return posts that any rule may take, with the number of the ``rule`` that decides and their ``own_cutoff``.

        ``aged_from`` is the moment that is compared with it: of the post, or of a thread that is kept while it is
        alive of its newest comment.

        Args:
            cutoff: of posts without a rule; their number is that of the rules.
            rules: a subreddit's name or a bot's id, and its cutoff; the earliest first, which decides.
            keeps_live_threads: see ``created_before``.
        """
        moments = [
            When(_of_target(name, config), then=Value(moment, DateTimeField()))
            for name, config, moment in rules
        ]
        return self.filter(created_at__lt=max([cutoff, *(rule[2] for rule in rules)])).annotate(
            rule=rule_number([(name, config) for name, config, _moment in rules]),
            own_cutoff=Case(*moments, default=Value(cutoff, DateTimeField())),
            aged_from=Greatest("created_at", Coalesce("newest_comment_at", "created_at"))
            if keeps_live_threads
            else F("created_at"),
        )

    def held(self, now: datetime | None = None) -> Self:
        """Return posts that retention must not delete now."""
        return self.filter(
            Q(held_until__isnull=True) | Q(held_until__gt=now or clock.now()), held_at__isnull=False
        )

    def not_held(self, now: datetime | None = None) -> Self:
        """Return posts without a hold, or whose hold has ended."""
        return self.filter(Q(held_at__isnull=True) | Q(held_until__lte=now or clock.now()))

    def visible_to(self, user: Person) -> Self:
        """Return the posts that a bot of the user found, whoever found them first; all to who sees everybody's."""
        if sees_everybodys(user):
            return self
        return self.filter(Exists(PostSighting.objects.of_bots_of(user).filter(post=OuterRef("pk"))))

    def found_by(self, config_id: int) -> Self:
        """Return the posts that a bot found, whoever found them first."""
        return self.filter(Exists(PostSighting.objects.filter(config=config_id, post=OuterRef("pk"))))


def rule_number(targets: Sequence[tuple[str, int | None]]) -> Case:
    """Return an expression: the number of the first of these subreddits and bots that a post is of, or how many."""
    branches = [When(_of_target(*target), then=Value(number)) for number, target in enumerate(targets)]
    return Case(*branches, default=Value(len(targets)), output_field=models.IntegerField())


def _of_target(subreddit: str, config_id: int | None) -> Q:
    return Q(subreddit__folded=folded(subreddit)) if subreddit else Q(config_id=config_id)


class RedditContent(models.Model):
    """What posts and comments share."""

    # Unique by a constraint of each class: unique=True would add a second index for LIKE on PostgreSQL.
    fullname = models.CharField(_("fullname"), max_length=16)
    author = models.CharField(_("author"), max_length=64, blank=True)
    author_fullname = models.CharField(_("author's fullname"), max_length=16, blank=True)
    body = models.TextField(_("text"), blank=True)
    score = models.IntegerField(_("score"), default=0)
    created_at = models.DateTimeField(_("created on Reddit"))
    edited_at = models.DateTimeField(_("edited"), null=True, blank=True)
    is_edited = models.BooleanField(
        _("edited"), default=False, help_text=_("Before 2012 Reddit says that, but not when.")
    )
    distinguished = models.CharField(_("distinguished"), max_length=16, blank=True)
    is_stickied = models.BooleanField(_("stickied"), default=False)
    state = models.CharField(_("state"), max_length=12, choices=ContentState, default=ContentState.LIVE)
    is_author_deleted = models.BooleanField(_("account deleted"), default=False)
    first_seen_at = models.DateTimeField(_("first seen"), default=clock.now)
    last_seen_at = models.DateTimeField(_("last seen"), default=clock.now)
    # When /api/info last confirmed this item; a fresh scrape counts too. Null sorts as "never".
    checked_at = models.DateTimeField(_("verified"), null=True, blank=True)
    # How often in a row /api/info left the item out.
    missing_count = models.PositiveSmallIntegerField(_("times missing"), default=0)

    class Meta:
        abstract = True

    @property
    def id36(self) -> str:
        """Reddit's id without its kind: 1j7g9uj of t3_1j7g9uj."""
        return self.fullname.partition("_")[2]


class RedditPost(RedditContent):
    """A submission, kept by its fullname (t3_…)."""

    subreddit = models.CharField(_("subreddit"), max_length=50)
    title = models.TextField(_("title"), blank=True)
    url = models.TextField(_("URL"), blank=True)
    permalink = models.TextField(_("permalink"), blank=True)
    domain = models.CharField(_("domain"), max_length=200, blank=True)
    flair = models.CharField(_("flair"), max_length=200, blank=True)
    # Preview, gallery and video addresses, as Reddit gave them.
    media = models.JSONField(_("media"), null=True, blank=True)
    # The pictures in their order, and the poll: see ``post_parts.py``.
    gallery = models.JSONField(_("gallery"), null=True, blank=True)
    poll = JSONObjectField(_("poll"), null=True, blank=True)
    # The post that a crosspost passes on, which need not be stored, and its text; its gallery and poll are above.
    crosspost_parent = models.CharField(
        _("crosspost of"), max_length=16, blank=True, default="", db_default=""
    )
    crosspost_body = models.TextField(
        _("text of the crossposted post"), blank=True, default="", db_default=""
    )
    upvote_ratio = models.FloatField(_("upvote ratio"), null=True, blank=True)
    num_comments = models.IntegerField(_("comments on Reddit"), default=0)
    comments_fetched = models.PositiveIntegerField(_("comments fetched"), default=0)
    # When the newest stored comment was made. Not indexed: a scrape changes it, and whoever asks asks by age first.
    newest_comment_at = models.DateTimeField(_("newest comment"), null=True, blank=True, editable=False)
    # The last walk over its comments: {"num_comments": int, "reach": [int, …], "left": int}; null: none yet.
    walk = JSONObjectField(_("last comment walk"), null=True, blank=True)
    is_self = models.BooleanField(_("text post"), default=False)
    is_over_18 = models.BooleanField(_("NSFW"), default=False)
    is_spoiler = models.BooleanField(_("spoiler"), default=False)
    is_locked = models.BooleanField(_("locked"), default=False)
    removed_by_category = models.CharField(_("removed by"), max_length=32, blank=True)
    # The session that found it first. No constraint: deleting a session must not rewrite its posts.
    session = models.ForeignKey(
        ScrapeSession,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        related_name="posts",
        verbose_name=_("found by"),
    )
    # The bot whose session that was; it stays when the session is deleted. No constraint for the same reason,
    # no index because only the purge reads it, together with created_at.
    config = models.ForeignKey(
        BotConfig,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="posts",
        verbose_name=_("bot"),
    )
    held_at = models.DateTimeField(_("held since"), null=True, blank=True)
    held_until = models.DateTimeField(_("held until"), null=True, blank=True)
    held_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        verbose_name=_("held by"),
    )
    hold_reason = models.TextField(_("reason of the hold"), blank=True)

    objects = RedditPostQuerySet.as_manager()

    class Meta:
        verbose_name = _("post")
        verbose_name_plural = _("posts")
        ordering = ["-id"]
        permissions = [
            ("hold_redditpost", _("Can hold and release posts")),
            ("export_redditpost", _("Can export posts")),
        ]
        constraints = [
            # upserts: ON CONFLICT (fullname)
            models.UniqueConstraint(fields=["fullname"], name="redditpost_fullname_unique"),
            models.CheckConstraint(name="redditpost_fullname_is_t3", condition=Q(fullname__startswith="t3_")),
            models.CheckConstraint(
                name="redditpost_state_known",
                condition=Q(state__in=["live", "author", "moderator", "reddit", "missing"]),
            ),
            models.CheckConstraint(
                name="redditpost_hold_has_reason",
                condition=Q(held_at__isnull=True, held_until__isnull=True)
                | (Q(held_at__isnull=False) & ~Q(hold_reason="")),
            ),
        ]
        indexes = [
            # purge_old_content: WHERE created_at < cutoff, in key order
            models.Index(fields=["created_at", "id"], name="redditpost_created_at"),
            # posts of one subreddit: young ones, those before a session, the admin's filter
            models.Index(Folded("subreddit"), F("created_at").desc(), name="redditpost_subreddit_folded"),
            # refresh_stored_content: the least recently verified first
            models.Index(fields=["checked_at"], name="redditpost_checked_at"),
            # holds are few: the plan lists them, the admin filters by them
            models.Index(fields=["held_until"], name="redditpost_held", condition=Q(held_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.title[:80] or self.fullname

    @property
    def is_held(self) -> bool:
        """Whether a hold keeps it from retention now."""
        return self.held_at is not None and (self.held_until is None or self.held_until > clock.now())

    @property
    def comment_share(self) -> float | None:
        """Per cent of Reddit's comments that are stored, at most 100; None where Reddit has none."""
        if self.num_comments <= 0:
            return None
        return min(100.0, 100 * self.comments_fetched / self.num_comments)


class PostSightingQuerySet(models.QuerySet["PostSighting"]):
    """Owners of the bots that found posts."""

    def of_bots_of(self, user: Person) -> Self:
        """Return what the user's own bots found."""
        return self.filter(config__in=BotConfig.objects.managed_by(user))


class PostSighting(models.Model):
    """A bot has found a post; one row for each pair, however often. Who sees the post follows from it."""

    pk = models.CompositePrimaryKey("post_id", "config_id")
    # Hidden relations: a sighting says nothing of its own, so no plan and no count of a purge names it.
    post = models.ForeignKey(
        RedditPost,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # the primary key
        related_name="+",
        verbose_name=_("post"),
    )
    config = models.ForeignKey(
        BotConfig,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # postsighting_config
        related_name="+",
        verbose_name=_("bot"),
    )

    objects = PostSightingQuerySet.as_manager()

    class Meta:
        verbose_name = _("sighting of a post")
        verbose_name_plural = _("sightings of posts")
        constraints = [
            DatabaseOnDelete(name="postsighting_post_fk", field="post"),
            DatabaseOnDelete(name="postsighting_config_fk", field="config"),
        ]
        indexes = [
            # the posts of an owner's bots; the cascade of a deleted bot
            models.Index(fields=["config", "post"], name="postsighting_config"),
        ]

    def __str__(self) -> str:
        return f"{self.post_id} {self.config_id}"


class RedditCommentQuerySet(models.QuerySet["RedditComment"]):
    """Whose comments are seen by whom."""

    def visible_to(self, user: Person) -> Self:
        """Return the comments of the posts that the user may see."""
        if sees_everybodys(user):
            return self
        return self.filter(Exists(PostSighting.objects.of_bots_of(user).filter(post=OuterRef("post_id"))))

    def found_by(self, config_id: int) -> Self:
        """Return the comments of the posts that a bot found."""
        return self.filter(Exists(PostSighting.objects.filter(config=config_id, post=OuterRef("post_id"))))


class RedditComment(RedditContent):
    """A comment, kept by its fullname (t1_…); it goes with its post."""

    post = models.ForeignKey(
        RedditPost,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="comments",
        verbose_name=_("post"),
    )
    # t3_… for a top-level comment, else the t1_… it answers, which need not be stored.
    parent_fullname = models.CharField(_("answers"), max_length=16)
    depth = models.PositiveSmallIntegerField(_("depth"), default=0)
    is_submitter = models.BooleanField(_("by the post's author"), default=False)
    is_score_hidden = models.BooleanField(_("score hidden"), default=False)

    objects = RedditCommentQuerySet.as_manager()

    class Meta:
        verbose_name = _("comment")
        verbose_name_plural = _("comments")
        permissions = [("export_redditcomment", _("Can export comments"))]
        ordering = ["-id"]
        constraints = [
            DatabaseOnDelete(name="redditcomment_post_fk", field="post"),
            # upserts: ON CONFLICT (fullname)
            models.UniqueConstraint(fields=["fullname"], name="redditcomment_fullname_unique"),
            models.CheckConstraint(
                name="redditcomment_fullname_is_t1", condition=Q(fullname__startswith="t1_")
            ),
            models.CheckConstraint(
                name="redditcomment_state_known",
                condition=Q(state__in=["live", "author", "moderator", "reddit", "missing"]),
            ),
        ]
        indexes = [
            # refresh_stored_content: the least recently verified first
            models.Index(fields=["checked_at"], name="redditcomment_checked_at"),
        ]

    def __str__(self) -> str:
        return self.fullname


# Models with a module of their own; Django finds them by this import.
from scraping.models.access_tokens import AccessToken as AccessToken  # noqa: E402
from scraping.models.due import DueWalk as DueWalk  # noqa: E402
from scraping.models.erasures import Erasure as Erasure  # noqa: E402
from scraping.models.freshness import Freshness as Freshness  # noqa: E402
