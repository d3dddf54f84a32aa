"""A judgement opens at the second look, follows what is unusual, and ends with it."""

import random

from scraping.yields.history import History
from scraping.yields.verdict import Verdict, figures, look, usual_of_listed
from tests.scraping.yields.test_judge import DAY, after

FIRST = 96


def looks(history, verdict, hours, *, every=6):
    """List these hours, some at a time; return the kinds that were seen."""
    kinds = []
    for start in range(0, len(hours), every):
        assert history.until is not None
        posts = {history.until + number: count for number, count in enumerate(hours[start : start + every])}
        history.add(posts, posts, since=None, current=history.until + every)
        look(history, verdict, subreddits=10)
        kinds.append(verdict.kind)
    return kinds


def test_silence_takes_two_looks_and_begins_after_the_last_post():
    history, verdict = after([]), Verdict()
    begun = history.until
    kinds = looks(history, verdict, [0] * 24)

    assert kinds == ["", "", "silent", "silent"]
    assert begun is not None
    assert verdict.since == begun - 4  # the last post was before 20:00
    shown = figures(history, verdict.since, subreddits=10)
    assert shown is not None
    assert (shown.posts, shown.begin) == (0, verdict.since)
    assert 40 < shown.low <= 72 <= shown.high < 110


def test_a_silence_ends_when_posts_come_as_usual_and_does_not_open_again():
    history, verdict = after([]), Verdict()
    looks(history, verdict, [0] * 48)
    assert verdict.kind == "silent"

    kinds = looks(history, verdict, DAY * 7)

    assert kinds[1:] == [""] * (len(kinds) - 1) or kinds[2:] == [""] * (len(kinds) - 2)


def test_a_few_posts_after_a_silence_are_fewer_not_silence():
    history, verdict = after([]), Verdict()
    looks(history, verdict, [0] * 48)

    kinds = looks(history, verdict, [count // 3 for count in DAY] * 4)

    assert kinds[-1] == "fewer"


def test_a_lasting_change_is_the_new_usual_after_two_weeks():
    history, verdict = after([]), Verdict()
    kinds = looks(history, verdict, [count // 2 for count in DAY] * 40)

    assert "fewer" in kinds
    assert kinds[-1] == ""
    assert "fewer" not in kinds[-80:]


def test_a_silence_of_months_still_is_one_and_ends_with_a_post():
    history, verdict = after([]), Verdict()
    kinds = looks(history, verdict, [0] * (70 * 24), every=24)
    assert set(kinds[2:]) == {"silent"}
    assert figures(history, verdict.since, subreddits=10) is None  # nothing is left to compare with

    assert looks(history, verdict, DAY, every=24) == [""]


def test_posts_that_the_filters_leave_out_are_listed_as_usual():
    history = after([0] * 24)
    history.listed = [*history.kept[:-24], *DAY]
    assert history.until is not None

    assert usual_of_listed(history, history.until - 24)
    assert not usual_of_listed(after([0] * 24), history.until - 24)


def test_silence_is_due_when_chance_no_longer_explains_it():
    chosen = random.Random(1)
    posts = [sum(chosen.random() < 0.4 for _ in range(1)) for _ in range(8 * 168)]
    history = History(FIRST + len(posts), posts, list(posts))

    shown = figures(history, None, subreddits=10)

    assert shown is not None
    assert shown.due is not None
    assert history.until is not None
    assert 24 < shown.due - history.until < 96


def test_a_state_is_restored_from_its_column():
    verdict = Verdict("fewer", 17, "low", 3)
    assert Verdict.of(verdict.as_json()) == verdict
    assert Verdict.of(None) == Verdict.of({"strange": 1}) == Verdict()
