"""Reddit's API through PRAW; the only file that knows PRAW.

PRAW retries 408, 5xx and lost connections (three attempts). Unreadable answers and failing sign-ins are retried here.
All workers share one access token (``access_tokens.py``). The request budget of the client id decides when a request
may be sent (``budget.py``); PRAW's own pacing, which knows only one process, is off. Answers are read as plain JSON
(``answers.py``) instead of PRAW's objects: with those one malformed child fails the whole page, an absent attribute
costs a hidden request, some comment trees end in an AssertionError, and an empty body looks like an empty listing.

A client belongs to one thread and one piece of work, because prawcore's session is not thread-safe. Make one with
``client_for`` and use it in a ``with`` statement.
"""

import configparser
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import datetime
from importlib.resources import files
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.db import Error

from database import clock
from database.messages import gettext as _
from scraping.models import BotConfig, ErrorKind, RedditApp, access_tokens
from scraping.reddit import budget, http_session
from scraping.reddit.answers import (
    Page,
    RefusedAnswer,
    UnreadableAnswer,
    read_listing,
    read_more_children,
    read_tree,
)
from scraping.reddit.budget import Allowance, Exhausted
from scraping.reddit.comment_walk import BatchRefused, CommentWalk, Reach
from scraping.reddit.credentials import (
    Credentials,
    credentials_of,
    environment_credentials,
    is_loopback,
    keep_sandbox_local,
    usable_user_agent,
)
from scraping.reddit.errors import (
    OutOfBudget,
    RedditError,
    RedditNotConfigured,
    bad_answer,
    no_answer,
    refused,
    sign_in_failed,
    status_error,
)
from scraping.reddit.http_session import SIGN_IN_PATH, HttpSession
from scraping.reddit.listing import ListingWalk

# prawcore reads this once, when it is imported; PRAW's own `timeout` setting is ignored.
os.environ["PRAWCORE_TIMEOUT"] = str(settings.REDDIT_TIMEOUT_SECONDS)

import praw
import praw.config
import prawcore

Answer = TypeVar("Answer")

# Reddit's limits (https://www.reddit.com/dev/api): fullnames of one /api/info request, comments of one tree request.
INFO_SIZE = 100
TREE_SIZE = 500
# How often a request is sent again after a short 429.
REFUSALS_MAX = 2


def _ignore_praw_ini() -> None:
    """Load only PRAW's own defaults: a praw.ini in the working directory could send the secret elsewhere."""
    with praw.config.Config.LOCK:
        defaults = configparser.ConfigParser(interpolation=None)
        with files("praw").joinpath("praw.ini").open(encoding="utf-8") as file:
            defaults.read_file(file)
        praw.config.Config.CONFIG = defaults


_ignore_praw_ini()


class _SharedAuthorizer(prawcore.ReadOnlyAuthorizer):
    """Uses the access token that another worker or scrape has already fetched."""

    def __init__(
        self, authenticator: prawcore.TrustedAuthenticator, *, client_id: str, fingerprint: str
    ) -> None:
        self.access_token = None
        self._rejected: str | None = None  # the token that Reddit answered with 401
        self._key = (client_id, fingerprint)
        super().__init__(authenticator=authenticator)

    def _clear_access_token(self) -> None:
        self._rejected = self.access_token
        super()._clear_access_token()  # type: ignore[no-untyped-call]

    def refresh(self) -> None:
        """Use the stored token, or fetch a new one and store it."""
        if self._has_taken_stored():
            return
        with access_tokens.turn(self._key[0]):
            if self._has_taken_stored():
                return
            super().refresh()
            seconds = (self._expiration_timestamp_ns - time.monotonic_ns()) / 1e9 - 10  # prawcore adds 10 s
            access_tokens.store(*self._key, str(self.access_token), seconds=seconds)

    def _has_taken_stored(self) -> bool:
        stored = access_tokens.load(*self._key)
        if stored is None or stored[0] == self._rejected:
            return False
        self.access_token = stored[0]
        self._expiration_timestamp_ns = time.monotonic_ns() + int(stored[1] * 1e9)
        return True


def client_for(app: RedditApp | None, *, for_compliance: bool = False) -> "RedditClient":
    """Return a new client for a stored Reddit app, or for the environment's app if it is None.

    ``for_compliance``: it may use the share of the app's budget that is reserved for verifying content.

    Raises:
        RedditNotConfigured: there is no app, its secret or user agent is unusable, or the sandbox's app would meet the
            real Reddit.
    """
    if app is not None:
        return RedditClient(credentials_of(app), for_compliance=for_compliance)
    credentials = environment_credentials()
    if credentials is None:
        raise RedditNotConfigured(
            _(
                "There is no Reddit app: set REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET, or choose a Reddit app"
                " in the bot."
            )
        )
    return RedditClient(credentials, for_compliance=for_compliance)


