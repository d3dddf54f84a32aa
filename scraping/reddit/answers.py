"""Reads Reddit's JSON: listings, comment trees, "more" nodes. This module sends no requests.

A child that cannot be read is counted and skipped; only an answer without any list of children is an error.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

# Account, message, subreddit, award: a listing of posts or comments holds none of them.
_OTHER_KINDS = frozenset({"t1", "t2", "t3", "t4", "t5", "t6", "more", "Listing"})


class UnreadableAnswer(ValueError):
    """The body is not what the API documents, for example empty."""


class RefusedAnswer(ValueError):
    """The status is 200, but the body says that the request was refused."""


@dataclass(frozen=True)
class Page:
    """One answer: raw ``data`` of posts (t3) and comments (t1), in Reddit's order.

    ``skipped`` counts children that could not be read, by reason. ``after`` is the anchor of the next page.
    """

    posts: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    after: str | None = None


def kind_and_data(child: Any) -> tuple[str, dict[str, Any]]:
    """Return a child's kind (t1, t3, more …) and data; the kind is empty where the child is no item."""
    if not isinstance(child, dict) or not isinstance(child.get("data"), dict):
        return "", {}
    kind = child.get("kind")
    return (kind if isinstance(kind, str) else ""), child["data"]


def unreadable_reason(kind: str) -> str:
    """Return the reason under which a child of this kind is counted as skipped."""
    return f"unexpected kind {kind}" if kind in _OTHER_KINDS else "no item"


def read_listing(body: Any) -> Page:
    """Return the items of a Listing.

    Raises:
        UnreadableAnswer: the body is empty, null or anything else that is no Listing.
    """
    page = Page(after=_after(body))
    for child in read_children(body):
        kind, data = kind_and_data(child)
        if kind == "t3":
            page.posts.append(data)
        elif kind == "t1":
            page.comments.append(data)
        else:
            page.skipped[unreadable_reason(kind)] += 1
    return page


def read_children(listing: Any) -> list[Any]:
    """Return the children of a Listing.

    Raises:
        UnreadableAnswer: the value is no Listing.
    """
    data = listing.get("data") if isinstance(listing, dict) and listing.get("kind") == "Listing" else None
    if not isinstance(data, dict) or not isinstance(data.get("children"), list):
        raise UnreadableAnswer
    children: list[Any] = data["children"]
    return children


def _after(body: Any) -> str | None:
    data = body.get("data") if isinstance(body, dict) else None
    after = data.get("after") if isinstance(data, dict) else None
    return after if isinstance(after, str) and after else None


def read_tree(body: Any) -> list[Any]:
    """Return the children of a /comments answer, which is a pair of Listings: the post, its comments.

    Raises:
        UnreadableAnswer: the body is no such pair.
    """
    if not isinstance(body, list) or len(body) != 2:
        raise UnreadableAnswer
    return read_children(body[1])


def read_more_children(body: Any) -> list[Any]:
    """Return the items of an /api/morechildren answer: comments without their replies, and "more" nodes.

    Raises:
        RefusedAnswer: the body lists errors.
        UnreadableAnswer: the body has no list of items.
    """
    answer = body.get("json") if isinstance(body, dict) else None
    if isinstance(answer, dict) and answer.get("errors"):
        raise RefusedAnswer(str(answer["errors"]))
    data = answer.get("data") if isinstance(answer, dict) else None
    things = data.get("things") if isinstance(data, dict) else None
    if not isinstance(things, list):
        raise UnreadableAnswer
    return things


def replies_of(comment: dict[str, Any]) -> list[Any]:
    """Return a comment's replies; Reddit writes "no replies" as "", null or an empty Listing."""
    try:
        return read_children(comment.get("replies"))
    except UnreadableAnswer:
        return []
