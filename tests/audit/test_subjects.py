"""The Activity page links only subjects that still exist."""

import pytest
from django.urls import reverse

from maintenance.scheduling import edits
from tests.kit import factories

pytestmark = pytest.mark.django_db


def test_a_deleted_subject_is_named_without_a_link(client, superuser, django_assert_max_num_queries):
    kept, gone = factories.schedule(name="Kept"), factories.schedule(name="Gone")
    for schedule in (kept, gone):
        edits.pause(schedule, by=superuser, reason="audit")
    link, dead = (
        reverse("admin:django_celery_beat_periodictask_change", args=[row.pk]) for row in (kept, gone)
    )
    gone.delete()

    with django_assert_max_num_queries(20):
        shown = client.get(reverse("admin:audit_event_changelist")).content.decode()

    assert link in shown
    assert ">Kept</a>" in shown
    assert "Gone" in shown
    assert dead not in shown
