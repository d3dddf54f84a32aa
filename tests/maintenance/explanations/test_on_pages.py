"""The pages of a schedule, a bot, a post and a comment say why: to whom it may concern, and only what is wrong."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone, translation
from django_celery_beat.models import PeriodicTask

from maintenance.explanations import explain_schedule
from maintenance.scheduling import creation, edits, schedules
from maintenance.templatetags import why
from scraping.models import BotConfig
from tests.kit import factories
from tests.maintenance.explanations.planted import a_scheduler

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded", "superuser"), pytest.mark.slow]

QUERIES_MAX = 10
HEADING = "<h2>Why?</h2>"


def failing_schedule(boss):
    task = schedules.for_job("cleanup_tokens")
    slot = timezone.now()
    factories.job_run(
        job="cleanup_tokens",
        schedule=task,
        trigger="schedule",
        status="failed",
        error="boom",
        scheduled_for=slot,
    )
    edits.pause(task, by=boss, reason="audit")
    return task


def silent_bot(boss):
    bot = factories.bot_config(owner=boss, name="Garden", subreddits=["foo"])
    factories.session(config=bot, status="failed", error="r/foo is private.", error_kind="private")
    factories.freshness(config=bot, subreddit="foo", silent_since=timezone.now(), why="private")
    return bot


def blanked_post(boss):
    return factories.post(state="author")


def blanked_comment(boss):
    return factories.comment(state="moderator")


WRONG = {
    failing_schedule: ("It does not fire: paused at", "boom"),
    silent_bot: ("r/foo is silent since", "r/foo is private."),
    blanked_post: ("is stored without its content",),
    blanked_comment: ("is stored without its content",),
}
FINE = {
    "schedule": lambda boss: schedules.for_job("cleanup_tokens"),
    "post": lambda boss: factories.post(),
    "comment": lambda boss: factories.comment(),
}


def address(row):
    return reverse(f"admin:{row._meta.label_lower.replace('.', '_')}_change", args=[row.pk])


@pytest.mark.parametrize("plant", WRONG, ids=lambda plant: plant.__name__)
def test_a_page_says_why_with_few_queries(client, superuser, monkeypatch, plant):
    a_scheduler()
    page = address(plant(superuser))
    client.get(page)  # warms what a process keeps
    with CaptureQueriesContext(
        connection,
    ) as asked:
        shown = client.get(page).content.decode()
    for name in ("explain_schedule", "explain_bot", "explain_item"):
        monkeypatch.setattr(why, name, lambda *args, **options: [])
    with CaptureQueriesContext(connection) as without:
        client.get(page)

    assert shown.count(HEADING) == 1
    for sentence in WRONG[plant]:
        assert sentence in shown.partition(HEADING)[2].partition("</section>")[0]
    assert len(asked) - len(without) <= QUERIES_MAX


@pytest.mark.parametrize("kind", FINE)
def test_a_page_on_which_all_is_well_is_silent(client, superuser, kind):
    a_scheduler()

    assert HEADING not in client.get(address(FINE[kind](superuser))).content.decode()


def test_who_may_not_see_runs_or_schedules_is_not_told_of_them(client, superuser):
    task, bot = failing_schedule(superuser), silent_bot(superuser)
    edits.pause(schedules.for_job("auto_scraping"), by=superuser, reason="secret reason")
    owner = factories.user(username="owner", is_staff=True)
    BotConfig.objects.filter(pk=bot.pk).update(owner=owner)
    kinds = {kind: Permission.objects.get(codename=kind) for kind in ("view_botconfig", "view_periodictask")}
    owner.user_permissions.set(kinds.values())
    client.force_login(owner)
    assert "boom" not in client.get(address(task)).content.decode()
    assert "secret reason" in client.get(address(bot)).content.decode()

    owner.user_permissions.set([kinds["view_botconfig"]])
    page = client.get(address(bot)).content.decode()
    assert "The schedule that would scrape it does not fire." in page
    assert "secret reason" not in page


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("en", "“A copy of ‘nightly’ that nobody has resumed yet.”"),
        ("zh-hans", "“‘nightly’的副本，尚未有人恢复。”"),
    ],
)
def test_a_quotation_in_a_reason_has_single_quotes(superuser, language, told):
    task = factories.schedule(name="nightly", task="maintenance.cleanup_sessions")
    copy = PeriodicTask.objects.get(pk=creation.duplicate(task, by=superuser).pk)

    with translation.override(language):
        assert any(told in cause.text for cause in explain_schedule(copy))
