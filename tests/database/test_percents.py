"""Some is not shown as none, nor most as all."""

import pytest

from database.percents import percent


@pytest.mark.parametrize(
    ("share", "text", "whole"),
    [
        (0, "0.0", "0"),
        (0.0004, "< 0.1", "< 1"),
        (0.004, "0.4", "< 1"),
        (0.5, "50.0", "50"),
        (0.996, "99.6", "> 99"),
        (0.9996, "> 99.9", "> 99"),
        (1, "100.0", "100"),
    ],
)
def test_a_percentage_is_rounded_but_not_to_none_or_all(share, text, whole):
    assert (percent(share), percent(share, digits=0)) == (text, whole)
