"""The walk over one post's comment tree, in as few requests as Reddit allows."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from scraping.answers import Page, kind_and_data, replies_of, unreadable_reason

# Ids of one /api/morechildren request (https://www.reddit.com/dev/api).
IDS_PER_REQUEST = 100


class BatchRefused(Exception):
    """Reddit cannot answer for these ids together; ``cause`` says why, as the client words it."""

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
        """Return whether a walk with that reach, as ``as_json`` wrote it, has gone as far as this one may."""
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

    Each comment carries its ``depth`` (0: top-level) and no ``replies``, parents before their replies; comments
    at ``reach.depth`` and deeper are left out. Ids hidden behind "more" nodes are collected from all of them and
    asked for up to 100 at a time, shallowest first. PRAW's ``replace_more`` opens the nodes one by one. "Continue
    this thread" links come last, for each costs a request of its own.

    ``resume`` is what an earlier walk over this post returned from ``saved()``.
    """

    def __init__(self, source: TreeSource, reach: Reach, *, resume: dict[str, Any] | None = None) -> None:
        self._source = source
        self._reach = reach
        self._depth_of: dict[str, int] = {}  # of every comment met, by fullname
        self._asked: set[str] = set()  # ids and threads, so that no answer sends us round in circles
        self._ids: dict[int, list[str]] = defaultdict(list)  # still to open, by depth
        self._threads: list[str] = []  # fullnames of comments whose thread continues elsewhere
        self._begun = resume is not None
        self._batch = IDS_PER_REQUEST
        self._has_opened = False
        self._beyond_limit = 0
        self._remaining = reach.comments
        self._requests_left = reach.requests
        if resume is not None:
            self._load(resume)

    def _load(self, saved: dict[str, Any]) -> None:
        self._remaining, self._requests_left = int(saved["remaining"]), int(saved["requests_left"])
        self._beyond_limit = int(saved.get("beyond_limit", 0))  # none in what an earlier release saved
        for depth, ids in saved["ids"]:
            self._ids[int(depth)] = [str(id36) for id36 in ids]
            self._asked.update(self._ids[int(depth)])
        for parent, depth in saved["threads"]:
            self._threads.append(str(parent))
            self._asked.add(str(parent))
            self._depth_of[str(parent)] = int(depth)

    def saved(self) -> dict[str, Any]:
        """Return what another walk needs to go on behind the last page, for a JSON column."""
        return {
            "remaining": self._remaining,
            "requests_left": self._requests_left,
            "beyond_limit": self._beyond_limit,
            "ids": [[depth, ids] for depth, ids in sorted(self._ids.items())],
            "threads": [[parent, self._depth_of.get(parent, 0)] for parent in self._threads],
        }

    @property
    def left(self) -> int:
        """Comments and threads left out so far, for want of requests or by the limit."""
        return sum(map(len, self._ids.values())) + len(self._threads) + self._beyond_limit

    def __iter__(self) -> Iterator[Page]:
        if not self._begun:
            self._begun = True
            yield self._read(self._source.tree(), depth=0)
        while self._remaining > 0 and self._requests_left > 0 and (self._ids or self._threads):
            self._requests_left -= 1
            if self._ids:
                yield self._open(min(self._ids))
            else:
                parent = self._threads[-1]
                # The answer begins with the parent itself, which is known; its replies follow.
                tree = self._source.tree(parent.partition("_")[2])
                self._threads.pop()
                yield self._read(tree, depth=self._depth_of.get(parent, 0))

    def _open(self, depth: int) -> Page:
        """Ask for the first ids of a depth; they are still to open until Reddit has answered.

        A batch that Reddit refuses is asked for again in halves, down to the one id that it cannot answer.
        """
        batch = self._ids[depth][: self._batch]
        try:
            things = self._source.more_children(batch)
        except BatchRefused as refusal:
            if len(batch) > 1:
                self._batch = len(batch) // 2
                return Page()
            if not self._has_opened:
                raise refusal.cause from refusal  # it is not about this id
            self._take_from(depth, 1)
            return Page(skipped=Counter({"cannot be opened": 1}))
        self._has_opened = True
        self._batch = min(2 * self._batch, IDS_PER_REQUEST)
        self._take_from(depth, len(batch))
        return self._read(things, depth=depth)

    def _take_from(self, depth: int, number: int) -> None:
        self._ids[depth] = self._ids[depth][number:]
        if not self._ids[depth]:
            del self._ids[depth]

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
        return guess if known is None else known + 1

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
                    self._ids[depth].append(child)
        elif isinstance(parent, str) and parent.startswith("t1_") and parent not in self._asked:
            # "Continue this thread": recorded with id `_`, count 0 and no children.
            self._asked.add(parent)
            self._threads.append(parent)
