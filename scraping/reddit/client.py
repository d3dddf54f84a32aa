"""Reddit's API through PRAW; the only file that knows PRAW.

PRAW retries (408 and 5xx, lost connections: three attempts); an unreadable answer and a failing sign-in are tried
again here. One access token serves all workers (``access_tokens.py``). What may be sent, and when, the budget of
the client id decides (``budget.py``), never PRAW's own pacing, which knows one process only. The answers are read as plain
JSON (``answers.py``) instead of PRAW's objects, because with those one malformed child kills a whole page, an
absent attribute costs a hidden request, some comment trees end in an AssertionError, and an empty body passes
for an empty listing.

A client belongs to one thread and one piece of work (prawcore's session is not thread-safe): make one with
``client_for``, use it in a ``with`` statement.
"""

import configparser
import ipaddress
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.resources import files
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import requests
from django.conf import settings
from django.db import Error
from requests.structures import CaseInsensitiveDict

from database import clock
from database.fields import SecretUnreadable
from database.messages import gettext as _
from database.text import storable
from scraping.models import SANDBOX_CLIENT_ID, BotConfig, RedditApp, ScrapeSession, access_tokens
from scraping.reddit import budget
from scraping.reddit.answers import (
    Page,
    RefusedAnswer,
    UnreadableAnswer,
    read_listing,
    read_more_children,
    read_tree,
)
from scraping.reddit.budget import Exhausted, Heard, Purse
from scraping.reddit.comment_walk import BatchRefused, CommentWalk, Reach
from scraping.reddit.listing import ListingWalk

# prawcore reads this once, when it is imported; PRAW's own `timeout` setting is ignored.
os.environ["PRAWCORE_TIMEOUT"] = str(settings.REDDIT_TIMEOUT_SECONDS)

import praw
import praw.config
import prawcore

ErrorKind = ScrapeSession.ErrorKind
Answer = TypeVar("Answer")

# Reddit's limits (https://www.reddit.com/dev/api): fullnames of one /api/info request, comments of one tree request.
INFO_SIZE = 100
TREE_SIZE = 500
# A request that meets a short 429 is sent again this often.
REFUSALS_MAX = 2
# Seconds before an unreadable answer is asked for again, and before a failed sign-in is tried again.
PAUSES: tuple[float, ...] = (1.0, 3.0)
_SIGN_IN_PATH = "/api/v1/access_token"

_RATE_HEADERS = ("x-ratelimit-remaining", "x-ratelimit-used", "x-ratelimit-reset")


