"""Retentions in the admin: the preview, and the second step of an edit that deletes more."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from maintenance import retention
from maintenance.models import RetentionOverride, RetentionPolicy
from maintenance.purging import plan
from tests.kit import factories
from tests.maintenance.admin.retention_steps import edit, stored

pytestmark = pytest.mark.django_db


def confirmed(page):
    """Return the form data that the second page posts."""
    return {**dict(page.context["kept"]), "opened": page.context["opened"], "seen": page.context["seen"]}


def aged(days, **fields):
    return factories.post(created_at=timezone.now() - timedelta(days=days), **fields)


def test_the_preview_counts_and_saves_nothing(client, editor, policy, preview):
    factories.comment(post=aged(70))
    aged(20)

    page = client.post(preview, edit(60)).content.decode()

    assert "The next run would delete 2 more rows." in page
    assert "Posts: 1" in page
    assert "Comments: 1" in page
    assert (
        "This changes nothing for the rows that are stored now"
        in client.post(preview, edit(80)).content.decode()
    )
    assert stored(policy) == (90, [])


def test_the_preview_says_which_numbers_are_estimates(client, editor, policy, preview, monkeypatch):
    monkeypatch.setattr(plan, "ESTIMATED_ROWS_MIN", 0)
    aged(70, comments_fetched=4_000)

    page = " ".join(client.post(preview, edit(60)).content.decode().split())

    assert "would delete about 4,001 more rows" in page
    assert "Comments: about 4,000" in page
    assert "Posts: 1" in page


def test_the_preview_of_a_longer_retention_says_what_stays(client, editor, preview):
    aged(100)

    assert "would keep 1 row" in client.post(preview, edit(120)).content.decode()


def test_the_preview_of_a_retention_that_is_gone_is_not_found(client, superuser, preview):
    RetentionPolicy.objects.all().delete()

    assert client.post(preview, edit(60)).status_code == 404


def test_the_retention_of_a_job_that_is_no_longer_declared_is_edited_all_the_same(client, superuser):
    policy = factories.retention_policy(job="cleanup_drafts", days=30)

    for name in ("admin:maintenance_retention_preview", "admin:maintenance_retentionpolicy_change"):
        assert client.post(reverse(name, args=[policy.pk]), {"days": 20}).status_code in (200, 302)

    assert stored(policy) == (20, [])


def test_a_bot_with_an_override_is_not_deleted(client, superuser, policy):
    bot = factories.retention_override(policy=policy, config=factories.bot_config()).config
    form_address = reverse("admin:scraping_botconfig_delete", args=[bot.pk])

    assert "protected" in client.get(form_address).content.decode()
    assert client.post(form_address, {"post": "yes"}).status_code == 200
    assert type(bot).objects.filter(pk=bot.pk).exists()


def test_a_preview_is_posted(client, superuser, preview):
    assert client.get(preview).status_code == 405


@pytest.mark.slow
def test_an_edit_that_deletes_more_is_asked_twice(client, superuser, policy, form_address):
    aged(70)
    form = edit(60, ("rust", "", 365))

    page = client.post(form_address, form)

    assert page.status_code == 200
    assert "The next run would delete 1 more row." in page.content.decode()
    assert stored(policy) == (90, [])

    assert dict(page.context["kept"]) == {name: str(value) for name, value in form.items()}
    assert client.post(form_address, confirmed(page)).status_code == 302
    assert stored(policy) == (60, [("rust", None, 365)])


@pytest.mark.slow
def test_days_below_the_floor_do_not_move_to_another_subreddit(client, editor, policy, form_address):
    row = factories.retention_override(policy=policy, subreddit="spam", days=1)
    form = edit(90, stored=[row]) | {"overrides-0-subreddit": "python"}

    page = client.post(form_address, form)

    assert page.status_code == 200
    assert "fewer need the permission to approve runs" in page.content.decode()
    assert stored(policy) == (90, [("spam", None, 1)])


@pytest.mark.slow
@pytest.mark.parametrize("previewed_again", [False, True])
def test_what_somebody_else_changed_meanwhile_is_asked_for(
    client, superuser, policy, form_address, preview, previewed_again
):
    form = {**edit(60), "opened": client.get(form_address).context["opened"]}
    seen = client.post(preview, form).context["seen"]
    factories.retention_override(policy=policy, subreddit="keep", days=3650)
    if previewed_again:
        fragment = client.post(preview, form)
        assert "Somebody else changed this retention meanwhile." in fragment.content.decode()
        seen = fragment.context["seen"]

    page = client.post(form_address, {**form, "seen": seen})

    assert "Somebody else changed this retention meanwhile." in page.content.decode()
    assert stored(policy) == (90, [("keep", None, 3650)])
    again = confirmed(page)
    assert client.post(form_address, again).status_code == 302
    assert stored(policy) == (60, [])


@pytest.mark.slow
@pytest.mark.parametrize("theirs", ["days", "deleted"])
def test_a_form_whose_overrides_were_stored_anew_or_deleted_meanwhile_is_asked_for(
    client, superuser, policy, form_address, preview, theirs
):
    row = factories.retention_override(policy=policy, subreddit="keep", days=3650)
    form = {**edit(60, stored=[row]), "opened": client.get(form_address).context["opened"]}
    if theirs == "days":
        after = retention.Retention(80, (RetentionOverride(subreddit="keep", days=3650),))
    else:
        after = retention.Retention(90)
    retention.change(policy, after, by=superuser)

    fragment = client.post(preview, form)
    page = client.post(form_address, {**form, "seen": fragment.context["seen"]})

    assert "Somebody else changed this retention meanwhile." in page.content.decode()
    again = confirmed(page)
    assert client.post(form_address, again).status_code == 302
    assert stored(policy) == (60, [("keep", None, 3650)])


def test_two_who_decide_the_same_are_in_nobodys_way(client, superuser, policy, form_address):
    form = {**edit(60), "opened": client.get(form_address).context["opened"]}
    retention.change(policy, retention.Retention(60), by=superuser)

    assert client.post(form_address, form).status_code == 302


def test_days_below_the_floor_that_still_stand_hinder_no_edit_of_others(client, editor, policy, form_address):
    row = factories.retention_override(policy=policy, subreddit="spam", days=1)
    form = edit(120, stored=[row])
    after = retention.Retention(90, (RetentionOverride(subreddit="spam", days=1),))
    retention.change(policy, retention.Retention(91, after.overrides), by=factories.superuser())
    retention.change(policy, after, by=factories.superuser())  # stored again, so the row has another key

    assert client.post(form_address, form).status_code == 302
    assert stored(policy) == (120, [("spam", None, 1)])


def test_a_stale_form_does_not_bring_back_days_below_the_floor(client, editor, policy, form_address):
    row = factories.retention_override(policy=policy, subreddit="spam", days=1)
    retention.change(policy, retention.Retention(90), by=factories.superuser())

    page = client.post(form_address, edit(90, stored=[row]))

    assert page.status_code == 200
    assert "fewer need the permission to approve runs" in page.content.decode()
    assert stored(policy) == (90, [])


def test_having_seen_another_edit_does_not_count(client, superuser, policy, form_address, preview):
    aged(70)
    aged(20)
    seen = client.post(preview, edit(60)).context["seen"]

    assert client.post(form_address, {**edit(10), "seen": seen}).status_code == 200
    assert stored(policy) == (90, [])
    assert client.post(form_address, {**edit(60), "seen": seen}).status_code == 302


def test_an_edit_that_deletes_nothing_more_is_not_asked_twice(client, superuser, policy, form_address):
    aged(20)
    aged(100)

    assert client.post(form_address, edit(30)).status_code == 302
    assert stored(policy) == (30, [])
