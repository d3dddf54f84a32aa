"""What a person reads: titles instead of slugs, no class names, no "none" as a reason, no change that is none."""

import pytest
from django.urls import reverse
from django.utils import timezone

from alerts import failures
from audit import changes
from audit.events import events_of
from audit.models import Event
from maintenance import retention
from maintenance.admin.runs import JobRunAdmin
from maintenance.models import JobRun
from maintenance.scheduling import schedules
from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("page", ["maintenance_mode", "maintenance_pause_scraping"])
def test_a_page_with_words_of_its_own_leaves_the_search_box_empty(client, superuser, page):
    page = client.get(reverse(f"admin:{page}")).content.decode()

    assert 'id="global-search" value=""' in page


def test_an_event_names_its_subject_by_the_title_and_shows_only_what_changed(client, superuser):
    policy = factories.retention_policy(job="purge_old_content", days=9)
    factories.retention_override(policy=policy, subreddit="python", days=30)
    stored = retention.retention_of(policy)
    retention.change(policy, retention.Retention(10, stored.overrides), by=superuser)
    event = events_of(type(policy), [policy.pk]).get()

    page = client.get(reverse("admin:audit_event_changelist")).content.decode()

    assert "Purge old content</a>" in page
    assert [(one.name, one.before, one.after) for one in changes.rows_of(event)] == [("Days", "9", "10")]


def test_the_activity_of_a_row_to_which_nothing_happened_names_the_row(client, superuser):
    run = factories.job_run(job="purge_old_content")
    assert not Event.objects.exists()

    page = client.get(
        reverse("admin:audit_event_changelist"), {"kind": run._meta.label, "id": run.pk}
    ).content.decode()

    assert f"Purge old content #{run.pk}" in page


def test_a_failure_without_a_reason_has_no_cause():
    factories.job_run(status="failed", finished_at=timezone.now())

    [group] = failures.read_groups(JobRun.objects.all(), timezone.now())

    assert group.cause == ""


def test_who_may_not_change_a_schedule_reads_the_title_of_its_job(client, seeded):
    client.force_login(factories.user("django_celery_beat.view_periodictask"))
    schedule = schedules.for_job("purge_old_content")

    page = client.get(
        reverse("admin:django_celery_beat_periodictask_change", args=[schedule.pk])
    ).content.decode()

    assert "proj.tasks" not in page
    assert "maintenance.purge_old_content" not in page


def test_who_may_run_nothing_is_not_offered_to_run_again(rf):
    request = rf.get("/")
    request.user = factories.user("maintenance.view_jobrun")
    runs = JobRunAdmin(JobRun, None)
    assert not runs.has_retry_permission(request)

    factories.bot_config(owner=request.user)

    assert runs.has_retry_permission(request)
