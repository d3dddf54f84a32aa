"""How well the sweep keeps up."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone
from pytest_django import Settings

from scraping.compliance.coverage import Coverage, coverage
from tests.kit.scraped import make_comment, make_post

pytestmark = pytest.mark.django_db


def test_with_nothing_stored_there_is_no_coverage() -> None:
    assert coverage().percent is None
    assert not coverage().is_below_target


def test_coverage_counts_posts_and_comments_verified_in_the_last_48_hours(settings: Settings) -> None:
    now = timezone.now()
    with time_machine.travel(now, tick=False):
        post = make_post(checked_at=now - timedelta(hours=48))
        make_comment(post, checked_at=now)
        make_comment(post, checked_at=now - timedelta(hours=48, microseconds=1))
        make_comment(post, checked_at=None)
        settings.COMPLIANCE_TARGET_PERCENT = 50
        assert coverage().percent == 50
        assert not coverage().is_below_target
        settings.COMPLIANCE_TARGET_PERCENT = 50.1
        assert coverage().is_below_target


def test_a_target_that_is_missed_does_not_look_reached(settings: Settings) -> None:
    settings.COMPLIANCE_TARGET_PERCENT = 95
    found = Coverage(94.96)

    assert (found.is_below_target, found.shown_percent) == (True, 94.9)
    assert [Coverage(exact).shown_percent for exact in (None, 57.0, 99.99)] == [None, 57.0, 99.9]
