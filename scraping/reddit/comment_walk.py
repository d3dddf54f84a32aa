"""The walk over one post's comment tree, in as few requests as Reddit allows."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from scraping.reddit.answers import Page, kind_and_data, replies_of, unreadable_reason

# Ids of one /api/morechildren request (https://www.reddit.com/dev/api).
IDS_PER_REQUEST = 100
# After so many requests without an answer for it, an id is looked up by /api/info: morechildren leaves out deleted
# comments without replies.
PASSED_OVER_MAX = 2
# After so many single ids refused in a row, Reddit refuses everything, whatever the id.
REFUSED_IN_A_ROW_MAX = 3


class BatchRefused(Exception):
    """Reddit refuses these ids together; ``cause`` is the client's error."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class TreeSource(Protocol):
    """Where the walk gets its answers: the client, for one post."""

    def tree(self, comment_id36: str = "") -> list[Any]:
        """Return the top of the tree, or what is below one comment."""

    def more_children(self, ids: list[str]) -> list[Any]:
        """Return comments, flat, and new "more" nodes for at most 100 ids.

        Raises:
            BatchRefused: fewer at once might be answered.
        """

    def look_up(self, ids: list[str]) -> list[dict[str, Any]]:
        """Return the comments of at most 100 ids from /api/info, which leaves out those that do not exist."""


def requests_per_post(limit: int) -> int:
    """Return how many requests the comments of one post may cost after the first.

    One for every 50 of ``limit`` comments (half of what a morechildren request may bring), and 20 for trees
    that branch into many "continue this thread" links.
    """
    return 20 + limit // 50


@dataclass(frozen=True)
class Reach:
    """How far a walk goes: requests after the first, comments, and levels (1: top-level comments only)."""

    requests: int
    comments: int
    depth: int

    def as_json(self) -> list[int]:
        """Return it for a JSON column."""
        return [self.requests, self.comments, self.depth]

    def is_within(self, other: Any) -> bool:
        """Return whether a walk with the reach ``other`` (from ``as_json``) went at least as far as this one may."""
        mine = self.as_json()
        return (
            isinstance(other, list)
            and len(other) == len(mine)
            and all(
                isinstance(theirs, int) and limit <= theirs for limit, theirs in zip(mine, other, strict=True)
            )
        )


