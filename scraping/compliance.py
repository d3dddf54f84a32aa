"""Re-checks stored items, so that what is deleted on Reddit is deleted here too (Reddit's Data API terms).

The safety principle: nothing exempts an item, neither a hold nor its age. What Reddit calls deleted or removed
loses title, text, URLs, media and flair, its state stays; a deleted account loses name and id; what two checks
in a row left out is a tombstone, blank but for fullname, subreddit, times and numbers. All of it heals: an item
that Reddit shows again gets its content back.

Reddit offers no feed of deletions, so the least recently verified items are asked for, 100 a request; a scrape
that meets an item verifies it too. A subreddit that went private looks like all its items missing, and is
treated so, item by item.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from scraping.content import (
    BLANK_AUTHOR,
    BLANK_COMMENT,
    BLANK_POST,
    BadItem,
    comment_values,
    post_values,
    without_profile_name,
)
from scraping.models import BotConfig, ContentState, RedditComment, RedditPost
from scraping.progress import Progress
from scraping.reddit import INFO_SIZE, RedditClient, client_for, environment_credentials
from scraping.storage import COMMENT_FIELDS, POST_FIELDS, SIGHT_FIELDS, is_changed

# Reddit may leave an item out once by accident; twice in a row it is gone.
MISSING_MAX: Final = 2

_NEVER: Final = datetime.min.replace(tzinfo=UTC)

Item = RedditPost | RedditComment


def refresh_stored_content(progress: Progress, *, max_requests: int = 20) -> dict[str, int]:
    """Verify up to 100 items a request, least recently verified first, and return counts of what happened.

    Counts: ``requests``, ``checked`` = ``unchanged`` + ``updated`` + ``deleted`` (by the author) + ``removed``
    (by a moderator or Reddit) + ``account_deleted`` + ``restored`` + ``missing`` (once; kept) + ``tombstoned``
    + ``unreadable`` (left as they were). Each request's items are one transaction. With nothing stored, Reddit
    is not asked.

    Raises:
        RedditError: Reddit did not answer as hoped; what was verified before is saved.
        BaseException: what ``progress.checkpoint()`` raised, likewise.
    """
    started_at = timezone.now()
    counts: Counter[str] = Counter()
    items = _least_recently_checked(started_at)
    if not items:
        return _all_counts(counts)
    most = max_requests * INFO_SIZE
    # Counting no further than needed: these tables may hold millions.
    total = min(most, RedditPost.objects.all()[:most].count() + RedditComment.objects.all()[:most].count())
    with client_for(_config_with_app()) as client:
        while items and counts["requests"] < max_requests:
            progress.checkpoint()
            counts["requests"] += 1
            counts += _verify(client, items)
            counts["checked"] += len(items)
            progress.report(counts["checked"], total, _("verifying stored content"))
            items = _least_recently_checked(started_at)
    text = _(
        "%(checked)d items verified: %(gone)d deleted or removed, %(missing)d missing, %(restored)d restored."
    )
    gone = counts["deleted"] + counts["removed"] + counts["account_deleted"] + counts["tombstoned"]
    progress.log(text % (_all_counts(counts) | {"gone": gone}))
    return _all_counts(counts)


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
    "tombstoned",
    "unreadable",
)


def _all_counts(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in _COUNTED}


def _config_with_app() -> BotConfig | None:
    """Return None for the environment's app or, where there is none, an active config that has an app."""
    if environment_credentials() is not None:
        return None
    return (
        BotConfig.objects.select_related("app")
        .filter(is_active=True, app__isnull=False)
        .order_by("pk")
        .first()
    )


def _least_recently_checked(before: datetime) -> list[Item]:
    """Return up to one request of items not verified since ``before``, those never verified first."""
    items: list[Item] = []
    for model in (RedditPost, RedditComment):
        # Two queries, because an index of PostgreSQL sorts nulls last.
        rows = model._default_manager.order_by("checked_at")
        never = list(rows.filter(checked_at__isnull=True)[:INFO_SIZE])
        items += [*never, *rows.filter(checked_at__lt=before)[: INFO_SIZE - len(never)]]
    return sorted(items, key=lambda item: item.checked_at or _NEVER)[:INFO_SIZE]


def _verify(client: RedditClient, items: list[Item]) -> Counter[str]:
    """Ask for the items, save what Reddit says, and return what happened to them."""
    page = client.info([item.fullname for item in items])
    answers = {str(data.get("name")): data for data in (*page.posts, *page.comments)}
    # An answer with children that cannot be told apart proves nobody's absence.
    is_whole = not page.skipped and answers.keys() <= {item.fullname for item in items}
    now = timezone.now()
    outcomes = [_apply(item, answers.get(item.fullname), now, is_whole=is_whole) for item in items]
    with transaction.atomic():
        _save(RedditPost, [item for item in items if isinstance(item, RedditPost)], POST_FIELDS)
        _save(RedditComment, [item for item in items if isinstance(item, RedditComment)], COMMENT_FIELDS)
    return Counter(outcomes)


def _save(model: type[Item], items: list[Any], fields: list[str]) -> None:
    """Update the rows that still exist; a purge may have taken some while Reddit was asked."""
    # Locked in the order in which scrapes write, so that neither deadlocks the other.
    rows = model._default_manager.filter(pk__in=[item.pk for item in items])
    list(rows.select_for_update(no_key=True).order_by("fullname").values_list("pk"))
    model._default_manager.bulk_update(items, [*fields, *SIGHT_FIELDS])


def _apply(item: Item, data: dict[str, Any] | None, now: datetime, *, is_whole: bool) -> str:
    """Set the item to what Reddit says of it, and return the name this counts under."""
    # Even what cannot be read moves to the end of the queue, or it would block the queue for ever.
    item.checked_at = now
    if data is None:
        return _miss(item) if is_whole else "unreadable"
    try:
        values = post_values(data) if isinstance(item, RedditPost) else comment_values(data)
    except BadItem:
        return "unreadable"
    item.last_seen_at, item.missing_count = now, 0
    fields = POST_FIELDS if isinstance(item, RedditPost) else COMMENT_FIELDS
    before = {name: getattr(item, name) for name in fields}
    for name in fields:
        setattr(item, name, values[name])
    return _outcome(before, values) if is_changed(before, values) else "unchanged"


def _outcome(before: dict[str, Any], after: dict[str, Any]) -> str:
    if after["state"] != before["state"]:
        return _BECAME[after["state"]]
    if after["is_author_deleted"] and not before["is_author_deleted"]:
        return "account_deleted"
    return "updated"


_BECAME: Final = {
    ContentState.LIVE: "restored",
    ContentState.DELETED_BY_AUTHOR: "deleted",
    ContentState.REMOVED_BY_MODERATOR: "removed",
    ContentState.REMOVED_BY_REDDIT: "removed",
}


def _miss(item: Item) -> str:
    """Count that Reddit left the item out; the second time in a row leaves a tombstone."""
    item.missing_count = min(item.missing_count + 1, MISSING_MAX)
    if item.missing_count < MISSING_MAX:
        return "missing"
    if item.state == ContentState.MISSING:
        return "unchanged"
    blank = BLANK_POST if isinstance(item, RedditPost) else BLANK_COMMENT
    for name, value in (blank | BLANK_AUTHOR).items():
        setattr(item, name, value)
    if isinstance(item, RedditPost):
        item.subreddit = without_profile_name(item.subreddit)
    item.state, item.is_author_deleted = ContentState.MISSING, False
    return "tombstoned"
