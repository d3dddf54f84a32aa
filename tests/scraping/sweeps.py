"""Steps of the tests of sweeps: let time pass, put items in doubt."""

from datetime import timedelta
from typing import Any

from django.db.models import F
from django.utils import timezone

from scraping.models import RedditComment, RedditContent, RedditPost
from scraping.models.set_aside import Doubt, SetAside, SweepTally

_MOMENTS = {
    Doubt: ("since", "missed_at", "ask_after", "verified_at"),
    SweepTally: ("swept_at",),
    SetAside: ("created_at", "decided_at"),
    RedditPost: ("checked_at", "last_seen_at"),
    RedditComment: ("checked_at", "last_seen_at"),
}


def later(hours: float) -> None:
    """Let time pass: requested items are due again, and doubts are older."""
    past = timedelta(hours=hours)
    for model, names in _MOMENTS.items():
        rows: Any = model
        for name in names:
            rows.objects.filter(**{f"{name}__isnull": False}).update(**{name: F(name) - past})


def missed(item: RedditContent, *, hours: float = 7) -> None:
    """Store that a valid answer left the item out so many hours ago."""
    at = timezone.now() - timedelta(hours=hours)
    rows: Any = type(item)
    rows.objects.filter(pk=item.pk).update(missing_count=1, checked_at=at)
    Doubt.objects.create(
        fullname=item.fullname, reason="missing", since=at, missed_at=at, ask_after=timezone.now()
    )
