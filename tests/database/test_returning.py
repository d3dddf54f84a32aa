"""One statement changes rows and tells which: those that it changed, as they are then, and no others."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Upper

from database.messages import gettext as _
from database.returning import Returning, delete_rows, update_rows
from maintenance.models import JobRun
from tests.kit import factories

pytestmark = pytest.mark.django_db


def test_an_update_returns_the_rows_that_it_changed_as_they_are_then(django_assert_num_queries):
    changed, other = factories.user(username="ann"), factories.user(username="bob")

    with django_assert_num_queries(1):
        told = update_rows(User.objects.filter(username="ann"), last_name=Upper("username"), is_staff=False)

    assert [(row.pk, row.last_name, row.is_staff) for row in told] == [(changed.pk, "ANN", False)]
    changed.refresh_from_db()
    other.refresh_from_db()
    assert (changed.last_name, other.last_name) == ("ANN", "")


def test_an_update_that_matches_nothing_returns_nothing():
    factories.user()
    assert update_rows(User.objects.filter(username="nobody"), last_name="x") == []


def test_an_update_that_can_match_nothing_asks_the_database_nothing(django_assert_num_queries):
    factories.user()
    with django_assert_num_queries(0):
        assert update_rows(User.objects.filter(pk__in=[]), last_name="x") == []
    assert not User.objects.filter(last_name="x").exists()


def test_an_order_says_nothing_to_an_update():
    run = factories.job_run()
    rows = JobRun.objects.filter(pk=run.pk).order_by("schedule__name")
    assert [row.pk for row in update_rows(rows, progress_total=F("progress_done") + 1)] == [run.pk]


def test_a_slice_is_refused_as_by_django():
    with pytest.raises(TypeError, match="slice"):
        update_rows(User.objects.all()[:1], last_name="x")


def test_a_text_of_an_updated_row_brings_its_parts_along():
    run = factories.job_run()
    update_rows(JobRun.objects.filter(pk=run.pk), message=_("%(bot)s would be scraped.") % {"bot": "ann"})

    text = _("%(bot)s would be scraped.") % {"bot": "bob"}
    JobRun.objects.filter(pk=factories.job_run().pk).update(message=text)

    by_statement, by_django = JobRun.objects.order_by("pk").values_list("message_parts", flat=True)
    assert by_django is not None
    assert str(by_statement) == str(by_django).replace("bob", "ann")


def test_a_refused_update_spoils_only_the_transaction_it_was_part_of():
    factories.user(username="ann")
    factories.user(username="bob")

    with pytest.raises(IntegrityError), transaction.atomic():
        update_rows(User.objects.filter(username="bob"), username="ann")

    assert User.objects.filter(username="bob").exists()


def test_after_a_refused_update_django_knows_that_its_transaction_is_spoilt():
    factories.user(username="ann")
    factories.user(username="bob")

    with transaction.atomic():
        with pytest.raises(IntegrityError):
            update_rows(User.objects.filter(username="bob"), username="ann")
        assert transaction.get_rollback()
        transaction.set_rollback(True)


def test_a_deletion_tells_of_the_rows_that_it_deleted():
    going, staying = factories.login_session(), factories.login_session()
    told: list[tuple[object, ...]] = []
    rows = type(going).objects.filter(pk=going.pk)

    assert delete_rows(rows, Returning([F("session_key")], told.extend)) == 1

    assert told == [(going.session_key,)]
    assert list(type(going).objects.all()) == [staying]


def test_a_deletion_that_can_match_nothing_tells_nothing():
    session = factories.login_session()
    told: list[tuple[object, ...]] = []
    rows = type(session).objects.filter(pk__in=[])

    assert delete_rows(rows, Returning([F("session_key")], told.extend)) == 0
    assert delete_rows(rows) == 0
    assert told == []
