"""Retrying only what failed in a scrape: which bots and subreddits that are, and that nothing else is scraped again."""

import pytest
from django.urls import reverse

from audit.models import Event
from maintenance.failed_parts import failed_parts, retry_params
from maintenance.ledger import decisions
from maintenance.models import JobRun
from maintenance.registry import InvalidParams, get_job
from tests.kit import factories
from tests.kit.steps import performed, ran

pytestmark = pytest.mark.django_db(transaction=True)

RETRY = "Retry only what failed"


def session(run, config, status, **failed):
    """A session with its subreddits, each with a cause or none."""
    totals = {name: {"error_kind": kind} for name, kind in failed.items()}
    return factories.session(run=run, config=config, status=status, totals=totals)


def auto(**fields):
    return factories.job_run(job="auto_scraping", **{"status": "partial", **fields})


@pytest.mark.slow
def test_only_what_failed_is_scraped_again(reddit, client):
    bad = factories.bot_config(subreddits=["python", "sandbox_private"], post_limit=5)
    good = factories.bot_config(subreddits=["django"], post_limit=5)
    run = ran("auto_scraping")
    assert run.status == "partial"
    assert failed_parts(run) == {bad.pk: ["sandbox_private"]}
    client.force_login(operator := factories.operator())

    page = client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    address = f"{reverse('admin:maintenance_job_run', args=['auto_scraping'])}?failed_in={run.pk}"
    assert f'href="{address}"' in page
    page = " ".join(client.get(address).content.decode().split())
    assert "bots: 1, subreddits: 1." in page
    client.post(address, {"run": "1"})

    again = performed(JobRun.objects.latest("pk"))
    assert again.params == {"failed_in": run.pk}
    assert [(one.config, list(one.totals)) for one in again.sessions.all()] == [(bad, ["sandbox_private"])]
    assert good.sessions.count() == 1
    event = Event.objects.get(verb=decisions.REQUESTED, subject_id=str(again.pk))
    assert (event.actor, event.parameters["params"]) == (operator, {"failed_in": run.pk})


def test_a_scrape_of_one_bot_is_retried_with_its_failed_subreddits():
    bot = factories.bot_config(subreddits=["python", "django", "rust"])
    run = factories.job_run(job="scrape_now", status="partial", params={"config": bot.pk})
    session(run, bot, "partial", python="", django="private", rust="")

    assert retry_params(run) == ("scrape_now", {"config": bot.pk, "subreddits": ["django"]})


def test_what_a_later_attempt_has_scraped_has_not_failed():
    bot, other = (factories.bot_config(subreddits=["python", "django"]) for _number in range(2))
    broken, refused = (factories.bot_config(subreddits=["rust", "golang"]) for _number in range(2))
    first = auto()
    session(first, bot, "partial", python="network", django="network")
    session(first, other, "partial", python="network", django="")
    last = auto(retry_of=first, attempt=2, cursor={"refused": [refused.pk]})
    session(last, bot, "partial", python="", django="network")
    session(last, other, "succeeded", python="")
    session(last, broken, "failed")
    session(auto(), bot, "failed", python="private")

    whole = ["rust", "golang"]
    assert failed_parts(last) == {bot.pk: ["django"], broken.pk: whole, refused.pk: whole}


def test_subreddits_that_the_bot_has_no_longer_are_left_out():
    bot = factories.bot_config(subreddits=["python"])
    run = auto()
    session(run, bot, "partial", django="private")

    assert failed_parts(run) == {}
    assert retry_params(run) is None


def test_only_finished_scrapes_in_which_something_failed_can_be_named():
    bot = factories.bot_config(subreddits=["python"])
    fine, going, other, failed = (
        auto(status="succeeded"),
        auto(status="running"),
        factories.job_run(status="failed"),
        auto(),
    )
    for run in (going, other, failed):
        session(run, bot, "partial", python="private")

    assert get_job("auto_scraping").clean({"failed_in": str(failed.pk)}) == {"failed_in": failed.pk}
    for wrong in (fine.pk, going.pk, other.pk, 0, "x", "9" * 30, None):
        with pytest.raises(InvalidParams):
            get_job("auto_scraping").clean({"failed_in": wrong})


@pytest.mark.slow
def test_who_may_not_run_the_job_is_offered_no_retry(client):
    bot = factories.bot_config(subreddits=["python"])
    run = auto()
    session(run, bot, "partial", python="private")
    address = reverse("admin:maintenance_job_run", args=["auto_scraping"]) + f"?failed_in={run.pk}"

    client.force_login(factories.user("maintenance.view_jobrun"))
    assert RETRY not in client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])).content.decode()
    assert client.post(address, {"run": "1"}).status_code == 403
    assert not JobRun.objects.filter(params__failed_in=run.pk).exists()
