"""Alerts: conditions that somebody must know about, from the moment they were noticed until they are gone."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from audit import subject_names
from database import clock
from database.constraints import DatabaseOnDelete
from database.kept_keys import KeptForeignKey
from database.messages import MessageField, MessagesQuerySet, PartsField
from scraping.models import BotConfig

# Who sees every run sees every alert.
SEE_ALL = "maintenance.view_jobrun"


class AlertQuerySet(MessagesQuerySet["Alert"]):
    """States of alerts, and who may see them."""

    def open(self) -> Self:
        """Return the alerts whose condition still holds."""
        return self.filter(closed_at__isnull=True)

    def closed_before(self, cutoff: datetime) -> Self:
        """Return the alerts that were closed before the moment."""
        return self.filter(closed_at__lt=cutoff)

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Return all alerts for people who see all runs; for others those about bots that they manage."""
        if not user.is_active:
            return self.none()
        if user.has_perm(SEE_ALL):
            return self
        return self.filter(config__in=BotConfig.objects.managed_by(user))


class Alert(models.Model):
    """One condition of one subject: opened when a rule first finds it, closed when it no longer does.

    ::

        a rule finds it ─► open ─► the rule no longer finds it ─► closed

    The unique constraint makes one open alert of two processes that find the same.
    """

    class Severity(models.TextChoices):
        """How bad the condition is."""

        CRITICAL = "critical", _("critical")
        WARNING = "warning", _("warning")

    rule = models.CharField(_("rule"), max_length=30)
    severity = models.CharField(_("severity"), max_length=8, choices=Severity, default=Severity.WARNING)
    subject_type = models.CharField(_("kind of subject"), max_length=60)
    subject_id = models.CharField(_("id of the subject"), max_length=64)
    # Copied: an alert outlives its subject.
    subject_name = models.CharField(_("subject"), max_length=200)
    # The bot that it is about; its owner sees the alert. Null: it is about none.
    config = KeptForeignKey(BotConfig, related_name="alerts", verbose_name=_("bot"))
    cause = MessageField(_("cause"), blank=True)
    cause_parts = PartsField(of="cause")
    # How often the condition occurred: failures in a row, missed slots.
    occurrences = models.PositiveIntegerField(_("occurrences"), default=1)
    opened_at = models.DateTimeField(_("opened"), default=clock.now, db_default=Now())
    last_seen_at = models.DateTimeField(_("last seen"), default=clock.now, db_default=Now())
    # It opened again and again: it stays open until it has been quiet for an hour.
    is_flapping = models.BooleanField(_("flapping"), default=False, db_default=False)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    # When its deliveries were written; null: its subject was muted.
    told_at = models.DateTimeField(null=True, blank=True, editable=False)
    # The longest wait after which it has escalated.
    escalated_minutes = models.PositiveIntegerField(null=True, blank=True, editable=False)
    acknowledged_at = models.DateTimeField(_("acknowledged"), null=True, blank=True)
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # alert_acknowledged_by_fk
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("acknowledged by"),
    )
    acknowledged_by_name = models.CharField(_("acknowledged by"), max_length=150, blank=True, db_default="")
    acknowledged_note = models.CharField(_("note"), max_length=500, blank=True, db_default="")

    objects = AlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ["-id"]
        permissions = [("decide_alert", _("Can acknowledge and mute alerts"))]
        constraints = [
            DatabaseOnDelete(name="alert_acknowledged_by_fk", field="acknowledged_by", action="SET NULL"),
            models.UniqueConstraint(
                fields=["rule", "subject_type", "subject_id"],
                condition=Q(closed_at__isnull=True),
                name="alert_one_open_per_subject",
            ),
            models.CheckConstraint(
                name="alert_closed_after_opened",
                condition=Q(closed_at__isnull=True) | Q(closed_at__gte=F("opened_at")),
            ),
            models.CheckConstraint(
                name="alert_severity_known", condition=Q(severity__in=["critical", "warning"])
            ),
            models.CheckConstraint(
                name="alert_acknowledged_by_somebody",
                condition=Q(acknowledged_at__isnull=True, acknowledged_by_name="")
                | (Q(acknowledged_at__isnull=False) & ~Q(acknowledged_by_name="")),
            ),
            models.CheckConstraint(name="alert_occurrences_from_1", condition=Q(occurrences__gte=1)),
        ]
        indexes = [
            # evaluation: how often a subject's alert opened within an hour
            models.Index(fields=["rule", "subject_type", "subject_id", "opened_at"], name="alert_of_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject_name}"

    @property
    def subject_in_words(self) -> str:
        """The subject's name in the reader's language."""
        return subject_names.read(self.subject_type, self.subject_name)

    @property
    def subject_key(self) -> tuple[str, str, str]:
        """The rule, and type and id of the subject: what a mute is about."""
        return self.rule, self.subject_type, self.subject_id

    def close(self, at: datetime) -> bool:
        """Open ─► closed. False: another process has closed it."""
        self.closed_at = max(at, self.opened_at)  # the clock may have been set back
        return bool(Alert.objects.open().filter(pk=self.pk).update(closed_at=self.closed_at))
