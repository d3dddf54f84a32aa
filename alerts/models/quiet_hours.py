"""Quiet hours: the time of day at which a person is not told what can wait."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from database import zones
from database.constraints import DatabaseOnDelete


class QuietHours(models.Model):
    """From when until when, each day in the person's zone; critical alerts pass."""

    person = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,  # quiethours_person_fk
        primary_key=True,
        related_name="+",
        verbose_name=_("person"),
    )
    begins = models.TimeField(_("from"))
    ends = models.TimeField(_("until"))
    zone = models.CharField(_("time zone"), max_length=64)

    class Meta:
        verbose_name = _("quiet hours")
        verbose_name_plural = _("quiet hours")
        default_permissions = ()  # everybody has their own
        constraints = [
            DatabaseOnDelete(name="quiethours_person_fk", field="person"),
            models.CheckConstraint(name="quiethours_begin_is_no_end", condition=~Q(begins=F("ends"))),
        ]

    def __str__(self) -> str:
        return f"{self.begins:%H:%M}–{self.ends:%H:%M} {self.zone}"

    def end_after(self, moment: datetime) -> datetime | None:
        """Return when the quiet hours end in which the moment lies; None: it lies in none, or the zone is unknown."""
        zone = zones.find(self.zone)
        if zone is None:
            return None
        local = moment.astimezone(zone)
        # They may have begun yesterday; compared as moments, so that a change of the clock does not matter.
        for days in (-1, 0):
            date = local.date() + timedelta(days=days)
            begin = datetime.combine(date, self.begins, zone).astimezone(UTC)
            last = date if self.begins < self.ends else date + timedelta(days=1)
            end = datetime.combine(last, self.ends, zone).astimezone(UTC)
            if begin <= moment < end:
                return end
        return None
