"""The bot configs: which subreddits are scraped, how, and for whom."""

from typing import Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from database import clock
from database.json_fields import JSONTextsField
from database.messages import message_of
from scraping.models.causes import ErrorKind
from scraping.models.reddit_apps import RedditApp
from scraping.models.validators import validate_pattern, validate_subreddits, validate_texts
from scraping.visibility import VIEW_BOTS, Person, is_superuser, sees_everybodys


class BotConfigQuerySet(models.QuerySet["BotConfig"]):
    """Selects bot configs by state and owner."""

    def auto_scraped(self) -> Self:
        """Return configs that `auto_scraping` scrapes."""
        return self.filter(is_active=True, auto_scrape=True)

    def named(self, text: str) -> "BotConfig":
        """Return the config of this id, or of this name if only one has it.

        Raises:
            ValidationError: there is none, or there are several; the text says what to do.
        """
        text = text.strip()
        # A key has at most 19 digits; Python refuses to parse numbers of thousands of digits.
        if text.isdecimal() and len(text) < 20 and (config := self.filter(pk=int(text)).first()):
            return config
        # PostgreSQL refuses a NUL even in a comparison.
        configs = [] if "\0" in text else list(self.filter(name=text)[:2])
        if len(configs) == 1:
            return configs[0]
        if configs:
            raise ValidationError(_("Several bots are named %(name)s: give the id instead.") % {"name": text})
        raise ValidationError(_("There is no bot %(name)s: give its id or its name.") % {"name": text})

    def visible_to(self, user: Person) -> Self:
        """Return the configs that the user may see (``scraping/visibility.py``)."""
        return self if sees_everybodys(user) else self.managed_by(user)

    def named_to(self, user: Person) -> Self:
        """Return the configs that any page may name to the user: others than their own only if they may view bots."""
        return self.visible_to(user) if user.has_perm(VIEW_BOTS) else self.managed_by(user)

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
        """The time span of a top or controversial listing."""

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
        BUDGETED = "budgeted", _("as many as the requests per post allow")
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
        help_text=_("Only for Top and Controversial."),
    )
    query = models.CharField(
        _("search for"),
        max_length=512,
        blank=True,
        help_text=_("In Reddit's search syntax; only for a search."),
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
        help_text=_("The most requests for the comments of one post, if these are limited by requests."),
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
        help_text=_("For how many hours after a post was made later runs fetch its new comments; 0: never."),
    )
    # The filters: see scraping/sessions/filters.py.
    nsfw = models.CharField(_("NSFW"), max_length=8, choices=Nsfw, default=Nsfw.ANY)
    min_score = models.IntegerField(
        _("lowest score"),
        null=True,
        blank=True,
        help_text=_("The score when the post is listed; new posts have a score of 1."),
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
        help_text=_("A regular expression (RE2), searched for in title and text; case does not matter."),
    )
    pattern_unwanted = models.CharField(
        _("not posts that match"), max_length=500, blank=True, validators=[validate_pattern]
    )
    is_active = models.BooleanField(_("active"), default=True)
    auto_scrape = models.BooleanField(
        _("scrape automatically"), default=True, help_text=_("Scraped by the job Auto scraping.")
    )
    # The kind of refusal of whole sessions, and how often in a row; the third refusal pauses the config.
    refusal_kind = models.CharField(_("Reddit's refusal"), max_length=16, blank=True, editable=False)
    refusals = models.PositiveSmallIntegerField(_("refusals in a row"), default=0, editable=False)
    paused_at = models.DateTimeField(_("paused"), null=True, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), default=clock.now, editable=False)
    updated_at = models.DateTimeField(pgettext_lazy("time", "changed"), auto_now=True)

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
        """Save the config; activating it ends its pause."""
        if self.is_active and self.paused_at is not None:
            self.paused_at, self.refusal_kind, self.refusals = None, "", 0
        super().save(*args, **kwargs)

    @property
    def pause_reason(self) -> str:
        """Why the bot is paused, in the reader's language; empty if it is not paused."""
        return message_of(ErrorKind(self.refusal_kind).label) if self.paused_at else ""

    @property
    def pause_remedy(self) -> str:
        """What ends the pause, in the reader's language; empty while it is not paused."""
        return ErrorKind(self.refusal_kind).remedy if self.paused_at else ""

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
        """Reset the count of refusals after an answer of Reddit."""
        if self.refusals and self.paused_at is None:
            self.refusal_kind, self.refusals = "", 0
            self._record_refusals()

    def _record_refusals(self) -> None:
        # Not save(): updated_at records edits by people, and a stale save would undo their edits of other fields.
        values = {"refusal_kind": self.refusal_kind, "refusals": self.refusals}
        if self.paused_at is not None:
            values |= {"is_active": False, "paused_at": self.paused_at}
        BotConfig.objects.filter(pk=self.pk).update(**values)
