"""What the runs of whole days came to, so that a comparison of long periods need not read each run."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class RunsOfDay(models.Model):
    """The sums of the runs that were queued on one day in UTC (``ledger/kept_days.py``), which has no open run left."""

    day = models.DateField(primary_key=True)
    # How many rows that day had, with dry runs. Has it another number now, the sums are made anew.
    runs = models.PositiveIntegerField()
    # kept_days.as_text(); a plain text, because PostgreSQL takes long to read thousands of numbers from its JSON.
    sums = models.TextField()

    class Meta:
        verbose_name = verbose_name_plural = _("runs of a day")

    def __str__(self) -> str:
        return f"{self.day}"
