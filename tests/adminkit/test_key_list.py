"""Lists in pages by key: links to the neighbours, sorting by an index, counts, and addresses that lead nowhere."""

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from adminkit import key_list, paginator
from database import estimates
from database.keyset import Place, encoded
from maintenance.models import JobRun
from scraping.models import ScrapeSession
from tests.kit import factories

pytestmark = pytest.mark.django_db

RUNS = "admin:maintenance_jobrun_changelist"
SESSIONS = "admin:scraping_scrapesession_changelist"
BY_KEY = [
    (model, one) for model, one in admin.site._registry.items() if getattr(one, "has_pages_by_key", False)
]


@pytest.fixture
def signed_in(client):
    client.force_login(factories.superuser())
    return client


def runs(number, **fields):
    JobRun.objects.bulk_create(
        JobRun(**{"job": "cleanup_tokens", "trigger": "command", "status": "queued", **fields})
        for _ in range(number)
    )
    return list(JobRun.objects.order_by("-pk").values_list("pk", flat=True))


def keys(answer):
    assert answer.status_code == 200
    return [row.pk for row in answer.context["cl"].result_list]


def links(answer):
    """Return the addresses of the links to other pages, by their words."""
    shown = re.search(r'<nav class="paginator key-pages".*?</nav>', answer.content.decode(), re.DOTALL)
    assert shown
    found = re.findall(r'<a href="([^"]*)"[^>]*>(\w+)</a>', shown[0])
    return {words: address.replace("&amp;", "&") for address, words in found}


def test_older_and_newer_lead_through_the_whole_list_and_back(signed_in):
    expected = runs(120)

    first = signed_in.get(reverse(RUNS))
    second = signed_in.get(reverse(RUNS) + links(first)["Older"])
    third = signed_in.get(reverse(RUNS) + links(second)["Older"])

    assert keys(first) + keys(second) + keys(third) == expected
    assert set(links(first)) == {"Older"}
    assert set(links(second)) == {"Newest", "Newer", "Older"}
    assert set(links(third)) == {"Newest", "Newer"}
    assert keys(signed_in.get(reverse(RUNS) + links(third)["Newer"])) == keys(second)
    assert keys(signed_in.get(reverse(RUNS) + links(third)["Newest"])) == keys(first)


def test_a_page_by_key_keeps_filters_and_a_filter_leaves_the_place(signed_in):
    runs(70, job="cleanup_sessions")
    runs(70)

    second = signed_in.get(
        reverse(RUNS) + links(signed_in.get(reverse(RUNS), {"job": "cleanup_sessions"}))["Older"]
    )

    assert set(JobRun.objects.filter(pk__in=keys(second)).values_list("job", flat=True)) == {
        "cleanup_sessions"
    }
    assert len(keys(second)) == 20
    for spec in second.context["cl"].filter_specs:
        for choice in spec.choices(second.context["cl"]):
            assert not set(parse_qs(urlsplit(choice["query_string"]).query)) & set(key_list.PLACE_VARS)
    assert 'name="after"' not in second.content.decode()


def test_a_run_that_starts_meanwhile_moves_nothing(signed_in):
    expected = runs(60)
    older = links(signed_in.get(reverse(RUNS)))["Older"]
    runs(5)
    JobRun.objects.filter(pk=expected[49]).delete()  # the row at which the page ended

    assert keys(signed_in.get(reverse(RUNS) + older)) == expected[50:]


@pytest.mark.parametrize(
    "query",
    [
        "p=7",
        "p=-1",
        "p=x",
        f"p={'9' * 5000}",
        "p=%00",
        "after=x",
        "after=%00",
        "before=WzFd",
        f"after={'9' * 500}",
    ],
)
def test_an_old_or_damaged_link_shows_the_first_page_and_says_so(signed_in, query):
    expected = runs(60)

    answer = signed_in.get(f"{reverse(RUNS)}?{query}")

    assert keys(answer) == expected[:50]
    assert 'class="list-notice"' in answer.content.decode()


