"""Reddit's API through PRAW; the only file that knows PRAW.

PRAW signs in, retries (408 and 5xx, lost connections: three attempts) and paces. The answers are read as plain
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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from importlib.resources import files
from typing import Any, Self, TypeVar
from urllib.parse import quote, urlsplit

import requests
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from requests.structures import CaseInsensitiveDict

from scraping.answers import (
    Page,
    RefusedAnswer,
    UnreadableAnswer,
    read_listing,
    read_more_children,
    read_tree,
    unreadable_reason,
)
from scraping.comment_walk import CommentWalk
from scraping.content import storable_text
from scraping.models import SANDBOX_CLIENT_ID, BotConfig, ScrapeSession

# prawcore reads this once, when it is imported; PRAW's own `timeout` setting is ignored.
os.environ["PRAWCORE_TIMEOUT"] = str(settings.REDDIT_TIMEOUT_SECONDS)

import praw
import praw.config
import prawcore

ErrorKind = ScrapeSession.ErrorKind
Answer = TypeVar("Answer")

# Reddit's limits (https://www.reddit.com/dev/api): items of one listing page and of a whole listing, fullnames of
# one /api/info request, comments of one tree request.
PAGE_SIZE = 100
LISTING_MAX = 1000
INFO_SIZE = 100
TREE_SIZE = 500
# Reddit may fill pages poorly, yet a listing that never ends must end.
PAGES_MAX = 3 * LISTING_MAX // PAGE_SIZE
# When nothing remains, prawcore sleeps until Reddit's window resets (up to 600 s); a worker waits no longer than this.
PATIENCE_SECONDS = 15

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
        super().__init__(storable_text(message))  # it may quote Reddit, and ends in a row
        self.kind = kind
        self.stops_everything = stops_everything
        self.retry_after = retry_after


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
            seconds = (parsedate_to_datetime(value) - timezone.now()).total_seconds()
        except (ValueError, TypeError):  # no date; a date without a zone
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


class _Session(requests.Session):
    """Counts the requests sent, keeps the last answer, and repairs headers that make prawcore raise ValueError."""

    def __init__(self) -> None:
        super().__init__()
        self.requests_sent = 0
        self.last_response: requests.Response | None = None
        self.exhausted_until = 0.0  # time.monotonic()

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self.requests_sent += 1
        self.last_response = None
        response = super().send(request, **kwargs)
        self.last_response = response
        self._repair(response.headers)
        return response

    def _repair(self, headers: CaseInsensitiveDict[str]) -> None:
        # prawcore wants integers, and all three headers or no `remaining`.
        values = [_seconds(headers.get(name, "")) for name in _RATE_HEADERS]
        remaining, _used, reset = values
        if remaining is None or reset is None or None in values:
            headers.pop("x-ratelimit-remaining", None)
        else:
            if remaining < 1:
                self.exhausted_until = time.monotonic() + reset
                values[2] = min(reset, PATIENCE_SECONDS)
            headers.update(
                {name: str(int(value or 0)) for name, value in zip(_RATE_HEADERS, values, strict=True)}
            )
        if "retry-after" in headers:
            seconds = _seconds(headers["retry-after"])
            if seconds is None:
                del headers["retry-after"]
            else:
                headers["retry-after"] = str(seconds)


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


def client_for(config: BotConfig | None) -> "RedditClient":
    """Return a new client for the config's Reddit app, or for the environment's where it names none.

    Raises:
        RedditNotConfigured: there is no app, its user agent is unusable, or the sandbox's app would meet the
            real Reddit.
    """
    if config is not None and config.app is not None:
        app = config.app
        return RedditClient(Credentials(app.client_id, app.client_secret, app.user_agent))
    credentials = environment_credentials()
    if credentials is None:
        raise RedditNotConfigured(
            _(
                "There is no Reddit app: set REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET, or choose a Reddit app"
                " in the bot."
            )
        )
    return RedditClient(credentials)


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
        self._params = {"limit": min(limit, TREE_SIZE), "depth": depth, "sort": "confidence"}

    def tree(self, comment_id36: str = "") -> list[Any]:
        """GET the comments of the post, or those below one comment."""
        path = f"comments/{self._post_id36}/" + (f"_/{comment_id36}" if comment_id36 else "")
        return self._client.request("GET", path, read_tree, params=self._params)

    def more_children(self, ids: list[str]) -> list[Any]:
        """POST up to 100 ids (as a GET they would not fit: 414)."""
        form = {"link_id": f"t3_{self._post_id36}", "children": ",".join(ids), "sort": self._params["sort"]}
        return self._client.request("POST", "api/morechildren/", read_more_children, data=form)


class RedditClient:
    """One signed-in connection to Reddit (application only), for one thread.

    Raises:
        RedditNotConfigured: see ``client_for``.
    """

    def __init__(self, credentials: Credentials) -> None:
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
        self._session = _Session()
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @property
    def requests_used(self) -> int:
        """HTTP requests sent so far, with PRAW's retries and sign-ins."""
        return self._session.requests_sent

    def listing(self, subreddit: str, *, sort: str, time_filter: str, limit: int) -> Iterator[Page]:
        """Yield the pages of a subreddit's listing until ``limit`` posts, Reddit's 1,000 or its end.

        No post is yielded twice, although a listing shifts while it is read. The stickied posts that Reddit
        puts on top of hot come on top of the limit.

        Raises:
            RedditError: Reddit did not answer as hoped; pages yielded before are good.
        """
        remaining = min(limit, LISTING_MAX)
        seen: set[str] = set()
        params: dict[str, str | int] = {}
        if sort in (BotConfig.Sort.TOP, BotConfig.Sort.CONTROVERSIAL):
            params["t"] = time_filter
        for _number in range(PAGES_MAX):
            params["limit"] = min(remaining, PAGE_SIZE)
            page = self.page(f"r/{quote(subreddit, safe='')}/{sort}", params)
            posts = []
            for post in page.posts:
                # What has no name is handed on, to be counted.
                name = post["name"] if isinstance(post.get("name"), str) else None
                extra = sort == BotConfig.Sort.HOT and "after" not in params and post.get("stickied") is True
                if name in seen or (remaining <= 0 and not extra):
                    continue
                if name is not None:
                    seen.add(name)
                remaining -= not extra
                posts.append(post)
            skipped = page.skipped + Counter({unreadable_reason("t1"): len(page.comments)})
            yield replace(page, posts=posts, comments=[], skipped=skipped)
            if remaining <= 0 or page.after is None or page.after == params.get("after"):
                return
            params["after"] = page.after

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

    def comments(self, post_id36: str, *, limit: int, depth: int, complete: bool) -> Iterator[Page]:
        """Yield a post's comments, parents before their replies, one page an answer.

        Each comment carries its ``depth`` (0: top-level) and no ``replies``. Comments at ``depth`` and deeper
        are left out. One request asks for at most 500; with ``complete``, what it left unopened is asked for
        too, up to ``limit`` comments and ``comment_walk.requests_per_post(limit)`` requests.

        Raises:
            RedditError: Reddit did not answer as hoped; pages yielded before are good.
        """
        source = _PostTree(self, post_id36, limit=limit, depth=depth)
        return CommentWalk(source, limit=limit, depth=depth).pages(complete=complete)

    def request(self, method: str, path: str, read: Callable[[Any], Answer], **arguments: Any) -> Answer:
        """Send one request (PRAW may repeat it) and return what ``read`` makes of the JSON.

        Raises:
            RedditError: whatever went wrong.
        """
        self._refuse_long_waits()
        try:
            body = self._reddit.request(method=method, path=path, **arguments)
        except Exception as error:
            # Besides its own classes PRAW lets ValueError, KeyError, AssertionError and more escape when an
            # answer is odd, so the answer itself decides, not the exception.
            raise self._explain(error, path) from error
        try:
            return read(body)
        except UnreadableAnswer as error:
            raise _bad_answer(path) from error
        except RefusedAnswer as error:
            raise _refused(path, str(error)) from error

    def _refuse_long_waits(self) -> None:
        wait = self._session.exhausted_until - time.monotonic()
        if wait > PATIENCE_SECONDS:
            raise RedditError(
                ErrorKind.RATE_LIMITED,
                _(
                    "Reddit's rate limit is used up for %(seconds)d s: scrape again after that, or less at once."
                )
                % {"seconds": math.ceil(wait)},
                stops_everything=True,
                retry_after=wait,
            )

    def _explain(self, error: Exception, path: str) -> RedditError:
        """Return what an exception of PRAW and the last answer mean."""
        if isinstance(error, prawcore.exceptions.RequestException):
            return _no_answer(error.original_exception)
        response = self._session.last_response
        if response is None:
            text = _("The request /%(path)s failed: %(error)r")
            return RedditError(ErrorKind.INTERNAL, text % {"path": path, "error": error})
        if urlsplit(response.url).path.endswith("/api/v1/access_token"):
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
