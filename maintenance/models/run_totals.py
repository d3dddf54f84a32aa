"""Totals over all runs that ever finished; they only grow, also when the run history is cleaned up."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class RunTotals(models.Model):
    """The single row of totals, and the last run that they include (``ledger/totals.py``)."""

    ROW = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
    # Runs are counted in the order of their ends, runs with the same end in the order of their ids.
    counted_to = models.DateTimeField()
    counted_to_run = models.BigIntegerField(default=0)
    totals = models.JSONField(default=dict)

    class Meta:
        verbose_name = verbose_name_plural = _("run totals")
        constraints = [models.CheckConstraint(name="runtotals_single_row", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"{self.counted_to}"