def test_what_is_behind_the_end_is_the_first_page(signed_in):
    expected = runs(60)

    behind = signed_in.get(reverse(RUNS), {"after": encoded(Place(expected[-1]))})
    before = signed_in.get(reverse(RUNS), {"before": encoded(Place(expected[0]))})

    assert keys(behind) == keys(before) == expected[:50]
    assert str(key_list.NOTHING_THERE) in behind.content.decode()


def test_the_first_page_by_its_old_number_needs_no_words(signed_in):
    runs(60)

    assert "list-notice" not in signed_in.get(reverse(RUNS), {"p": "1"}).content.decode()


@pytest.mark.parametrize(("model", "one"), BY_KEY, ids=[model.__name__ for model, _one in BY_KEY])
def test_a_list_is_sorted_only_by_columns_that_begin_an_index(model, one):
    opts = model._meta
    begins = {
        index.fields[0].removeprefix("-") for index in opts.indexes if index.fields and not index.condition
    }
    begins |= {"pk", opts.pk.name}

    for name in one.sortable_by or ():
        assert name in one.list_display
        assert getattr(one, name).admin_order_field in begins


def test_a_column_without_an_index_is_not_sorted_by(signed_in):
    JobRun.objects.bulk_create(
        JobRun(job="cleanup_tokens", trigger="command", status="queued", error=error) for error in "bca"
    )
    for number in range(9):
        answer = signed_in.get(reverse(RUNS), {"o": f"{number}.1"})
        if number != answer.context["cl"].list_display.index("run"):
            assert keys(answer) == sorted(keys(answer), reverse=True)


def test_a_list_is_sorted_by_its_time_and_walked_in_that_order(signed_in, monkeypatch):
    bot = factories.bot_config()
    for hours in (3, 1, 2):
        factories.session(config=bot, started_at=timezone.now() - timedelta(hours=hours))
    expected = list(ScrapeSession.objects.order_by("started_at").values_list("pk", flat=True))
    number = admin.site._registry[ScrapeSession].list_display.index("started")

    assert keys(signed_in.get(reverse(SESSIONS), {"o": number})) == expected
    assert keys(signed_in.get(reverse(SESSIONS), {"o": -number})) == expected[::-1]
    monkeypatch.setattr(admin.site._registry[ScrapeSession], "list_per_page", 1)
    first = signed_in.get(reverse(SESSIONS), {"o": number})
    later = signed_in.get(reverse(SESSIONS) + links(first)["Newer"])
    assert (keys(first), keys(later)) == (expected[:1], expected[1:2])
    assert set(links(later)) == {"Oldest", "Older", "Newer"}


def test_a_list_of_one_page_is_not_counted(signed_in):
    runs(3)

    with CaptureQueriesContext(connection) as captured:
        answer = signed_in.get(reverse(RUNS))

    assert not [query for query in captured if "COUNT(" in query["sql"] and "jobrun" in query["sql"]]
    assert "\n3 job runs" in answer.content.decode()


def test_a_big_list_is_not_counted_to_its_end(signed_in, monkeypatch):
    monkeypatch.setattr(paginator, "ROWS_MAX", 55)
    runs(60)

    with CaptureQueriesContext(connection) as captured:
        answer = signed_in.get(reverse(RUNS), {"job": "cleanup_tokens"})

    counts = [query["sql"] for query in captured if "COUNT(" in query["sql"] and "jobrun" in query["sql"]]
    assert counts
    assert all("LIMIT 55" in sql for sql in counts)
    assert "more than 55 job runs" in answer.content.decode()


def test_a_big_table_says_about_how_many_rows_it_has(signed_in, monkeypatch):
    runs(60)
    size = estimates.TableSize(1_004_321, is_exact=False, bytes=None)
    monkeypatch.setattr(key_list, "table_sizes", lambda tables, using: dict.fromkeys(tables, size))

    assert "about 1,000,000 job runs" in signed_in.get(reverse(RUNS)).content.decode()
    assert "about" not in links(signed_in.get(reverse(RUNS), {"job": "cleanup_tokens"}))
    assert "\n60 job runs" in signed_in.get(reverse(RUNS), {"job": "cleanup_tokens"}).content.decode()
