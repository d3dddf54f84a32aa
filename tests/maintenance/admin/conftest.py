"""The schedules of a new installation, including two of the purge."""

import pytest
from django.urls import reverse

from maintenance import retention
from maintenance.models import RetentionPolicy
from maintenance.scheduling import schedules, seeding
from tests.kit import factories


@pytest.fixture(autouse=True)
def seeded():
    seeding.seed()


@pytest.fixture
def purge():
    return schedules.for_job("purge_old_content")


@pytest.fixture
def policy():
    return RetentionPolicy.objects.get(job="purge_old_content")


@pytest.fixture
def form_address(policy):
    return reverse("admin:maintenance_retentionpolicy_change", args=[policy.pk])


@pytest.fixture
def preview(policy):
    return reverse("admin:maintenance_retention_preview", args=[policy.pk])


@pytest.fixture
def editor(client):
    """Sign in a user who may only change retentions."""
    user = factories.user(retention.PERMISSION, "maintenance.view_retentionpolicy")
    client.force_login(user)
    return user
