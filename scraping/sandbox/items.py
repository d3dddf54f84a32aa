"""Authors, posts and comments: all their values are drawn from the seed and their position.

Values are computed on request and not stored: a post is just two numbers, its subreddit and its index.
"""

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Protocol

from scraping.sandbox import text
from scraping.sandbox.draws import Draws, base36

EPOCH = 1_577_836_800  # 2020-01-01, when the first posts appeared; seconds

# An id encodes the position of its item: index · 2^24 + subreddit, and for comments · 2^13 + number.
SUBREDDIT_BITS, COMMENT_BITS = 24, 13
COMMENTS_MAX = 5_000  # per post; below 2^13
REPLY_DEPTH_MAX = 40
COMMENTS_ARRIVE_WITHIN = 36 * 3600  # seconds after the post
SCORE_MATURES_IN = 8 * 3600  # seconds until a score has 63 % of its final value
LEVEL_MAX = 18
AUTHORS = 20_000


class State(StrEnum):
    """The state of an item."""

    LIVE = "live"
    DELETED = "deleted"
    MODERATOR = "moderator"
    REDDIT = "reddit"
    VANISHED = "vanished"


@dataclass(frozen=True)
class Change:
    """A change of one item through the control endpoint."""

    state: State | None = None
    edited_at: float | None = None
    text: str | None = None


@dataclass(frozen=True)
class Subreddit:
    """A stream of posts."""

    number: int
    name: str
    interval: float  # seconds between posts, on average
    hide_score_seconds: int

    @property
    def fullname(self) -> str:
        """Return t5_…."""
        return f"t5_{base36(self.number)}"

    @property
    def weekly(self) -> int:
        """Return every how many posts a moderator posts the weekly thread."""
        return max(10, round(7 * 86_400 / self.interval))


class World(Protocol):
    """The interface of ``world.World`` that items use."""

    draws: Draws
    changes: dict[str, Change]
    accounts: dict[int, bool]

    def reply_structure(self, subreddit: int, index: int, total: int) -> tuple[list[int], list[int]]:
        """Return parent (-1: the post) and depth of each of a post's comments."""

    def author(self, *key: int | str) -> "Author":
        """Draw an author."""

    def home(self, *key: int | str) -> Subreddit:
        """Draw one of the subreddits that are always known."""

    def latest(self, subreddit: Subreddit, at: float) -> int:
        """Return the index of the newest post at this time."""

    def level(self, subreddit: Subreddit, index: int) -> int:
        """Return how popular a post is."""

    def post(self, subreddit: Subreddit, index: int) -> "Post":
        """Return a post by its subreddit and index."""


class Author:
    """An account; it may have been deleted."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.number = number

    @cached_property
    def name(self) -> str:
        """Return the user name."""
        return text.username(self.world.draws.stream("name", self.number), self.number)

    @property
    def fullname(self) -> str:
        """Return t2_…."""
        return f"t2_{base36(36**5 + self.number)}"

    def is_deleted(self, now: float) -> bool:
        """Whether the account is deleted: one in thirty is, at some time in its first twelve years."""
        if self.number in self.world.accounts:
            return not self.world.accounts[self.number]
        draws = self.world.draws
        leaves_at = EPOCH + draws.share("leaves at", self.number) * 12 * 365 * 86_400
        return leaves_at <= now and draws.share("leaves", self.number) < 0.033


# The upper bounds of the shares of items that end in each state.
Fates = tuple[tuple[float, State], ...]


class Item(ABC):
    """The common part of posts and comments."""

    world: World
    key: tuple[int, ...]
    fates: Fates

    @property
    @abstractmethod
    def fullname(self) -> str:
        """Return the kind and the id."""

    @property
    @abstractmethod
    def created(self) -> int:
        """Return the second it appeared."""

    @property
    @abstractmethod
    def author(self) -> Author:
        """Return who wrote it."""

    @property
    @abstractmethod
    def own_words(self) -> str:
        """Return the text as first written."""

    def state(self, now: float) -> State:
        """Return the item's state at that time: as changed by a caller, otherwise its random fate."""
        change = self.world.changes.get(self.fullname)
        if change and change.state:
            return change.state
        draw = self.world.draws.share("fate", *self.key)
        for bound, state in self.fates:
            if draw < bound:
                # Ten minutes to two days: most items are scraped while live, and found deleted by a later check.
                delay = self.world.draws.between(600, 172_800, "fate delay", *self.key)
                return state if self.created + delay <= now else State.LIVE
        return State.LIVE

    def edited(self, now: float) -> float | bool:
        """Return when it was last edited, or False."""
        change = self.world.changes.get(self.fullname)
        if change and change.edited_at:
            return change.edited_at
        draws = self.world.draws
        edited_at = self.created + draws.between(60, 7_200, "edited at", *self.key)
        return float(edited_at) if edited_at <= now and draws.share("edited", *self.key) < 0.06 else False

    def text(self, now: float) -> str:
        """Return the author's words, with what an edit has added."""
        change = self.world.changes.get(self.fullname)
        if change and change.text is not None:
            return change.text
        words = self.own_words
        return f"{words}\n\nEdit: typos." if words and self.edited(now) else words

    def ripeness(self, now: float) -> float:
        """Return how much of its final score the item has, of [0, 1]."""
        age = max(0.0, now - self.created)
        return 1 - math.exp(-age / SCORE_MATURES_IN)


