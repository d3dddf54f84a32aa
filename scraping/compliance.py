"""Re-checks stored items, so that what is deleted on Reddit is deleted here too (Reddit's Data API terms).

The safety principle: nothing exempts an item, neither a hold nor its age. What Reddit calls deleted or removed
loses title, text, URLs, media and flair, its state stays; a deleted account loses name and id; what two checks in a
row left out is a tombstone: fullname, subreddit and times. All of it heals: an item that Reddit shows again gets its
content back.

Reddit offers no feed of deletions, so the least recently verified items are asked for, 100 a request; a scrape that
meets an item verifies it too. What a subreddit that went private hides is not deleted: before anything becomes a
tombstone, its subreddit is asked for.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Exists, F, Model, OuterRef, Q, QuerySet, Value, When
from django.utils.translation import gettext as _

from database import clock
from database.estimates import TableSize, share_since, table_sizes
from database.names import folded
from scraping.content import (
    PROFILE_OF_NOBODY,
    TOMBSTONE_COMMENT,
    TOMBSTONE_POST,
    BadItem,
    comment_values,
    post_values,
)
from scraping.models import (
    SANDBOX_CLIENT_ID,
    BotConfig,
    ContentState,
    RedditApp,
    RedditComment,
    RedditPost,
    ScrapeSession,
)
from scraping.progress import Progress
from scraping.reddit import (
    INFO_SIZE,
    OutOfBudget,
    RedditClient,
    RedditError,
    client_for,
    environment_credentials,
)
from scraping.upserts import Content, update_changed

# Reddit may leave an item out once by accident; twice in a row it is gone.
MISSING_MAX: Final = 2
# Within which every stored item should have been verified (Reddit's recommendation for deletions).
VERIFIED_WITHIN: Final = timedelta(hours=48)

# A subreddit that answers so is no more; any other error proves nothing about its items.
_GONE: Final = frozenset(
    {
        ScrapeSession.ErrorKind.BANNED,
        ScrapeSession.ErrorKind.NOT_FOUND,
        ScrapeSession.ErrorKind.UNAVAILABLE_FOR_LEGAL_REASONS,
    }
)
_KINDS: Final[tuple[Content, ...]] = (RedditPost, RedditComment)
_COUNTED: Final = (
    "requests",
    "checked",
    "unchanged",
    "updated",
    "deleted",
    "removed",
    "account_deleted",
    "restored",
    "missing",
    "hidden",
    "tombstoned",
    "unreadable",
)


@dataclass(frozen=True)
class _Item:
    """A stored item as it was before Reddit was asked: just what is needed to name what becomes of it."""

    model: Content
    pk: int
    fullname: str
    state: str
    is_author_deleted: bool
    missing_count: int
    checked_at: datetime | None


@dataclass(frozen=True)
class _Verdict:
    """What one answer says of one item; ``values`` are its new columns where Reddit showed it."""

    item: _Item
    outcome: str
    values: dict[str, Any] | None = None


# --- The sweep ----------------------------------------------------------------------------------


def refresh_stored_content(
    progress: Progress, *, max_requests: int = 20, counts: Counter[str] | None = None
) -> dict[str, int]:
    """Verify up to 100 items a request, least recently verified first, and return counts of what happened.

    ``counts``, if given, is added to as the work goes, for who wants to know although it was interrupted.

    Counts: ``requests``, ``checked`` = ``unchanged`` + ``updated`` + ``deleted`` (by the author) + ``removed``
    (by a moderator or Reddit) + ``account_deleted`` + ``restored`` + ``missing`` (once; kept) + ``hidden`` (missing
    again, in a subreddit that is closed to us; kept) + ``tombstoned`` + ``unreadable`` (left as they were). Each
    request's items are one transaction. With nothing stored, Reddit is not asked.

    Raises:
        RedditError: Reddit did not answer as hoped; what was verified before is saved.
        BaseException: what ``progress.checkpoint()`` raised, likewise.
    """
    started_at = clock.now()
    counts = Counter() if counts is None else counts
    items = _least_recently_checked(started_at)
    if not items:
        return _all_counts(counts)
    most = max_requests * INFO_SIZE
    # Counting no further than needed: these tables may hold millions.
    total = min(most, sum(model._default_manager.order_by()[:most].count() for model in _KINDS))
    with client_for(_stored_app(), for_compliance=True) as client:
        subreddits = _Subreddits(client, counts)
        while items and counts["requests"] < max_requests:
            progress.checkpoint()
            counts["requests"] += 1
            counts.update(_verify(client, subreddits, items))
            counts["checked"] += len(items)
            progress.report(counts["checked"], total, _("verifying stored content"))
            items = _least_recently_checked(started_at)
    text = _(
        "%(checked)d items verified: %(gone)d deleted or removed, %(missing)d missing, %(restored)d restored."
    )
    gone = counts["deleted"] + counts["removed"] + counts["account_deleted"] + counts["tombstoned"]
    progress.log(text % (_all_counts(counts) | {"gone": gone}))
    return _all_counts(counts)


def _all_counts(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in _COUNTED}


def _stored_app() -> RedditApp | None:
    """Return None for the environment's app or, where there is none, a stored one, rather of an active bot.

    Content is verified though no bot is active. The sandbox's app comes last: it would not be let out.
    """
    if environment_credentials() is not None:
        return None
    is_used = Exists(BotConfig.objects.filter(app=OuterRef("pk"), is_active=True))
    is_sandbox = Q(client_id=SANDBOX_CLIENT_ID)
    return RedditApp.objects.order_by(Case(When(is_sandbox, then=1), default=0), is_used.desc(), "pk").first()


def _least_recently_checked(before: datetime) -> list[_Item]:
    """Return up to one request of items not verified since ``before``, those never verified first."""
    items: list[_Item] = []
    for model in _KINDS:
        # Two queries, because an index of PostgreSQL sorts nulls last.
        rows = model._default_manager.order_by("checked_at").values_list(
            "pk", "fullname", "state", "is_author_deleted", "missing_count", "checked_at"
        )
        never = list(rows.filter(checked_at__isnull=True)[:INFO_SIZE])
        found = [*never, *rows.filter(checked_at__lt=before)[: INFO_SIZE - len(never)]]
        items += [_Item(model, *row) for row in found]
    return sorted(items, key=_queue_place)[:INFO_SIZE]


def _queue_place(item: _Item) -> tuple[bool, float]:
    return item.checked_at is not None, item.checked_at.timestamp() if item.checked_at else 0.0


def _verify(client: RedditClient, subreddits: "_Subreddits", items: list[_Item]) -> Counter[str]:
    """Ask for the items, save what Reddit says, and return what happened to them."""
    # Before the question: what a scrape stores while the answer is under way is newer than the answer.
    asked_at = clock.now()
    page = client.info([item.fullname for item in items])
    answers = {str(data.get("name")): data for data in (*page.posts, *page.comments)}
    # An answer with children that cannot be told apart proves nobody's absence.
    is_whole = not page.skipped and answers.keys() <= {item.fullname for item in items}
    verdicts = [_judge(item, answers.get(item.fullname), is_whole=is_whole) for item in items]
    verdicts = _spare_hidden(verdicts, subreddits)
    with transaction.atomic():
        return Counter(
            outcome
            for model in _KINDS
            for outcome in _save(model, [v for v in verdicts if v.item.model is model], asked_at)
        )


# --- What an answer says ------------------------------------------------------------------------


def _judge(item: _Item, data: dict[str, Any] | None, *, is_whole: bool) -> _Verdict:
    if data is None:
        return _Verdict(item, _absence(item) if is_whole else "unreadable")
    try:
        values = post_values(data) if item.model is RedditPost else comment_values(data)
    except BadItem:
        return _Verdict(item, "unreadable")
    values.pop("depth", None)  # which /api/info does not tell
    return _Verdict(item, _presence(item, values), values)


def _presence(item: _Item, values: dict[str, Any]) -> str:
    if values["state"] != item.state:
        return _BECAME[values["state"]]
    if values["is_author_deleted"] != item.is_author_deleted:
        return "account_deleted" if values["is_author_deleted"] else "restored"
    return "updated"  # or unchanged, which the database finds out


_BECAME: Final = {
    ContentState.LIVE: "restored",
    ContentState.DELETED_BY_AUTHOR: "deleted",
    ContentState.REMOVED_BY_MODERATOR: "removed",
    ContentState.REMOVED_BY_REDDIT: "removed",
}


def _absence(item: _Item) -> str:
    if item.state == ContentState.MISSING:
        return "unchanged"
    return "tombstoned" if item.missing_count + 1 >= MISSING_MAX else "missing"


class _Subreddits:
    """Which subreddits show their content to us; each is asked for once."""

    def __init__(self, client: RedditClient, counts: Counter[str]) -> None:
        self._client = client
        self._counts = counts
        self._is_closed: dict[str, bool] = {}

    def is_closed(self, name: str) -> bool:
        """Whether the subreddit hides its content, so that an item's absence proves nothing."""
        key = folded(name)
        if key not in self._is_closed:
            self._counts["requests"] += 1
            try:
                self._client.request("GET", f"r/{quote(name, safe='')}/about/", lambda body: body)
                self._is_closed[key] = False
            except OutOfBudget:
                raise  # it was not asked at all
            except RedditError as error:
                self._is_closed[key] = error.kind not in _GONE
        return self._is_closed[key]


