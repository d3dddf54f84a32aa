"""Retentions in the admin: the form, its preview, the second step, the history."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from maintenance import retention
from maintenance.models import RetentionOverride, RetentionPolicy
from maintenance.scheduling import seeding
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def seeded():
    seeding.seed()


@pytest.fixture
def policy():
    return RetentionPolicy.objects.get(job="purge_old_content")


@pytest.fixture
def address(policy):
    return reverse("admin:maintenance_retentionpolicy_change", args=[policy.pk])


@pytest.fixture
def preview(policy):
    return reverse("admin:maintenance_retention_preview", args=[policy.pk])


@pytest.fixture
def superuser(client):
    user = factories.superuser()
    client.force_login(user)
    return user


@pytest.fixture
def operator(client):
    user = factories.user(retention.PERMISSION, "maintenance.view_retentionpolicy")
    client.force_login(user)
    return user


def edit(days, *overrides, stored=(), delete=()):
    """The form as a browser posts it; an override is (subreddit, bot, days)."""
    form = {
        "days": days,
        "overrides-TOTAL_FORMS": len(overrides) + len(stored),
        "overrides-INITIAL_FORMS": len(stored),
    }
    rows = [(row.subreddit, row.config_id or "", row.days, row.pk) for row in stored]
    rows += [(name, bot, kept, "") for name, bot, kept in overrides]
    for number, (name, bot, kept, pk) in enumerate(rows):
        form |= {
            f"overrides-{number}-subreddit": name,
            f"overrides-{number}-config": bot,
            f"overrides-{number}-days": kept,
            f"overrides-{number}-id": pk,
        }
        if pk in delete:
            form[f"overrides-{number}-DELETE"] = "on"
    return form


def confirmed(page):
    """What the second page posts."""
    return {**dict(page.context["kept"]), "opened": page.context["opened"], "seen": page.context["seen"]}


def stored(policy):
    policy.refresh_from_db()
    return policy.days, [(row.subreddit, row.config_id, row.days) for row in policy.overrides.all()]


def aged(days, **fields):
    return factories.post(created_at=timezone.now() - timedelta(days=days), **fields)


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


# --- The form ------------------------------------------------------------------------------------


def test_days_and_overrides_are_saved_together(client, superuser, policy, address):
    bot = factories.bot_config()

    answer = client.post(address, edit(60, ("r/Python", "", 365), ("", bot.pk, 20), ("", "", "")))

    assert answer.status_code == 302, answer.context["errors"]
    assert stored(policy) == (60, [("", bot.pk, 20), ("Python", None, 365)])
    assert [*Event.objects.values_list("verb", flat=True)] == ["retention.changed"]


def test_overrides_are_edited_and_deleted(client, superuser, policy, address):
    gone = factories.retention_override(policy=policy, subreddit="gone", days=30)
    kept = factories.retention_override(policy=policy, subreddit="kept", days=30)
    kept.days = 40

    client.post(address, edit(90, ("Gone", "", 50), stored=[gone, kept], delete=[gone.pk]))

    assert stored(policy) == (90, [("Gone", None, 50), ("kept", None, 40)])


def test_a_post_that_says_nothing_of_overrides_leaves_them(client, superuser, policy, address):
    factories.retention_override(policy=policy, subreddit="python", days=30)

    client.post(address, {"days": 100})

    assert stored(policy) == (100, [("python", None, 30)])


@pytest.mark.parametrize(
    ("row", "error"),
    [
        (("", "", 5), "Name either a subreddit or a bot."),
        (("python", "bot", 5), "Name either a subreddit or a bot."),
        (("no subreddit!", "", 30), "is not a subreddit name"),
        (("python", "", 0), "greater than or equal to 1"),
        (("python", "", ""), "This field is required."),
        (("PYTHON", "", 50), "This one is named twice."),
        (("django", 99999999, 50), "Select a valid choice"),
    ],
)
def test_a_bad_override_is_refused_where_it_stands(client, superuser, policy, address, preview, row, error):
    name, bot, days = row
    form = edit(90, ("python", "", 30), (name, factories.bot_config().pk if bot == "bot" else bot, days))

    page = client.post(address, form)

    assert page.status_code == 200
    assert error in page.content.decode()
    assert error in client.post(preview, form).content.decode()
    assert stored(policy) == (90, [])


@pytest.mark.parametrize("form", [edit(6), edit(90, ("python", "", 6))])
def test_the_floor_is_told_at_the_field(client, operator, policy, address, form):
    page = client.post(address, form)

    assert "At least 7 days" in page.content.decode()
    assert stored(policy) == (90, [])

    client.force_login(factories.user(retention.PERMISSION, "maintenance.approve_run"))
    assert client.post(address, form).status_code == 302


def test_a_job_without_overrides_offers_none(client, superuser):
    policy = RetentionPolicy.objects.get(job="cleanup_sessions")

    page = client.get(reverse("admin:maintenance_retentionpolicy_change", args=[policy.pk])).content.decode()

    assert "overrides-TOTAL_FORMS" not in page


def test_many_overrides_take_no_query_each(client, superuser, policy, address):
    def queries(target):
        with CaptureQueriesContext(connection) as captured:
            client.get(target)
        return len(captured)

    pages = (address, reverse("admin:maintenance_retentionpolicy_changelist"))
    factories.retention_override(policy=policy, config=factories.bot_config())
    client.get(address)  # content types are asked for once a process
    few = [queries(page) for page in pages]
    for _ in range(5):
        factories.retention_override(policy=policy, config=factories.bot_config())

    assert [queries(page) for page in pages] == few


def test_an_edit_needs_the_token_of_a_form(operator, policy, address, preview):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator)

    for target in (address, preview):
        assert browser.post(target, edit(60)).status_code == 403
    assert stored(policy) == (90, [])


def test_looking_at_a_retention_is_not_changing_it(client, policy, address, preview):
    client.force_login(factories.user("maintenance.view_retentionpolicy"))
    factories.retention_override(policy=policy, subreddit="python", days=30)

    page = client.get(address).content.decode()

    assert "python" in page
    assert preview not in page
    assert client.post(address, edit(60)).status_code == 403
    assert stored(policy) == (90, [("python", None, 30)])


# --- What it would do ------------------------------------------------------------------------------


def test_the_preview_counts_and_saves_nothing(client, operator, policy, preview):
    factories.comment(post=aged(70))
    aged(20)

    page = client.post(preview, edit(60)).content.decode()

    assert "The next run would delete 2 more rows." in page
    assert "Posts: 1" in page
    assert "Comments: 1" in page
    assert "No stored row" in client.post(preview, edit(80)).content.decode()
    assert stored(policy) == (90, [])


def test_the_preview_of_a_longer_retention_says_what_stays(client, operator, preview):
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
    address = reverse("admin:scraping_botconfig_delete", args=[bot.pk])

    assert "protected" in client.get(address).content.decode()
    assert client.post(address, {"post": "yes"}).status_code == 200
    assert type(bot).objects.filter(pk=bot.pk).exists()


def test_a_preview_is_posted(client, superuser, preview):
    assert client.get(preview).status_code == 405


def test_an_edit_that_deletes_more_is_asked_twice(client, superuser, policy, address):
    aged(70)
    form = edit(60, ("rust", "", 365))

    page = client.post(address, form)

    assert page.status_code == 200
    assert "The next run would delete 1 more row." in page.content.decode()
    assert stored(policy) == (90, [])

    assert dict(page.context["kept"]) == {name: str(value) for name, value in form.items()}
    assert client.post(address, confirmed(page)).status_code == 302
    assert stored(policy) == (60, [("rust", None, 365)])


def test_days_below_the_floor_do_not_move_to_another_subreddit(client, operator, policy, address):
    row = factories.retention_override(policy=policy, subreddit="spam", days=1)
    form = edit(90, stored=[row]) | {"overrides-0-subreddit": "python"}

    page = client.post(address, form)

    assert page.status_code == 200
    assert "fewer take the permission to approve runs" in page.content.decode()
    assert stored(policy) == (90, [("spam", None, 1)])


@pytest.mark.parametrize("previewed_again", [False, True])
def test_what_somebody_else_changed_meanwhile_is_asked_for(
    client, superuser, policy, address, preview, previewed_again
):
    form = {**edit(60), "opened": client.get(address).context["opened"]}
    seen = client.post(preview, form).context["seen"]
    factories.retention_override(policy=policy, subreddit="keep", days=3650)
    if previewed_again:
        fragment = client.post(preview, form)
        assert "Somebody else changed this retention meanwhile." in fragment.content.decode()
        seen = fragment.context["seen"]

    page = client.post(address, {**form, "seen": seen})

    assert "Somebody else changed this retention meanwhile." in page.content.decode()
    assert stored(policy) == (90, [("keep", None, 3650)])
    again = confirmed(page)
    assert client.post(address, again).status_code == 302
    assert stored(policy) == (60, [])


@pytest.mark.parametrize("theirs", ["days", "deleted"])
def test_a_form_whose_overrides_were_stored_anew_or_deleted_meanwhile_is_asked_for(
    client, superuser, policy, address, preview, theirs
):
    row = factories.retention_override(policy=policy, subreddit="keep", days=3650)
    form = {**edit(60, stored=[row]), "opened": client.get(address).context["opened"]}
    if theirs == "days":
        after = retention.Retention(80, (RetentionOverride(subreddit="keep", days=3650),))
    else:
        after = retention.Retention(90)
    retention.change(policy, after, by=superuser)

    fragment = client.post(preview, form)
    page = client.post(address, {**form, "seen": fragment.context["seen"]})

    assert "Somebody else changed this retention meanwhile." in page.content.decode()
    again = confirmed(page)
    assert client.post(address, again).status_code == 302
    assert stored(policy) == (60, [("keep", None, 3650)])


def test_two_who_decide_the_same_are_in_nobodys_way(client, superuser, policy, address):
    form = {**edit(60), "opened": client.get(address).context["opened"]}
    retention.change(policy, retention.Retention(60), by=superuser)

    assert client.post(address, form).status_code == 302


def test_days_below_the_floor_that_still_stand_hinder_no_edit_of_others(client, operator, policy, address):
    row = factories.retention_override(policy=policy, subreddit="spam", days=1)
    form = edit(120, stored=[row])
    after = retention.Retention(90, (RetentionOverride(subreddit="spam", days=1),))
    retention.change(policy, retention.Retention(91, after.overrides), by=factories.superuser())
    retention.change(policy, after, by=factories.superuser())  # stored anew: the row has another key

    assert client.post(address, form).status_code == 302
    assert stored(policy) == (120, [("spam", None, 1)])


def test_a_stale_form_does_not_bring_back_days_below_the_floor(client, operator, policy, address):
    row = factories.retention_override(policy=policy, subreddit="spam", days=1)
    retention.change(policy, retention.Retention(90), by=factories.superuser())

    page = client.post(address, edit(90, stored=[row]))

    assert page.status_code == 200
    assert "fewer take the permission to approve runs" in page.content.decode()
    assert stored(policy) == (90, [])


def test_having_seen_another_edit_does_not_count(client, superuser, policy, address, preview):
    aged(70)
    aged(20)
    seen = client.post(preview, edit(60)).context["seen"]

    assert client.post(address, {**edit(10), "seen": seen}).status_code == 200
    assert stored(policy) == (90, [])
    assert client.post(address, {**edit(60), "seen": seen}).status_code == 302


def test_an_edit_that_deletes_nothing_more_is_not_asked_twice(client, superuser, policy, address):
    aged(20)
    aged(100)

    assert client.post(address, edit(30)).status_code == 302
    assert stored(policy) == (30, [])


# --- Afterwards ------------------------------------------------------------------------------------


def test_the_history_shows_before_and_after(client, superuser, policy, address):
    client.post(address, edit(60, ("python", "", 365)))

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
