"""The database's clock."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from database.clock import database_now
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_is_aware_and_about_now():
    assert abs(database_now() - timezone.now()) < timedelta(seconds=1)


def test_it_goes_on_within_a_transaction():
    with transaction.atomic():
        first = database_now()
        assert wait_until(lambda: database_now() > first, timeout=5, every=0.001)
