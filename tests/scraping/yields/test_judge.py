"""What is far from usual, and how little history allows no judgement."""

import pytest

from scraping.yields import judge
from scraping.yields.history import History

# Six posts an hour from 8 to 20, none at night; it ends on a Monday at 0:00.
DAY = [0] * 8 + [6] * 12 + [0] * 4
WEEKS = 8
UNTIL = 96 + WEEKS * 168


def after(hours, weeks=WEEKS):
    """Return the history of so many regular weeks, with these hours at the end."""
    posts = DAY * (7 * weeks) + hours
    return History(96 + len(posts), posts, list(posts))


def far(history):
    return judge.far(judge.windows(history), subreddits=10)


def test_a_negative_binomial_sum_has_the_chances_of_its_distribution():
    # By hand, with mean 2 and spread 1: p(n) = (1/3) · (2/3)^n.
    assert judge.chance(0, 2, 1) == pytest.approx(1 / 3)
    assert judge.chance(1, 2, 1) == pytest.approx(5 / 9)
    assert judge.chance(4, 2, 1) == pytest.approx((2 / 3) ** 4)
    assert judge.quantile(0.5, 2, 1) == 1
    # A tiny spread: Poisson.
    assert judge.chance(0, 10, 1e-6) == pytest.approx(4.54e-5, rel=0.01)
    assert judge.chance(900, 300, 0.05) > 0


def test_a_night_is_no_silence_and_a_day_without_posts_is():
    assert far(after(DAY[:8])) is None

    found = far(after([0] * 20))

    assert found is not None
    assert (found.kind, found.posts) == ("silent", 0)
    assert found.low > 0


def test_half_and_threefold_are_told_too():
    fewer, more = far(after([count // 2 for count in DAY] * 7)), far(after([3 * count for count in DAY]))

    assert fewer is not None
    assert more is not None
    assert (fewer.kind, more.kind) == ("fewer", "more")


def test_too_little_history_allows_no_judgement():
    assert far(after([0] * 24, weeks=1)) is None
    assert judge.windows(History()) == []
    rare = History(UNTIL, [0] * (WEEKS * 168), [0] * (WEEKS * 168))
    assert judge.windows(rare) == []


def test_hours_that_are_not_known_are_never_silence():
    history = after([0] * 24)
    history.kept[-24:] = [None] * 24
    assert far(history) is None


def test_a_bot_of_many_subreddits_needs_a_smaller_chance_for_each():
    assert judge.chance_allowed(24, 400) == pytest.approx(judge.chance_allowed(24, 1) / 400)
    assert judge.chance_allowed(3, 1) < judge.chance_allowed(168, 1)


def test_days_far_from_all_others_do_not_teach_what_is_usual():
    posts = DAY * (7 * WEEKS)
    flooded = list(posts)
    flooded[24 * 30 : 24 * 31] = [40 * count for count in DAY]
    plain, taught = judge.Usual(posts, UNTIL), judge.Usual(flooded, UNTIL)

    assert taught.expected(UNTIL, DAY) == pytest.approx(plain.expected(UNTIL, DAY), rel=0.05)


def test_what_is_usual_follows_growth():
    posts = [count * (1 + number // 168) for number, count in enumerate(DAY * (7 * WEEKS))]

    usual = judge.Usual(posts, UNTIL)

    assert usual.expected(UNTIL, DAY) > 1.3 * sum(posts) / (7 * WEEKS)
