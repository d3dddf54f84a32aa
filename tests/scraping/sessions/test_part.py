"""Scraping a part of a bot's subreddits: what is asked for, what is left alone, and who may."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.urls import reverse

from audit.models import Event
from maintenance.ledger import requests
from maintenance.ledger.run_json import as_json
from maintenance.models import JobRun
from maintenance.registry import InvalidParams, get_job
from scraping.models import BotConfig, ScrapeSession
from scraping.progress import SilentProgress
from scraping.sessions.scrape import NotOfThisBot, scrape_config
from tests.kit import factories
from tests.kit.scraped import make_config, raw_post
from tests.scraping.reddit_replay import Answer, RedditReplay

pytestmark = pytest.mark.django_db


def scrape(config: BotConfig, *only: str) -> ScrapeSession:
    return scrape_config(
        config, run_id=None, kind=ScrapeSession.Kind.MANUAL, progress=SilentProgress(), only=only
    )


def fill(reddit: RedditReplay, *subreddits: str) -> None:
    for name in subreddits:
        reddit.add_posts(name, [raw_post(subreddit=name)])


def test_only_the_named_subreddit_is_asked_for(reddit: RedditReplay) -> None:
    fill(reddit, "python", "django")

    session = scrape(make_config(subreddits=["python", "django"]), "DJANGO")

    assert list(session.totals) == ["django"]
    assert session.status == ScrapeSession.Status.SUCCEEDED
    assert [asked.path for asked in reddit.requests if "/r/python" in asked.path] == []


def test_the_requests_of_each_subreddit_add_up(reddit: RedditReplay) -> None:
    fill(reddit, "python", "django")

    session = scrape(make_config(subreddits=["python", "django"]))

    parts = [total["requests"] for total in session.totals.values()]
    assert all(part > 0 for part in parts)
    assert (
        sum(parts) <= session.requests_used <= sum(parts) + 1
    )  # the sign-in belongs to none, or to the first


def test_a_subreddit_that_the_bot_has_no_more_is_refused(reddit: RedditReplay) -> None:
    config = make_config(subreddits=["python"])

    with pytest.raises(NotOfThisBot, match="r/django"):
        scrape(config, "django")
    assert not ScrapeSession.objects.exists()


def test_a_refusal_of_a_part_pauses_no_bot(reddit: RedditReplay) -> None:
    reddit.answers["/r/secret/new"] = [
        Answer(403, {}, b'{"reason": "private", "message": "Forbidden", "error": 403}')
    ]
    config = make_config(subreddits=["secret", "python"])
    fill(reddit, "python")

    for _number in range(4):
        assert scrape(config, "secret").status == ScrapeSession.Status.FAILED

    config.refresh_from_db()
    assert (config.is_active, config.refusals) == (True, 0)


@pytest.mark.slow
def test_a_part_does_not_continue_a_whole_scrape_nor_the_other_way(reddit: RedditReplay) -> None:
    fill(reddit, "python", "django")
    config = make_config(subreddits=["python", "django"])

    def interrupted(**checkpoint: Any) -> None:
        session = scrape(config, *checkpoint.pop("only", ()))
        ScrapeSession.objects.filter(pk=session.pk).update(
            status="interrupted",
            checkpoint={"since": session.started_at.isoformat(), "done": ["django"], **checkpoint},
        )

    edited = config.updated_at.isoformat()
    interrupted(config=edited)
    assert list(scrape(config, "django").totals) == ["django"]
    interrupted(config=f"{edited} django", only=["django"])
    assert sorted(scrape(config).totals) == ["django", "python"]


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("Python,r/django", ["django", "Python"]),
        (["b1", "a1", "B1"], ["a1", "B1"]),
        ("/r/python/", ["python"]),
    ],
)
def test_the_parameter_is_a_list_of_names(given: Any, cleaned: list[str]) -> None:
    config = factories.bot_config()

    params = get_job("scrape_now").clean({"config": config.pk, "subreddits": given})

    assert params == {"config": config.pk, "subreddits": cleaned}


@pytest.mark.parametrize("given", ["", "a b", ["x" * 50], 7, {"a": 1}, [1], "r/../x"])
def test_a_parameter_that_names_no_subreddit_is_refused(given: Any) -> None:
    with pytest.raises(InvalidParams):
        get_job("scrape_now").clean({"config": factories.bot_config().pk, "subreddits": given})


def test_only_the_owner_and_superusers_may_ask(client: Any) -> None:
    owner, other = factories.user(), factories.operator()
    config = factories.bot_config(owner=owner, subreddits=["python", "django"])
    params = {"config": config.pk, "subreddits": "python"}

    for person in (owner, factories.superuser()):
        assert requests.request_run(job="scrape_now", trigger="admin", by=person, params=params, send=False)
    with pytest.raises(PermissionDenied):
        requests.request_run(job="scrape_now", trigger="admin", by=other, params=params, send=False)


def test_the_page_of_a_session_offers_it_to_the_owner_and_writes_it_down(client: Any) -> None:
    owner = factories.user("scraping.view_scrapesession", "scraping.view_botconfig")
    config = factories.bot_config(owner=owner, subreddits=["python"])
    totals = {
        "python": {
            "posts_found": 1_234,
            "requests": 7,
            "error_kind": "private",
            "error": "r/python is private.",
        },
        "gone": {"posts_found": 1},
    }
    session = factories.session(config=config, totals=totals, requests_used=9)
    client.force_login(owner)

    page = client.get(reverse("admin:scraping_scrapesession_change", args=[session.pk])).content.decode()
    address = reverse("admin:maintenance_job_run", args=["scrape_now"])
    again = f"{address}?config={config.pk}&subreddits=python"

    assert again.replace("&", "&amp;") in page
    assert "subreddits=gone" not in page  # the bot has it no more
    assert "1,234" in page
    assert "made the subreddit private" in page
    confirmation = client.get(again).content.decode()
    assert "<strong>r/python</strong>" in confirmation
    client.post(again)
    run = JobRun.objects.get()
    assert run.params == {"config": config.pk, "subreddits": ["python"]}
    assert as_json(run)["params"] == run.params
    assert Event.objects.filter(actor_name=owner.username).exists()


def test_who_may_not_scrape_is_offered_nothing(client: Any) -> None:
    session = factories.session(totals={"python": {"posts_found": 1}})
    client.force_login(factories.operator())

    page = client.get(reverse("admin:scraping_scrapesession_change", args=[session.pk])).content.decode()

    assert "subreddits=python" not in page


def test_a_schedule_may_scrape_a_part(reddit: RedditReplay) -> None:
    config = make_config(subreddits=["python", "django"])

    assert get_job("scrape_now").clean_stored(f'{{"config": {config.pk}, "subreddits": ["django"]}}') == {
        "config": config.pk,
        "subreddits": ["django"],
    }