class RedditError(Exception):
    """Reddit did not answer as hoped.

    ``kind`` is the cause as a ``ScrapeSession.ErrorKind``; the text says what happened and what to do.
    ``stops_everything`` means that the next request would meet the same error. ``retry_after`` is in seconds,
    where Reddit said it.
    """

    def __init__(
        self,
        kind: ScrapeSession.ErrorKind,
        message: str,
        *,
        stops_everything: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(storable(message))  # it may quote Reddit, and ends in a row
        self.kind = kind
        self.stops_everything = stops_everything
        self.retry_after = retry_after


class OutOfBudget(RedditError):
    """No request may be sent before ``until``: the budget of the app is used up, or Reddit answered 429.

    ``is_refusal``: Reddit said so to this client.
    """

    def __init__(self, seconds: float, *, is_refusal: bool = False, retry_after: float | None = None) -> None:
        text = (
            _("Reddit's rate limit is reached (429): nothing may be asked for %(seconds)d s.")
            if is_refusal
            else _("The app's requests are used up for %(seconds)d s.")
        )
        super().__init__(
            ErrorKind.RATE_LIMITED,
            text % {"seconds": math.ceil(seconds)},
            stops_everything=True,
            retry_after=retry_after if is_refusal else seconds,
        )
        self.until: datetime = clock.now() + timedelta(seconds=seconds)
        self.is_refusal = is_refusal


class RedditNotConfigured(RedditError):
    """There is no usable Reddit app; the text says which variable or field to set."""

    def __init__(self, message: str) -> None:
        super().__init__(ErrorKind.NOT_CONFIGURED, message, stops_everything=True)


@dataclass(frozen=True)
class Credentials:
    """What Reddit knows an app by."""

    client_id: str
    client_secret: str = field(repr=False)
    user_agent: str


def is_loopback(url: str) -> bool:
    """Return whether the address points to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _seconds(value: str) -> float | None:
    """Return the number in a header, or the seconds until the HTTP date in it; None if it is neither."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - clock.now()).total_seconds()
        except (ValueError, TypeError):  # no date; a date without a zone
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _date(value: str) -> datetime | None:
    """Return the moment of an HTTP date, or None."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    return moment if moment.tzinfo else None


def _is_failed_sign_in(response: requests.Response) -> bool:
    """Return whether the token endpoint has failed, so that it may succeed when asked again."""
    if response.status_code != 200:
        return _is_server_error(response.status_code)
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return True
    if not isinstance(body, dict):
        return True
    # As Reddit's OAuth says it: a wrong password is a 200 with an error.
    return "error" not in body and not {"access_token", "expires_in", "scope"} <= body.keys()


class _Session(requests.Session):
    """Spends the purse, counts what is sent, and keeps from prawcore the headers that it must not act on."""

    def __init__(self, purse: Purse) -> None:
        super().__init__()
        self._purse = purse
        self.requests_sent = 0
        self.sign_ins = 0
        self.last_response: requests.Response | None = None
        self.server_time: datetime | None = None  # as the last answer's Date said

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        if urlsplit(request.url or "").path != _SIGN_IN_PATH:
            self._purse.take()
            return self._send(request, **kwargs)
        # PRAW repeats every request but this one.
        for pause in PAUSES:
            response = self._send_sign_in(request, **kwargs)
            if not _is_failed_sign_in(response):
                return response
            time.sleep(pause)
        return self._send_sign_in(request, **kwargs)

    def _send_sign_in(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self.sign_ins += 1  # Reddit counts them elsewhere
        return self._send(request, **kwargs)

    def _send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self.last_response = None
        self.requests_sent += 1
        response = super().send(request, **kwargs)
        self.last_response = response
        self._hear(response.headers)
        return response

    def _hear(self, headers: CaseInsensitiveDict[str]) -> None:
        self.server_time = _date(headers.get("date", "")) or self.server_time
        remaining, used, reset = (_seconds(headers.get(name, "")) for name in _RATE_HEADERS)
        if remaining is not None and used is not None and reset is not None:
            self._purse.hear(Heard(used=used, remaining=remaining, reset=reset))
        # Without them prawcore does not pace: up to 600 s in one sleep, and ValueError at a float.
        for name in _RATE_HEADERS:
            headers.pop(name, None)
        if "retry-after" in headers:
            seconds = _seconds(headers["retry-after"])
            if seconds is None and reset is not None:
                seconds = reset
            if seconds is None:
                del headers["retry-after"]
            else:
                headers["retry-after"] = str(seconds)
        elif reset is not None and remaining is not None and remaining < 1:
            headers["retry-after"] = str(reset)


def _ignore_praw_ini() -> None:
    """Load only PRAW's own defaults: a praw.ini in the working directory could send the secret elsewhere."""
    with praw.config.Config.LOCK:
        defaults = configparser.ConfigParser(interpolation=None)
        with files("praw").joinpath("praw.ini").open(encoding="utf-8") as file:
            defaults.read_file(file)
        praw.config.Config.CONFIG = defaults


_ignore_praw_ini()


def environment_credentials() -> Credentials | None:
    """Return the app of REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET, or None where either is empty."""
    if not settings.REDDIT_CLIENT_ID or not settings.REDDIT_CLIENT_SECRET:
        return None
    return Credentials(settings.REDDIT_CLIENT_ID, settings.REDDIT_CLIENT_SECRET, settings.REDDIT_USER_AGENT)


class _SharedAuthorizer(prawcore.ReadOnlyAuthorizer):
    """Takes the access token that another worker or scrape has got already."""

    def __init__(
        self, authenticator: prawcore.TrustedAuthenticator, *, client_id: str, fingerprint: str
    ) -> None:
        self.access_token = None
        self._rejected: str | None = None  # Reddit's answer to it was 401
        self._key = (client_id, fingerprint)
        super().__init__(authenticator=authenticator)

    def _clear_access_token(self) -> None:
        self._rejected = self.access_token
        super()._clear_access_token()  # type: ignore[no-untyped-call]

    def refresh(self) -> None:
        """Have a valid token: the stored one, or a new one, which is stored."""
        if self._has_taken_stored():
            return
        with access_tokens.turn(self._key[0]):
            if self._has_taken_stored():
                return
            super().refresh()
            seconds = (self._expiration_timestamp_ns - time.monotonic_ns()) / 1e9 - 10  # what prawcore adds
            access_tokens.store(*self._key, str(self.access_token), seconds=seconds)

    def _has_taken_stored(self) -> bool:
        stored = access_tokens.load(*self._key)
        if stored is None or stored[0] == self._rejected:
            return False
        self.access_token = stored[0]
        self._expiration_timestamp_ns = time.monotonic_ns() + int(stored[1] * 1e9)
        return True


def client_for(app: RedditApp | None, *, for_compliance: bool = False) -> "RedditClient":
    """Return a new client for a stored Reddit app; None: for the environment's.

    ``for_compliance``: it may spend the share of the app's budget that is reserved for verifying content.

    Raises:
        RedditNotConfigured: there is no app, its secret or user agent is unusable, or the sandbox's app would meet the
            real Reddit.
    """
    if app is not None:
        return RedditClient(_credentials_of(app), for_compliance=for_compliance)
    credentials = environment_credentials()
    if credentials is None:
        raise RedditNotConfigured(
            _(
                "There is no Reddit app: set REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET, or choose a Reddit app"
                " in the bot."
            )
        )
    return RedditClient(credentials, for_compliance=for_compliance)


def _credentials_of(app: RedditApp) -> Credentials:
    try:
        return Credentials(app.client_id, app.client_secret, app.user_agent)
    except SecretUnreadable:
        raise RedditNotConfigured(
            _(
                "The secret of the Reddit app “%(app)s” fits none of the keys in FIELD_ENCRYPTION_KEY: put its key back"
                " behind the others, or enter the secret again. Bots of other apps are not affected."
            )
            % {"app": app.name}
        ) from None


def _usable_user_agent(credentials: Credentials) -> str:
    """Return the user agent to send; Reddit asks for one that names the app and its owner."""
    agent = credentials.user_agent.strip()
    if not agent and is_loopback(settings.REDDIT_URL):
        return "python:maintenance-console:0.1 (local)"
    if len(agent) < 7 or not agent.isascii() or not agent.isprintable():
        raise RedditNotConfigured(
            _(
                "The user agent %(agent)r cannot be used: set REDDIT_USER_AGENT (or the Reddit app's user agent)"
                " to platform:app id:version (by /u/name)."
            )
            % {"agent": agent}
        )
    return agent


class _PostTree:
    """One post's comments, as ``CommentWalk`` asks for them."""

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
        """POST up to 100 ids (as a GET they would not fit: 414)."""
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
        if credentials.client_id == SANDBOX_CLIENT_ID and not (
            is_loopback(settings.REDDIT_URL) and is_loopback(settings.REDDIT_OAUTH_URL)
        ):
            raise RedditNotConfigured(
                _(
                    "The app %(client_id)r belongs to the sandbox and never meets the real Reddit: point REDDIT_URL"
                    " and REDDIT_OAUTH_URL to sandbox_reddit, or use an app of your own."
                )
                % {"client_id": credentials.client_id}
            )
        self._purse = Purse(credentials.client_id, for_compliance=for_compliance)
        self._session = _Session(self._purse)
        self._asked = self._answers = 0
        # HTTP_PROXY and a .netrc are for the world outside; a proxy cannot reach our loopback.
        self._session.trust_env = not is_loopback(settings.REDDIT_URL)
        self._reddit = praw.Reddit(
            "DEFAULT",  # or the variable praw_site would choose
            client_id=credentials.client_id,
            client_secret=credentials.client_secret or None,
            user_agent=_usable_user_agent(credentials),
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
        # An app without a secret signs in by a device id of its own.
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
        """Close the connections and return what is left of the budget's portion."""
        self._session.close()
        self._purse.give_back()

    @property
    def requests_used(self) -> int:
        """HTTP requests sent so far, with PRAW's retries and sign-ins."""
        return self._session.requests_sent

    @property
    def retries(self) -> int:
        """Requests sent again so far, by PRAW or after a 429."""
        return max(0, self._session.requests_sent - self._session.sign_ins - self._asked)

    @property
    def server_time(self) -> datetime:
        """The moment of Reddit's last answer, by its own clock; before the first, by the database's."""
        return self._session.server_time or clock.now()

    def can_afford(self, requests: int) -> bool:
        """Return whether the app has that many requests left, and as much as half a window for others."""
        state = budget.state_of(self._purse.client_id)
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
        """Return the pages of a subreddit's listing, to be iterated until ``limit`` posts, Reddit's 1,000 or its end.

        ``query``: of a search, which lists newest first. ``resume``: what an earlier walk's ``saved()`` returned.
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
            RedditError: Reddit did not answer as hoped, or not with a listing.
        """
        return self.request("GET", path, read_listing, params=params)

    def info(self, fullnames: Sequence[str]) -> Page:
        """Return the items of at most 100 fullnames; Reddit leaves out those it does not know any more.

        Raises:
            RedditError: Reddit did not answer as hoped, or not with a listing.
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

        ``in_turn``: nobody else of this client id sends such a request meanwhile.

        Raises:
            OutOfBudget: nothing may be sent for longer than ``budget.PATIENCE_SECONDS``.
            RedditError: whatever else went wrong.
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
                    if unreadable == len(PAUSES):
                        raise
                    time.sleep(PAUSES[unreadable])
                    unreadable += 1
                    continue
                if error.kind != ErrorKind.RATE_LIMITED:
                    raise
                wait = self._purse.refused(error.retry_after)
                if wait > budget.PATIENCE_SECONDS or refusals == REFUSALS_MAX:
                    raise OutOfBudget(wait, is_refusal=True, retry_after=error.retry_after) from error
                refusals += 1

    def _request_once(
        self, method: str, path: str, read: Callable[[Any], Answer], *, in_turn: bool, **arguments: Any
    ) -> Answer:
        try:
            self._purse.fill()  # not while others wait for the turn
            with self._purse.turn() if in_turn else nullcontext():
                body = self._reddit.request(method=method, path=path, **arguments)
        except Exhausted as exhausted:
            raise OutOfBudget(exhausted.seconds) from exhausted
        except Error:
            raise  # the budget's row could not be read: our database, not Reddit
        except Exception as error:
            # Besides its own classes PRAW lets ValueError, KeyError, AssertionError and more escape when an
            # answer is odd, so the answer itself decides, not the exception.
            raise self._explain(error, path) from error
        try:
            answer = read(body)
        except UnreadableAnswer as error:
            raise _bad_answer(path) from error
        except RefusedAnswer as error:
            raise _refused(path, str(error)) from error
        self._answers += 1
        return answer

    def _explain(self, error: Exception, path: str) -> RedditError:
        """Return what an exception of PRAW and the last answer mean."""
        if isinstance(error, prawcore.exceptions.RequestException):
            if isinstance(error.original_exception, Exhausted):
                return OutOfBudget(error.original_exception.seconds)
            if isinstance(error.original_exception, Error):
                raise error.original_exception
            return _no_answer(error.original_exception)
        response = self._session.last_response
        if response is None:
            text = _("The request /%(path)s failed: %(error)s")
            return RedditError(ErrorKind.INTERNAL, text % {"path": path, "error": repr(error)})
        if urlsplit(response.url).path.endswith(_SIGN_IN_PATH):
            return _sign_in_failed(error, response)
        return _status_error(response, path)


# --- What an answer means -----------------------------------------------------------------------


def _bad_answer(path: str) -> RedditError:
    text = _("Reddit answered /%(path)s with something that cannot be read. Try again later.")
    return RedditError(ErrorKind.BAD_ANSWER, text % {"path": path})


def _refused(path: str, detail: str) -> RedditError:
    if "RATELIMIT" in detail:
        return _rate_limited(None)
    text = _("Reddit refused the request /%(path)s: %(detail)s")
    return RedditError(ErrorKind.BAD_REQUEST, text % {"path": path, "detail": detail[:300]})


def _rate_limited(response: requests.Response | None) -> RedditError:
    retry_after = _seconds(response.headers.get("retry-after", "")) if response is not None else None
    message = (
        _("Reddit's rate limit is reached (429): wait %(seconds)d s.") % {"seconds": math.ceil(retry_after)}
        if retry_after
        else _("Reddit's rate limit is reached (429): wait some minutes, or scrape less at once.")
    )
    return RedditError(ErrorKind.RATE_LIMITED, message, stops_everything=True, retry_after=retry_after)


def _no_answer(error: Exception) -> RedditError:
    broken = requests.exceptions
    if isinstance(error, broken.InvalidSchema | broken.MissingSchema | broken.InvalidURL):
        text = _("REDDIT_URL or REDDIT_OAUTH_URL is no web address: %(error)s")
        return RedditNotConfigured(text % {"error": error})
    if isinstance(error, broken.Timeout):
        text = _("Reddit did not answer within %(seconds)g s. Check the network, or try again later.")
        return RedditError(ErrorKind.NETWORK, text % {"seconds": settings.REDDIT_TIMEOUT_SECONDS})
    text = _("Reddit cannot be reached: %(error)s. Check the network and any proxy, or try again later.")
    return RedditError(ErrorKind.NETWORK, text % {"error": f"{type(error).__name__}: {error}"[:300]})


def _sign_in_failed(error: Exception, response: requests.Response) -> RedditError:
    """Explain an error of the token endpoint; every later request would meet it too."""
    status = response.status_code
    if status == 429:
        return _rate_limited(response)
    if status in (400, 401) or isinstance(error, prawcore.exceptions.OAuthException):
        kind = ErrorKind.UNAUTHORIZED
        text = _(
            "Reddit refused the app's sign-in (%(status)d): check REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET,"
            " or the bot's Reddit app."
        )
    else:
        if status < 400:
            kind = ErrorKind.BAD_ANSWER
        else:
            kind = ErrorKind.SERVER_ERROR if _is_server_error(status) else ErrorKind.FORBIDDEN
        text = _(
            "Reddit's sign-in answered %(status)d, without a token. Try again later; if it stays, check the"
            " user agent and whether Reddit blocks this network."
        )
    return RedditError(kind, text % {"status": status}, stops_everything=True)


def _is_server_error(status: int) -> bool:
    return status >= 500 or status == 408


def _status_error(response: requests.Response, path: str) -> RedditError:
    """Explain an HTTP error of the API; a 2xx that PRAW could not read is a bad answer."""
    status = response.status_code
    if status == 429:
        return _rate_limited(response)
    if status < 300:
        return _bad_answer(path)
    reason = _reason(response)
    known = _known_statuses().get((status, reason)) or _known_statuses().get((status, ""))
    if known is None and _is_server_error(status):
        known = (
            ErrorKind.SERVER_ERROR,
            _("Reddit's server failed three times at /%(path)s (%(status)d). Try again later."),
        )
    if known is None and status < 400:
        known = (
            ErrorKind.NOT_FOUND,
            _("Reddit redirects /%(path)s to %(location)s (%(status)d): check the name."),
        )
    if known is None:
        return _refused(path, f"{status} {reason or response.reason}")
    kind, text = known
    location = urlsplit(response.headers.get("location", "")).path
    words = {"path": path, "status": status, "reason": reason, "location": location}
    return RedditError(kind, text % words, stops_everything=kind == ErrorKind.UNAUTHORIZED)


def _known_statuses() -> dict[tuple[int, str], tuple[ScrapeSession.ErrorKind, str]]:
    """Return kind and text by status and ``reason`` of the body (recorded, and quoted in public clients)."""
    return {
        (401, ""): (
            ErrorKind.UNAUTHORIZED,
            _("Reddit refused the access token (401): check the Reddit app's id and secret."),
        ),
        (403, "private"): (
            ErrorKind.PRIVATE,
            _("The subreddit is private (403): take it out of the bot, or ask its moderators."),
        ),
        (403, "quarantined"): (
            ErrorKind.QUARANTINED,
            _("The subreddit is quarantined (403) and closed to apps: take it out of the bot."),
        ),
        (403, ""): (
            ErrorKind.FORBIDDEN,
            _("Reddit forbids /%(path)s (403 %(reason)s): check whether the app may read it."),
        ),
        (404, "banned"): (
            ErrorKind.BANNED,
            _("Reddit has banned the subreddit (404): take it out of the bot."),
        ),
        (404, ""): (
            ErrorKind.NOT_FOUND,
            _("Reddit knows no /%(path)s (404): check the name."),
        ),
        (451, ""): (
            ErrorKind.UNAVAILABLE_FOR_LEGAL_REASONS,
            _("Reddit may not show /%(path)s for legal reasons (451): take it out of the bot."),
        ),
    }


def _reason(response: requests.Response) -> str:
    """Return the ``reason`` of Reddit's JSON error body, or an empty string."""
    try:
        body = response.json()
    except (ValueError, RecursionError):  # no JSON; JSON nested beyond reading
        return ""
    reason = body.get("reason") if isinstance(body, dict) else None
    return reason[:100] if isinstance(reason, str) else ""
