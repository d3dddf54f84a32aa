"""The API of the synthetic Reddit: maps requests to answers."""

import html
import json
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

from scraping.sandbox import shapes
from scraping.sandbox.access import (
    REQUESTS_PER_WINDOW,
    TOKEN_SECONDS,
    WINDOW_SECONDS,
    Access,
    CredentialsError,
    RateLimit,
    Token,
)
from scraping.sandbox.faults import BROKEN, CLOSED, Answer, Faults, error, json_answer, no_such_subreddit
from scraping.sandbox.items import Comment, Post, Subreddit
from scraping.sandbox.listings import PAGE_DEFAULT, PAGE_MAX, SORTS, SPAN_SECONDS, Listings
from scraping.sandbox.server import Request, Server
from scraping.sandbox.threads import COMMENTS_DEFAULT, COMMENTS_MAX, CONTEXT_MAX, DEPTH_MAX, Thread
from scraping.sandbox.world import KNOWN_SUBREDDITS, SUBREDDIT_NAME, Action, UnknownItemError, World

CLIENT_ID = CLIENT_SECRET = USERNAME = PASSWORD = "sandbox"  # noqa: S105  # opens nothing real
URI_MAX = 8_000  # bytes of path and query; Reddit's front end refuses longer ones
SEARCH_MAX = 250  # about how many posts a search lists
INFO_MAX = 100  # fullnames of one /api/info
LOG_MAX = 10_000
HANG_SECONDS = 300  # longer than any client waits

# Aggregate listings of the subreddits that the sandbox knows from the start.
_AGGREGATES = {name: tuple(KNOWN_SUBREDDITS) for name in ("all", "popular")}
_TRUE = ("1", "true", "True", "yes", "on")