def _spare_hidden(verdicts: list[_Verdict], subreddits: _Subreddits) -> list[_Verdict]:
    """Return the verdicts, with "hidden" for what its subreddit does not show us instead of "tombstoned"."""
    doomed = [verdict.item for verdict in verdicts if verdict.outcome == "tombstoned"]
    posts, comments = ([item.pk for item in doomed if item.model is model] for model in _KINDS)
    names: dict[tuple[Content, int], str] = {
        (RedditPost, pk): name
        for pk, name in RedditPost.objects.filter(pk__in=posts).values_list("pk", "subreddit")
    }
    names |= {
        (RedditComment, pk): name
        for pk, name in RedditComment.objects.filter(pk__in=comments).values_list("pk", "post__subreddit")
    }
    hidden = {
        key
        for key, name in names.items()
        if name and name != PROFILE_OF_NOBODY and subreddits.is_closed(name)
    }
    return [
        _Verdict(verdict.item, "hidden") if (verdict.item.model, verdict.item.pk) in hidden else verdict
        for verdict in verdicts
    ]


# --- Saving -------------------------------------------------------------------------------------


def _save(model: Content, verdicts: list[_Verdict], asked_at: datetime) -> list[str]:
    """Write down what became of the items, in a fixed number of statements, and return the outcomes.

    Items that are gone or were seen since Reddit was asked stay as they are: "unchanged".
    """
    table: Any = model._default_manager
    rows = table.filter(pk__in=[verdict.item.pk for verdict in verdicts])
    # Locked in the order in which scrapes write, so that neither deadlocks the other.
    locked = rows.select_for_update(no_key=True).order_by("fullname")
    seen = dict(locked.values_list("pk", "last_seen_at"))
    ours = [v for v in verdicts if v.item.pk in seen and seen[v.item.pk] <= asked_at]
    shown = sorted(
        (v.values for v in ours if v.values is not None), key=lambda values: str(values["fullname"])
    )
    changed = update_changed(model, shown, seen_at=asked_at)

    def rest(*outcomes: str) -> QuerySet[Any]:
        found: QuerySet[Any] = table.filter(pk__in=[v.item.pk for v in ours if v.outcome in outcomes])
        return found

    same = [v.item.pk for v in ours if v.values is not None and v.item.fullname not in changed]
    table.filter(pk__in=same).update(checked_at=asked_at, last_seen_at=asked_at, missing_count=0)
    rest("missing").update(checked_at=asked_at, missing_count=F("missing_count") + 1)
    rest("tombstoned").update(checked_at=asked_at, missing_count=MISSING_MAX, **_tombstone(model))
    # Even what tells us nothing moves to the end of the queue, or it would block the queue for ever.
    rest("unreadable", "hidden", "unchanged").update(checked_at=asked_at)
    newer = [pk for pk, seen_at in seen.items() if seen_at > asked_at]
    table.filter(pk__in=newer).update(checked_at=asked_at)
    return [
        verdict.outcome if verdict.values is None or verdict.item.fullname in changed else "unchanged"
        for verdict in ours
    ] + ["unchanged"] * (len(verdicts) - len(ours))


def _tombstone(model: Content) -> dict[str, Any]:
    if model is RedditComment:
        return TOMBSTONE_COMMENT
    named = When(subreddit__folded__startswith="u_", then=Value(PROFILE_OF_NOBODY))
    return TOMBSTONE_POST | {"subreddit": Case(named, default=F("subreddit"))}


# --- How well it keeps up -----------------------------------------------------------------------


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
    known = table_sizes(_KINDS) if sizes is None else sizes
    rows = sum(known[model].rows for model in _KINDS)
    if not rows:
        return Coverage(None)
    verified = sum(
        known[model].rows * share_since(model, "checked_at", since, rows=known[model].rows)
        for model in _KINDS
    )
    return Coverage(100 * verified / rows)
