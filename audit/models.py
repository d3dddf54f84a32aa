"""The append-only log of decisions by people and the system."""

from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from audit import subject_names
from database.constraints import DatabaseOnDelete, OnDelete


class EventQuerySet(models.QuerySet["Event"]):
    """Queries of events, by age."""

    def made_before(self, moment: datetime) -> Self:
        """Return the events before the moment."""
        return self.filter(at__lt=moment)

    def newest_first(self) -> Self:
        """Return the events in the order of the page and of its indexes."""
        return self.order_by("-at", "-pk")


class Event(models.Model):
    """A decision or a change: who made it, and its subject.

    The table is append-only (``triggers``). Events outlive their subject and actor: names are kept beside keys. Texts
    are stored as codes and parameters, and shown in the reader's language.
    """

    class ActorKind(models.TextChoices):
        """What kind of actor did it."""

        PERSON = "person", _("person")
        SYSTEM = "system", _("system")
        SHELL = "shell", _("shell")
        TOKEN = "token", _("API token")

    # The database's clock.
    at = models.DateTimeField(_("time"), db_default=Now())
    actor_kind = models.CharField(_("kind of actor"), max_length=6, choices=ActorKind)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        null=True,
        blank=True,
        db_index=False,  # event_actor
        related_name="+",
        verbose_name=_("actor"),
    )
    actor_name = models.CharField(_("actor's name"), max_length=150, blank=True, db_default="")
    address = models.GenericIPAddressField(_("address"), null=True, blank=True)
    # A code such as "run.approved"; ``audit.words`` has its words.
    verb = models.CharField(_("verb"), max_length=60)
    # A model's label; the key as text, because keys differ in kind.
    subject_type = models.CharField(_("kind of subject"), max_length=100)
    subject_id = models.CharField(_("subject's id"), max_length=64)
    subject_name = models.CharField(_("subject"), max_length=200, blank=True, db_default="")
    before = models.JSONField(_("before"), null=True, blank=True)
    after = models.JSONField(_("after"), null=True, blank=True)
    reason = models.TextField(_("reason"), blank=True, db_default="")
    parameters = models.JSONField(_("parameters"), null=True, blank=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-id"]
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                name="event_actor_kind_known",
                condition=Q(actor_kind__in=["person", "system", "shell", "token"]),
            ),
            # In the database, so that a release that does not know the table yet can delete a person.
            DatabaseOnDelete(name="event_actor_fk", field="actor", action=OnDelete.SET_NULL),
            models.CheckConstraint(name="event_has_verb", condition=~Q(verb="")),
            models.CheckConstraint(
                name="event_has_subject", condition=~Q(subject_type="") & ~Q(subject_id="")
            ),
        ]
        indexes = [
            # the Activity page of one subject, newest first; ``events_of``
            models.Index(fields=["subject_type", "subject_id", "-at", "-id"], name="event_subject_at"),
            # the Activity page by person, who may be gone
            models.Index(fields=["actor_name", "-at", "-id"], name="event_name_at"),
            # the Activity page by verb
            models.Index(fields=["verb", "-at", "-id"], name="event_verb_at"),
            # the Activity page, unfiltered or of a time range; cleanup_events
            models.Index(fields=["-at", "-id"], name="event_newest"),
            # the deletion of a user, which sets the key to null
            models.Index(fields=["actor", "-id"], name="event_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.subject_name}"

    @property
    def subject_in_words(self) -> str:
        """The subject's name in the reader's language."""
        return subject_names.read(self.subject_type, self.subject_name)
