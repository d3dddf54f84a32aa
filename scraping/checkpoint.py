"""Where a session stands, so that another one can go on there: a JSON column, saved with every page."""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

from database import clock
from scraping.models import BotConfig, ScrapeSession

# An older checkpoint would bring yesterday's listing; the watermarks know what is new since.
RESUME_WITHIN: Final = timedelta(hours=1)
# A scrape that was handed on for so long will not end: its app's budget is too small for it.
HANDED_ON_MAX: Final = timedelta(hours=24)

# Scrapes in which the comments of a post are asked for in vain, before it is given up.
TRIES_MAX: Final = 3


@dataclass
class Checkpoint:
    """The subreddits done, and how far the one in hand is: its listing, then the comments of its posts."""

    config: str  # when the config was last edited; another one is another scrape
    since: str  # when the first session of this scrape began
    done: list[str] = field(default_factory=list)
    subreddit: str = ""
    listing: dict[str, Any] | None = None  # ListingWalk.saved(); null: not begun, or done with
    is_listed: bool = False
    newest: str | None = None  # the newest post of the listing in hand: the next watermark
    posts: list[str] = field(default_factory=list)  # fullnames whose comments are to be fetched
    walk: dict[str, Any] | None = None  # CommentWalk.saved() of the first of them
    refused: int = 0  # sessions in a row that got nothing but a 429
    # By subreddit: posts whose comments could not be fetched, and how often that was tried. No listing need ever
    # show them again, so the next scrape takes them from here.
    left_over: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: BotConfig, session: ScrapeSession) -> Self:
        """Return the checkpoint that a new session begins with.

        It is that of an interrupted session or, where that cannot be gone on with, an empty one that knows what the
        session before has left over.
        """
        fresh = cls(config=config.updated_at.isoformat(), since=session.started_at.isoformat())
        last = ScrapeSession.objects.filter(config=config, pk__lt=session.pk).order_by("-pk").first()
        if last is None or not last.checkpoint or last.checkpoint.keys() != cls.__dataclass_fields__.keys():
            return fresh
        saved = cls(**last.checkpoint)
        ended = last.resume_at or last.finished_at
        is_recent = ended is not None and ended > clock.now() - RESUME_WITHIN
        if last.status == ScrapeSession.Status.INTERRUPTED and is_recent and saved.config == fresh.config:
            return saved
        saved.leave_the_rest()
        fresh.left_over = {name: left for name, left in saved.left_over.items() if name in config.subreddits}
        return fresh

    @property
    def is_resumed(self) -> bool:
        """Whether there is anything to go on with."""
        return bool(self.done or self.subreddit)

    @property
    def is_handed_on_for_too_long(self) -> bool:
        """Whether this scrape was handed on again and again."""
        return datetime.fromisoformat(self.since) < clock.now() - HANDED_ON_MAX

    def begin(self, subreddit: str) -> None:
        """Take a subreddit in hand, unless it is already."""
        if self.subreddit == subreddit:
            return
        self.leave_the_rest()
        self.subreddit, self.listing, self.is_listed, self.newest = subreddit, None, False, None
        self.posts, self.walk = list(self.left_over.get(subreddit, ())), None

    def add_posts(self, fullnames: list[str]) -> None:
        """Have the comments of these posts fetched too."""
        known = set(self.posts)
        self.posts += [fullname for fullname in fullnames if fullname not in known]

    def leave(self, fullname: str) -> None:
        """Note that a post's comments could not be fetched this time; the third time, they are given up."""
        left = self.left_over.setdefault(self.subreddit, {})
        tries = left.pop(fullname, 0) + 1
        if tries < TRIES_MAX:
            left[fullname] = tries

    def leave_the_rest(self) -> None:
        """Leave what is to be fetched to the next scrape, which tries it no less often for that."""
        if self.posts:
            left = self.left_over.setdefault(self.subreddit, {})
            for fullname in self.posts:
                left.setdefault(fullname, 0)

    def fetched(self, fullname: str) -> None:
        """Be done with a post."""
        self.left_over.get(self.subreddit, {}).pop(fullname, None)

    def finish(self, subreddit: str) -> None:
        """Be done with a subreddit."""
        self.begin("")
        self.done.append(subreddit)

    @property
    def remainder(self) -> dict[str, Any] | None:
        """What a session that has ended by itself hands on: what it has left over, if anything."""
        self.begin("")
        self.left_over = {name: left for name, left in self.left_over.items() if left}
        return self.as_json() if self.left_over else None

    def as_json(self) -> dict[str, Any]:
        """Return it for the column."""
        return asdict(self)
