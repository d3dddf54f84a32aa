"""Addresses that start a schedule, for systems that cannot sign in."""

from datetime import datetime, timedelta
from typing import Self
from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _

from database import clock
from database.constraints import DatabaseOnDelete
from database.fields import EncryptedTextField


class ScheduleHook(models.Model):
    """The address of a schedule, and the secret that signs calls to it. No row: the schedule has none."""

    schedule = models.OneToOneField(
        "django_celery_beat.PeriodicTask",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="hook",
        verbose_name=_("schedule"),
    )
    public_id = models.UUIDField(_("address"), default=uuid4, editable=False)
    secret = EncryptedTextField(_("secret"))
    since = models.DateTimeField(_("since"), default=clock.now, editable=False)
    used_at = models.DateTimeField(_("last used"), null=True, blank=True)

    class Meta:
        verbose_name = _("address of a schedule")
        verbose_name_plural = _("addresses of schedules")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["public_id"], name="schedulehook_public_id_unique"),
            # In the database, so that a release that does not know the table yet can delete a schedule.
            DatabaseOnDelete(name="schedulehook_schedule_fk", field="schedule"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"


class HookCallQuerySet(models.QuerySet["HookCall"]):
    """Selects calls by age."""

    def old(self, now: datetime) -> Self:
        """Return the calls of more than an hour ago: a signature is good for 5 minutes before and after its time."""
        return self.filter(at__lt=now - timedelta(hours=1))


class HookCall(models.Model):
    """A signature that was used, so that nobody can send it again."""

    hook = models.ForeignKey(
        ScheduleHook,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # hookcall_signature_unique
        related_name="+",
        verbose_name=_("address of a schedule"),
    )
    signature = models.CharField(_("signature"), max_length=64)
    at = models.DateTimeField(_("at"), default=clock.now)

    objects = HookCallQuerySet.as_manager()

    class Meta:
        verbose_name = _("call of an address")
        verbose_name_plural = _("calls of addresses")
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["hook", "signature"], name="hookcall_signature_unique"),
            DatabaseOnDelete(name="hookcall_hook_fk", field="hook"),
        ]
        indexes = [
            # cleanup_tokens: WHERE at < …, in key order
            models.Index(fields=["at"], name="hookcall_at"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
