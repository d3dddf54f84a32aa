"""The models of scraping: bots, sessions, posts, comments and what is known about them."""

from scraping.models.access_tokens import AccessToken
from scraping.models.ages import is_old, rule_number
from scraping.models.bots import BotConfig, BotConfigQuerySet
from scraping.models.budget import RequestBudget
from scraping.models.causes import ErrorKind
from scraping.models.comments import RedditComment, RedditCommentQuerySet
from scraping.models.content import (
    ContentState,
    PostSighting,
    PostSightingQuerySet,
    RedditContent,
    RedditPost,
    RedditPostQuerySet,
)
from scraping.models.due import DueWalk
from scraping.models.erasures import Erasure
from scraping.models.freshness import Freshness
from scraping.models.reddit_apps import SANDBOX_CLIENT_ID, RedditApp, RedditAppQuerySet
from scraping.models.sessions import ScrapeSession, ScrapeSessionQuerySet
from scraping.models.set_aside import Doubt, SetAside, SweepTally
from scraping.models.validators import (
    AGGREGATES,
    RESERVED_NAMES,
    SUBREDDIT_NAME,
    validate_pattern,
    validate_subreddits,
    validate_texts,
)
from scraping.models.watermarks import Watermark
from scraping.skip_reasons import EXPIRED

__all__ = [
    "AGGREGATES",
    "EXPIRED",
    "RESERVED_NAMES",
    "SANDBOX_CLIENT_ID",
    "SUBREDDIT_NAME",
    "AccessToken",
    "BotConfig",
    "BotConfigQuerySet",
    "ContentState",
    "Doubt",
    "DueWalk",
    "Erasure",
    "ErrorKind",
    "Freshness",
    "PostSighting",
    "PostSightingQuerySet",
    "RedditApp",
    "RedditAppQuerySet",
    "RedditComment",
    "RedditCommentQuerySet",
    "RedditContent",
    "RedditPost",
    "RedditPostQuerySet",
    "RequestBudget",
    "ScrapeSession",
    "ScrapeSessionQuerySet",
    "SetAside",
    "SweepTally",
    "Watermark",
    "is_old",
    "rule_number",
    "validate_pattern",
    "validate_subreddits",
    "validate_texts",
]
