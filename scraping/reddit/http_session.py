"""The connection below PRAW: it counts requests, spends the allowance and reads the rate headers."""

import time
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from database import trace_points
from scraping.reddit.budget import Allowance, RateHeaders
from scraping.reddit.errors import is_server_error
from scraping.reddit.headers import date_in, seconds_in

# Seconds of pause before an unreadable answer is requested again and before a failed sign-in is repeated.
PAUSES: tuple[float, ...] = (1.0, 3.0)
SIGN_IN_PATH = "/api/v1/access_token"
_RATE_HEADERS = ("x-ratelimit-remaining", "x-ratelimit-used", "x-ratelimit-reset")


def _is_failed_sign_in(response: requests.Response) -> bool:
    """Return whether the token endpoint failed in a way that a second try may solve."""
    if response.status_code != 200:
        return is_server_error(response.status_code)
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return True
    if not isinstance(body, dict):
        return True
    # Reddit's OAuth reports a wrong password as a 200 with an error.
    return "error" not in body and not {"access_token", "expires_in", "scope"} <= body.keys()


class HttpSession(requests.Session):
    """Takes each request from the allowance, counts it, and removes the headers that would make prawcore sleep."""

    def __init__(self, allowance: Allowance) -> None:
        super().__init__()
        self._allowance = allowance
        self.requests_sent = 0
        self.sign_ins = 0
        self.last_response: requests.Response | None = None
        self.server_time: datetime | None = None  # as the last answer's Date said

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send the request when the allowance permits; repeat a failing sign-in.

        Raises:
            Exhausted: the budget allows nothing now.
        """
        if urlsplit(request.url or "").path != SIGN_IN_PATH:
            self._allowance.take()
            return self._send(request, **kwargs)
        # PRAW repeats all requests except this one.
        for pause in PAUSES:
            response = self._send_sign_in(request, **kwargs)
            if not _is_failed_sign_in(response):
                return response
            time.sleep(pause)
        return self._send_sign_in(request, **kwargs)

    def _send_sign_in(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self.sign_ins += 1  # Reddit does not count them as requests
        return self._send(request, **kwargs)

    def _send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        self.last_response = None
        self.requests_sent += 1
        sent = super().send
        response = trace_points.around_request(request, lambda: sent(request, **kwargs))
        self.last_response = response
        self._read_headers(response.headers)
        return response

    def _read_headers(self, headers: CaseInsensitiveDict[str]) -> None:
        self.server_time = date_in(headers.get("date", "")) or self.server_time
        remaining, used, reset = (seconds_in(headers.get(name, "")) for name in _RATE_HEADERS)
        if remaining is not None and used is not None and reset is not None:
            self._allowance.note(RateHeaders(used=used, remaining=remaining, reset=reset))
        # Without these headers prawcore does not pace: it would sleep up to 600 s at once, and fail at a float.
        for name in _RATE_HEADERS:
            headers.pop(name, None)
        if "retry-after" in headers:
            seconds = seconds_in(headers["retry-after"])
            if seconds is None and reset is not None:
                seconds = reset
            if seconds is None:
                del headers["retry-after"]
            else:
                headers["retry-after"] = str(seconds)
        elif reset is not None and remaining is not None and remaining < 1:
            headers["retry-after"] = str(reset)
