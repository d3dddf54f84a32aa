"""Many runs at once: one reason, each its own event and outcome, refusals are named, and what was not selected stays."""

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from maintenance.models import JobRun
from maintenance.purging.plan import TablePlan
from tests.kit import factories
from tests.maintenance.admin.steps import APPROVE, CANCEL, RUN, SEE_RUNS

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def act(client, action, runs, **fields):
    values = {"action": action, ACTION_CHECKBOX_NAME: [run.pk for run in runs], **fields}
    response = client.post(reverse("admin:maintenance_jobrun_changelist"), values, follow=True)
    return " ".join(response.content.decode().split())


def confirmed(client, action, runs, **fields):
    return act(client, action, runs, **{"reason": "load test", "confirmed": "1", **fields})


def status_of(*runs):
    return [JobRun.objects.get(pk=run.pk).status for run in runs]


def reasons(verb):
    return sorted(
        Event.objects.filter(verb=verb, reason="load test").values_list("subject_id", flat=True), key=int
    )


def blocked(**fields):
    table = TablePlan(model="scraping.RedditPost", rows=5, total=50)
    plan = {"at": timezone.now().isoformat(), "tables": [table.as_json()]}
    values = {"status": "blocked", "waiting_since": timezone.now(), "message": "too many", "plan": plan}
    return factories.job_run(job="purge_old_content", **{**values, **fields})


def test_cancelling_asks_first_and_then_says_what_became_of_each(client, operator):
    queued, running = factories.job_run(status="queued"), factories.job_run(status="running")
    over, survivor = factories.job_run(), factories.job_run(status="queued")
    chosen = (queued, running, over)

    page = act(client, "cancel_many", chosen)
    assert "Cancel 3 runs?" in page
    for text in ("ends at once, undone", "stops at its next checkpoint", "stays as it is"):
        assert text in page
    assert status_of(queued, running, over, survivor) == ["queued", "running", "succeeded", "queued"]
    page = act(client, "cancel_many", chosen, confirmed="1", reason=" ")
    assert status_of(queued) == ["queued"]

    page = confirmed(client, "cancel_many", chosen)
    assert status_of(queued, running, over, survivor) == ["cancelled", "running", "succeeded", "queued"]
    assert JobRun.objects.get(pk=running.pk).cancel_requested_at is not None
    assert reasons("run.cancelled") == [str(queued.pk), str(running.pk)]
    for text in (
        "is cancelled",
        "is being cancelled",
        f"Cleanup tokens #{over.pk} has already ended: succeeded.",
    ):
        assert text in page


def test_what_has_left_the_filtered_list_meanwhile_is_told_too(client, operator):
    left, selected = factories.job_run(), factories.job_run(status="queued")
    survivor = factories.job_run(status="queued")
    url = reverse("admin:maintenance_jobrun_changelist") + "?status__exact=queued"
    values = {"action": "cancel_many", ACTION_CHECKBOX_NAME: [left.pk, selected.pk]}

    page = client.post(url, {**values, "confirmed": "1", "reason": "load test"}).content.decode()

    assert "What became of each run" in page
    assert f"Cleanup tokens #{left.pk} has already ended: succeeded." in page
    assert "is cancelled" in page
    assert status_of(left, selected, survivor) == ["succeeded", "cancelled", "queued"]


def test_running_again_requests_each_once(client, operator):
    one = factories.job_run(
        status="failed", job="cleanup_sessions", params={"days": 9}, finished_at=timezone.now()
    )
    two, gone = factories.job_run(status="failed"), factories.job_run(status="failed", job="gone")
    going = factories.job_run(status="running", job="auto_scraping")
    failed = factories.job_run(status="failed", job="auto_scraping")
    before = set(JobRun.objects.values_list("pk", flat=True))

    page = confirmed(client, "retry_many", [one, two, gone, failed])
    page += confirmed(client, "retry_many", [one, two, gone, failed])

    made = JobRun.objects.exclude(pk__in=before).order_by("job")
    assert [(run.job, run.params, run.requested_by) for run in made] == [
        ("cleanup_sessions", {"days": 9}, operator),
        ("cleanup_tokens", {}, operator),
    ]
    assert reasons("run.requested") == sorted((str(run.pk) for run in made), key=int)
    assert "No job is named gone any more." in page
    assert f"#{going.pk} does the same and is not over." in page
    assert all(f"is queued as #{run.pk}" in page for run in made)


def test_approving_shows_each_plan_and_takes_only_what_was_seen(client, operator):
    seen, changed, unseen, survivor = blocked(), blocked(), blocked(), blocked()
    page = act(client, "approve_many", [seen, changed])
    assert page.count("deletes 5 rows") == 2
    assert "too many" in page
    plans = {f"plan_at_{run.pk}": run.plan["at"] for run in (seen, changed)}
    assert all(f'name="{name}" value="{at}"' in page for name, at in plans.items())
    changed.plan["at"] = timezone.now().isoformat()
    changed.save()

    page = confirmed(client, "approve_many", [seen, changed, unseen], **plans)

    assert status_of(seen, changed, unseen, survivor) == ["queued", "blocked", "blocked", "blocked"]
    assert reasons("run.approved") == [str(seen.pk)]
    for text in ("is approved and queued", "was planned anew meanwhile", "Its plan was not shown"):
        assert text in page


def test_each_action_is_offered_to_who_may_use_it_and_refused_to_others(client):
    queued, stuck, failed = (
        factories.job_run(status="queued"),
        blocked(),
        factories.job_run(status="failed", job="cleanup_events"),
    )
    before = JobRun.objects.count()
    client.force_login(factories.user(SEE_RUNS))
    plans = {f"plan_at_{stuck.pk}": stuck.plan["at"]}

    for action in ("cancel_many", "approve_many", "retry_many"):
        confirmed(client, action, [queued, stuck, failed], **plans)
    assert status_of(queued, stuck) == ["queued", "blocked"]
    assert JobRun.objects.count() == before

    client.force_login(factories.user(SEE_RUNS, CANCEL, APPROVE, RUN))
    for action in ("cancel_many", "approve_many", "retry_many"):
        confirmed(client, action, [queued, stuck, failed], **plans)
    assert status_of(queued, stuck) == ["cancelled", "queued"]
    assert JobRun.objects.filter(job="cleanup_events").count() == 2


def test_owners_of_bots_reach_their_own_runs_only(client):
    owner = factories.user()
    bot = factories.bot_config(owner=owner)
    mine = factories.job_run(job="scrape_now", status="failed", params={"config": bot.pk})
    other = factories.job_run(job="scrape_now", status="failed", params={"config": factories.bot_config().pk})
    client.force_login(owner)

    confirmed(client, "retry_many", [mine, other])

    assert [run.params for run in JobRun.objects.filter(status="queued")] == [{"config": bot.pk}]
