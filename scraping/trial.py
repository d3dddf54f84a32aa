"""Tries a bot's config on Reddit: the first items it would get and what a run would cost, storing nothing."""

import math
from dataclasses import dataclass, field
from typing import Any, Final

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied

from scraping.content import BadItem, post_values
from scraping.expiry import EXPIRED, cutoffs_in_force, without_expired
from scraping.filters import reason_label, why_unwanted
from scraping.listing import PAGE_SIZE
from scraping.models import BotConfig
from scraping.reddit import RedditError, client_for

ITEMS_SHOWN: Final = 10
# Each costs a request while somebody waits for the page.
SUBREDDITS_TRIED: Final = 10


@dataclass(frozen=True)
class TrialItem:
    """A listed post: its columns, and why it would be left out, if it would."""

    values: dict[str, Any]
    reason: str


@dataclass(frozen=True)
class SubredditTrial:
    """What one subreddit answered."""

    name: str
    items: list[TrialItem] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class Trial:
    """What Reddit answered, and what it cost."""

    subreddits: list[SubredditTrial] = field(default_factory=list)
    requests_used: int = 0
    error: str = ""  # nothing was asked


def try_on_reddit(config: BotConfig, *, by: User | AnonymousUser) -> Trial:
    """List the first items of a config's subreddits, 10 in all, and store nothing; the config need not be saved.

    Raises:
        PermissionDenied: this person may not scrape with the stored config.
    """
    if not BotConfig.objects.managed_by(by).filter(pk=config.pk).exists():
        raise PermissionDenied
    names = config.subreddits[:SUBREDDITS_TRIED]
    tried: list[SubredditTrial] = []
    try:
        with client_for(config.app) as client:
            for number, name in enumerate(names):
                # Of ten items three subreddits get four, three and three.
                share = ITEMS_SHOWN // len(names) + (number < ITEMS_SHOWN % len(names))
                try:
                    pages = client.listing(
                        name,
                        sort=config.sort,
                        time_filter=config.time_filter,
                        query=config.query,
                        limit=share,
                    )
                    items = [_item(data, config) for data in next(iter(pages)).posts[:share]]
                    tried.append(SubredditTrial(name, items))
                except RedditError as error:
                    tried.append(SubredditTrial(name, error=str(error)))
                    if error.stops_everything:
                        break
            return Trial(tried, client.requests_used)
    except RedditError as error:
        return Trial(error=str(error))


def _item(data: dict[str, Any], config: BotConfig) -> TrialItem:
    try:
        values = post_values(data)
    except BadItem as error:
        return TrialItem({"title": str(data.get("title", "")), "subreddit": ""}, str(error))
    reason = why_unwanted(values, config)
    if not reason and not without_expired([values], cutoffs_in_force(), config_id=config.pk):
        reason = EXPIRED
    return TrialItem(values, reason_label(reason))


@dataclass(frozen=True)
class Cost:
    """Requests of one run, without retries and sign-in, at most."""

    listings: int
    comments: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.listings + self.comments


def cost_of_run(config: BotConfig) -> Cost:
    """Return what a run may cost if every post is new and has comments.

    A listing costs a request for every 100 posts, the comments of a post one; a complete tree one more for every 100
    comments beyond the first 500.
    """
    posts = config.post_limit * len(config.subreddits)
    listings = math.ceil(config.post_limit / PAGE_SIZE) * len(config.subreddits)
    if config.comment_policy == BotConfig.CommentPolicy.NONE:
        return Cost(listings, 0)
    if config.comment_policy == BotConfig.CommentPolicy.FIRST_PAGE:
        return Cost(listings, posts)
    if config.comment_policy == BotConfig.CommentPolicy.BUDGETED:
        return Cost(listings, posts * config.comment_requests)
    return Cost(listings, posts * (1 + math.ceil(max(config.comment_limit - 500, 0) / 100)))
