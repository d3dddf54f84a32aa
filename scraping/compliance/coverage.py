"""How well the sweep keeps up: the share of stored items that was verified recently."""

import math
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

# Each stored item should have been verified within this time (Reddit's recommendation for deletions).
VERIFIED_WITHIN: Final = timedelta(hours=48)


@dataclass(frozen=True)
class Coverage:
    """The percentage of stored items that were verified within ``VERIFIED_WITHIN``; None if nothing is stored."""

    percent: float | None

    @property
    def shown_percent(self) -> float | None:
        """The percentage rounded down to a tenth: a target that is missed does not look as if it was reached."""
        return None if self.percent is None else math.floor(round(10 * self.percent, 6)) / 10

    @property
    def target_percent(self) -> float:
        """The percentage that the sweep should reach."""
        return float(settings.COMPLIANCE_TARGET_PERCENT)

    @property
    def is_below_target(self) -> bool:
        """Whether the percentage is below the target."""
        return self.percent is not None and self.percent < self.target_percent

    @property
    def hours(self) -> int:
        """The length of the window, in hours."""
        return int(VERIFIED_WITHIN.total_seconds() // 3600)


def coverage(sizes: Mapping[type[Model], TableSize] | None = None) -> Coverage:
    """Return the share of stored content that was verified recently; large tables are sampled (``database.estimates``).

    A caller that knows the ``sizes`` of the tables passes them (other tables may be among them); else they are queried.
    """
    since = clock.now() - VERIFIED_WITHIN
    known = table_sizes(KINDS) if sizes is None else sizes
    rows = sum(known[model].rows for model in KINDS)
    if not rows:
        return Coverage(None)
    verified = sum(
        known[model].rows * share_since(model, "checked_at", since, rows=known[model].rows) for model in KINDS
    )
    # An item left out by an answer that proves nothing was requested, but is not verified.
    in_vain = Doubt.objects.filter(Q(verified_at__isnull=True) | Q(verified_at__lt=since))
    unproven = in_vain.filter(
        reason__in=[Doubt.Reason.SUSPECT, Doubt.Reason.MARKED, Doubt.Reason.FAILS]
    ).count()
    return Coverage(100 * max(0.0, verified - unproven) / rows)