class Post(Item):
    """A submission."""

    fates: Fates = ((0.02, State.DELETED), (0.04, State.MODERATOR), (0.05, State.REDDIT))

    def __init__(self, world: World, subreddit: Subreddit, index: int) -> None:
        self.world = world
        self.subreddit = subreddit
        self.index = index
        self.key = (subreddit.number, index)
        if self.is_weekly:
            self.fates = ()  # posts of moderators stay

    @cached_property
    def number(self) -> int:
        """Return the id as a number."""
        return self.index << SUBREDDIT_BITS | self.subreddit.number

    @cached_property
    def id36(self) -> str:
        """Return the id."""
        return base36(self.number)

    @cached_property
    def fullname(self) -> str:
        """Return t3_…."""
        return f"t3_{self.id36}"

    @cached_property
    def created(self) -> int:
        """Return the second it appeared."""
        jitter = self.world.draws.share("jitter", *self.key) * 0.9
        return int(EPOCH + (self.index + jitter) * self.subreddit.interval)

    @cached_property
    def author(self) -> Author:
        """Return who wrote it."""
        return self.world.author("post author", *self.key)

    @cached_property
    def level(self) -> int:
        """Return how popular it is: of 2^n posts in a row, one has a level of n or more."""
        return self.world.level(self.subreddit, self.index)

    @property
    def is_weekly(self) -> bool:
        """Whether it is a moderators' weekly thread."""
        return self.index % self.subreddit.weekly == 0

    def is_stickied(self, now: float) -> bool:
        """Whether it is one of the latest two weekly threads."""
        latest = self.world.latest(self.subreddit, now)
        return self.is_weekly and self.index > latest - 2 * self.subreddit.weekly

    @cached_property
    def kind(self) -> str:
        """Return self, link, image, gallery, video, rich, poll or crosspost."""
        if self.is_weekly:
            return "self"
        draw = self.world.draws.share("kind", *self.key)
        bounds = (
            (0.45, "self"), (0.65, "link"), (0.80, "image"), (0.85, "gallery"), (0.90, "video"),
            (0.93, "rich"), (0.96, "poll"), (1.0, "crosspost"),
        )  # fmt: skip
        return next(kind for bound, kind in bounds if draw < bound)

    @cached_property
    def title(self) -> str:
        """Return the title as first written."""
        if self.is_weekly:
            return f"Weekly thread #{self.index // self.subreddit.weekly}: questions, progress, small talk"
        return text.title(self.world.draws.stream("title", *self.key))

    @cached_property
    def own_words(self) -> str:
        """Return the text as first written; pictures and links have none."""
        if self.is_weekly:
            return "Ask anything. **Be kind.**"
        if self.kind not in ("self", "poll"):
            return ""
        words = text.body(self.world.draws.stream("body", *self.key))
        poll = f"\n\n[View Poll](https://www.reddit.com/poll/{self.id36})"
        return words + poll if self.kind == "poll" else words

    @cached_property
    def crosspost_parent(self) -> "Post | None":
        """Return the post that this one crossposts: an earlier one of a subreddit that is always known."""
        if self.kind != "crosspost":
            return None
        home = self.world.home("crosspost", *self.key)
        latest = self.world.latest(home, self.created)
        earlier = (self.world.post(home, index) for index in range(latest, -1, -1))
        return next((post for post in earlier if post.kind != "crosspost"), None)

    def score(self, now: float) -> int:
        """Return upvotes minus downvotes, never below 0; it grows with age."""
        final = 3 * 1.7**self.level * (0.6 + 0.8 * self.world.draws.share("score", *self.key))
        return 1 + int(final * self.ripeness(now))

    @cached_property
    def upvote_ratio(self) -> float:
        """Return the share of upvotes, of [0.5, 1]."""
        return round(1 - 0.5 * self.world.draws.share("ratio", *self.key) ** 3, 2)

    @cached_property
    def comment_total(self) -> int:
        """Return the final number of comments."""
        luck = self.world.draws.share("comments", *self.key)
        if self.is_weekly:
            return 200 + int(400 * luck)
        return min(COMMENTS_MAX, int(4.4 * luck * 1.5**self.level))

    def comment_created(self, number: int) -> int:
        """Return when its comment with this number appeared (seconds); a later number is not earlier."""
        jitter = self.world.draws.share("comment jitter", *self.key, number)
        share = (number + jitter) / self.comment_total
        return int(self.created + 60 + COMMENTS_ARRIVE_WITHIN * share**2)

    def comment_count(self, now: float) -> int:
        """Return ``num_comments``: all so far, deleted ones too, so a walk of the tree often finds fewer."""
        return bisect_right(range(self.comment_total), now, key=self.comment_created)

    @property
    def replies_to(self) -> tuple[Sequence[int], Sequence[int]]:
        """Return for each comment the number of the one it answers (-1: the post), and its depth."""
        return self.world.reply_structure(self.subreddit.number, self.index, self.comment_total)

    def comment(self, number: int) -> "Comment":
        """Return one of its comments."""
        return Comment(self, number)


