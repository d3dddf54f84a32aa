"""Posts and comments, and which bots found them."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from database import clock
from database.constraints import DatabaseOnDelete
from database.json_fields import JSONObjectField
from database.names import Folded
from scraping.models.ages import AgedQuerySet
from scraping.models.bots import BotConfig
from scraping.models.sessions import ScrapeSession
from scraping.visibility import Person, sees_everybodys


class ContentState(models.TextChoices):
    """The state of an item on Reddit."""

    LIVE = "live", _("live")
    DELETED_BY_AUTHOR = "author", _("deleted by its author")
    REMOVED_BY_MODERATOR = "moderator", _("removed by a moderator")
    REMOVED_BY_REDDIT = "reddit", _("removed by Reddit")
    MISSING = "missing", _("missing")


class RedditPostQuerySet(AgedQuerySet["RedditPost"]):
    """Selects posts by state, visibility and finder."""

    def held(self, now: datetime | None = None) -> Self:
        """Return posts with a hold that is in force: no retention deletes them."""
        return self.filter(
            Q(held_until__isnull=True) | Q(held_until__gt=now or clock.now()), held_at__isnull=False
        )

    def not_held(self, now: datetime | None = None) -> Self:
        """Return posts without a hold, or whose hold has ended."""
        return self.filter(Q(held_at__isnull=True) | Q(held_until__lte=now or clock.now()))

    def visible_to(self, user: Person) -> Self:
        """Return the posts that any bot of the user found; all posts for a user who sees everybody's content."""
        if sees_everybodys(user):
            return self
        return self.filter(Exists(PostSighting.objects.of_bots_of(user).filter(post=OuterRef("pk"))))

    def found_by(self, config_id: int) -> Self:
        """Return the posts that a bot found, including those that another bot found first."""
        # IN, not EXISTS: SQLite would ask for each post of all.
        return self.filter(pk__in=PostSighting.objects.filter(config=config_id).values("post"))


class RedditContent(models.Model):
    """The fields that posts and comments share."""

    # Unique by a named constraint in each class: unique=True would add a second index for LIKE on PostgreSQL.
    fullname = models.CharField(_("fullname"), max_length=16)
    author = models.CharField(_("author"), max_length=64, blank=True)
    author_fullname = models.CharField(_("author's fullname"), max_length=16, blank=True)
    body = models.TextField(_("text"), blank=True)
    score = models.IntegerField(_("score"), default=0)
    created_at = models.DateTimeField(_("created on Reddit"))
    edited_at = models.DateTimeField(_("edited"), null=True, blank=True)
    is_edited = models.BooleanField(
        _("edited"), default=False, help_text=_("For edits before 2012 Reddit gives no time.")
    )
    distinguished = models.CharField(_("distinguished"), max_length=16, blank=True)
    is_stickied = models.BooleanField(_("stickied"), default=False)
    state = models.CharField(_("state"), max_length=12, choices=ContentState, default=ContentState.LIVE)
    is_author_deleted = models.BooleanField(_("account deleted"), default=False)
    first_seen_at = models.DateTimeField(_("first seen"), default=clock.now)
    last_seen_at = models.DateTimeField(_("last seen"), default=clock.now)
    # When the item was last verified, by /api/info or by a scrape; null: never.
    checked_at = models.DateTimeField(_("verified"), null=True, blank=True)
    # How many times in a row /api/info left the item out.
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
    # The parent of a crosspost, which may not be stored, and its text; its gallery and poll are in the fields above.
    crosspost_parent = models.CharField(
        _("crosspost of"), max_length=16, blank=True, default="", db_default=""
    )
    crosspost_body = models.TextField(
        _("text of the crossposted post"), blank=True, default="", db_default=""
    )
    upvote_ratio = models.FloatField(_("upvote ratio"), null=True, blank=True)
    num_comments = models.IntegerField(_("comments on Reddit"), default=0)
    comments_fetched = models.PositiveIntegerField(_("comments fetched"), default=0)
    # When the newest stored comment was made. Not indexed: scrapes change it often, and every query filters by age first.
    newest_comment_at = models.DateTimeField(_("newest comment"), null=True, blank=True, editable=False)
    # The last walk over its comments: {"num_comments": int, "reach": [int, …], "left": int}; null: no walk yet.
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
    # The bot of that session; it stays when the session is deleted. No constraint for the same reason; no index,
    # because only the purge reads it, together with created_at.
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
            models.Index(fields=["-id"], name="redditpost_on_hold", condition=Q(held_at__isnull=False)),
            # deletion of a person: sets held_by of their holds to null
            models.Index(fields=["held_by"], name="redditpost_held_by", condition=Q(held_by__isnull=False)),
            # search by author; PostgreSQL stores each name once, so it has a fifth of the size of one on (author, id)
            models.Index(fields=["author"], name="redditpost_author"),
            # admin filter by state: nearly all are live
            models.Index(fields=["state", "-id"], name="redditpost_gone", condition=~Q(state="live")),
        ]

    def __str__(self) -> str:
        return self.title[:80] or self.fullname

    @property
    def is_held(self) -> bool:
        """Whether the post has a hold that is in force."""
        return self.held_at is not None and (self.held_until is None or self.held_until > clock.now())

    @property
    def comment_share(self) -> float | None:
        """The percentage of Reddit's comments that are stored, at most 100; None if Reddit has none."""
        if self.num_comments <= 0:
            return None
        return min(100.0, 100 * self.comments_fetched / self.num_comments)


class PostSightingQuerySet(models.QuerySet["PostSighting"]):
    """Selects sightings by the owner of the bot."""

    def of_bots_of(self, user: Person) -> Self:
        """Return the sightings of the user's own bots."""
        return self.filter(config__in=BotConfig.objects.managed_by(user))


class PostSighting(models.Model):
    """A bot has found a post: one row for each pair. It decides who may see the post."""

    pk = models.CompositePrimaryKey("post_id", "config_id")
    # Hidden relations: a sighting has no content of its own, so plans and counts of a purge leave it out.
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
