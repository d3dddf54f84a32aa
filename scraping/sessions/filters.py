"""Which listed posts a bot keeps: by NSFW mark, score, flair, domain and pattern.

A filter decides before a post is stored; posts stored earlier stay and are re-checked like all others.
Patterns are RE2, because no pattern of an owner, whatever text it is matched with, may keep a worker busy for ever.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from database.names import folded
from scraping.content.normalise import TIME_REASONS, BadItem, post_values
from scraping.models import BotConfig, ContentState, RedditPost
from scraping.patterns import compiled
from scraping.reddit.answers import Page
from scraping.skip_reasons import FILTERED, reason_label
from scraping.visibility import Person

STORED_TRIED: Final = 200
_COLUMNS: Final = ("title", "body", "flair", "domain", "score", "is_over_18", "is_self")

Values = Mapping[str, Any]


def keep_wanted(page: Page, config: BotConfig) -> Page:
    """Return the page without the posts that the config's filters leave out; these count as skipped.

    An item that cannot be read passes, and so does one with an empty field that a filter would judge: storing it
    reports what is wrong.
    """
    if not has_filters(config):
        return page
    kept = []
    skipped: Counter[str] = Counter()
    for data in page.posts:
        odd: Counter[str] = Counter()
        try:
            reason = why_unwanted(post_values(data, odd), config)
        except BadItem:
            reason = ""
        if reason and odd.keys() <= TIME_REASONS:
            skipped[FILTERED + reason] += 1
        else:
            kept.append(data)
    return replace(page, posts=kept, skipped=page.skipped + skipped)


def has_filters(config: BotConfig) -> bool:
    """Return whether the config has any filter."""
    return any(is_set(config) for _reason, is_set, _passes in _FILTERS)


def why_unwanted(post: Values, config: BotConfig) -> str:
    """Return the name of the first filter that leaves out a post with these columns, or an empty string."""
    for reason, is_set, passes in _FILTERS:
        if is_set(config) and not passes(post, config):
            return reason
    return ""


def _has_flair(post: Values, flairs: list[str]) -> bool:
    return post["flair"].strip().casefold() in {flair.casefold() for flair in flairs}


def _has_domain(post: Values, domains: list[str]) -> bool:
    # Reddit gives a text post of r/python the domain self.python.
    domain = post["domain"].casefold()
    wanted = [name.casefold().removeprefix("www.") for name in domains]
    return any(
        domain == name or domain.endswith(f".{name}") or (name == "self" and post["is_self"])
        for name in wanted
    )


def _matches(post: Values, pattern: str) -> bool:
    return any(compiled(pattern).search(text) is not None for text in (post["title"], post["body"]))


_FILTERS: Final[tuple[tuple[str, Callable[[BotConfig], Any], Callable[[Values, BotConfig], bool]], ...]] = (
    ("NSFW", lambda c: c.nsfw == c.Nsfw.EXCLUDE, lambda p, c: not p["is_over_18"]),
    ("not NSFW", lambda c: c.nsfw == c.Nsfw.ONLY, lambda p, c: bool(p["is_over_18"])),
    ("score", lambda c: c.min_score is not None, lambda p, c: bool(p["score"] >= c.min_score)),
    ("flair", lambda c: c.flairs_wanted, lambda p, c: _has_flair(p, c.flairs_wanted)),
    ("unwanted flair", lambda c: c.flairs_unwanted, lambda p, c: not _has_flair(p, c.flairs_unwanted)),
    ("domain", lambda c: c.domains_wanted, lambda p, c: _has_domain(p, c.domains_wanted)),
    ("unwanted domain", lambda c: c.domains_unwanted, lambda p, c: not _has_domain(p, c.domains_unwanted)),
    ("pattern", lambda c: c.pattern_wanted, lambda p, c: _matches(p, c.pattern_wanted)),
    ("unwanted pattern", lambda c: c.pattern_unwanted, lambda p, c: not _matches(p, c.pattern_unwanted)),
)


# --- Trial --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tried:
    """The result of the filters on stored posts: newest first, each with the reason for leaving it out, or none."""

    posts: list[tuple[RedditPost, str]]  # the reason in the reader's language

    @property
    def passed(self) -> int:
        """How many posts would have been kept."""
        return sum(not reason for _post, reason in self.posts)

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """How many posts each filter would have left out, the highest number first."""
        return Counter(reason for _post, reason in self.posts if reason).most_common()


def try_on_stored(config: BotConfig, *, by: Person, limit: int = STORED_TRIED) -> Tried:
    """Apply the filters to the newest live posts of the config's subreddits that the person may see."""
    names = [folded(name) for name in config.subreddits]
    rows = RedditPost.objects.visible_to(by).filter(subreddit__folded__in=names, state=ContentState.LIVE)
    posts = rows.order_by("-pk")
    rows = posts.only("fullname", "subreddit", *_COLUMNS)[:limit]
    return Tried(
        [
            (post, reason_label(why_unwanted({name: getattr(post, name) for name in _COLUMNS}, config)))
            for post in rows
        ]
    )