class CommentWalk:
    """Opens a post's tree level by level; iterating yields one page an answer.

    Each comment has its ``depth`` (0: top-level) and no ``replies``. Parents come before their replies. Comments
    at ``reach.depth`` and deeper are left out. The ids of all "more" nodes are collected and
    requested up to 100 at a time, shallowest first (PRAW's ``replace_more`` opens one node per request). "Continue this
    thread" links come last, because each costs a request of its own.

    Reddit answers with about 100 comments, and some of them are replies that were not requested. The ids that did not
    fit come back inside a "more" node; some are missing altogether. An id that did not arrive is requested again.
    After two requests without it, it is looked up by its fullname; if that finds nothing, it is unavailable.

    ``resume`` is what an earlier walk over this post returned from ``saved()``.
    """

    def __init__(self, source: TreeSource, reach: Reach, *, resume: dict[str, Any] | None = None) -> None:
        self._source = source
        self._reach = reach
        self._depth_of: dict[str, int] = {}  # of every comment met, by fullname
        self._asked: set[str] = set()  # ids and threads requested so far, against endless loops
        self._ids: dict[str, int] = {}  # still to open, with their depths
        self._passed_over: dict[str, list[int]] = {}  # still to open: depth, how often it was missing
        self._threads: list[str] = []  # fullnames of comments whose thread continues elsewhere
        self._begun = resume is not None
        self._batch = IDS_PER_REQUEST
        self._has_opened = False
        self._refused = 0  # single ids in a row
        self._beyond_limit = 0
        self._remaining = reach.comments
        self._requests_left = reach.requests
        self.unavailable = 0  # comments that Reddit names but does not return
        if resume is not None:
            self._load(resume)

    def _load(self, saved: dict[str, Any]) -> None:
        self._remaining, self._requests_left = int(saved["remaining"]), int(saved["requests_left"])
        self._beyond_limit = int(saved.get("beyond_limit", 0))  # missing in what an earlier release saved
        self.unavailable = int(saved.get("unavailable", 0))
        for depth, ids in saved["ids"]:
            self._ids |= {str(id36): int(depth) for id36 in ids}
        self._asked.update(self._ids)
        for id36, depth, times in saved.get("passed_over", ()):
            self._passed_over[str(id36)] = [int(depth), int(times)]
            self._asked.add(str(id36))
        for parent, depth in saved["threads"]:
            self._threads.append(str(parent))
            self._asked.add(str(parent))
            self._depth_of[str(parent)] = int(depth)

    def saved(self) -> dict[str, Any]:
        """Return what another walk needs to continue after the last page, for a JSON column."""
        ids: dict[int, list[str]] = defaultdict(list)
        for id36, depth in self._ids.items():
            ids[depth].append(id36)
        return {
            "remaining": self._remaining,
            "requests_left": self._requests_left,
            "beyond_limit": self._beyond_limit,
            "unavailable": self.unavailable,
            "ids": [list(level) for level in sorted(ids.items())],
            "passed_over": [[id36, *at] for id36, at in self._passed_over.items()],
            "threads": [[parent, self._depth_of.get(parent, 0)] for parent in self._threads],
        }

    @property
    def left(self) -> int:
        """Comments and threads left out so far because of the limits on requests and comments."""
        return len(self._ids) + len(self._passed_over) + len(self._threads) + self._beyond_limit

    def __iter__(self) -> Iterator[Page]:
        if not self._begun:
            self._begun = True
            yield self._read(self._source.tree(), depth=0)
        while self._remaining > 0 and self._requests_left > 0 and self._has_more():
            self._requests_left -= 1
            if self._ids:
                yield self._open()
            elif self._threads:
                parent = self._threads[-1]
                # The answer begins with the parent itself, which is stored already; its replies follow.
                tree = self._source.tree(parent.partition("_")[2])
                self._threads.pop()
                yield self._read(tree, depth=self._depth_of.get(parent, 0))
            elif any(times < PASSED_OVER_MAX for _, times in self._passed_over.values()):
                yield self._open()
            else:
                yield self._look_up()

    def _has_more(self) -> bool:
        # A comment may have arrived below another one without being requested.
        for id36 in [id36 for id36 in (*self._ids, *self._passed_over) if f"t1_{id36}" in self._depth_of]:
            self._take(id36)
        return bool(self._ids or self._passed_over or self._threads)

    def _take(self, id36: str) -> None:
        self._ids.pop(id36, None)
        self._passed_over.pop(id36, None)

    def _open(self) -> Page:
        """Request the next ids; each counts as still to open until it has arrived.

        A batch that Reddit refuses is requested again in halves, down to the single id that causes the refusal.
        """
        again = (id36 for id36, (_, times) in self._passed_over.items() if times < PASSED_OVER_MAX)
        batch = [*sorted(self._ids, key=lambda id36: self._ids[id36]), *again][: self._batch]
        try:
            things = self._source.more_children(batch)
        except BatchRefused as refusal:
            if len(batch) > 1:
                self._batch = len(batch) // 2
                return Page()
            self._refused += 1
            if not self._has_opened or self._refused >= REFUSED_IN_A_ROW_MAX:
                raise refusal.cause from refusal  # this id is not the cause
            self._pass_over(batch[0], times=PASSED_OVER_MAX)
            return Page()
        self._has_opened, self._refused = True, 0
        self._batch = min(2 * self._batch, IDS_PER_REQUEST)
        page = self._read(things, depth=0)
        arrived = {id36 for id36 in batch if f"t1_{id36}" in _names(things)}
        # The ids that Reddit hands back did not fit; they will fit later, as long as each answer brings something.
        back = _handed_back(things) if arrived else frozenset()
        for id36 in batch:
            if id36 in arrived:
                self._take(id36)
            elif id36 not in back:
                self._pass_over(id36)
        return page

    def _pass_over(self, id36: str, *, times: int = 1) -> None:
        """Leave an id that did not arrive for a later request."""
        at = self._passed_over.setdefault(id36, [self._ids.pop(id36, 0), 0])
        at[1] += times

    def _look_up(self) -> Page:
        """Request comments by their fullnames, wherever they are in the tree."""
        batch = list(self._passed_over)[:IDS_PER_REQUEST]
        page = Page()
        for data in self._source.look_up(batch):
            id36 = str(data.get("name", "")).removeprefix("t1_")
            if id36 not in self._passed_over or f"t1_{id36}" in self._depth_of:
                continue
            depth = self._depth_below_parent(data, self._passed_over[id36][0])
            self._keep(data, depth, page)
            if not _is_gone(data) and f"t1_{id36}" not in self._asked:
                self._asked.add(f"t1_{id36}")
                self._threads.append(f"t1_{id36}")  # nothing else names its replies
        for id36 in batch:
            del self._passed_over[id36]
            self.unavailable += f"t1_{id36}" not in self._depth_of
        return page

    def _read(self, children: list[Any], *, depth: int) -> Page:
        page = Page()
        stack = [(child, depth) for child in reversed(children)]
        while stack:
            child, guess = stack.pop()
            kind, data = kind_and_data(child)
            at = self._depth_below_parent(data, guess)
            if kind not in ("t1", "more"):
                page.skipped[unreadable_reason(kind)] += 1
            elif at >= self._reach.depth:
                continue
            elif kind == "more":
                self._remember(data, at)
            else:
                self._keep(data, at, page)
                stack.extend((reply, at + 1) for reply in reversed(replies_of(data)))
        return page

    def _depth_below_parent(self, data: dict[str, Any], guess: int) -> int:
        # Reddit counts `depth` from the top of each answer and left it out before 2017.
        parent = data.get("parent_id")
        if isinstance(parent, str) and parent.startswith("t3_"):
            return 0
        known = self._depth_of.get(parent) if isinstance(parent, str) else None
        if known is not None:
            return known + 1
        id36 = str(data.get("name", "")).removeprefix("t1_")
        waiting = self._passed_over.get(id36)
        return waiting[0] if waiting else self._ids.get(id36, guess)

    def _keep(self, data: dict[str, Any], depth: int, page: Page) -> None:
        name = data.get("name")
        if isinstance(name, str):
            if name in self._depth_of:
                return
            self._depth_of[name] = depth
        if self._remaining > 0:
            self._remaining -= 1
            page.comments.append({**data, "replies": "", "depth": depth})
        else:
            self._beyond_limit += 1

    def _remember(self, more: dict[str, Any], depth: int) -> None:
        children, parent = more.get("children"), more.get("parent_id")
        if isinstance(children, list) and children:
            for child in children:
                if isinstance(child, str) and child and child not in self._asked:
                    self._asked.add(child)
                    self._ids[child] = depth
        elif isinstance(parent, str) and parent.startswith("t1_") and parent not in self._asked:
            # "Continue this thread": recorded with id `_`, count 0 and no children.
            self._asked.add(parent)
            self._threads.append(parent)


def _names(things: list[Any]) -> set[str]:
    """Return the fullnames of the comments of an answer, however deep they are."""
    names: set[str] = set()
    stack = list(things)
    while stack:
        kind, data = kind_and_data(stack.pop())
        if kind == "t1":
            names.add(str(data.get("name")))
            stack += replies_of(data)
    return names


def _handed_back(things: list[Any]) -> frozenset[str]:
    """Return the ids of the "more" nodes of an answer."""
    ids: set[str] = set()
    for thing in things:
        kind, data = kind_and_data(thing)
        children = data.get("children")
        if kind == "more" and isinstance(children, list):
            ids.update(child for child in children if isinstance(child, str))
    return frozenset(ids)


def _is_gone(data: dict[str, Any]) -> bool:
    """Return whether a comment was deleted or removed; one without replies is left out of trees."""
    return data.get("body") in ("[deleted]", "[removed]")
