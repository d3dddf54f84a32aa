"""Retentions in the admin: the form, and the history afterwards."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import Event
from maintenance import retention
from maintenance.models import RetentionOverride, RetentionPolicy
from tests.kit import factories
from tests.maintenance.admin.retention_steps import edit, stored

pytestmark = pytest.mark.django_db


@pytest.mark.slow
@pytest.mark.parametrize(("days", "stored"), [("1", 1), ("400", 400), ("0", 90), ("-3", 90), ("36501", 90)])
def test_a_retention_is_at_least_a_day(client, superuser, days, stored):
    policy = RetentionPolicy.objects.get(job="purge_old_content")

    response = client.post(
        reverse("admin:maintenance_retentionpolicy_change", args=[policy.pk]), {"days": days}
    )

    policy.refresh_from_db()
    assert policy.days == stored
    if response.status_code == 302:
        assert policy.updated_by == superuser
    else:
        assert "days" in response.context["adminform"].form.errors


def test_retentions_are_neither_added_nor_deleted(client, superuser):
    policy = RetentionPolicy.objects.get(job="purge_old_content")

    assert client.get(reverse("admin:maintenance_retentionpolicy_add")).status_code == 403
    assert (
        client.post(
            reverse("admin:maintenance_retentionpolicy_delete", args=[policy.pk]), {"post": "yes"}
        ).status_code
        == 403
    )
    assert RetentionPolicy.objects.filter(pk=policy.pk).exists()


def test_days_and_overrides_are_saved_together(client, superuser, policy, form_address):
    bot = factories.bot_config()

    answer = client.post(form_address, edit(60, ("r/Python", "", 365), ("", bot.pk, 20), ("", "", "")))

    assert answer.status_code == 302, answer.context["errors"]
    assert stored(policy) == (60, [("", bot.pk, 20), ("Python", None, 365)])
    assert [*Event.objects.values_list("verb", flat=True)] == ["retention.changed"]


def test_overrides_are_edited_and_deleted(client, superuser, policy, form_address):
    gone = factories.retention_override(policy=policy, subreddit="gone", days=30)
    kept = factories.retention_override(policy=policy, subreddit="kept", days=30)
    kept.days = 40

    client.post(form_address, edit(90, ("Gone", "", 50), stored=[gone, kept], delete=[gone.pk]))

    assert stored(policy) == (90, [("Gone", None, 50), ("kept", None, 40)])


def test_a_post_that_says_nothing_of_overrides_leaves_them(client, superuser, policy, form_address):
    factories.retention_override(policy=policy, subreddit="python", days=30)

    client.post(form_address, {"days": 100})

    assert stored(policy) == (100, [("python", None, 30)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "error"),
    [
        (("", "", 5), "Name either a subreddit or a bot."),
        (("python", "bot", 5), "Name either a subreddit or a bot."),
        (("no subreddit!", "", 30), "is not a subreddit name"),
        (("python", "", 0), "greater than or equal to 1"),
        (("python", "", ""), "This field is required."),
        (("PYTHON", "", 50), "This subreddit or bot is listed twice."),
        (("django", 99999999, 50), "Select a valid choice"),
    ],
)
def test_a_bad_override_is_refused_where_it_stands(
    client, superuser, policy, form_address, preview, row, error
):
    name, bot, days = row
    form = edit(90, ("python", "", 30), (name, factories.bot_config().pk if bot == "bot" else bot, days))

    page = client.post(form_address, form)

    assert page.status_code == 200
    assert error in page.content.decode()
    assert error in client.post(preview, form).content.decode()
    assert stored(policy) == (90, [])


@pytest.mark.slow
@pytest.mark.parametrize("form", [edit(6), edit(90, ("python", "", 6))])
def test_the_floor_is_told_at_the_field(client, editor, policy, form_address, form):
    page = client.post(form_address, form)

    assert "At least 7 days" in page.content.decode()
    assert stored(policy) == (90, [])

    client.force_login(factories.user(retention.PERMISSION, "maintenance.approve_run"))
    assert client.post(form_address, form).status_code == 302


def test_a_job_without_overrides_offers_none(client, superuser):
    policy = RetentionPolicy.objects.get(job="cleanup_sessions")

    page = client.get(reverse("admin:maintenance_retentionpolicy_change", args=[policy.pk])).content.decode()

    assert "overrides-TOTAL_FORMS" not in page


@pytest.mark.slow
def test_many_overrides_take_no_query_each(client, superuser, policy, form_address):
    def queries(target):
        with CaptureQueriesContext(connection) as captured:
            client.get(target)
        return len(captured)

    pages = (form_address, reverse("admin:maintenance_retentionpolicy_changelist"))
    factories.retention_override(policy=policy, config=factories.bot_config())
    client.get(form_address)  # content types are queried once per process
    few = [queries(page) for page in pages]
    for _ in range(5):
        factories.retention_override(policy=policy, config=factories.bot_config())

    assert [queries(page) for page in pages] == few


def test_an_edit_needs_the_token_of_a_form(editor, policy, form_address, preview):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(editor)

    for target in (form_address, preview):
        assert browser.post(target, edit(60)).status_code == 403
    assert stored(policy) == (90, [])


def test_looking_at_a_retention_is_not_changing_it(client, policy, form_address, preview):
    client.force_login(factories.user("maintenance.view_retentionpolicy"))
    factories.retention_override(policy=policy, subreddit="python", days=30)

    page = client.get(form_address).content.decode()

    assert "python" in page
    assert preview not in page
    assert client.post(form_address, edit(60)).status_code == 403
    assert stored(policy) == (90, [("python", None, 30)])


def test_the_history_shows_before_and_after(client, superuser, policy, form_address):
    client.post(form_address, edit(60, ("python", "", 365)))

    page = client.get(
        reverse("admin:maintenance_retentionpolicy_history", args=[policy.pk]), follow=True
    ).content.decode()

    for text in ("90 →", "60", "r/python: 365"):
        assert text in page


def test_the_list_names_the_overrides(client, superuser, policy):
    for name in ("a1", "b1", "c1", "d1", "e1"):
        RetentionOverride.objects.create(policy=policy, subreddit=name, days=30)

    page = client.get(reverse("admin:maintenance_retentionpolicy_changelist")).content.decode()

    assert "r/a1: 30, r/b1: 30, r/c1: 30, r/d1: 30 …" in page