class Comment(Item):
    """A comment, by its number under its post."""

    fates: Fates = ((0.02, State.DELETED), (0.035, State.MODERATOR), (0.04, State.REDDIT))

    def __init__(self, post: Post, number: int) -> None:
        self.world = post.world
        self.post = post
        self.number = number
        self.key = (*post.key, number)

    @cached_property
    def id36(self) -> str:
        """Return the id."""
        return base36(self.post.number << COMMENT_BITS | self.number)

    @cached_property
    def fullname(self) -> str:
        """Return t1_…."""
        return f"t1_{self.id36}"

    @cached_property
    def created(self) -> int:
        """Return the second it appeared."""
        return self.post.comment_created(self.number)

    @cached_property
    def is_submitter(self) -> bool:
        """Whether the post's author wrote it."""
        return not self.is_notice and self.world.draws.share("op", *self.key) < 0.08

    @cached_property
    def author(self) -> Author:
        """Return who wrote it."""
        return self.post.author if self.is_submitter else self.world.author("comment author", *self.key)

    @cached_property
    def is_notice(self) -> bool:
        """Whether it is a moderator's pinned notice."""
        return self.number == 0 and self.world.draws.share("notice", *self.post.key) < 0.1

    @property
    def parent_number(self) -> int:
        """Return the number of the comment it answers, or -1 for the post."""
        return self.post.replies_to[0][self.number]

    @property
    def depth(self) -> int:
        """Return 0 for an answer to the post, one more for each step down."""
        return self.post.replies_to[1][self.number]

    @property
    def parent_fullname(self) -> str:
        """Return t3_… of the post or t1_… of the comment it answers."""
        above = self.parent_number
        return self.post.fullname if above < 0 else self.post.comment(above).fullname

    @cached_property
    def own_words(self) -> str:
        """Return the text as first written."""
        if self.is_notice:
            return "Welcome! Please read the rules before you post."
        return text.reply(self.world.draws.stream("reply", *self.key))

    def score(self, now: float) -> int:
        """Return upvotes minus downvotes; one comment in twenty falls below zero."""
        draw = self.world.draws.share("score", *self.key)
        final = -40 * draw * 20 if draw < 0.05 else (draw - 0.05) ** 4 * 12 * (2 + self.post.level) ** 1.5
        return 1 + int(final * self.ripeness(now))

    def is_score_hidden(self, now: float) -> bool:
        """Whether it is so young that Reddit hides its score."""
        return now - self.created < self.post.subreddit.hide_score_seconds
