"""Times name their zone without ambiguity, and counts are grouped, whatever the language."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import translation

from adminkit.moments import zone_name
from adminkit.templatetags.display import moment, number, zoned


@pytest.mark.parametrize(
    ("zone", "month", "name"),
    [
        ("Asia/Shanghai", 1, "UTC+8"),
        ("America/Chicago", 1, "UTC−6"),
        ("Europe/Berlin", 1, "UTC+1"),
        ("Europe/Berlin", 7, "UTC+2"),
        ("Asia/Kolkata", 1, "UTC+5:30"),
        ("America/St_Johns", 1, "UTC−3:30"),
        ("Europe/London", 1, "UTC"),
    ],
)
def test_a_zone_is_named_by_its_distance_from_utc(zone, month, name):
    assert zone_name(datetime(2026, month, 5, tzinfo=ZoneInfo(zone))) == name


def test_no_two_zones_that_share_an_abbreviation_read_the_same():
    shanghai, chicago = (
        datetime(2026, 1, 5, tzinfo=ZoneInfo(f"{name}")) for name in ("Asia/Shanghai", "America/Chicago")
    )

    assert f"{shanghai:%Z}" == f"{chicago:%Z}" == "CST"
    assert zoned(shanghai) != zoned(chicago)


def test_a_moment_is_written_in_the_consoles_zone(settings):
    assert moment(datetime(2026, 1, 5, 12, tzinfo=UTC)) == "2026-01-05 20:00:00 UTC+8"


@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_counts_are_grouped_in_every_language(language):
    with translation.override(language):
        assert number(14_077) == "14,077"
        assert number(1_234_567) == "1,234,567"
