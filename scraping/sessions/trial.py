"""Tries a bot's config on Reddit: shows the first items and the cost of a run, and stores nothing."""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied

from scraping.content.expiry import EXPIRED, cutoffs_in_force, without_expired
from scraping.content.normalise import BadItem, post_values
from scraping.models import BotConfig
from scraping.reddit.client import RedditClient, client_for
from scraping.reddit.errors import RedditError
from scraping.reddit.listing import PAGE_SIZE
from scraping.sessions.cost import Listed
from scraping.sessions.filters import why_unwanted
from scraping.skip_reasons import reason_label

ITEMS_SHOWN: Final = 10
# Each subreddit costs a request while a person waits for the page.
SUBREDDITS_TRIED: Final = 10


@dataclass(frozen=True)
class TrialItem:
    """A listed post: its columns, and the reason if it would be left out."""

    values: dict[str, Any]
    reason: str


@dataclass(frozen=True)
class SubredditTrial:
    """The answer of one subreddit."""

    name: str
    items: list[TrialItem] = field(default_factory=list)
    error: str = ""
    listed: Listed | None = None


@dataclass(frozen=True)
class Trial:
    """All answers of Reddit, and their cost."""

    subreddits: list[SubredditTrial] = field(default_factory=list)
    requests_used: int = 0
    error: str = ""  # no request was sent

    @property
    def listed(self) -> list[Listed]:
        """The pages from which the cost of a run is estimated."""
        return [subreddit.listed for subreddit in self.subreddits if subreddit.listed is not None]


def try_on_reddit(config: BotConfig, *, by: User | AnonymousUser) -> Trial:
    """List the first items of a config's subreddits, 10 in all, and store nothing; the config need not be stored.

    Raises:
        PermissionDenied: this person may not scrape with the stored config, or make a new one.
    """
    if not _may_try(config, by):
        raise PermissionDenied
    names = config.subreddits[:SUBREDDITS_TRIED]
    tried: list[SubredditTrial] = []
    try:
        with client_for(config.app) as client:
            for number, name in enumerate(names):
                # Ten items are divided among three subreddits as four, three and three.
                share = ITEMS_SHOWN // len(names) + (number < ITEMS_SHOWN % len(names))
                try:
                    tried.append(_try(client, config, name, share))
                except RedditError as error:
                    tried.append(SubredditTrial(name, error=str(error)))
                    if error.stops_everything:
                        break
            return Trial(tried, client.requests_used)
    except RedditError as error:
        return Trial(error=str(error))


def _may_try(config: BotConfig, by: User | AnonymousUser) -> bool:
    if config._state.adding:
        return by.has_perm("scraping.add_botconfig")
    return BotConfig.objects.managed_by(by).filter(pk=config.pk).exists()


def _try(client: RedditClient, config: BotConfig, name: str, share: int) -> SubredditTrial:
    """List a subreddit's first page (a full page costs one request, as a few posts do) and show some of it."""
    pages = client.listing(
        name,
        sort=config.sort,
        time_filter=config.time_filter,
        query=config.query,
        limit=PAGE_SIZE,
    )
    page = next(iter(pages))
    items = _items(page.posts, config)
    unwanted = frozenset(
        str(item.values["fullname"]) for item in items if item.reason and "fullname" in item.values
    )
    return SubredditTrial(
        name, items[:share], listed=Listed(name, page.posts, unwanted, has_more=page.after is not None)
    )


def _items(posts: list[dict[str, Any]], config: BotConfig) -> list[TrialItem]:
    items, kept = [], []
    for data in posts:
        try:
            values = post_values(data)
        except BadItem as error:
            items.append(TrialItem({"title": str(data.get("title", "")), "subreddit": ""}, str(error)))
            continue
        reason = why_unwanted(values, config)
        items.append(TrialItem(values, reason_label(reason)))
        if not reason:
            kept.append(values)
    young = without_expired(kept, cutoffs_in_force(), config_id=config.pk)
    expired = {row["fullname"] for row in kept} - {row["fullname"] for row in young}
    return [
        replace(item, reason=reason_label(EXPIRED)) if item.values.get("fullname") in expired else item
        for item in items
    ]
