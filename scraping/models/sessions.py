"""Scrape sessions: one scrape of one bot."""

from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from database import clock
from database.constraints import DatabaseOnDelete
from database.json_fields import JSONObjectField
from database.messages import MessageField, MessagesQuerySet, PartsField, as_json, from_json
from scraping.models.bots import BotConfig
from scraping.models.causes import ErrorKind
from scraping.runs import runs
from scraping.skip_reasons import EXPIRED, reason_label
from scraping.visibility import VIEW_SESSIONS, Person, sees_everybodys


def _remedy(kind: Any) -> str:
    """Return what to do about a stored cause, which an earlier release may have named otherwise."""
    return ErrorKind(kind).remedy if kind in ErrorKind.values else ""


class ScrapeSessionQuerySet(MessagesQuerySet["ScrapeSession"]):
    """Selects scrape sessions by state and owner."""

    def finished_before(self, cutoff: datetime) -> Self:
        """Return sessions that ended before the cutoff, never a running one."""
        return self.filter(finished_at__lt=cutoff)

    def running(self) -> Self:
        """Return sessions that are under way."""
        return self.filter(status=ScrapeSession.Status.RUNNING)

    def abandoned(self) -> Self:
        """Return sessions still marked as running although their run is not: their worker died."""
        return self.running().filter(~Exists(runs().running().filter(pk=OuterRef("run_id"))))

    def visible_to(self, user: Person) -> Self:
        """Return the sessions of the user's configs; a user who sees everybody's also gets those of deleted configs."""
        return self if sees_everybodys(user) else self.filter(config__in=BotConfig.objects.managed_by(user))

    def named_to(self, user: Person) -> Self:
        """Return the sessions that other pages may name to the user: those of ``visible_to``, if they may view any."""
        return self.visible_to(user) if user.has_perm(VIEW_SESSIONS) else self.none()


class ScrapeSession(models.Model):
    """One scrape of one bot config.

    RUNNING ─► SUCCEEDED | PARTIAL (some subreddit failed) | FAILED | CANCELLED | INTERRUPTED
    """

    class Kind(models.TextChoices):
        """Who asked for it."""

        MANUAL = "manual", _("manual")
        AUTO = "auto", _("automatic")

    class Status(models.TextChoices):
        """The states that the class draws."""

        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        PARTIAL = "partial", _("partial")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        INTERRUPTED = "interrupted", _("interrupted")

    config = models.ForeignKey(
        BotConfig,
        on_delete=models.SET_NULL,
        null=True,
        related_name="sessions",
        verbose_name=_("bot"),
    )
    config_name = models.CharField(_("bot's name"), max_length=100)
    # The run this session belongs to; see ``scraping/runs.py``.
    run = models.ForeignKey(
        settings.RUN_MODEL,
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
        _("gap"),
        default=False,
        help_text=_("The listing ended before it reached a post of the previous listing."),
    )
    # {subreddit: {"posts_found": int, "comments_new": int, ..., "skipped": {reason: int}, "warnings": [str],
    #  "error_kind": str, "error": str}}
    totals = JSONObjectField(_("totals by subreddit"), default=dict)
    # Where an interrupted session is resumed (``scraping/sessions/checkpoint.py``), and when, if it waits for requests.
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
            # admin filter by start
            models.Index(fields=["started_at"], name="scrapesession_started_at"),
            # admin filter by gap: few sessions have one
            models.Index(fields=["-id"], name="scrapesession_gap", condition=Q(has_gap=True)),
            # admin filter by type: nearly all are automatic
            models.Index(fields=["-id"], name="scrapesession_manual", condition=Q(kind="manual")),
        ]

    def __str__(self) -> str:
        return f"{self.config_name} #{self.pk}"

    @property
    def totals_by_subreddit(self) -> list[tuple[str, dict[str, Any]]]:
        """The totals as a page shows them: the counts, and lists of skipped items and warnings."""
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
                        "remedy": _remedy(total.get("error_kind")),
                    },
                )
            )
        return rows

    @property
    def posts_expired(self) -> int:
        """How many posts were not stored because a purge would delete them at once."""
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
        """Save fields of a running session. False: another process has closed it."""
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
        """Whether any error of the session is one for which a retry within the hour may succeed."""
        kinds = [self.error_kind, *(total.get("error_kind") for _, total in self.totals_by_subreddit)]
        if any(kind.is_transient for kind in ErrorKind if kind in kinds):
            return True
        # Errors of a post's comments do not count: that post is due and has its own next try.
        return self.config is not None and self.config.due_walks.filter(next_try_at__lte=clock.now()).exists()

    def close(self, status: str, *, error_kind: str = ErrorKind.NONE, error: str = "", **values: Any) -> bool:
        """RUNNING ─► a final status. False: it was closed already."""
        return self.record(
            status=status, finished_at=clock.now(), error_kind=error_kind, error=error, **values
        )
