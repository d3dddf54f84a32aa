"""Pings: what a service outside, such as healthchecks.io, is told about the runs of a schedule."""

from urllib.parse import urlsplit

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from alerts.models.outgoing import Outgoing, OutgoingQuerySet
from database import clock
from database.constraints import DatabaseOnDelete
from database.fields import EncryptedTextField, RedactedTextField, SecretUnreadable


class PingAddress(models.Model):
    """Where the runs of a schedule are told. No row: nowhere."""

    schedule = models.OneToOneField(
        "django_celery_beat.PeriodicTask",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="ping_address",
        verbose_name=_("schedule"),
    )
    # Encrypted: whoever knows it may report that all is well.
    url = EncryptedTextField(_("ping address"))
    # What began or ended before is not told.
    since = models.DateTimeField(_("since"), default=clock.now, editable=False)

    class Meta:
        verbose_name = _("ping address")
        verbose_name_plural = _("ping addresses")
        default_permissions = ()
        constraints = [
            # In the database, so that a release that does not know the table yet can delete a schedule.
            DatabaseOnDelete(name="pingaddress_schedule_fk", field="schedule"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def masked(self) -> str:
        """What may be shown of the address: scheme and host; empty: it is unreadable."""
        try:
            parts = urlsplit(self.url)
            return f"{parts.scheme}://{parts.hostname}/…" if parts.hostname else ""
        except (SecretUnreadable, ValueError):
            return ""


class Ping(Outgoing):
    """One event of one run, told to the address of its schedule.

    ::

        written by the scan ─► turn of its schedule ─► delivered
                                      │     ▲
                                      └─────┴─► failed, after 24 hours of attempts

    Pings of one schedule are sent in the order of their keys. The unique constraint makes one ping of two scans that
    find the same run.
    """

    class Event(models.TextChoices):
        """What is told."""

        START = "start", pgettext_lazy("ping", "start")
        SUCCESS = "success", pgettext_lazy("ping", "success")
        FAIL = "fail", pgettext_lazy("ping", "fail")

    address = models.ForeignKey(
        PingAddress,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # ping_address_fk
        db_index=False,  # ping_of_address
        related_name="pings",
        verbose_name=_("ping address"),
    )
    run = models.ForeignKey(
        "maintenance.JobRun",
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # ping_run_fk
        db_index=False,  # ping_once_per_event
        related_name="+",
        verbose_name=_("run"),
    )
    event = models.CharField(_("event"), max_length=7, choices=Event)
    # Why the run ended so; the run may change before it is sent.
    body = RedactedTextField(_("body"), blank=True, db_default="")

    objects = OutgoingQuerySet["Ping"].as_manager()

    class Meta(Outgoing.Meta):
        verbose_name = _("ping")
        verbose_name_plural = _("pings")
        default_permissions = ()
        constraints = [
            *Outgoing.Meta.constraints,
            DatabaseOnDelete(name="ping_address_fk", field="address"),
            DatabaseOnDelete(name="ping_run_fk", field="run"),
            models.UniqueConstraint(fields=["run", "event"], name="ping_once_per_event"),
            models.CheckConstraint(
                name="ping_event_known", condition=Q(event__in=["start", "success", "fail"])
            ),
        ]
        indexes = [
            # sending: what is due, and what is before it
            models.Index(
                fields=["address", "id"],
                name="ping_pending",
                condition=Q(next_attempt_at__isnull=False),
            ),
            # the page of a schedule: its latest ones
            models.Index(fields=["address", "-id"], name="ping_of_address"),
        ]

    def __str__(self) -> str:
        return f"{self.get_event_display()}: #{self.run_id}"
