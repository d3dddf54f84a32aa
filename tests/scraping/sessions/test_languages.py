"""The session, run and log of a worker in one language are readable in the other."""

import json
import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import translation

from maintenance.ledger import performing
from maintenance.models import JobRun
from scraping.models import ScrapeSession
from scraping.models.due import DueWalk
from scraping.skip_reasons import reason_label
from tests.filled import SKIPPED
from tests.kit import factories
from tests.kit.scraped import make_config, raw_post
from tests.scraping.reddit_replay import Answer, RedditReplay

pytestmark = pytest.mark.django_db

CJK = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")


@pytest.fixture
def run(reddit: RedditReplay) -> JobRun:
    """Return the run of a partly failing scrape, by a worker whose language is Chinese."""
    reddit.add_posts("python", [raw_post(id="a1", num_comments=3, author="guido", title="title")])
    reddit.answers["/comments/a1"] = [Answer(403, {}, b"")] * 9
    reddit.answers["/r/secret/new"] = [Answer(403, {}, b'{"reason": "private"}')]
    config = make_config(subreddits=["python", "secret", "nowhere"])
    run = factories.job_run(job="scrape_now", status="queued", params={"config": config.pk})
    with translation.override("zh-hans"):
        performing.perform(run)
    return JobRun.objects.get(pk=run.pk)


def said(run: JobRun) -> list[str]:
    """Return all texts of the run, its log and its session."""
    run = JobRun.objects.get(pk=run.pk)
    session = ScrapeSession.objects.get(run=run)
    texts = [run.message, run.error, session.error, *(line.text for line in run.log_lines.all())]
    for _name, total in session.totals_by_subreddit:
        texts += [total["error"], *total["warnings"]]
    texts += [row.error for row in DueWalk.objects.all()]
    return [text for text in texts if text]


def test_all_texts_of_a_run_read_in_both_languages(run: JobRun) -> None:
    with translation.override("zh-hans"):
        chinese = said(run)
    english = said(run)

    assert len(english) == len(chinese) >= 8
    assert [text for text in chinese if not CJK.search(text)] == []
    assert [text for text in english if CJK.search(text)] == []


def test_no_text_of_a_run_is_stored_in_chinese(run: JobRun) -> None:
    session = ScrapeSession.objects.get(run=run)
    stored: list[Any] = [
        session.totals,
        session.error_parts,
        run.message_parts,
        *run.log_lines.values_list("text"),
    ]

    assert not CJK.search(json.dumps(stored, ensure_ascii=False))
    assert session.totals["secret"]["error_parts"]["code"].startswith("The subreddit is private (403)")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_the_pages_of_session_and_run_use_the_readers_language(
    client: Client, run: JobRun, language: str
) -> None:
    client.force_login(factories.superuser(username="ada"))
    session = ScrapeSession.objects.get(run=run)
    addresses = [
        reverse("admin:scraping_scrapesession_change", args=[session.pk]),
        reverse("admin:maintenance_jobrun_change", args=[run.pk]),
    ]

    for address in addresses:
        page = client.get(address, headers={"accept-language": language}).content.decode()
        page = page.replace("简体中文", "")
        assert ("The subreddit is private" in page) == (language == "en")
        assert bool(CJK.search(page)) == (language != "en")


def test_reasons_of_skipped_items_read_in_the_readers_language(client: Client) -> None:
    session = factories.session(totals={"python": {"skipped": SKIPPED}})
    client.force_login(factories.superuser())
    page = client.get(
        reverse("admin:scraping_scrapesession_change", args=[session.pk]), HTTP_ACCEPT_LANGUAGE="zh-hans"
    ).content.decode()

    said = re.findall(r"\d × ([^<]+)", page)
    assert len(said) == len(SKIPPED)
    assert [text for text in said if not CJK.search(text)] == []


def test_every_reason_that_a_scrape_counts_has_words() -> None:
    with translation.override("zh-hans"):
        for reason in reasons_in_the_code():
            assert CJK.search(reason_label(reason)), reason
            assert "%(" not in reason_label(reason)


def reasons_in_the_code() -> set[str]:
    """Return the reasons that the modules reading Reddit's items raise or count, with placeholders filled."""
    found = set()
    for path in (
        "scraping/content/normalise.py",
        "scraping/content/storage.py",
        "scraping/reddit/answers.py",
    ):
        text = (settings.BASE_DIR / path).read_text()
        for pattern in (
            r'BadItem\(f?"([^"]+)"\)',
            r'_drop\(f?"([^"]+)"',
            r'return f?"([^"]+)" if kind',
            r'else "(no item)"',
        ):
            found |= {re.sub(r"\{\w+\}", "x", one) for one in re.findall(pattern, text)}
    assert len(found) > 10
    return found
