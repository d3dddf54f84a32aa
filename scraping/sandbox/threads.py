"""The comments of a post as Reddit returns them: a part of the tree, and ``more`` objects for the rest."""

import heapq
from itertools import pairwise
from typing import Any

from scraping.sandbox import shapes
from scraping.sandbox.items import Comment, Post, State

COMMENTS_DEFAULT, COMMENTS_MAX = 200, 500  # of one answer of /comments
MORE_MAX = 100  # comments of one answer of /api/morechildren
DEPTH_MAX = 10  # levels shown; below, "continue this thread"
CONTEXT_MAX = 8  # comments shown above the requested one
THE_POST = -1

Thing = dict[str, Any]


class Thread:
    """All comments of a post at one time, in one order. Deleted comments without replies are left out."""

    def __init__(self, post: Post, *, now: float, sort: str) -> None:
        self.post = post
        self.now = now
        self.comments = [post.comment(number) for number in range(post.comment_count(now))]
        self.children: dict[int, list[int]] = {THE_POST: []}
        self.sizes = [0] * len(self.comments)  # of each subtree
        self._grow()
        for siblings in self.children.values():
            siblings.sort(key=lambda number: self._rank(self.comments[number], sort))

    def _grow(self) -> None:
        # A reply has a higher number than its parent, so a pass from the end meets children first.
        parents, _depths = self.post.replies_to
        for number in range(len(self.comments) - 1, -1, -1):
            gone = self.comments[number].state(self.now) is not State.LIVE
            if gone and not self.sizes[number]:
                continue
            self.sizes[number] += 1
            self.children.setdefault(parents[number], []).append(number)
            if parents[number] >= 0:
                self.sizes[parents[number]] += self.sizes[number]

    def _rank(self, comment: Comment, sort: str) -> tuple[bool, float, int]:
        notice = not comment.is_notice
        if sort == "new":
            return notice, -comment.number, 0
        if sort == "old":
            return notice, comment.number, 0
        return notice, -comment.score(self.now), comment.number

    def whole(self, *, limit: int, depth: int) -> list[Thing]:
        """Return the best ``limit`` comments as a tree of ``depth`` levels."""
        roots = self.children[THE_POST]
        return self._nest(roots, 0, depth, self._best(roots, limit=limit, depth=depth), {})

    def focus(self, number: int, *, limit: int, depth: int, context: int) -> list[Thing]:
        """Return one comment with its replies, below at most ``context`` of the comments above it."""
        if number >= len(self.sizes) or not self.sizes[number]:
            return []
        parents, _depths = self.post.replies_to
        path = [number]
        while parents[path[0]] >= 0 and len(path) <= context:
            path.insert(0, parents[path[0]])
        selected = self._best([number], limit=limit, depth=depth - len(path) + 1)
        only = dict(pairwise(path))
        return self._nest(path[:1], 0, depth, selected | set(path), only)

    def more(self, numbers: list[int], *, only_these: bool) -> list[Thing]:
        """Return these comments and the best of their replies, at most 100, parents first, ``replies`` empty.

        As on Reddit, replies that were not requested take the place of requested comments; these come back inside
        ``more`` objects.
        """
        wanted = [number for number in numbers if number < len(self.sizes) and self.sizes[number]]
        selected = set(wanted[:MORE_MAX])
        if not only_these:
            selected = self._best(wanted, limit=MORE_MAX, depth=DEPTH_MAX, in_turn=True)
        things: list[Thing] = []
        done: set[int] = set()
        for start in (number for number in wanted if number in selected):
            self._flatten(start, selected, done, things)
        left: dict[int, list[int]] = {}
        for number in wanted:
            if number not in selected:
                left.setdefault(self.post.replies_to[0][number], []).append(number)
        return things + [self._more(rest, self.comments[rest[0]].depth) for rest in left.values()]

    def _best(self, starts: list[int], *, limit: int, depth: int, in_turn: bool = False) -> set[int]:
        """Return the comments to show: the best whose parents are shown too.

        ``in_turn``: the later starts wait until replies to the earlier ones are shown, in the order of the starts.
        """
        selected: set[int] = set()
        queue = [(place // 8 if in_turn else 1, 0, place, n) for place, n in enumerate(starts)]
        heapq.heapify(queue)
        while queue and len(selected) < limit:
            _, level, place, number = heapq.heappop(queue)
            if number in selected:
                continue
            selected.add(number)
            if level + 1 < depth:
                for rank, child in enumerate(self.children.get(number, ())):
                    # The third reply to a comment competes with comments three positions further down.
                    heapq.heappush(queue, (1 + place + 3 * rank, level + 1, place + 3 * rank, child))
        return selected

    def _nest(
        self, siblings: list[int], level: int, depth: int, selected: set[int], only: dict[int, int]
    ) -> list[Thing]:
        if not siblings:
            return []
        if level >= depth:
            return [shapes.continue_thread(self.comments[siblings[0]].parent_fullname, level)]
        things = []
        for number in siblings:
            if number in selected:
                below = [only[number]] if number in only else self.children.get(number, [])
                replies = self._nest(below, level + 1, depth, selected, only)
                things.append(self._thing(number, level, shapes.listing(replies) if replies else ""))
        rest = [number for number in siblings if number not in selected]
        return [*things, self._more(rest, level)] if rest else things

    def _flatten(self, start: int, selected: set[int], done: set[int], things: list[Thing]) -> None:
        top = self.comments[start].depth
        stack = [start]
        while stack:
            number = stack.pop()
            if number in done:
                continue
            done.add(number)
            level = self.comments[number].depth
            things.append(self._thing(number, level, ""))
            below = self.children.get(number, [])
            if below and level + 1 - top >= DEPTH_MAX:
                things.append(shapes.continue_thread(self.comments[number].fullname, level + 1))
                continue
            rest = [child for child in below if child not in selected]
            if rest:
                things.append(self._more(rest, level + 1))
            stack.extend(child for child in reversed(below) if child in selected)

    def _thing(self, number: int, level: int, replies: Thing | str) -> Thing:
        return shapes.comment(self.comments[number], now=self.now, depth=level, replies=replies)

    def _more(self, numbers: list[int], level: int) -> Thing:
        first = self.comments[numbers[0]]
        return shapes.more(
            [self.comments[number].id36 for number in numbers],
            count=sum(self.sizes[number] for number in numbers),
            parent=first.parent_fullname,
            depth=level,
        )
