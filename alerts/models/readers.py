"""Readers: the language and the time zone in which a person reads messages."""

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from database.constraints import DatabaseOnDelete


class Reader(models.Model):
    """The language of the person's browser at the last sign-in, or what the person has chosen.

    Without a row, nothing is known: messages are then written in all languages.
    """

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # reader_person_fk
        primary_key=True,
        related_name="+",
        verbose_name=_("person"),
    )
    language = models.CharField(_("language"), max_length=10)
    # Empty: the zone of the quiet hours, else of the console.
    zone = models.CharField(_("time zone"), max_length=64, blank=True, db_default="")
    # A sign-in does not change what was chosen.
    is_chosen = models.BooleanField(_("chosen"), default=False, db_default=False)

    class Meta:
        verbose_name = _("reader")
        verbose_name_plural = _("readers")
        default_permissions = ()  # everybody has their own
        constraints = [DatabaseOnDelete(name="reader_person_fk", field="person")]

    def __str__(self) -> str:
        return f"{self.language} {self.zone}".strip()
