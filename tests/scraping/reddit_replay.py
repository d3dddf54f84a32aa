"""A small Reddit on 127.0.0.1 that serves the data of a test over a real socket.

Listings, comment trees, morechildren and /api/info behave as Reddit's do; ``answers`` replaces whole answers, valid
or broken. ``requests`` keeps the requests.
"""

import json
import socket
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

Raw = dict[str, Any]

TOKEN_PATH = "/api/v1/access_token"
# So high that no test reaches the budget of the client id, unless it wants to.
ROOMY = {"x-ratelimit-used": "1", "x-ratelimit-remaining": "1000000.0", "x-ratelimit-reset": "300"}
TOKEN = {"access_token": "replayed", "token_type": "bearer", "expires_in": 86400, "scope": "*"}


@dataclass
class Answer:
    """An answer: verbatim bytes, or a way to fail."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    # "": answer · "hang": keep silent until the server closes · "reset": drop the connection · "short": half a body
    fault: str = ""

    @classmethod
    def of(cls, body: Any, **headers: str) -> Self:
        """Return a 200 with this JSON."""
        return cls(200, headers, json.dumps(body).encode())

    @classmethod
    def recorded(cls, response: Raw) -> Self:
        """Return a recorded response unchanged, except for the framing headers."""
        headers = {k: v for k, v in response["headers"].items() if k not in ("content-length", "connection")}
        return cls(response["status"], headers, response["body_text"].encode())


@dataclass
class Asked:
    """One request as received."""

    method: str
    path: str  # without slash at the end
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]


def listing(children: Iterable[Any], *, after: str | None = None) -> Raw:
    """Return a Listing as Reddit writes it."""
    return {"kind": "Listing", "data": {"after": after, "before": None, "children": list(children)}}


def thing(data: Raw) -> Raw:
    """Return a post or comment with its kind, taken from its name."""
    return {"kind": str(data["name"]).partition("_")[0], "data": data}


class Tree:
    """The comments of one post; its answers open ``first`` of each level, the rest is in "more" nodes."""

    def __init__(
        self,
        post: Raw,
        comments: Iterable[Raw],
        *,
        first: int = 500,
        nested: int = 10,
        cap: int = 100,
        unasked: int = 0,
    ) -> None:
        self.post = post
        self.comments: dict[str, Raw] = {c["name"]: {**c, "replies": ""} for c in comments}
        self.first = first
        self.nested = nested
        self.cap, self.unasked = cap, unasked
        self.passed_over: set[str] = set()  # left out by morechildren, although they exist
        self.phantoms: dict[
            str, list[str]
        ] = {}  # ids of no comment that "more" nodes name, by parent's fullname
        self._children: dict[str, list[str]] = defaultdict(list)
        for name, comment in self.comments.items():
            parent = comment["parent_id"]
            # An orphan, whose parent was not recorded, is listed at the top.
            self._children[parent if parent in self.comments else post["name"]].append(name)

    def answer(self, below: str, limit: int) -> list[Raw]:
        """Return the pair of Listings of /comments."""
        if below:
            children = [self._nest(below, [limit], self.nested)]
        else:
            children = self._level(self.post["name"], [limit], self.nested)
        return [listing([thing(self.post)]), listing(children)]

    def more(self, ids: list[str]) -> list[Raw]:
        """Return an answer of morechildren: ``cap`` comments at most, flat, some of them replies not requested.

        Replies that are not shown come as "more" nodes, and so do requested ids that did not fit. Ids without a comment
        and those in ``passed_over`` are left out.
        """
        things: list[Raw] = []
        shown: set[str] = set()
        asked = [f"t1_{id36}" for id36 in ids]
        wanted = [name for name in asked if name in self.comments and name not in self.passed_over]
        for name in wanted:
            if len(shown) < self.cap and name not in shown:
                self._show(name, shown, things, unasked=self.unasked)
        back: dict[str, list[str]] = defaultdict(list)
        for name in wanted:
            if name not in shown:
                back[self.comments[name]["parent_id"]].append(name)
        return things + [self._more(parent, names) for parent, names in back.items()]

    def _show(self, name: str, shown: set[str], things: list[Raw], *, unasked: int) -> None:
        shown.add(name)
        things.append(thing(self.comments[name]))
        rest = []
        for reply in self._children.get(name, ()):
            if reply in shown:
                continue
            if unasked > 0 and len(shown) < self.cap:
                unasked -= 1
                self._show(reply, shown, things, unasked=unasked)
            else:
                rest.append(reply)
        rest += [f"t1_{id36}" for id36 in self.phantoms.get(name, ())]
        if rest:
            things.append(self._more(name, rest))

    def _level(self, parent: str, room: list[int], nested: int) -> list[Raw]:
        names = self._children.get(parent, [])
        if names and nested <= 0:
            return [self._more(parent, [])]  # continue this thread
        shown = []
        for name in names[: self.first]:
            if room[0] <= 0:
                break
            room[0] -= 1
            shown.append(self._nest(name, room, nested - 1))
        rest = names[len(shown) :] + [f"t1_{id36}" for id36 in self.phantoms.get(parent, ())]
        return [*shown, *([self._more(parent, rest)] if rest else [])]

    def _nest(self, name: str, room: list[int], nested: int) -> Raw:
        replies = self._level(name, room, nested)
        return thing({**self.comments[name], "replies": listing(replies) if replies else ""})

    def _more(self, parent: str, names: list[str]) -> Raw:
        ids = [name.partition("_")[2] for name in names]
        data = {
            "id": ids[0] if ids else "_",
            "name": f"t1_{ids[0] if ids else '_'}",
            "parent_id": parent,
            "count": len(ids),
            "children": ids,
        }
        return {"kind": "more", "data": data}


class RedditReplay:
    """The server; start it with ``with``, and point REDDIT_URL and REDDIT_OAUTH_URL to ``url``."""

    def __init__(self) -> None:
        # Posts by subreddit (lower case), in listing order.
        self.posts: dict[str, list[Raw]] = defaultdict(list)
        self.trees: dict[str, Tree] = {}  # by id36
        self.known: dict[str, Raw] = {}  # /api/info, by fullname
        # Answers by path (without slash at the end), used up in order; the last one stays.
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[Asked] = []
        self.cap = 1000
        self._closing = threading.Event()
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"replay": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add_posts(self, subreddit: str, posts: Iterable[Raw]) -> None:
        """List these posts, newest first, and let /api/info return them."""
        for post in posts:
            self.posts[subreddit.lower()].append(post)
            self.known[post["name"]] = post

    def add_tree(self, post: Raw, comments: Iterable[Raw], **shape: int) -> Tree:
        """Put these comments under the post."""
        tree = self.trees[post["id"]] = Tree(post, comments, **shape)
        self.known |= tree.comments
        return tree

    def asked(self, *, path: str = "", method: str = "") -> list[Asked]:
        """Return the requests whose path contains ``path``, without sign-ins."""
        return [r for r in self.requests if path in r.path and method in r.method and r.path != TOKEN_PATH]

    def counts(self) -> Counter[str]:
        """Return the number of requests by method and first part of the path."""
        return Counter(f"{r.method} {'/'.join(r.path.split('/')[:3])}" for r in self.requests)

    def respond(self, asked: Asked) -> Answer:
        """Return the answer to one request."""
        self.requests.append(asked)
        if prepared := self.answers.get(asked.path):
            return prepared.pop(0) if len(prepared) > 1 else prepared[0]
        if asked.path == TOKEN_PATH:
            return Answer.of(TOKEN)
        answer = self._answer(asked)
        answer.headers |= ROOMY
        return answer

    def _answer(self, asked: Asked) -> Answer:
        parts = asked.path.strip("/").split("/")
        match parts:
            case ["r", subreddit, _sort]:
                return self._listing(subreddit, asked)
            case ["comments", id36] | ["comments", id36, "_", _]:
                below = f"t1_{parts[3]}" if len(parts) == 4 else ""
                tree = self.trees.get(id36)
                if tree is None or (below and below not in tree.comments):
                    return _not_found()
                return Answer.of(tree.answer(below, int(asked.query.get("limit", 200))))
            case ["api", "morechildren"]:
                tree = self.trees[asked.form["link_id"].partition("_")[2]]
                things = tree.more(asked.form["children"].split(","))
                return Answer.of({"json": {"errors": [], "data": {"things": things}}})
            case ["api", "info"]:
                names = asked.query["id"].split(",")
                return Answer.of(listing(thing(self.known[name]) for name in names if name in self.known))
        return _not_found()

    def _listing(self, subreddit: str, asked: Asked) -> Answer:
        if subreddit.lower() not in self.posts:
            return Answer(302, {"Location": f"{self.url}/subreddits/search?q={subreddit}"})
        posts = self.posts[subreddit.lower()][: self.cap]
        names = [post.get("name") for post in posts]
        limit = min(int(asked.query.get("limit", 25)), 100)
        after = asked.query.get("after")
        if after and after not in names:
            return Answer.of(listing([]))  # the anchor left the listing
        start = names.index(after) + 1 if after else 0
        page = posts[start : start + limit]
        rest = start + limit < len(posts)
        return Answer.of(
            listing(
                ({"kind": "t3", "data": p} for p in page), after=page[-1]["name"] if page and rest else None
            )
        )


def _not_found() -> Answer:
    return Answer(404, {}, b'{"message": "Not Found", "error": 404}')


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients that go away in the middle belong to the tests."""


class _Handler(BaseHTTPRequestHandler):
    replay: "RedditReplay"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together

    def _serve(self) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        form = parse_qs(self.rfile.read(length).decode())
        answer = self.replay.respond(
            Asked(
                self.command,
                url.path.rstrip("/"),
                {k: v[0] for k, v in parse_qs(url.query).items()},
                {k: v[0] for k, v in form.items()},
                dict(self.headers.items()),
            )
        )
        getattr(self, f"_{answer.fault or 'send'}")(answer)

    do_GET = do_POST = _serve  # noqa: N815  # http.server looks for these names

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        if "Date" not in answer.headers:
            self.send_header("Date", self.date_time_string())
        headers = {"Content-Type": "application/json; charset=UTF-8"} | answer.headers
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            # PRAW signs in with "Connection: close"; unsaid, it would reuse the dying connection.
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def _hang(self, answer: Answer) -> None:
        self.close_connection = True
        self.replay._closing.wait(60)

    def _reset(self, answer: Answer) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _short(self, answer: Answer) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer.body) + 1000))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *args: object) -> None:
        """Stay silent."""
