"""A sweep logs the items that it blanks: fullname as a number, run and rule, but no text and no person's name."""

from typing import Any

import pytest

from scraping.compliance.sweep import refresh_stored_content
from scraping.item_names import parsed
from scraping.models import RedditContent
from scraping.models.erasures import Erasure
from scraping.progress import SilentProgress
from tests.kit.scraped import make_comment, make_post
from tests.scraping.compliance.stored import known, shown
from tests.scraping.reddit_replay import RedditReplay
from tests.scraping.sweeps import missed

RUN = 4711


def sweep() -> None:
    refresh_stored_content(SilentProgress(), run_id=RUN)


def lines() -> set[tuple[str, int | None, str]]:
    return {(line.fullname, line.run_id, line.rule) for line in Erasure.objects.all()}


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"removed_by_category": "deleted"}, "deleted"),
        ({"removed_by_category": "moderator"}, "removed"),
        ({"author": "[deleted]", "author_fullname": None}, "account_deleted"),
    ],
)
def test_a_blanked_post_has_a_line_and_the_others_have_none(
    reddit: RedditReplay, changes: dict[str, Any], rule: str
) -> None:
    shown(reddit)
    gone = make_post()
    known(reddit, gone, **changes)
    sweep()
    sweep()
    assert lines() == {(gone.fullname, RUN, rule)}
    assert Erasure.objects.count() == 1  # the second sweep changed nothing


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("is_comment", [False, True])
def test_a_tombstone_has_a_line_and_what_is_missing_once_has_none(
    reddit: RedditReplay, is_comment: bool
) -> None:
    post, *_others = shown(reddit, 2)
    items: list[RedditContent] = [make_comment(post) if is_comment else make_post() for _ in range(2)]
    missed(items[0])
    sweep()
    assert lines() == {(items[0].fullname, RUN, "tombstoned")}


def test_fullnames_and_numbers_are_the_same() -> None:
    for name in ("t3_1j7g9uj", "t1_0", "t3_zzzzzzzzzzzz", "t1_1y2p0ij32e8e7"):
        item = parsed(name)
        assert item is not None
        assert Erasure(kind=item.kind, number=item.number).fullname == name
    for name in ("", "t3_", "t3_a-b", "t2_abc", "t3_1y2p0ij32e8e8", "t3_a_b", " t3_a", "t3_aſb"):
        assert parsed(name) is None
