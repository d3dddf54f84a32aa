"""Which run deleted an item: each purged post and blanked item has a line, found by fullname and by link."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.urls import reverse
from django.utils import timezone

from maintenance.context import JobContext
from maintenance.ledger import performing, requests
from maintenance.models import JobRun
from scraping.models import Erasure, RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


def perform(slug="purge_old_content", **options):
    run = requests.request_run(job=slug, trigger="command", send=False, **options)
    performing.perform(run)
    run.refresh_from_db()
    return run


def old(name, *, days=100, **fields):
    return factories.post(fullname=name, created_at=timezone.now() - days * DAY, **fields)


def lines():
    return {line.fullname: (line.run_id, line.rule, line.days) for line in Erasure.objects.all()}


@pytest.fixture(params=[0, 2], ids=["as stored", "by key"])
def walk(request, monkeypatch):
    monkeypatch.setattr("maintenance.purging.batches.STORAGE_WALK_SHARE", request.param)


@pytest.mark.slow
@pytest.mark.usefixtures("walk")
def test_each_purged_post_has_a_line_with_the_rule_that_took_it(monkeypatch):
    for name in ("BATCH_ROWS_FIRST", "BATCH_ROWS_MIN", "BATCH_ROWS_MAX"):
        monkeypatch.setattr(f"maintenance.purging.batches.{name}", 1)
    bot, policy = factories.bot_config(), factories.retention_policy(job="purge_old_content", days=90)
    factories.retention_override(policy=policy, subreddit="Memes", days=10)
    factories.retention_override(policy=policy, subreddit="keep", days=365)
    factories.retention_override(policy=policy, config=bot, days=20)
    old("t3_1j7g9uj"), old("t3_z", days=11, subreddit="memes"), old("t3_10", days=21, config=bot)
    factories.comment(post=RedditPost.objects.get(fullname="t3_z"))
    (
        old("t3_kept", subreddit="KEEP"),
        old("t3_young", days=89),
        old("t3_held", held_at=timezone.now(), hold_reason="x"),
    )

    run = perform()

    assert lines() == {
        "t3_1j7g9uj": (run.pk, "retention", 90),
        "t3_z": (run.pk, "subreddit", 10),
        "t3_10": (run.pk, "bot", 20),
    }
    assert set(RedditPost.objects.values_list("fullname", flat=True)) == {"t3_kept", "t3_young", "t3_held"}
    assert run.counts == {"scraping.RedditPost": 3, "scraping.RedditComment": 1}


@pytest.mark.slow
def test_a_batch_that_is_undone_leaves_no_line(monkeypatch):
    old("t3_a")
    save_cursor = JobContext.save_cursor

    def fail(context, **values):
        save_cursor(context, **values)
        assert Erasure.objects.exists()
        raise OperationalError("disk full")

    monkeypatch.setattr(JobContext, "save_cursor", fail)
    with pytest.raises(OperationalError):
        perform()
    assert (RedditPost.objects.count(), Erasure.objects.count()) == (1, 0)

    monkeypatch.undo()
    run = perform()
    assert lines() == {"t3_a": (run.pk, "retention", 90)}


@pytest.mark.slow
def test_a_post_that_came_back_and_went_again_has_two_lines():
    old("t3_a")
    first = perform()
    old("t3_a")
    second = perform()

    assert [line.run_id for line in Erasure.objects.all()] == [second.pk, first.pk]


def test_a_name_that_is_no_number_is_purged_all_the_same():
    old("t3_no-number"), old("t3_zzzzzzzzzzzzz"), old("t3_a")
    perform()
    assert (RedditPost.objects.count(), set(lines())) == (0, {"t3_a"})


def test_lines_are_kept_as_long_as_the_history():
    cutoff = timezone.now() - 180 * DAY
    gone = factories.erasure(at=cutoff - DAY)
    kept = [factories.erasure(at=cutoff + DAY), factories.erasure()]

    run = perform("cleanup_run_history")

    assert set(Erasure.objects.all()) == set(kept)
    assert run.counts[gone._meta.label] == 1


@pytest.mark.slow
def test_the_lines_of_a_great_purge_become_old_in_one_night(settings):
    settings.PURGE_CAP_MIN_ROWS = 1
    long_ago = timezone.now() - 181 * DAY
    for _ in range(5):
        perform("cleanup_run_history")
        factories.erasure(at=long_ago)
    for _ in range(20):
        factories.erasure(at=long_ago)
    kept = factories.erasure()

    assert perform("cleanup_run_history").status == JobRun.Status.SUCCEEDED
    assert list(Erasure.objects.all()) == [kept]


# --- Asking ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        "t3_1j7g9uj",
        "https://www.reddit.com/r/Python/comments/1j7g9uj/a_title/",
        "https://old.reddit.com/r/Python/comments/1J7G9UJ",
        "/r/Python/comments/1j7g9uj/a_title/abc/",
        "https://www.reddit.com/r/Python/comments/1j7g9uj/comment/abc/?context=3",
        "https://redd.it/1j7g9uj",
        "https://www.reddit.com/comments/1j7g9uj",
        "https://www.reddit.com/user/somebody/comments/1j7g9uj/a_title/",
    ],
)
def test_the_list_of_runs_names_the_run(client, words):
    old("t3_1j7g9uj"), old("t3_other", days=1)
    taking, other = perform(), perform()
    client.force_login(factories.user("maintenance.view_jobrun", is_staff=True))

    page = client.get(reverse("admin:maintenance_jobrun_changelist"), {"q": words})

    assert list(page.context["cl"].queryset) == [taking]
    assert [line.run_id for line in page.context["erasures"]] == [taking.pk]
    assert "t3_1j7g9uj" in page.content.decode()
    assert other.pk != taking.pk


def test_an_old_run_is_found_by_what_it_took(client, monkeypatch):
    monkeypatch.setattr("maintenance.ledger.search.RUNS_SEARCHED", 1)
    old("t3_abc")
    taking = perform()
    for _ in range(3):
        factories.job_run()
    client.force_login(factories.superuser())

    page = client.get(reverse("admin:maintenance_jobrun_changelist"), {"q": "t3_abc"})

    assert list(page.context["cl"].queryset) == [taking]


@pytest.mark.slow
def test_who_sees_only_the_runs_of_own_bots_is_told_nothing(client):
    old("t3_abc")
    perform()
    owner = factories.user(is_staff=True)
    factories.bot_config(owner=owner)
    client.force_login(owner)

    page = client.get(reverse("admin:maintenance_jobrun_changelist"), {"q": "t3_abc"})

    assert (page.status_code, page.context["erasures"]) == (200, [])
    assert list(page.context["cl"].queryset) == []


def which_run(*arguments):
    out = StringIO()
    call_command("which_run", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_says_which_run():
    old("t3_abc")
    run = perform()

    (found,) = json.loads(which_run("t3_abc", "--json"))
    assert {**found, "at": None} == {
        "fullname": "t3_abc",
        "at": None,
        "run": run.pk,
        "rule": "retention",
        "days": 90,
        "is_purged": True,
    }
    assert f"run {run.pk}" in which_run("https://redd.it/abc")
    assert json.loads(which_run("t3_abd", "--json")) == []
    assert "never stored" in which_run("t3_abd")
    factories.post(fullname="t3_abd")
    assert "t3_abd is stored since" in which_run("t3_abd")
    with pytest.raises(CommandError) as refusal:
        which_run("hello")
    assert refusal.value.returncode == 2
