"""The errors of a request: one small hierarchy, and the mapping from Reddit's answers to it."""

import math
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import requests
from django.conf import settings

from database import clock
from database.messages import gettext as _
from database.text import storable
from scraping.models import ErrorKind
from scraping.reddit.headers import seconds_in


class RedditError(Exception):
    """The request could not be sent, or the answer is not what the API documents.

    ``kind`` is the cause as an ``ErrorKind``; the text says what happened and what to do.
    ``stops_everything`` means that the next request would meet the same error. ``retry_after`` is in seconds,
    if Reddit gave it.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        stops_everything: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(storable(message))  # it may quote Reddit, and is stored
        self.kind = kind
        self.stops_everything = stops_everything
        self.retry_after = retry_after


class OutOfBudget(RedditError):
    """No request may be sent before ``until``: the budget of the app is used up, or Reddit answered 429.

    ``is_refusal``: this client itself got the 429.
    """

    def __init__(self, seconds: float, *, is_refusal: bool = False, retry_after: float | None = None) -> None:
        text = (
            _("Reddit's rate limit is reached (429): no request may be sent for %(seconds)d s.")
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


def bad_answer(path: str) -> RedditError:
    """Return the error of an answer that cannot be read."""
    text = _("Reddit answered /%(path)s with something that cannot be read. Try again later.")
    return RedditError(ErrorKind.BAD_ANSWER, text % {"path": path})


def refused(path: str, detail: str) -> RedditError:
    """Return the error of a request that Reddit understood and refused; ``detail`` is its reason."""
    if "RATELIMIT" in detail:
        return _rate_limited(None)
    text = _("Reddit refused the request /%(path)s: %(detail)s")
    return RedditError(ErrorKind.BAD_REQUEST, text % {"path": path, "detail": detail[:300]})


def _rate_limited(response: requests.Response | None) -> RedditError:
    retry_after = seconds_in(response.headers.get("retry-after", "")) if response is not None else None
    message = (
        _("Reddit's rate limit is reached (429): wait %(seconds)d s.") % {"seconds": math.ceil(retry_after)}
        if retry_after
        else _("Reddit's rate limit is reached (429): wait some minutes, or scrape less at once.")
    )
    return RedditError(ErrorKind.RATE_LIMITED, message, stops_everything=True, retry_after=retry_after)


def no_answer(error: Exception) -> RedditError:
    """Explain an exception of ``requests``, where there was no answer at all."""
    broken = requests.exceptions
    if isinstance(error, broken.InvalidSchema | broken.MissingSchema | broken.InvalidURL):
        text = _("REDDIT_URL or REDDIT_OAUTH_URL is not a web address: %(error)s")
        return RedditNotConfigured(text % {"error": error})
    if isinstance(error, broken.Timeout):
        text = _("Reddit did not answer within %(seconds)g s. Check the network, or try again later.")
        return RedditError(ErrorKind.NETWORK, text % {"seconds": settings.REDDIT_TIMEOUT_SECONDS})
    text = _("Reddit cannot be reached: %(error)s. Check the network and any proxy, or try again later.")
    return RedditError(ErrorKind.NETWORK, text % {"error": f"{type(error).__name__}: {error}"[:300]})


def sign_in_failed(response: requests.Response, *, is_refused: bool) -> RedditError:
    """Explain an error of the token endpoint; all later requests would fail with it too.

    ``is_refused``: a 200 whose body names an error, as OAuth reports wrong credentials.
    """
    status = response.status_code
    if status == 429:
        return _rate_limited(response)
    if status in (400, 401) or is_refused:
        kind = ErrorKind.UNAUTHORIZED
        text = _(
            "Reddit refused the app's sign-in (%(status)d): check REDDIT_CLIENT_ID and REDDIT_CLIENT_SECRET,"
            " or the bot's Reddit app."
        )
    else:
        if status < 400:
            kind = ErrorKind.BAD_ANSWER
        else:
            kind = ErrorKind.SERVER_ERROR if is_server_error(status) else ErrorKind.FORBIDDEN
        text = _(
            "Reddit's sign-in answered %(status)d, without a token. Try again later; if it stays, check the"
            " user agent and whether Reddit blocks this network."
        )
    return RedditError(kind, text % {"status": status}, stops_everything=True)


def is_server_error(status: int) -> bool:
    """Return whether the same request may succeed a moment later."""
    return status >= 500 or status == 408


def status_error(response: requests.Response, path: str) -> RedditError:
    """Explain an HTTP error of the API; a 2xx that PRAW could not read is a bad answer."""
    status = response.status_code
    if status == 429:
        return _rate_limited(response)
    if status < 300:
        return bad_answer(path)
    reason = _reason(response)
    known = _known_statuses().get((status, reason)) or _known_statuses().get((status, ""))
    if known is None and is_server_error(status):
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
        return refused(path, f"{status} {reason or response.reason}")
    kind, text = known
    location = urlsplit(response.headers.get("location", "")).path
    words = {"path": path, "status": status, "reason": reason, "location": location}
    return RedditError(kind, text % words, stops_everything=kind == ErrorKind.UNAUTHORIZED)


def _known_statuses() -> dict[tuple[int, str], tuple[ErrorKind, str]]:
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
            _("Reddit does not know /%(path)s (404): check the name."),
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
