"""The comments of one subreddit's posts: fetched and stored, or kept due if they could not be read."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from django.db import IntegrityError

from database import clock
from database.messages import gettext as _
from database.messages import joined
from scraping.content.normalise import post_values
from scraping.content.storage import Stored, store_comments
from scraping.models import (
    BotConfig,
    ContentState,
    ErrorKind,
    RedditPost,
    ScrapeSession,
    due,
)
from scraping.reddit.answers import Page
from scraping.reddit.client import INFO_SIZE, RedditClient
from scraping.reddit.errors import RedditError
from scraping.sessions import warnings
from scraping.sessions.reach import is_walked, reach_of
from scraping.sessions.writer import SessionWriter, no_totals

# After the comments of so many posts in a row have failed, the subreddit is given up.
FAILURES_MAX: Final = 3
# A single /api/info answer may leave a post out by mistake.
MISSING_MAX: Final = 2


class CommentScrape:
    """The comments of one subreddit in a session."""

    def __init__(
        self,
        config: BotConfig,
        session: ScrapeSession,
        scrape: SessionWriter,
        client: RedditClient,
        subreddit: str,
    ) -> None:
        self._config = config
        self._session = session
        self._scrape = scrape
        self._checkpoint = scrape.checkpoint
        self._client = client
        self._subreddit = subreddit
        self._failures = 0
        self._has_gap = False
        self._is_fresh = False  # whether its listing was read
        self._name = ""  # as Reddit writes it
        self._listed: set[str] = set()
        self._reach = reach_of(config)
        self.totals = no_totals()

    def fail(self, error: RedditError) -> None:
        """Record an error; the first one becomes the subreddit's error."""
        self._scrape.log(joined([f"r/{self._subreddit}:", str(error)]), "error")
        if not self.totals["error_kind"]:
            self.totals |= {"error_kind": str(error.kind), "error": str(error)}
        if not (self._is_fresh or self._checkpoint.is_listed):
            self._scrape.note_not_listed([self._subreddit], str(error.kind), str(error))

    def _warn(self, text: str) -> None:
        if text:
            self.totals["warnings"].append(text)
            self._scrape.log(joined([f"r/{self._subreddit}:", text]), "warning")

    def _with_new_comments(self, fullnames: Iterable[str]) -> list[str]:
        """Return the posts whose comments this config wants and does not have yet, in the given order."""
        if self._reach is None:
            return []
        order = list(fullnames)
        # Most posts of a busy listing are so young that they have no comments: they need no request.
        rows = RedditPost.objects.filter(fullname__in=order, num_comments__gt=0)
        reach = self._reach
        lowest = self._config.comment_min_score
        wanted = {
            post.fullname
            for post in rows.only("fullname", "num_comments", "walk")
            if not is_walked(post, reach, lowest=lowest)
        }
        # Posts that are due have their own time of the next try.
        wanted -= due.among(self._config.pk, wanted)
        return [fullname for fullname in dict.fromkeys(order) if fullname in wanted]

    def _scrape_comments(self) -> None:
        pending = self._checkpoint.posts
        while pending and self._reach is not None:
            batch = RedditPost.objects.filter(fullname__in=pending[:INFO_SIZE])
            found = {
                post.fullname: post
                for post in batch.only("pk", "fullname", "num_comments", "newest_comment_at")
            }
            for fullname in pending[:INFO_SIZE]:
                try:
                    if fullname in found:
                        self._scrape_post(found[fullname])
                    else:
                        due.settle(self._config.pk, fullname)  # the post was deleted here
                except RedditError as error:
                    if not error.stops_everything:  # otherwise the post stays to be fetched
                        self._be_done_with_first()
                    raise
                self._be_done_with_first()

    def _be_done_with_first(self) -> None:
        self._checkpoint.posts.pop(0)
        self._scrape.steps.walked()
        self._checkpoint.walk = None

    def _scrape_post(self, post: RedditPost) -> None:
        self._scrape.report(_("%(subreddit)s: comments") % {"subreddit": f"r/{self._subreddit}"})
        try:
            self._store_comments(post)
        except RedditError as error:
            if error.stops_everything:
                raise
            tries = due.note_failure(
                self._config.pk, self._subreddit, post.fullname, reason=str(error.kind), error=str(error)
            )
            if self._is_gone(post, tries, error):
                due.settle(self._config.pk, post.fullname)
                self._scrape.log(_("%(post)s is gone from Reddit.") % {"post": post.fullname}, "warning")
                return
            self.fail(error)
            self._failures += 1
            if self._failures >= FAILURES_MAX:
                raise
        else:
            due.settle(self._config.pk, post.fullname)
            self._failures = 0

    def _is_gone(self, post: RedditPost, tries: int, error: RedditError) -> bool:
        """Ask Reddit whether the post still exists; a single answer without it proves nothing."""
        if error.kind not in warnings.LASTING | {ErrorKind.FORBIDDEN} or tries < MISSING_MAX:
            return False
        try:
            found = self._client.info([post.fullname]).posts
        except RedditError as failure:
            if failure.stops_everything:
                raise
            return False
        states = [post_values(data)["state"] for data in found if data.get("name") == post.fullname]
        return not states or (states[0] != ContentState.LIVE and tries >= due.TRIES_AT_ONCE)

    def _tell_what_is_due(self) -> None:
        number = self.totals["comments_due"] = due.number_waiting(self._config.pk, self._subreddit)
        if number and not self.totals["error_kind"]:
            text = _("The comments of %(number)d posts could not be read so far; they are tried again.")
            self._warn(text % {"number": number})

    def _store_comments(self, post: RedditPost) -> None:
        assert self._reach is not None
        walk = self._client.comments(post.id36, self._reach, resume=self._checkpoint.walk)
        lowest = self._config.comment_min_score
        for asked_at, page in with_moments(walk):
            comments, skipped = page.comments, page.skipped
            if lowest is not None:
                comments, skipped = _above(lowest, page)
            try:
                stored = store_comments(post, comments, seen_at=asked_at)
            except IntegrityError as refusal:
                named = {"post": post.fullname}
                if RedditPost.objects.filter(
                    pk=post.pk
                ).exists():  # then it stays due, and a person learns of it
                    text = _("The database refuses the comments of %(post)s (%(constraint)s).")
                    constraint = {"constraint": _constraint_of(refusal)}
                    raise RedditError(ErrorKind.INTERNAL, text % (named | constraint)) from refusal
                self._scrape.log(_("%(post)s was deleted here meanwhile.") % named, "warning")
                return
            self._count("comments", stored, skipped)
            self._checkpoint.walk = walk.saved()
            self._scrape.save(self._client)
            self._scrape.stop_here_if_asked()
        # Judge by what is stored, not by what this walk met: an earlier, deeper walk counts too.
        RedditPost.objects.filter(pk=post.pk).update(
            comments_fetched=post.comments.count(),
            walk={
                "num_comments": post.num_comments,
                "reach": self._reach.as_json(),
                "left": walk.left,
                "unavailable": walk.unavailable,
                "lowest": lowest,
            },
        )
        self.totals["comments_unavailable"] += walk.unavailable

    def _count(self, what: str, stored: Stored, unreadable: Counter[str]) -> None:
        totals = self.totals
        totals[f"{what}_found"] += stored.found
        totals[f"{what}_new"] += stored.new
        totals[f"{what}_changed"] += stored.changed
        skipped = unreadable + stored.skipped
        totals["skipped"] = dict(Counter(totals["skipped"]) + skipped)
        self._scrape.log_skipped(f"r/{self._subreddit}", skipped)
        totals["odd_fields"] = dict(Counter(totals["odd_fields"]) + stored.odd)
        self._scrape.log_odd(f"r/{self._subreddit}", stored.odd)


def with_moments(pages: Iterable[Page]) -> Iterator[tuple[datetime, Page]]:
    """Yield each page with the time before its request: a row stored after that time is newer than the page."""
    rest = iter(pages)
    while True:
        asked_at = clock.now()
        page = next(rest, None)
        if page is None:
            return
        yield asked_at, page


def _above(lowest: int, page: Page) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return a page's comments of at least this score, or whose score Reddit hides, and what was skipped."""
    kept = [
        comment
        for comment in page.comments
        if comment.get("score_hidden") is True
        or not isinstance(score := comment.get("score"), int | float)
        or score >= lowest
    ]
    dropped = len(page.comments) - len(kept)
    return kept, page.skipped + Counter({"score too low": dropped} if dropped else {})


def _constraint_of(error: IntegrityError) -> str:
    """Return the name of the constraint; the values, which PostgreSQL quotes, are other people's texts."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return str((diagnosis and diagnosis.constraint_name) or str(error).partition("\n")[0])
