"""Each view of schedules, runs and retentions requires its permission, and viewing changes nothing."""

import pytest
from django.urls import reverse

from maintenance.models import RetentionPolicy
from tests.kit import factories
from tests.maintenance.admin.steps import APPROVE, CANCEL, EDIT, PREVIEW, RUN, SEE, SEE_RUNS

pytestmark = pytest.mark.django_db


VIEWS = [
    # name, method, sufficient permissions, insufficient permissions, status with the sufficient ones
    (PREVIEW, "get", [SEE], [SEE_RUNS, RUN], 200),
    ("admin:maintenance_schedule_pause", "get", [EDIT], [SEE, RUN], 200),
    ("admin:maintenance_schedule_pause", "post", [EDIT], [SEE, RUN], 200),
    ("admin:maintenance_schedule_resume", "post", [EDIT], [SEE, RUN], 302),
    ("admin:maintenance_schedule_duplicate", "post", [SEE, EDIT, "django_celery_beat.add_periodictask", RUN], [SEE, EDIT, RUN], 302),
    ("admin:maintenance_schedule_reset", "post", [EDIT], [SEE, RUN], 302),
    ("admin:maintenance_schedule_keep", "post", [EDIT], [SEE, RUN], 302),
    ("admin:django_celery_beat_periodictask_change", "get", [SEE], [SEE_RUNS, RUN], 200),
    ("admin:django_celery_beat_periodictask_change", "post", [EDIT], [SEE, RUN], 200),
    ("admin:django_celery_beat_periodictask_delete", "post", [SEE, "django_celery_beat.delete_periodictask"], [SEE, EDIT], 302),
    ("admin:django_celery_beat_periodictask_add", "get", [SEE, EDIT, "django_celery_beat.add_periodictask"], [SEE, "django_celery_beat.add_periodictask"], 200),
    ("admin:maintenance_job_run", "get", [RUN], [SEE, EDIT, SEE_RUNS], 200),
    ("admin:maintenance_job_run", "post", [RUN], [SEE, EDIT, SEE_RUNS], 302),
    ("admin:maintenance_jobrun_changelist", "get", [SEE_RUNS], [SEE, EDIT, RUN], 200),
    ("admin:maintenance_jobrun_change", "get", [SEE_RUNS], [SEE, EDIT, RUN], 200),
    ("admin:maintenance_jobrun_live", "get", [SEE_RUNS], [SEE, EDIT, RUN], 200),
    ("admin:maintenance_jobrun_log", "get", [SEE_RUNS], [SEE, EDIT, RUN], 200),
    ("admin:maintenance_jobrun_cancel", "get", [SEE_RUNS, CANCEL], [SEE_RUNS, RUN], 200),
    ("admin:maintenance_jobrun_cancel", "post", [SEE_RUNS, CANCEL], [SEE_RUNS, RUN], 302),
    ("admin:maintenance_jobrun_force_stop", "post", [SEE_RUNS, CANCEL], [SEE_RUNS, RUN], 302),
    ("admin:maintenance_jobrun_approve", "post", [SEE_RUNS, APPROVE], [SEE_RUNS, RUN, CANCEL], 302),
    ("admin:maintenance_jobrun_reject", "post", [SEE_RUNS, APPROVE], [SEE_RUNS, RUN, CANCEL], 302),
    ("admin:maintenance_retentionpolicy_change", "get", ["maintenance.view_retentionpolicy"], [SEE, EDIT, RUN], 200),
    ("admin:maintenance_retentionpolicy_change", "post", ["maintenance.change_retentionpolicy"], ["maintenance.view_retentionpolicy"], 302),
    ("admin:maintenance_retention_preview", "post", ["maintenance.change_retentionpolicy"], ["maintenance.view_retentionpolicy", RUN, APPROVE], 200),
]  # fmt: skip


@pytest.fixture
def address(purge):
    def of(name):
        if name == PREVIEW:
            return (
                reverse(name) + "?minute=0&hour=1&day_of_month=*&month_of_year=*&day_of_week=*&timezone=UTC"
            )
        if name == "admin:maintenance_job_run":
            return reverse(name, args=["cleanup_tokens"])
        if name.endswith(("_changelist", "_add")):
            return reverse(name)
        if "jobrun" in name:
            blocked = name.endswith(("_approve", "_reject"))
            return reverse(name, args=[factories.job_run(status="blocked" if blocked else "running").pk])
        if "retention" in name:
            return reverse(name, args=[RetentionPolicy.objects.get(job="purge_old_content").pk])
        return reverse(name, args=[purge.pk])

    return of


@pytest.mark.slow
@pytest.mark.parametrize(("name", "method", "enough", "too_little", "status"), VIEWS)
def test_every_view_asks_for_its_permission(client, address, name, method, enough, too_little, status):
    target = address(name)
    data = {"post": "yes", "days": "12", "next": ""} if method == "post" else None

    anonymous = getattr(client, method)(target, data)
    assert anonymous.status_code == 302
    assert anonymous.url.startswith(reverse("admin:login"))

    client.force_login(factories.user(*too_little))
    assert getattr(client, method)(target, data).status_code == 403

    client.force_login(factories.user(*enough))
    assert getattr(client, method)(target, data).status_code == status


@pytest.mark.parametrize("name", ["resume", "reset", "keep"])
def test_looking_changes_no_schedule(client, operator, purge, name):
    assert client.get(reverse(f"admin:maintenance_schedule_{name}", args=[purge.pk])).status_code == 405


@pytest.mark.parametrize("name", ["force_stop", "approve", "reject"])
def test_looking_changes_no_run(client, operator, name):
    run = factories.job_run(status="blocked")

    assert client.get(reverse(f"admin:maintenance_jobrun_{name}", args=[run.pk])).status_code == 405
