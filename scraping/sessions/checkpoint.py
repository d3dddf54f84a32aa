"""How far a session has got, so that another one can resume it: a JSON column, saved with each page."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

from database import clock
from database.names import folded
from scraping.models import BotConfig, ScrapeSession, due, freshness

# An older checkpoint belongs to an old listing; a new listing starts from the watermarks instead.
RESUME_WITHIN: Final = timedelta(hours=1)
# A scrape that takes longer than this would never finish: its app's request allowance is too small for it.
HANDED_ON_MAX: Final = timedelta(hours=24)


@dataclass
class Checkpoint:
    """The finished subreddits, and the position in the current one: in its listing, then in its posts' comments."""

    config: (
        str  # when the config was last edited, and which part is scraped; a change makes it another scrape
    )
    since: str  # when the first session of this scrape began
    done: list[str] = field(default_factory=list)
    subreddit: str = ""
    listing: dict[str, Any] | None = None  # ListingWalk.saved(); null: not begun, or finished
    is_listed: bool = False
    reading: dict[str, Any] | None = None  # Reading.as_json() of the current listing: the next watermark
    posts: list[str] = field(default_factory=list)  # fullnames whose comments are to be fetched
    walk: dict[str, Any] | None = None  # CommentWalk.saved() of the first of them
    refused: int = 0  # sessions in a row that got nothing but a 429

    @classmethod
    def of(cls, config: BotConfig, session: ScrapeSession, *, only: Collection[str] = ()) -> Self:
        """Return the checkpoint that a new session begins with.

        It is the checkpoint of an interrupted session. If that one cannot be resumed, the new checkpoint is empty, and
        the posts whose comments were still to be read become due. A scrape of a part of
        the subreddits (``only``) resumes only a scrape of the same part.
        """
        scope = " ".join([config.updated_at.isoformat(), *sorted(only)])
        fresh = cls(config=scope, since=session.started_at.isoformat())
        wanted = (
            config.subreddits if isinstance(config.subreddits, list) else []
        )  # edited by hand and invalid: refused later
        if wanted:
            due.forget_unwanted(config.pk, wanted)
            freshness.forget_unwanted(config.pk, wanted)
        last = ScrapeSession.objects.filter(config=config, pk__lt=session.pk).order_by("-pk").first()
        if last is None or not isinstance(last.checkpoint, dict):
            return fresh
        left_over = last.checkpoint.get("left_over")  # where an earlier release kept them
        for name, left in left_over.items() if isinstance(left_over, dict) else ():
            due.keep_due(config.pk, name, left)
        saved = fresh._read(last.checkpoint)
        if saved is None:
            return fresh
        ended = last.resume_at or last.finished_at
        is_recent = ended is not None and ended > clock.now() - RESUME_WITHIN
        if last.status == ScrapeSession.Status.INTERRUPTED and is_recent and saved.config == fresh.config:
            return saved
        if folded(saved.subreddit) in map(folded, wanted):
            due.keep_due(config.pk, saved.subreddit, saved.posts)
        return fresh

    def _read(self, saved: dict[str, Any]) -> Self | None:
        """Return what was saved, perhaps by an earlier release, or None if it is no checkpoint."""
        fields = self.__dataclass_fields__.keys()
        if not {"config", "since"} <= saved.keys():
            return None
        return type(self)(**{name: value for name, value in saved.items() if name in fields})

    @property
    def is_resumed(self) -> bool:
        """Whether there is anything to resume."""
        return bool(self.done or self.subreddit)

    @property
    def is_handed_on_for_too_long(self) -> bool:
        """Whether this scrape was continued by new sessions for too long."""
        return datetime.fromisoformat(self.since) < clock.now() - HANDED_ON_MAX

    def begin(self, subreddit: str, config_id: int) -> None:
        """Make a subreddit the current one, unless it is already; unread posts of the previous one become due."""
        if self.subreddit == subreddit:
            return
        if self.posts:
            due.keep_due(config_id, self.subreddit, self.posts)
        self.subreddit, self.listing, self.is_listed, self.reading = subreddit, None, False, None
        self.posts, self.walk = [], None

    def add_posts(self, fullnames: list[str]) -> None:
        """Add posts whose comments are to be fetched."""
        known = set(self.posts)
        self.posts += [fullname for fullname in fullnames if fullname not in known]

    def finish(self, subreddit: str, config_id: int) -> None:
        """Mark a subreddit as finished."""
        self.begin("", config_id)
        self.done.append(subreddit)

    def as_json(self) -> dict[str, Any]:
        """Return it for the column, with the lists themselves: copying them took a quarter of a scrape's time."""
        return dict(vars(self))
