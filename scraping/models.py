"""What is scraped, by whom, and what was found."""

import re
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from database.constraints import DatabaseOnDelete
from database.fields import EncryptedTextField

# r/name: 2 to 21 letters, digits and underscores; a user's own subreddit is u_name.
SUBREDDIT_NAME = re.compile(r"^(?:u_[A-Za-z0-9_-]{1,30}|[A-Za-z0-9][A-Za-z0-9_]{1,20})\Z")

# What `up` and `sandbox_reddit` use as client id; an app with this id must never meet the real Reddit.
SANDBOX_CLIENT_ID = "sandbox"


def validate_subreddits(value: Any) -> None:
    """Refuse anything but a non-empty list of subreddit names without the leading r/."""
    if not isinstance(value, list) or not value:
        raise ValidationError(_("Name at least one subreddit."), code="required")
    for name in value:
        if not isinstance(name, str) or not SUBREDDIT_NAME.match(name):
            raise ValidationError(
                _("%(name)s is not a subreddit name: write it without r/, such as python."),
                code="invalid",
                params={"name": repr(name)},
            )
    if len({name.lower() for name in value}) != len(value):
        raise ValidationError(_("A subreddit is named twice."), code="duplicate")


class RedditApp(models.Model):
    """An OAuth client registered with Reddit; its bots share one rate budget."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    client_id = models.CharField(_("client id"), max_length=100, unique=True)
    client_secret = EncryptedTextField(_("client secret"), blank=True)
    user_agent = models.CharField(
        _("user agent"),
        max_length=200,
        help_text=_("As Reddit asks: platform:app id:version (by /u/name)"),
    )

    class Meta:
        verbose_name = _("Reddit app")
        verbose_name_plural = _("Reddit apps")

    def __str__(self) -> str:
        return self.name

    @property
    def is_sandbox(self) -> bool:
        """Whether this app belongs to the synthetic Reddit of `sandbox_reddit`."""
        return self.client_id == SANDBOX_CLIENT_ID


class BotConfigQuerySet(models.QuerySet["BotConfig"]):
    """States and owners of bot configs."""

    def auto_scraped(self) -> Self:
        """Return configs that `auto_scraping` scrapes."""
        return self.filter(is_active=True, auto_scrape=True)

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Return the user's own configs, or all of them for a superuser."""
        if getattr(user, "is_superuser", False):
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
        COMPLETE = "complete", _("complete")

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
    subreddits = models.JSONField(_("subreddits"), validators=[validate_subreddits])
    sort = models.CharField(_("listing"), max_length=16, choices=Sort, default=Sort.NEW)
    time_filter = models.CharField(
        _("time span"),
        max_length=8,
        choices=TimeFilter,
        default=TimeFilter.DAY,
        help_text=_("Of top and controversial."),
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
    is_active = models.BooleanField(_("active"), default=True)
    auto_scrape = models.BooleanField(
        _("scrape automatically"), default=True, help_text=_("Scraped by the job auto_scraping.")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = BotConfigQuerySet.as_manager()

    class Meta:
        verbose_name = _("bot")
        verbose_name_plural = _("bots")
        ordering = ["name"]
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
                condition=Q(sort__in=["new", "hot", "top", "rising", "controversial"]),
            ),
            models.CheckConstraint(
                name="botconfig_comment_policy_known",
                condition=Q(comment_policy__in=["none", "first_page", "complete"]),
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


class ScrapeSessionQuerySet(models.QuerySet["ScrapeSession"]):
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

    def visible_to(self, user: AbstractBaseUser | AnonymousUser) -> Self:
        """Return sessions of the user's own configs, or all of them for a superuser."""
        if getattr(user, "is_superuser", False):
            return self
        return self.filter(config__owner_id=user.pk) if user.pk else self.none()


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
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    posts_found = models.PositiveIntegerField(_("posts found"), default=0)
    posts_new = models.PositiveIntegerField(_("new posts"), default=0)
    comments_found = models.PositiveIntegerField(_("comments found"), default=0)
    comments_new = models.PositiveIntegerField(_("new comments"), default=0)
    items_skipped = models.PositiveIntegerField(_("items skipped"), default=0)
    requests_used = models.PositiveIntegerField(_("requests used"), default=0)
    has_gap = models.BooleanField(
        _("gap"), default=False, help_text=_("Reddit's 1,000-item cap was reached before a known post.")
    )
    # {subreddit: {"posts_found": int, "posts_new": int, "comments_found": int, ..., "error_kind": str, "error": str}}
    totals = models.JSONField(_("totals by subreddit"), default=dict)
    error_kind = models.CharField(
        _("cause"), max_length=16, choices=ErrorKind, default=ErrorKind.NONE, blank=True
    )
    error = models.TextField(_("error"), blank=True)

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
    def duration(self) -> timedelta:
        """Time from start to end, or to now while running."""
        return (self.finished_at or timezone.now()) - self.started_at

    def record(self, **values: Any) -> bool:
        """Save facts of a running session. False: somebody has closed it meanwhile."""
        rows = ScrapeSession.objects.running().filter(pk=self.pk)
        if not rows.update(**values):
            return False
        for name, value in values.items():
            setattr(self, name, value)
        return True

    def close(self, status: str, *, error_kind: str = ErrorKind.NONE, error: str = "") -> bool:
        """RUNNING ─► a final status. False: somebody has closed it before."""
        return self.record(status=status, finished_at=timezone.now(), error_kind=error_kind, error=error)


class ContentState(models.TextChoices):
    """What became of an item on Reddit."""

    LIVE = "live", _("live")
    DELETED_BY_AUTHOR = "author", _("deleted by its author")
    REMOVED_BY_MODERATOR = "moderator", _("removed by a moderator")
    REMOVED_BY_REDDIT = "reddit", _("removed by Reddit")
    MISSING = "missing", _("missing")


class RedditPostQuerySet(models.QuerySet["RedditPost"]):
    """States of posts."""

    def created_before(self, cutoff: datetime) -> Self:
        """Return posts made on Reddit before the cutoff (exclusive)."""
        return self.filter(created_at__lt=cutoff)

    def held(self, now: datetime | None = None) -> Self:
        """Return posts that retention must not delete now."""
        return self.filter(
            Q(held_until__isnull=True) | Q(held_until__gt=now or timezone.now()), held_at__isnull=False
        )

    def not_held(self, now: datetime | None = None) -> Self:
        """Return posts without a hold, or whose hold has ended."""
        return self.filter(Q(held_at__isnull=True) | Q(held_until__lte=now or timezone.now()))


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
    first_seen_at = models.DateTimeField(_("first seen"), default=timezone.now)
    last_seen_at = models.DateTimeField(_("last seen"), default=timezone.now)
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
    upvote_ratio = models.FloatField(_("upvote ratio"), null=True, blank=True)
    num_comments = models.IntegerField(_("comments on Reddit"), default=0)
    comments_fetched = models.PositiveIntegerField(_("comments fetched"), default=0)
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
            # listings: known ids and the watermark of one subreddit; admin filter by subreddit
            models.Index(fields=["subreddit", "-created_at"], name="redditpost_subreddit"),
            # refresh_stored_content: the least recently verified first
            models.Index(fields=["checked_at"], name="redditpost_checked_at"),
            # holds are few: the plan lists them, the admin filters by them
            models.Index(fields=["held_until"], name="redditpost_held", condition=Q(held_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.title[:80] or self.fullname


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

    class Meta:
        verbose_name = _("comment")
        verbose_name_plural = _("comments")
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
