"""Which hours are known, and how many posts they have."""

from scraping.yields.history import SIZE, History


def test_an_hour_between_two_listings_is_counted_once_and_whole():
    history = History()
    history.add({10: 4, 11: 1}, {10: 3, 11: 1}, since=10, current=11)
    history.add({11: 2, 12: 5}, {11: 2, 12: 4}, since=None, current=13)
    history.add({}, {}, since=None, current=15)

    assert (history.until, history.listed, history.kept) == (15, [4, 3, 5, 0, 0], [3, 3, 4, 0, 0])


def test_hours_between_two_listings_that_do_not_meet_are_unknown():
    history = History()
    history.add({10: 4}, {10: 4}, since=10, current=11)
    history.add({14: 7}, {14: 7}, since=14, current=15)

    assert history.kept == [4, None, None, None, 7]


def test_a_listing_that_shows_hours_again_replaces_them():
    history = History()
    history.add({10: 4, 11: 9}, {10: 4, 11: 9}, since=10, current=12)
    history.add({11: 8, 12: 1}, {11: 8, 12: 1}, since=11, current=13)

    assert history.kept == [4, 8, 1]


def test_a_clock_that_was_set_back_takes_nothing_away():
    history = History()
    history.add({10: 4, 11: 9}, {10: 4, 11: 9}, since=10, current=12)
    history.add({}, {}, since=None, current=9)
    history.add({12: 1}, {12: 1}, since=None, current=13)

    assert (history.until, history.kept) == (13, [4, 9, 1])


def test_only_eight_weeks_are_kept():
    history = History()
    history.add({}, {}, since=0, current=SIZE + 5)
    history.add({SIZE + 5: 2}, {SIZE + 5: 1}, since=None, current=SIZE + 6)

    assert (len(history.kept), len(history.listed), history.kept[-1], history.listed[-1]) == (
        SIZE,
        SIZE,
        1,
        2,
    )


def test_it_is_restored_from_its_column_and_invalid_data_is_an_empty_history():
    history = History()
    history.add({10: 4, 12: 1}, {10: 3, 12: 1}, since=10, current=12)
    assert History.of(history.as_json()) == history

    history.listed = list(history.kept)
    assert "listed" not in history.as_json()
    assert History.of(history.as_json()) == history

    for damaged in (
        None,
        [],
        {"kept": 3},
        {"until": "x", "kept": [1]},
        {"until": 3, "kept": [1], "listed": [1, 2]},
    ):
        assert History.of(damaged) == History()


def test_what_was_before_a_new_usual_is_forgotten():
    history = History()
    history.add({10: 4, 12: 1}, {10: 3, 12: 1}, since=10, current=14)
    history.forget_before(12)

    assert (history.until, history.kept, history.listed) == (14, [1, 0], [1, 0])
