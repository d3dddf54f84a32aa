"""How well the sweep keeps up: how much of what is stored was verified lately."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import Model, Q

from database import clock
from database.estimates import TableSize, share_since, table_sizes
from scraping.compliance.sweep_queue import KINDS
from scraping.models.set_aside import Doubt

# Within which every stored item should have been verified (Reddit's recommendation for deletions).
VERIFIED_WITHIN: Final = timedelta(hours=48)


@dataclass(frozen=True)
class Coverage:
    """How many of 100 stored items were verified within ``VERIFIED_WITHIN``; None while nothing is stored."""

    percent: float | None

    @property
    def target_percent(self) -> float:
        """What it should be at least."""
        return float(settings.COMPLIANCE_TARGET_PERCENT)

    @property
    def is_below_target(self) -> bool:
        """Whether the sweep does not keep up."""
        return self.percent is not None and self.percent < self.target_percent

    @property
    def hours(self) -> int:
        """The length of the window, in hours."""
        return int(VERIFIED_WITHIN.total_seconds() // 3600)


def coverage(sizes: Mapping[type[Model], TableSize] | None = None) -> Coverage:
    """Return how much of the stored content was verified lately; of big tables by a sample (``database.estimates``).

    Who knows the tables' ``sizes`` gives them, among others if need be; else they are asked for.
    """
    since = clock.now() - VERIFIED_WITHIN
    known = table_sizes(KINDS) if sizes is None else sizes
    rows = sum(known[model].rows for model in KINDS)
    if not rows:
        return Coverage(None)
    verified = sum(
        known[model].rows * share_since(model, "checked_at", since, rows=known[model].rows) for model in KINDS
    )
    # What an answer that proves nothing left out was asked for, and is not verified.
    in_vain = Doubt.objects.filter(Q(verified_at__isnull=True) | Q(verified_at__lt=since))
    unproven = in_vain.filter(
        reason__in=[Doubt.Reason.SUSPECT, Doubt.Reason.MARKED, Doubt.Reason.FAILS]
    ).count()
    return Coverage(100 * max(0.0, verified - unproven) / rows)
