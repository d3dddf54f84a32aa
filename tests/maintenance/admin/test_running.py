"""The page that runs a job: the plan it shows is the plan that runs."""

import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from maintenance.ledger import decisions, performing, requests
from maintenance.models import JobRun, RetentionPolicy
from scraping.models import RedditPost
from tests.kit import factories
from tests.maintenance.admin.steps import RUN, job_page

pytestmark = pytest.mark.django_db


def test_the_page_that_runs_shows_what_would_go(client, operator):
    old = timezone.now() - timedelta(days=91)
    to_delete = factories.post(created_at=old)
    factories.comment(post=to_delete)
    factories.post()

    response = client.get(job_page("purge_old_content"))

    page = response.content.decode()
    assert [(row.rows, row.total) for row in response.context["plan"].tables] == [(1, 2), (1, 1)]
    assert "Run now and delete 2 rows" in page
    assert "(90 days)" in page
    assert not JobRun.objects.exists()


def test_the_page_that_runs_names_the_overrides(client, operator):
    factories.retention_override(
        policy=RetentionPolicy.objects.get(job="purge_old_content"), subreddit="python", days=365
    )

    page = client.get(job_page("purge_old_content")).content.decode()
    other = client.get(job_page("cleanup_tokens")).content.decode()

    assert "<dt>r/python</dt> <dd>365 days</dd>" in " ".join(page.split())
    assert "Overrides" not in other


def test_a_run_below_the_floor_is_refused_by_the_name_of_what_is_missing(client):
    client.force_login(factories.user(RUN))

    response = client.get(job_page("purge_old_content", "?days=2"))

    assert response.status_code == 403
    assert "fewer than 7 days need the permission to approve runs" in response.content.decode()
    others = client.get(job_page("scrape_now", f"?config={factories.bot_config().pk}"))
    assert "You may not run Scrape now." in others.content.decode()


def confirmed(page):
    """Return the form data that the job's page posts with Run now."""
    return {"run": "1", "plan": page.context["plan_token"]}


def test_a_run_remembers_the_plan_that_was_shown_and_says_how_the_world_moved(client, operator):
    old = timezone.now() - timedelta(days=91)
    factories.post(created_at=old)
    page = client.get(job_page("purge_old_content"))
    factories.post(created_at=old)

    client.post(job_page("purge_old_content"), confirmed(page))
    run = JobRun.objects.get()
    performing.perform(run)

    assert run.mandate["rows"] == {"scraping.RedditPost": 1, "scraping.RedditComment": 0}
    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    assert "Posts: 1 were planned, at the start there were 2." in page


def test_the_plan_of_a_dry_run_is_shown_and_run(client, operator):
    post = factories.post(created_at=timezone.now() - timedelta(days=91), title="An old title")
    dry = requests.request_run(job="purge_old_content", trigger="admin", dry_run=True, send=False)
    performing.perform(dry)
    dry_page = client.get(reverse("admin:maintenance_jobrun_change", args=[dry.pk]))
    address = job_page("purge_old_content", f"?plan={dry.pk}")
    assert address in dry_page.content.decode()

    page = client.get(address)
    client.post(address, confirmed(page))

    assert f"What dry run #{dry.pk} would have deleted" in page.content.decode()
    assert JobRun.objects.latest("id").mandate["plan"] == dry.pk
    assert RedditPost.objects.get() == post


def test_an_old_plan_starts_nothing_and_offers_a_new_one(client, operator, monkeypatch):
    factories.post(created_at=timezone.now() - timedelta(days=91))
    page = client.get(job_page("purge_old_content"))
    monkeypatch.setattr(decisions, "PLAN_FRESH", timedelta(seconds=-1))

    response = client.post(job_page("purge_old_content"), confirmed(page))

    assert response.status_code == 400
    assert "older than 15 minutes" in response.content.decode()
    assert not JobRun.objects.exists()


@pytest.mark.slow
@pytest.mark.parametrize("forge", [lambda token: token + "x", lambda token: "nonsense"])
def test_a_plan_that_was_not_shown_starts_nothing(client, operator, forge):
    form = confirmed(client.get(job_page("purge_old_content")))
    form["plan"] = forge(form["plan"])

    assert client.post(job_page("purge_old_content"), form).status_code == 400
    assert client.post(job_page("cleanup_sessions"), confirmed_of_another(client)).status_code == 400
    assert not JobRun.objects.exists()


def confirmed_of_another(client):
    return confirmed(client.get(job_page("purge_old_content")))


def test_sample_rows_are_shown_only_to_who_may_see_them(client, operator):
    post = factories.post(created_at=timezone.now() - timedelta(days=91), title="An old title")

    hidden = client.get(job_page("purge_old_content")).content.decode()
    client.force_login(factories.superuser())
    page = client.get(job_page("purge_old_content")).content.decode()

    assert "An old title" not in hidden
    assert "An old title" in page
    assert reverse("admin:scraping_redditpost_change", args=[post.pk]) in page