class SandboxReddit:
    """A synthetic Reddit on a local port: a context manager, or ``start()`` and ``stop()``.

    Args:
        port: 0 picks a free one; ``url`` contains it.
        host: address to listen on.
        seed: each seed makes another Reddit; the same seed always gives the same answers.
        clock: the current time (seconds since 1970). A constant one makes "new" stand still.
        clients: secrets by client id. users: passwords by user name.
        expires_in: lifetime of a token (seconds).
        rate_limit: requests of a client id in ten minutes, as the headers give them. A test with many requests needs
        a high number; so does plain PRAW, which paces itself by the headers.
        rate_window: seconds of the window instead of the ten minutes.
        enforce_rate_limit: answer 429 above the limit.
        latency: seconds by which each answer is delayed.
        journal: a file that keeps subreddit names and changes across restarts.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        seed: int = 1,
        clock: Callable[[], float] = time.time,
        clients: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        expires_in: int = TOKEN_SECONDS,
        rate_limit: int = REQUESTS_PER_WINDOW,
        rate_window: float = WINDOW_SECONDS,
        enforce_rate_limit: bool = False,
        latency: float = 0.0,
        journal: Path | None = None,
    ) -> None:
        self.port = port
        self.host = host
        self.clock = clock
        self.latency = latency
        self.world = World(seed=seed, clock=clock, journal=journal)
        self.listings = Listings(self.world)
        self.faults = Faults()
        self.access = Access(
            clients=clients or {CLIENT_ID: CLIENT_SECRET},
            users=users or {USERNAME: PASSWORD},
            expires_in=expires_in,
            clock=clock,
        )
        self.rate = RateLimit(
            requests=rate_limit, enforced=enforce_rate_limit, clock=clock, window_seconds=rate_window
        )
        self.requests: deque[Request] = deque(maxlen=LOG_MAX)
        self._stopping = threading.Event()
        self._server: Server | None = None
        # replace_more requests parts of the same thread up to hundreds of times.
        self._thread = lru_cache(maxsize=16)(self._grow_thread)

    # --- Life

    @property
    def url(self) -> str:
        """Return the address, without a slash at its end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> Self:
        """Listen, and answer from threads of its own.

        Raises:
            OSError: the port is taken, or the address is not of this host.
        """
        self._server = Server(self.host, self.port, self._serve)
        self.port = self._server.server_port
        self._stopping.clear()
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop listening, close open connections, and return when the port is free. Safe to call twice."""
        self._stopping.set()
        if self._server:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    @property
    def now(self) -> float:
        """Return the current time in whole seconds, for which the content is computed."""
        return float(int(self.clock()))

    # --- Answers

    def _serve(self, request: Request) -> Answer:
        answer = self.answer(request)
        self.requests.append(replace(request, status=answer.status))
        self._stopping.wait(HANG_SECONDS if answer.fails == "hang" else self.latency)
        return answer

    def answer(self, request: Request) -> Answer:
        """Return the answer to any request."""
        if request.path.startswith("/sandbox/"):
            return self._control(request)
        if fault := self.faults.take(request.method, request.target):
            return fault
        if len(request.target) > URI_MAX:
            return Answer(414, "Error: URI Too Long", "text/plain", {"retry-after": "0"})
        authorization = request.headers.get("authorization", "")
        if request.path == "/api/v1/access_token":
            return self._grant(request, authorization)
        token = self.access.token(authorization)
        if token is None:
            challenge = 'Bearer realm="reddit", error="invalid_token"'
            return error(401, "Unauthorized", headers={"www-authenticate": challenge})
        passes, headers = self.rate.count(token.client_id)
        answer = self._route(request, token) if passes else error(429, "Too Many Requests")
        return replace(answer, headers={**headers, **answer.headers})

    def _grant(self, request: Request, authorization: str) -> Answer:
        if request.method != "POST":
            return error(404, "Not Found")
        try:
            return json_answer(self.access.grant(authorization, request.form))
        except CredentialsError:
            return error(401, "Unauthorized", headers={"www-authenticate": 'Basic realm="reddit"'})

    def _route(self, request: Request, token: Token) -> Answer:
        for methods, pattern, view in self._routes:
            match = pattern.fullmatch(request.path)
            if match and request.method in methods:
                answer = view(request, token, **match.groupdict())
                return answer if request.given("raw_json") in _TRUE else _escaped(answer)
        return error(404, "Not Found")

    @cached_property
    def _routes(self) -> list[tuple[str, re.Pattern[str], Callable[..., Answer]]]:
        one, post, item = r"(?P<name>[^/+]+)", r"(?P<post>[^/]+)", r"(?:/[^/]*(?:/(?P<comment>[^/]+))?)?"
        return [
            ("GET", re.compile(rf"/r/(?P<names>[^/]+)/(?P<sort>{'|'.join(SORTS)})/?"), self._listing),
            ("GET", re.compile(rf"/r/{one}/search/?"), self._search),
            ("GET", re.compile(rf"/r/{one}/about/?"), self._about),
            ("GET", re.compile(rf"(?:/r/{one})?/comments/{post}{item}/?"), self._comments),
            ("GET POST", re.compile(r"/api/morechildren/?"), self._more_children),
            ("GET", re.compile(r"(?:/r/[^/]+)?/api/info/?"), self._info),
            ("GET", re.compile(r"/api/v1/me/?"), self._me),
        ]

    def _listing(self, request: Request, token: Token, *, names: str, sort: str) -> Answer:
        asked = [one for name in names.split("+") for one in _AGGREGATES.get(name.lower(), (name,))]
        if broken := next((BROKEN[name.lower()] for name in asked if name.lower() in BROKEN), None):
            return broken
        open_ = [name for name in asked if name.lower() not in CLOSED and SUBREDDIT_NAME.match(name)]
        if not open_:
            return CLOSED.get(asked[0].lower(), no_such_subreddit(asked[0]))
        subreddits: dict[int, Subreddit] = {}
        for name in open_:
            subreddit = self.world.subreddit(name)
            subreddits[subreddit.number] = subreddit
        span = request.given("t", "day")
        now = self.now
        page = self.listings.page(
            list(subreddits.values()),
            sort,
            span=span if span in SPAN_SECONDS else "day",
            limit=request.number("limit", PAGE_DEFAULT, low=1, high=PAGE_MAX),
            after=request.given("after"),
            before=request.given("before"),
            now=now,
        )
        posts = [shapes.submission(post, now=now) for post in page.posts]
        return json_answer(shapes.listing(posts, after=page.after, before=page.before, dist=len(posts)))

    def _search(self, request: Request, token: Token, *, name: str) -> Answer:
        """Find posts whose title or text holds all the words, newest first."""
        if problem := _problem(name):
            return problem
        now = self.now
        words = request.given("q").lower().split()
        after, limit = request.given("after"), request.number("limit", PAGE_DEFAULT, low=1, high=PAGE_MAX)
        found = []
        for post in self.listings.posts([self.world.subreddit(name)], "new", span="all", now=now):
            submission = shapes.submission(post, now=now)
            text = f"{submission['data']['title']} {submission['data']['selftext']}".lower()
            if all(word in text for word in words):
                found.append(submission)
            if len(found) == SEARCH_MAX:
                break
        names = [submission["data"]["name"] for submission in found]
        start = names.index(after) + 1 if after in names else len(names) if after else 0
        shown = found[start : start + limit]
        more = shown and start + limit < len(found)
        next_ = shown[-1]["data"]["name"] if more else None
        return json_answer(shapes.listing(shown, after=next_, before=None, dist=len(shown)))

    def _about(self, request: Request, token: Token, *, name: str) -> Answer:
        if problem := _problem(name):
            return problem
        subreddit = self.world.subreddit(name)
        return json_answer(shapes.about(subreddit, created=self.world.post(subreddit, 0).created))

    def _comments(
        self, request: Request, token: Token, *, name: str | None, post: str, comment: str | None
    ) -> Answer:
        if name and (problem := _problem(name)):
            return problem
        now = self.now
        if name:
            self.world.subreddit(name)  # makes the subreddit's ids known
        found = self.world.find(f"t3_{post}", now)
        if not isinstance(found, Post):
            return error(404, "Not Found")
        limit = request.number("limit", COMMENTS_DEFAULT, low=1, high=COMMENTS_MAX)
        depth = request.number("depth", DEPTH_MAX, low=1, high=DEPTH_MAX)
        thread = self._thread(found.subreddit, found.index, request.given("sort"), now, self.world.version)
        focus = self.world.find(f"t1_{comment or request.given('comment')}", now)
        if isinstance(focus, Comment) and focus.post.number == found.number:
            context = request.number("context", 0, low=0, high=CONTEXT_MAX)
            things = thread.focus(focus.number, limit=limit, depth=depth, context=context)
        else:
            things = thread.whole(limit=limit, depth=depth)
        submission = shapes.submission(found, now=now)
        submission["data"]["num_duplicates"] = 0
        return json_answer([shapes.listing([submission], dist=1), shapes.listing(things)])

    def _grow_thread(self, subreddit: Subreddit, index: int, sort: str, now: float, version: int) -> Thread:
        return Thread(self.world.post(subreddit, index), now=now, sort=sort)

    def _more_children(self, request: Request, token: Token) -> Answer:
        now = self.now
        post = self.world.find(request.given("link_id"), now)
        ids = [name for name in request.given("children").split(",") if name]
        if not isinstance(post, Post) or not ids:
            return error(400, "Bad Request")
        numbers: dict[int, None] = {}
        for name in ids:
            found = self.world.find(f"t1_{name}", now)
            if isinstance(found, Comment) and found.post.number == post.number:
                numbers[found.number] = None  # a dict keeps the order and drops repetitions
        thread = self._thread(post.subreddit, post.index, request.given("sort"), now, self.world.version)
        things = thread.more(list(numbers), only_these=request.given("limit_children") in _TRUE)
        return json_answer({"json": {"errors": [], "data": {"things": things}}})

    def _info(self, request: Request, token: Token) -> Answer:
        now = self.now
        things = []
        for fullname in request.given("id").split(",")[:INFO_MAX]:
            item = self.world.find(fullname, now)
            if isinstance(item, Post):
                things.append(shapes.submission(item, now=now))
            elif isinstance(item, Comment):
                things.append(shapes.comment(item, now=now))
        return json_answer(shapes.listing(things, dist=len(things)))

    def _me(self, request: Request, token: Token) -> Answer:
        if not token.username:
            explanation = "Please log in to do that."
            return error(403, "Forbidden", reason="USER_REQUIRED", explanation=explanation)
        return json_answer({"name": token.username, "id": token.username[:8], "is_employee": False})

    # --- Control

    def _control(self, request: Request) -> Answer:
        try:
            if (request.method, request.path) == ("POST", "/sandbox/faults"):
                self.faults.add(**_body(request))
            elif (request.method, request.path) == ("DELETE", "/sandbox/faults"):
                self.faults.clear()
            elif (request.method, request.path) == ("POST", "/sandbox/content"):
                self._change(**_body(request))
            else:
                return error(404, "Not Found")
        except UnknownItemError as problem:
            return error(404, "Not Found", explanation=f"There is no item {problem}.")
        except (TypeError, ValueError) as problem:
            return error(400, "Bad Request", explanation=str(problem))
        return Answer(204)

    def _change(self, *, fullname: str, action: str, text: str | None = None) -> None:
        self.world.change(fullname, Action(action), words=text)


def _body(request: Request) -> dict[str, Any]:
    data = json.loads(request.body)
    if not isinstance(data, dict):
        raise TypeError("The body must be a JSON object.")
    return data


def _problem(name: str) -> Answer | None:
    key = name.lower()
    if key in CLOSED or key in BROKEN:
        return CLOSED.get(key) or BROKEN[key]
    return None if SUBREDDIT_NAME.match(name) else no_such_subreddit(name)


def _escaped(answer: Answer) -> Answer:
    """Return the answer for a client without ``raw_json=1``, with HTML entities in each string."""
    try:
        data = json.loads(answer.body)
    except ValueError:
        return answer
    return replace(answer, body=json.dumps(_escape(data)))


def _escape(value: Any) -> Any:
    if isinstance(value, str):
        return html.escape(value, quote=False)
    if isinstance(value, list):
        return [_escape(item) for item in value]
    if isinstance(value, dict):
        return {key: _escape(item) for key, item in value.items()}
    return value