class _PostTree:
    """The comments of one post: the source of a ``CommentWalk``."""

    def __init__(self, client: "RedditClient", post_id36: str, *, limit: int, depth: int) -> None:
        self._client = client
        self._post_id36 = post_id36
        self._link = f"t3_{post_id36}"
        self._params = {"limit": min(limit, TREE_SIZE), "depth": depth, "sort": "confidence"}

    def tree(self, comment_id36: str = "") -> list[Any]:
        """GET the comments of the post, or those below one comment."""
        path = f"comments/{self._post_id36}/" + (f"_/{comment_id36}" if comment_id36 else "")
        return self._client.request("GET", path, read_tree, params=self._params)

    def more_children(self, ids: list[str]) -> list[Any]:
        """POST up to 100 ids; a GET would be too long (414)."""
        form = {"link_id": self._link, "children": ",".join(ids), "sort": self._params["sort"]}
        try:
            return self._client.request(
                "POST", "api/morechildren/", read_more_children, in_turn=True, data=form
            )
        except RedditError as error:
            if error.kind in (ErrorKind.BAD_REQUEST, ErrorKind.BAD_ANSWER):
                raise BatchRefused(error) from error
            raise

    def look_up(self, ids: list[str]) -> list[dict[str, Any]]:
        """GET comments of this post by their fullnames."""
        found = self._client.info([f"t1_{id36}" for id36 in ids]).comments
        return [data for data in found if data.get("link_id", self._link) == self._link]


