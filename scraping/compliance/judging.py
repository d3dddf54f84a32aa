"""Judges each requested item by one answer, before ``doubts`` weighs the answer as a whole."""

from collections import Counter
from typing import Any, Final

from scraping.compliance.doubts import Item, Verdict
from scraping.compliance.sweep_queue import KINDS
from scraping.content.expiry import cutoffs_in_force
from scraping.content.normalise import (
    TIME_REASONS,
    BadItem,
    comment_values,
    post_values,
)
from scraping.models import (
    ContentState,
    RedditComment,
    RedditPost,
)


def judge(item: Item, data: dict[str, Any] | None, *, is_whole: bool) -> Verdict:
    """Compare an item with its raw data, which is None if the answer left it out.

    ``is_whole``: each child of the answer could be assigned to an item, so that a missing item means something.
    """
    if data is None:
        return Verdict(item, _absence(item) if is_whole else "unreadable")
    odd: Counter[str] = Counter()
    try:
        values = post_values(data, odd) if item.model is RedditPost else comment_values(data, odd)
    except BadItem:
        return Verdict(item, "unreadable")
    if odd and values["state"] == item.state and not all(reason in TIME_REASONS for reason in odd):
        return Verdict(item, "unreadable")  # the stored values are better than empty fields
    values.pop("depth", None)  # /api/info does not give it
    return Verdict(item, _presence(item, values), values)


def _presence(item: Item, values: dict[str, Any]) -> str:
    if values["state"] != item.state:
        return _BECAME[values["state"]]
    if values["is_author_deleted"] != item.is_author_deleted:
        return "account_deleted" if values["is_author_deleted"] else "restored"
    return "updated"  # or unchanged: the database compares the values


_BECAME: Final = {
    ContentState.LIVE: "restored",
    ContentState.DELETED_BY_AUTHOR: "deleted",
    ContentState.REMOVED_BY_MODERATOR: "removed",
    ContentState.REMOVED_BY_REDDIT: "removed",
}


def _absence(item: Item) -> str:
    return "unchanged" if item.state == ContentState.MISSING else "absent"


def without_expired(verdicts: list[Verdict]) -> list[Verdict]:
    """Keep those restored items blank that the next purge would delete."""
    restored = [verdict.item for verdict in verdicts if verdict.outcome == "restored"]
    cutoffs = cutoffs_in_force() if restored else None
    if cutoffs is None:
        return verdicts
    posts, comments = ([item.fullname for item in restored if item.model is model] for model in KINDS)
    expired = set(
        cutoffs.expired(RedditPost.objects.filter(fullname__in=posts)).values_list("fullname", flat=True)
    )
    of_comments = RedditComment.objects.filter(
        fullname__in=comments,
        post__in=cutoffs.expired(RedditPost.objects.filter(comments__fullname__in=comments)),
    )
    expired.update(of_comments.values_list("fullname", flat=True))
    return [
        Verdict(verdict.item, "unchanged") if verdict.item.fullname in expired else verdict
        for verdict in verdicts
    ]
