"""Checks whether a subreddit shows its content before missing items count as deleted."""

from collections import Counter
from typing import Final
from urllib.parse import quote

from database.names import folded
from scraping.compliance.doubts import Verdict
from scraping.compliance.sweep_queue import KINDS
from scraping.content.normalise import (
    PROFILE_OF_NOBODY,
)
from scraping.models import ErrorKind, RedditComment, RedditPost
from scraping.reddit.client import RedditClient
from scraping.reddit.errors import OutOfBudget, RedditError

# After these answers the subreddit no longer exists; any other error proves nothing about its items.
_GONE: Final = frozenset(
    {
        ErrorKind.BANNED,
        ErrorKind.NOT_FOUND,
        ErrorKind.UNAVAILABLE_FOR_LEGAL_REASONS,
    }
)


class Subreddits:
    """Which subreddits show their content; each is requested once per sweep."""

    def __init__(self, client: RedditClient, counts: Counter[str]) -> None:
        self._client = client
        self._counts = counts
        self._answers: dict[str, str] = {}

    def answers_for(self, verdicts: list[Verdict]) -> dict[str, tuple[str, str]]:
        """Return subreddit and answer ("hidden", "gone", "shown") by fullname, for items that may become tombstones."""
        tombstoned = [v.item for v in verdicts if v.outcome == "tombstoned" and not v.item.is_confirmed]
        posts, comments = ([item.fullname for item in tombstoned if item.model is model] for model in KINDS)
        names = dict(RedditPost.objects.filter(fullname__in=posts).values_list("fullname", "subreddit"))
        of_comments = RedditComment.objects.filter(fullname__in=comments)
        names |= dict(of_comments.values_list("fullname", "post__subreddit"))
        return {
            fullname: (folded(name), self._answer(name))
            for fullname, name in names.items()
            if name and name != PROFILE_OF_NOBODY
        }

    def _answer(self, name: str) -> str:
        """Return "hidden" if the subreddit does not show its content, so that a missing item proves nothing."""
        key = folded(name)
        if key not in self._answers:
            self._counts["requests"] += 1
            try:
                self._client.request("GET", f"r/{quote(name, safe='')}/about/", lambda body: body)
                self._answers[key] = "shown"
            except OutOfBudget:
                raise  # the request was not sent
            except RedditError as error:
                self._answers[key] = "gone" if error.kind in _GONE else "hidden"
        return self._answers[key]