class RedditClient:
    """One signed-in connection to Reddit (application only), for one thread.

    Raises:
        RedditNotConfigured: see ``client_for``.
    """

    def __init__(self, credentials: Credentials, *, for_compliance: bool = False) -> None:
        keep_sandbox_local(credentials)
        self._allowance = Allowance(credentials.client_id, for_compliance=for_compliance)
        self._session = HttpSession(self._allowance)
        self._asked = self._answers = 0
        # HTTP_PROXY and .netrc are meant for other hosts; a proxy cannot reach this machine's loopback.
        self._session.trust_env = not is_loopback(settings.REDDIT_URL)
        self._reddit = praw.Reddit(
            "DEFAULT",  # otherwise the variable praw_site chooses the section
            client_id=credentials.client_id,
            client_secret=credentials.client_secret or None,
            user_agent=usable_user_agent(credentials),
            username=None,
            password=None,
            refresh_token=None,
            redirect_uri=None,
            reddit_url=settings.REDDIT_URL.rstrip("/"),
            oauth_url=settings.REDDIT_OAUTH_URL.rstrip("/"),
            check_for_updates=False,
            check_for_async=False,
            requestor_kwargs={"session": self._session},
        )
        self._reddit.read_only = True
        self._share_token(credentials)

    def _share_token(self, credentials: Credentials) -> None:
        core: prawcore.Session = self._reddit._core  # type: ignore[assignment]  # PRAW sets it in __init__
        fingerprint = access_tokens.fingerprint_of(
            client_secret=credentials.client_secret, url=settings.REDDIT_URL
        )
        # An app without a secret signs in with a device id of its own, so its token is not shared.
        authenticator = core.authorizer.authenticator
        if isinstance(authenticator, prawcore.TrustedAuthenticator):
            core._authorizer = _SharedAuthorizer(
                authenticator, client_id=credentials.client_id, fingerprint=fingerprint
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and return the unused part of the request allowance."""
        self._session.close()
        self._allowance.give_back()

    @property
    def requests_used(self) -> int:
        """HTTP requests sent so far, including PRAW's retries and sign-ins."""
        return self._session.requests_sent

    @property
    def retries(self) -> int:
        """Requests that PRAW repeated or that were sent again after a 429."""
        return max(0, self._session.requests_sent - self._session.sign_ins - self._asked)

    @property
    def server_time(self) -> datetime:
        """The time of Reddit's last answer by Reddit's clock; before the first answer, the database's time."""
        return self._session.server_time or clock.now()

    def can_afford(self, requests: int) -> bool:
        """Return whether the app has that many requests left, and half a window more for other work."""
        state = budget.state_of(self._allowance.client_id)
        return state is None or state.free(for_compliance=False) - requests >= state.window_requests // 2

    @property
    def has_answers(self) -> bool:
        """Whether Reddit has answered anything so far."""
        return self._answers > 0

    def listing(
        self,
        subreddit: str,
        *,
        sort: str,
        time_filter: str,
        limit: int,
        query: str = "",
        resume: dict[str, Any] | None = None,
    ) -> ListingWalk:
        """Return the pages of a subreddit's listing; they end at ``limit`` posts, Reddit's 1,000 or the listing's end.

        ``query`` makes it a search, which lists the newest first. ``resume`` is what an earlier walk's ``saved()`` returned.
        """
        path = f"r/{quote(subreddit, safe='')}/{sort}"
        params: dict[str, str | int] = {}
        if sort in (BotConfig.Sort.TOP, BotConfig.Sort.CONTROVERSIAL):
            params["t"] = time_filter
        elif sort == BotConfig.Sort.SEARCH:
            params |= {"q": query, "restrict_sr": "1", "sort": "new", "t": "all", "type": "link"}
        return ListingWalk(
            lambda more: self.page(path, params | more),
            limit=limit,
            has_stickies=sort == BotConfig.Sort.HOT,
            resume=resume,
        )

    def page(self, path: str, params: dict[str, str | int]) -> Page:
        """Return one page of any listing.

        Raises:
            RedditError: Reddit did not answer, or not with a listing.
        """
        return self.request("GET", path, read_listing, params=params)

    def info(self, fullnames: Sequence[str]) -> Page:
        """Return the items of at most 100 fullnames; Reddit leaves out those that no longer exist.

        Raises:
            RedditError: Reddit did not answer, or not with a listing.
        """
        if len(fullnames) > INFO_SIZE:
            raise ValueError(f"/api/info takes {INFO_SIZE} fullnames, not {len(fullnames)}.")
        return self.page("api/info/", {"id": ",".join(fullnames)})

    def comments(self, post_id36: str, reach: Reach, *, resume: dict[str, Any] | None = None) -> CommentWalk:
        """Return a walk over a post's comments, to be iterated page by page; see ``CommentWalk``."""
        source = _PostTree(self, post_id36, limit=reach.comments, depth=reach.depth)
        return CommentWalk(source, reach, resume=resume)

    def request(
        self,
        method: str,
        path: str,
        read: Callable[[Any], Answer],
        *,
        in_turn: bool = False,
        **arguments: Any,
    ) -> Answer:
        """Send one request (PRAW may repeat it) and return what ``read`` makes of the JSON.

        ``in_turn``: only one request of this kind may be under way for a client id.

        Raises:
            OutOfBudget: nothing may be sent for longer than ``budget.PATIENCE_SECONDS``.
            RedditError: the request failed for any other reason.
        """
        self._asked += 1
        refusals = unreadable = 0
        while True:
            try:
                return self._request_once(method, path, read, in_turn=in_turn, **arguments)
            except OutOfBudget:
                raise
            except RedditError as error:
                if error.kind == ErrorKind.BAD_ANSWER and not error.stops_everything:
                    if unreadable == len(http_session.PAUSES):
                        raise
                    time.sleep(http_session.PAUSES[unreadable])
                    unreadable += 1
                    continue
                if error.kind != ErrorKind.RATE_LIMITED:
                    raise
                wait = self._allowance.refused(error.retry_after)
                if wait > budget.PATIENCE_SECONDS or refusals == REFUSALS_MAX:
                    raise OutOfBudget(wait, is_refusal=True, retry_after=error.retry_after) from error
                refusals += 1

    def _request_once(
        self, method: str, path: str, read: Callable[[Any], Answer], *, in_turn: bool, **arguments: Any
    ) -> Answer:
        try:
            self._allowance.fill()  # before the turn: others must not wait for our pause
            with self._allowance.turn() if in_turn else nullcontext():
                body = self._reddit.request(method=method, path=path, **arguments)
        except Exhausted as exhausted:
            raise OutOfBudget(exhausted.seconds) from exhausted
        except Error:
            raise  # the database failed, not Reddit: the budget's row could not be read
        except Exception as error:
            # An odd answer makes PRAW raise ValueError, KeyError, AssertionError and more besides its own
            # classes, so the answer decides what happened, not the exception.
            raise self._explain(error, path) from error
        try:
            answer = read(body)
        except UnreadableAnswer as error:
            raise bad_answer(path) from error
        except RefusedAnswer as error:
            raise refused(path, str(error)) from error
        self._answers += 1
        return answer

    def _explain(self, error: Exception, path: str) -> RedditError:
        """Translate an exception of PRAW, together with the last answer, into a ``RedditError``."""
        if isinstance(error, prawcore.exceptions.RequestException):
            if isinstance(error.original_exception, Exhausted):
                return OutOfBudget(error.original_exception.seconds)
            if isinstance(error.original_exception, Error):
                raise error.original_exception
            return no_answer(error.original_exception)
        response = self._session.last_response
        if response is None:
            text = _("The request /%(path)s failed: %(error)s")
            return RedditError(ErrorKind.INTERNAL, text % {"path": path, "error": repr(error)})
        if urlsplit(response.url).path.endswith(SIGN_IN_PATH):
            is_refused = isinstance(error, prawcore.exceptions.OAuthException)
            return sign_in_failed(response, is_refused=is_refused)
        return status_error(response, path)
