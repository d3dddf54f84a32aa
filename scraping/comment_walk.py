"""The walk over one post's comment tree, in as few requests as Reddit allows."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Protocol

from scraping.answers import Page, kind_and_data, replies_of, unreadable_reason

# Ids of one /api/morechildren request (https://www.reddit.com/dev/api).
IDS_PER_REQUEST = 100


class TreeSource(Protocol):
    """Where the walk gets its answers: the client, for one post."""

    def tree(self, comment_id36: str = "") -> list[Any]:
        """Return the top of the tree, or what is below one comment."""

    def more_children(self, ids: list[str]) -> list[Any]:
        """Return comments, flat, and new "more" nodes for at most 100 ids."""


def requests_per_post(limit: int) -> int:
    """Return how many requests the comments of one post may cost after the first.

    One for every 50 of ``limit`` comments (half of what a morechildren request may bring), and 20 for trees
    that branch into many "continue this thread" links.
    """
    return 20 + limit // 50


class CommentWalk:
    """Yields every comment once, parents before replies, each with its ``depth`` and without ``replies``.

    "More" nodes are opened together, up to 100 ids of one depth a request; PRAW's ``replace_more`` opens them
    one by one. "Continue this thread" links come last, for each costs a request of its own.
    """

    def __init__(self, source: TreeSource, *, limit: int, depth: int) -> None:
        self._source = source
        self._remaining = limit
        self._requests_left = requests_per_post(limit)
        self._depth_limit = depth
        self._depth_of: dict[str, int] = {}  # of every comment met, by fullname
        self._asked: set[str] = set()  # ids and threads, so that no answer sends us round in circles
        self._ids: dict[int, list[str]] = defaultdict(list)  # still to open, by depth
        self._threads: list[str] = []  # fullnames of comments whose thread continues elsewhere

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left unopened for want of requests or by the limit."""
        return not self._ids and not self._threads

    def pages(self, *, complete: bool) -> Iterator[Page]:
        """Yield one page an answer: only the first, or with ``complete`` all within the limits."""
        yield self._read(self._source.tree(), depth=0)
        while complete and self._remaining > 0 and self._requests_left > 0 and not self.is_complete:
            self._requests_left -= 1
            if self._ids:
                depth = min(self._ids)
                yield self._read(self._source.more_children(self._next_ids(depth)), depth=depth)
            else:
                parent = self._threads.pop()
                # The answer begins with the parent itself, which is known; its replies follow.
                tree = self._source.tree(parent.partition("_")[2])
                yield self._read(tree, depth=self._depth_of.get(parent, 0))

    def _next_ids(self, depth: int) -> list[str]:
        waiting = self._ids.pop(depth)
        if len(waiting) > IDS_PER_REQUEST:
            self._ids[depth] = waiting[IDS_PER_REQUEST:]
        return waiting[:IDS_PER_REQUEST]

    def _read(self, children: list[Any], *, depth: int) -> Page:
        page = Page()
        stack = [(child, depth) for child in reversed(children)]
        while stack:
            child, guess = stack.pop()
            kind, data = kind_and_data(child)
            at = self._depth_below_parent(data, guess)
            if kind not in ("t1", "more"):
                page.skipped[unreadable_reason(kind)] += 1
            elif at >= self._depth_limit:
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
