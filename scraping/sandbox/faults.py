"""Faulty answers for tests."""

import json
import re
import threading
from dataclasses import dataclass, field
from typing import Any

JSON_TYPE = "application/json; charset=UTF-8"
HTML_TYPE = "text/html; charset=utf-8"
BUSY_PAGE = (
    "<!doctype html><html><title>Ow! -- reddit.com</title>"
    "<h2>all of our servers are busy right now</h2><p>(error code: 503)"
)
TOO_MANY_PAGE = (
    "\n<!doctype html>\n<html><title>Too Many Requests</title><h1>whoa there, pardner!</h1></html>\n"
)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. ``fails``: "hang" never sends it, "truncate" sends half of the body and hangs up."""

    status: int = 200
    body: str = ""
    content_type: str = JSON_TYPE
    headers: dict[str, str] = field(default_factory=dict)
    fails: str = ""


def json_answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """Return an answer with a JSON body."""
    return Answer(status, json.dumps(data), headers=headers or {})


def error(status: int, message: str, *, headers: dict[str, str] | None = None, **more: str) -> Answer:
    """Return an error answer in Reddit's form."""
    return json_answer({**more, "message": message, "error": status}, status, headers)


def no_such_subreddit(name: str) -> Answer:
    """Return the redirect to the search by which Reddit says that a subreddit does not exist."""
    body = "<html>\n <head>\n  <title>302 Found</title>\n </head>\n <body>\n  <h1>302 Found</h1>\n </body>\n</html>"
    return Answer(302, body, HTML_TYPE, {"location": f"/subreddits/search?q={name}"})


_EMPTY_LISTING = {
    "kind": "Listing",
    "data": {"after": None, "dist": 0, "modhash": None, "geo_filter": "", "children": [], "before": None},
}
QUARANTINE_MESSAGE = "This community is quarantined in the sandbox."

# Subreddits that Reddit leaves out of the request of a multi-subreddit.
CLOSED = {
    "sandbox_private": error(403, "Forbidden", reason="private"),
    "sandbox_quarantined": error(
        403,
        "Forbidden",
        reason="quarantined",
        quarantine_message=QUARANTINE_MESSAGE,
        quarantine_message_html=f'<!-- SC_OFF --><div class="md"><p>{QUARANTINE_MESSAGE}</p>\n</div><!-- SC_ON -->',
    ),
    "sandbox_forbidden": error(403, "Forbidden"),
    "sandbox_banned": error(404, "Not Found", reason="banned"),
    "sandbox_missing": no_such_subreddit("sandbox_missing"),
}
# Subreddits that make the whole request fail.
BROKEN = {
    "sandbox_401": error(
        401, "Unauthorized", headers={"www-authenticate": 'Bearer realm="reddit", error="invalid_token"'}
    ),
    "sandbox_429": error(
        429,
        "Too Many Requests",
        headers={"x-ratelimit-used": "1000", "x-ratelimit-remaining": "0.0", "x-ratelimit-reset": "42"},
    ),
    "sandbox_429_html": Answer(429, TOO_MANY_PAGE, HTML_TYPE, {"retry-after": "4"}),
    "sandbox_451": Answer(451),
    "sandbox_500": error(500, "Internal Server Error"),
    "sandbox_502": Answer(502),
    "sandbox_503": Answer(503, BUSY_PAGE, HTML_TYPE),
    "sandbox_hang": Answer(fails="hang"),
    "sandbox_truncated": Answer(200, json.dumps(_EMPTY_LISTING), fails="truncate"),
    "sandbox_empty_body": Answer(200, ""),
    "sandbox_null": Answer(200, "null"),
    "sandbox_html": Answer(200, "<!doctype html><title>reddit</title>", HTML_TYPE),
    "sandbox_empty": json_answer(_EMPTY_LISTING),
}


@dataclass
class Fault:
    """An answer that replaces the real one ``times`` times, after ``skip`` normal answers."""

    path: re.Pattern[str]
    answer: Answer
    method: str
    skip: int
    times: int | None


class Faults:
    """The faults set through the control endpoint; the first match applies."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self,
        path: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        body: Any = "",
        times: int | None = 1,
        skip: int = 0,
        method: str = "",
        fails: str = "",
    ) -> None:
        """Answer the next ``times`` (None: all) requests whose path and query match the regular expression.

        ``body``: text as it is, anything else as JSON. ``headers`` are added to the usual ones; a content-type
        replaces them. ``fails``: see Answer.

        Raises:
            ValueError: an argument is invalid.
        """
        if fails not in ("", "hang", "truncate"):
            raise ValueError(f"fails is 'hang' or 'truncate', not {fails!r}.")
        if not isinstance(status, int) or not 200 <= status <= 599:
            raise ValueError(f"{status!r} is not an HTTP status a server may answer with.")
        if not isinstance(skip, int) or not isinstance(times, int | None):
            raise ValueError("times and skip are numbers of requests.")
        if not isinstance(headers, dict | None):
            raise ValueError("headers are an object of names and values.")
        try:
            pattern = re.compile(path)
        except re.error as problem:
            raise ValueError(f"{path!r} is not a regular expression: {problem}.") from problem
        given = {name.lower(): value for name, value in (headers or {}).items()}
        content_type = given.pop("content-type", JSON_TYPE)
        content = body if isinstance(body, str) else json.dumps(body)
        fault = Fault(
            pattern, Answer(status, content, content_type, given, fails), method.upper(), skip, times
        )
        with self._lock:
            self._faults.append(fault)

    def take(self, method: str, target: str) -> Answer | None:
        """Return the answer of the first fault that matches, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.method not in ("", method) or not fault.path.search(target):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times is None:
                    return fault.answer
                if fault.times > 0:
                    fault.times -= 1
                    return fault.answer
        return None

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()