def test_an_owner_who_may_run_a_purge_is_shown_no_rows_that_only_other_bots_found(client, operator):
    owner = factories.user()
    names = ("run_job", "view_jobrun", "view_redditpost")
    owner.user_permissions.set(Permission.objects.filter(codename__in=names))
    old = timezone.now() - timedelta(days=91)
    factories.post(created_at=old, title="A foreign title")
    own = factories.post(created_at=old, title="A title of mine")
    factories.sighting(post=own, config=factories.bot_config(owner=owner))
    client.force_login(owner)

    page = client.get(job_page("purge_old_content")).content.decode()

    assert "A title of mine" in page
    assert "A foreign title" not in page


def test_a_retention_in_the_address_is_what_is_shown_and_run(client, operator):
    factories.post(created_at=timezone.now() - timedelta(days=20))

    assert client.get(job_page("purge_old_content", "?days=30")).context["planned_rows"] == 0
    assert client.get(job_page("purge_old_content", "?days=10")).context["planned_rows"] == 1
    client.post(job_page("purge_old_content", "?days=10"), {"run": "1"})

    assert JobRun.objects.get().params == {"days": 10}


@pytest.mark.parametrize("query", ["?days=0", "?days=x", "?dayz=5"])
def test_a_parameter_that_cannot_be_used_runs_nothing(client, operator, query):
    for method in (client.get, client.post):
        response = method(job_page("purge_old_content", query))
        assert response.status_code == 400
        assert 'name="run"' not in response.content.decode()
    assert not JobRun.objects.exists()


@pytest.mark.parametrize("query", ["", "?config=999999"])
def test_a_bot_that_is_not_there_is_scraped_by_nobody(client, superuser, query):
    assert client.get(job_page("scrape_now", query)).status_code == 400

    client.force_login(factories.user())
    assert client.get(job_page("scrape_now", query)).status_code == 403


@pytest.mark.parametrize(("button", "dry_run"), [("run", False), ("dry_run", True)])
def test_posting_requests_the_run_and_leads_to_it(client, operator, button, dry_run):
    response = client.post(job_page("cleanup_tokens"), {button: "1"})

    run = JobRun.objects.get()
    assert response.url == reverse("admin:maintenance_jobrun_change", args=[run.pk])
    assert (run.job, run.trigger, run.requested_by, run.dry_run) == (
        "cleanup_tokens",
        "admin",
        operator,
        dry_run,
    )
    assert Event.objects.filter(subject_id=str(run.pk), actor=operator).exists()


def test_a_second_click_starts_no_second_run_and_a_second_visit_does(client, operator):
    page, again = client.get(job_page("cleanup_tokens")), client.get(job_page("cleanup_tokens"))
    form = {"run": "1", "key": page.context["key"]}

    clicks = [client.post(job_page("cleanup_tokens"), form).url for _ in range(2)]

    run = JobRun.objects.get()
    told = [str(message) for message in client.get(clicks[1]).context["messages"]]
    assert told == [
        f"Cleanup tokens is queued as run #{run.pk}.",
        f"That page has started run #{run.pk} of Cleanup tokens already. To start another one, open Run… again.",
    ]
    assert page.context["key"] in page.content.decode()
    assert clicks == [reverse("admin:maintenance_jobrun_change", args=[run.pk])] * 2
    for more in (
        {"dry_run": "1", "key": form["key"]},
        {**form, "key": again.context["key"]},
        {**form, "key": "x"},
    ):
        client.post(job_page("cleanup_tokens"), more)
    assert JobRun.objects.count() == 4


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_at_the_same_moment_one_starts_the_run():
    person, together, answers = factories.superuser(), threading.Barrier(2), []
    browsers = [Client(), Client()]
    for browser in browsers:
        browser.force_login(person)
    key = browsers[0].get(job_page("cleanup_tokens")).context["key"]

    def click(browser):
        together.wait()
        answers.append(browser.post(job_page("cleanup_tokens"), {"run": "1", "key": key}).url)
        connection.close()

    threads = [threading.Thread(target=click, args=[browser]) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [reverse("admin:maintenance_jobrun_change", args=[JobRun.objects.get().pk])] * 2


def test_it_warns_of_a_run_that_is_under_way(client, operator):
    running = factories.job_run(status="running", job="cleanup_tokens", concurrency_key="cleanup_tokens")

    page = client.get(job_page("cleanup_tokens")).content.decode()

    assert f"Cleanup tokens #{running.pk}" in page
    assert "is still running" in page


def test_a_job_that_deletes_nothing_has_a_plain_page(client, operator):
    page = client.get(job_page("auto_scraping")).content.decode()

    assert "Run now" in page
    assert "would delete" not in page


def test_there_is_no_page_for_an_unknown_job(client, operator):
    assert client.get(job_page("no_such_job")).status_code == 404


@pytest.mark.slow
def test_a_bot_is_scraped_by_its_owner_and_by_nobody_elses_hand(client):
    owner = factories.user()
    bot = factories.bot_config(owner=owner, name="Photos")
    query = f"?config={bot.pk}"

    client.force_login(factories.operator())
    assert client.get(job_page("scrape_now", query)).status_code == 403
    assert client.post(job_page("scrape_now", query), {"run": "1"}).status_code == 403

    client.force_login(owner)
    assert "Photos" in client.get(job_page("scrape_now", query)).content.decode()
    assert client.post(job_page("scrape_now", query), {"run": "1"}).status_code == 302
    assert JobRun.objects.get().params == {"config": bot.pk}
