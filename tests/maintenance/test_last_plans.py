"""The confirmation page of a purge does not wait for its plan."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from database.deadlines import Superseded, TooSlow
from maintenance.admin import last_plans
from maintenance.ledger import decisions, performing
from maintenance.models import JobRun, RetentionPolicy
from maintenance.purging import plan as plans
from tests.kit import factories

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def ask(admin_client):
    address = reverse("admin:maintenance_job_run", args=["purge_old_content"])
    return lambda query="", **headers: admin_client.get(f"{address}{query}", headers=headers)


@pytest.fixture
def post():
    return factories.post(created_at=timezone.now() - timedelta(days=200))


@pytest.fixture
def slow(monkeypatch):
    """Make plans so slow that the page does not wait for them, as with a big database."""

    def too_slow(*_arguments):
        raise TooSlow

    monkeypatch.setattr(last_plans, "within", too_slow)


def test_a_plan_that_is_made_at_once_stands_on_the_page(ask, post):
    answer = ask()

    assert answer.context["planned_rows"] == 1
    assert "hx-get" not in answer.content.decode().partition('id="run-question"')[2]


@pytest.mark.usefixtures("slow", "post")
def test_the_page_asks_for_a_plan_that_takes_longer_and_runs_nothing_before(ask):
    text = ask().content.decode()

    assert 'hx-get="/admin/jobs/purge_old_content/run/?new_plan=1"' in text
    assert "The plan is being made." in text
    assert 'name="run"' not in text


@pytest.mark.usefixtures("slow", "post")
def test_the_fragment_brings_the_plan_and_the_next_page_shows_it_with_its_time(ask):
    fragment = ask("?new_plan=1", **HTMX).content.decode()

    assert fragment.strip().startswith('<div id="run-question"')
    assert "Run now and delete 1 row" in fragment
    again = ask()
    assert "A new one is being made" in again.content.decode()
    assert again.context["planned_rows"] == 1
    assert again.context["plan_at"] <= timezone.now()


@pytest.mark.usefixtures("slow", "post")
def test_without_javascript_a_link_makes_the_plan(ask):
    answer = ask("?new_plan=1")

    assert "maintenance/run_confirmation.html" in [template.name for template in answer.templates]
    assert answer.context["planned_rows"] == 1


@pytest.mark.usefixtures("slow", "post")
def test_what_the_last_plan_allows_is_what_a_run_deletes(ask, admin_client):
    ask("?new_plan=1", **HTMX)
    answer = ask()

    admin_client.post(answer.request["PATH_INFO"], {"run": "1", "plan": answer.context["plan_token"]})

    assert JobRun.objects.get().mandate["rows"] == {"scraping.RedditPost": 1, "scraping.RedditComment": 0}


@pytest.mark.usefixtures("slow", "post")
def test_a_plan_under_another_retention_is_not_shown(ask):
    ask("?new_plan=1", **HTMX)
    RetentionPolicy.objects.filter(job="purge_old_content").update(days=365)

    assert "planned_rows" not in ask().context


@pytest.mark.usefixtures("post")
def test_where_the_last_plan_took_long_the_page_tries_none(ask, monkeypatch):
    monkeypatch.setattr(last_plans, "PATIENCE_SECONDS", -1)
    ask("?new_plan=1", **HTMX)
    monkeypatch.setattr(performing, "preview", lambda *_: pytest.fail("a plan was made"))
    monkeypatch.setattr(last_plans, "preview", lambda *_: pytest.fail("a plan was made"))

    assert ask().context["planned_rows"] == 1


def test_a_plan_that_the_same_person_has_asked_for_again_says_nothing(ask, monkeypatch):
    def superseded(*_arguments):
        raise Superseded

    monkeypatch.setattr(last_plans, "superseding", superseded)

    assert ask("?new_plan=1", **HTMX).status_code == 204


def test_comments_of_a_big_table_are_estimated_by_what_their_posts_say(ask, post, monkeypatch):
    monkeypatch.setattr(plans, "ESTIMATED_ROWS_MIN", 0)
    type(post).objects.update(comments_fetched=7)

    answer = ask()

    comments = answer.context["plan"].tables[1]
    assert (comments.rows, comments.is_estimate, comments.by_month) == (
        7,
        True,
        {f"{post.created_at:%Y-%m}": 7},
    )
    assert "about <strong>7</strong>" in " ".join(answer.content.decode().split())


def test_an_estimate_allows_nothing(ask, post, monkeypatch, admin_client):
    monkeypatch.setattr(plans, "ESTIMATED_ROWS_MIN", 0)
    type(post).objects.update(comments_fetched=7)
    factories.comment(post=post)
    answer = ask()

    admin_client.post(answer.request["PATH_INFO"], {"run": "1", "plan": answer.context["plan_token"]})

    assert JobRun.objects.get().mandate["rows"] == {"scraping.RedditPost": 1}


@pytest.mark.usefixtures("slow", "post")
def test_a_last_plan_too_old_to_refer_to_is_only_shown(ask, monkeypatch):
    ask("?new_plan=1", **HTMX)
    monkeypatch.setattr(decisions, "PLAN_FRESH", timedelta(0))

    answer = ask()

    assert answer.context["planned_rows"] == 1
    text = answer.content.decode()
    assert 'name="run"' not in text
    assert 'name="plan"' not in text
