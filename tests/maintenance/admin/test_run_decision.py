"""The page of a blocked run: why it is blocked, what the button does, and who decided."""

import pytest
from django.urls import reverse
from django.utils import timezone

from maintenance.explanations import explain_run
from maintenance.models import JobRun
from maintenance.purging.days import Retention
from maintenance.purging.interface import GONE
from maintenance.purging.plan import TablePlan
from tests.kit import factories

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def address(name, run):
    return reverse(f"admin:maintenance_jobrun_{name}", args=[run.pk])


def read(client, run, **response):
    page = client.get(address("change", run)).content.decode()
    return " ".join(page.split())


@pytest.fixture
def blocked():
    tables = [
        TablePlan(model="scraping.RedditPost", rows=14_077, total=41_200),
        TablePlan(
            model="scraping.RedditComment", rows=58_310, total=170_000, cascaded_from="scraping.RedditPost"
        ),
    ]
    return factories.job_run(
        job="purge_old_content",
        status="blocked",
        waiting_since=timezone.now(),
        requested_by_name="lin",
        message="34 % of all posts: more than a tenth.",
        plan={"at": timezone.now().isoformat(), "tables": [table.as_json() for table in tables]},
    )


def test_the_reason_stands_on_the_page_once(client, operator, blocked):
    assert read(client, blocked).count("34 % of all posts") == 1

    assert blocked.reject(message="Rejected by lin.")
    assert "Rejected by lin." in read(client, blocked)


def test_the_page_says_why_and_the_button_how_much(client, operator, blocked):
    page = read(client, blocked)

    assert "It has deleted nothing yet." in page
    assert "34 % of all posts: more than a tenth." in page
    assert "14,077 of 41,200 (34.2 %)" in page
    assert "58,310 of 170,000 (34.3 %)" in page
    assert "Approve: delete 72,387 rows" in page

    JobRun.objects.filter(pk=blocked.pk).update(cursor={GONE: {"scraping.RedditPost": 1_200}})
    blocked.refresh_from_db()
    page = read(client, blocked)
    assert "It has deleted 1,200 rows, and waits with the others." in page
    assert "deleted nothing" not in page
    assert explain_run(blocked)[0].text.startswith("A safety cap stopped it before it deleted more:")


def test_who_may_not_decide_reads_why_and_has_no_button(client, blocked):
    client.force_login(factories.user("maintenance.view_jobrun"))

    page = read(client, blocked)

    assert "14,077 of 41,200" in page
    assert "Somebody with the permission to approve runs decides about it." in page
    assert address("approve", blocked) not in page


def test_who_asked_for_it_is_told_that_somebody_else_decides(client, operator, blocked, settings):
    settings.APPROVE_OWN_RUNS = False
    type(blocked).objects.update(requested_by_name=operator.username)

    page = read(client, blocked)

    assert "You asked for this run: somebody else must approve it." in page
    assert "Approve: delete" not in page
    assert "Reject: delete nothing" in page


@pytest.mark.parametrize(("verb", "word"), [("approve", "approved"), ("reject", "rejected")])
def test_afterwards_the_page_says_what_was_decided_and_by_whom(client, operator, blocked, verb, word):
    response = client.post(address(verb, blocked), {"reason": "after the import"}, follow=True)

    page = " ".join(response.content.decode().split())
    assert f"Run #{blocked.pk} was {word} by {operator.username}" in page
    card = page[page.index('id="run-decision"') : page.index('id="why"')]
    assert operator.username in card
    assert f"{word}: after the import" in card
    assert "Approve: delete" not in page


def test_a_retention_of_its_own_stands_beside_that_of_the_job_with_what_it_would_delete(
    client, operator, blocked
):
    blocked.params = {"days": 30}
    blocked.save()
    assert "lin asked to delete what is older than 30 days; the job’s retention is 90 days." in read(
        client, blocked
    )

    table = TablePlan(model="scraping.RedditPost", rows=8_687, total=41_200)
    plan = {"at": timezone.now().isoformat(), "tables": [table.as_json()]}
    planned = factories.job_run(job="purge_old_content", dry_run=True, plan=plan)
    factories.job_run(job="purge_old_content", dry_run=True, plan=plan, params={"days": 5})

    page = read(client, blocked)
    assert f'<a href="{address("change", planned)}">run #{planned.pk}</a>' in page
    assert "planned to delete 8,687 rows." in page
    other = {**plan, "retention": Retention(60).key()}
    factories.job_run(job="purge_old_content", dry_run=True, plan=other)  # its retention was another one then
    assert f"run #{planned.pk}</a>" in read(client, blocked)
    assert "asked for it." not in page

    blocked.params = {"days": 90}
    blocked.save()
    assert "asked to delete" not in read(client, blocked)
