"""The day of a time in UTC, on both databases and in any zone."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from database.utc_days import UTCDay
from maintenance.models import JobRun
from tests.kit import factories


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_a_time_has_its_day_in_utc(zone):
    midnight = datetime(2026, 3, 1, tzinfo=UTC)
    for moment in (midnight - timedelta(microseconds=1), midnight):
        factories.job_run(queued_at=moment)

    with timezone.override(zone):
        days = (
            JobRun.objects.annotate(day=UTCDay("queued_at"))
            .order_by("queued_at")
            .values_list("day", flat=True)
        )

        assert list(days) == [date(2026, 2, 28), date(2026, 3, 1)]
