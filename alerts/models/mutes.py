"""Mutes: a rule that says nothing about one subject until a moment."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from database import clock
from database.constraints import DatabaseOnDelete


class MuteQuerySet(models.QuerySet["Mute"]):
    """States of mutes."""

    def holding(self, now: datetime) -> Self:
        """Return the mutes that have not ended."""
        return self.filter(until__gt=now)

    def ended_before(self, cutoff: datetime) -> Self:
        """Return the mutes that ended before the moment."""
        return self.filter(until__lt=cutoff)


class Mute(models.Model):
    """One rule is silent about one subject until a moment; then it ends by itself.

    Alerts open and close as ever. An alert that is still open when its mute ends is told then. There is one mute of a
    rule and subject: to mute it again changes its end.
    """

    rule = models.CharField(_("rule"), max_length=30)
    subject_type = models.CharField(_("kind of subject"), max_length=60)
    subject_id = models.CharField(_("id of the subject"), max_length=64)
    until = models.DateTimeField(_("until"))
    reason = models.CharField(_("reason"), max_length=500)
    created_at = models.DateTimeField(_("muted"), default=clock.now, db_default=Now())
    muted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # mute_muted_by_fk
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("muted by"),
    )
    muted_by_name = models.CharField(_("muted by"), max_length=150, blank=True, db_default="")

    objects = MuteQuerySet.as_manager()

    class Meta:
        verbose_name = _("mute")
        verbose_name_plural = _("mutes")
        ordering = ["-id"]
        default_permissions = ()  # who may mute may end a mute
        constraints = [
            DatabaseOnDelete(name="mute_muted_by_fk", field="muted_by", action="SET NULL"),
            models.UniqueConstraint(
                fields=["rule", "subject_type", "subject_id"], name="mute_one_per_subject"
            ),
            models.CheckConstraint(name="mute_has_reason", condition=~Q(reason="")),
            models.CheckConstraint(name="mute_ends_after_its_begin", condition=Q(until__gt=F("created_at"))),
        ]

    def __str__(self) -> str:
        return f"{self.rule} {self.subject_type} {self.subject_id}"
