"""The list of bots: who needs somebody stands on top, and each page of it costs a fixed number of queries."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from database import clock
from scraping.models import BotConfig, Freshness, PostSighting, RedditPost, ScrapeSession
from scraping.models.freshness import reason_of_silence

DAY: Final = timedelta(hours=24)
STOPPED, SILENT, FINE, OFF = "stopped", "silent", "fine", "off"
# The kinds of badges that look as these states are meant.
BADGES: Final = {STOPPED: "failed", SILENT: "partial", FINE: "live", OFF: "skipped"}
LABELS: Final = {
    STOPPED: _("stopped by Reddit"),
    SILENT: _("silent"),
    FINE: _("active"),
    OFF: _("switched off"),
}
_ORDER: Final[list[str]] = [STOPPED, SILENT, FINE, OFF]


def with_state(bots: Any) -> QuerySet[BotConfig]:
    """Add ``list_state`` and its place in the list: what Reddit has stopped first, then what is silent."""
    silent = Freshness.objects.silent().filter(config=OuterRef("pk"))
    cases = [
        When(paused_at__isnull=False, then=Value(_ORDER.index(STOPPED))),
        When(is_active=False, then=Value(_ORDER.index(OFF))),
        When(Exists(silent), then=Value(_ORDER.index(SILENT))),
    ]
    placed: QuerySet[BotConfig] = bots.annotate(
        list_place=Case(*cases, default=Value(_ORDER.index(FINE)), output_field=IntegerField())
    )
    return placed


def state_of(bot: Any) -> str:
    """Return the state of a bot of ``with_state``."""
    place: int = bot.list_place
    return _ORDER[place]


class StateFilter(admin.SimpleListFilter):
    """Bots that Reddit stopped, that are silent, that are fine, and that are switched off."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Offer the states."""
        return list(LABELS.items())

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Keep the bots of the chosen state."""
        state = self.value()
        return queryset.filter(list_place=_ORDER.index(state)) if state in LABELS else queryset


@dataclass
class Facts:
    """What the list says of a bot beside its own columns."""

    newest_at: datetime | None = None
    # Subreddits that are silent, and why; and those whose next post is late, which proves no silence yet.
    silent: int = 0
    why_silent: list[str] = field(default_factory=list)
    late: int = 0
    posts_of_day: int = 0
    session: ScrapeSession | None = None


def facts_of(bots: Sequence[Any]) -> dict[int, Facts]:
    """Return the facts of some bots, by key, in five queries."""
    keys = [bot.pk for bot in bots]
    facts = {key: Facts() for key in keys}
    now = clock.now()
    fresh = (
        Freshness.objects.filter(config__in=keys)
        .order_by()
        .values("config")
        .annotate(
            newest=Max("newest_at"), late=Count("pk", filter=Q(silent_since__isnull=True, due_at__lte=now))
        )
    )
    for row in fresh:
        facts[row["config"]].newest_at = row["newest"]
        facts[row["config"]].late = row["late"]
    silent = Freshness.objects.silent().filter(config__in=keys).order_by("config", "why")
    for silence in silent.values("config", "why").annotate(number=Count("pk")):
        facts[silence["config"]].silent += silence["number"]
        facts[silence["config"]].why_silent.append(reason_of_silence(silence["why"]))
    for key, number in posts_since(now - DAY, keys):
        facts[key].posts_of_day = number
    latest = [bot.last_session_id for bot in bots if bot.last_session_id is not None]
    sessions = ScrapeSession.objects.defer("totals", "checkpoint").filter(pk__in=latest)
    for session in sessions:
        facts[session.config_id].session = session
    return facts


def posts_since(moment: datetime, keys: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Return how many posts that were made since then each of these bots has found, whoever found them first."""
    young = RedditPost.objects.filter(created_at__gte=moment)
    # No post is stored before it was made, so older sightings need not be read. Without "+ 0", PostgreSQL would look
    # for the lowest id from the oldest post on.
    first = young.aggregate(first=Min(F("pk") + 0))["first"]
    if first is None:
        return []
    found = PostSighting.objects.filter(config__in=keys, post__gte=first, post__created_at__gte=moment)
    return found.order_by().values("config").annotate(number=Count("post")).values_list("config", "number")


class BotList(ChangeList):
    """Orders by need unless somebody sorts by a column, and reads the facts of a page at once."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """Put who needs somebody on top."""
        ordering = super().get_ordering(request, queryset)
        return ordering if self.params.get("o") else ["list_place", *ordering]

    def get_results(self, request: HttpRequest) -> None:
        """Attach to each bot of the page its facts."""
        super().get_results(request)
        self.result_list = list(self.result_list)
        facts = facts_of(self.result_list)
        for bot in self.result_list:
            bot.facts = facts[bot.pk]
