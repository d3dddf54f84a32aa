"""The bar of filters above every list, the titles that cells carry, and what an empty list says."""

import re

import pytest
from django.contrib import admin
from django.urls import reverse

from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(client):
    client.force_login(factories.superuser())
    return client


def shown(client, name, query=""):
    return client.get(reverse(f"admin:{name}_changelist") + query).content.decode()


def chips(page):
    """Return (title, value, address without it) of each chip."""
    found = re.findall(
        r'<a class="chip" href="([^"]*)">\s*<span class="chip-title">([^<]*)</span>\s*([^<]*?)\s*<', page
    )
    return [(title, value, address.replace("&amp;", "&")) for address, title, value in found]


def test_a_list_without_a_filter_has_a_menu_and_no_chip(reader):
    factories.post()

    page = shown(reader, "scraping_redditpost")

    assert '<details class="filter-menu">' in page
    assert chips(page) == []
    assert "changelist-filter" not in page


def test_each_filter_that_is_set_is_a_chip_that_leads_to_the_list_without_it(reader):
    factories.post(subreddit="python")

    page = shown(reader, "scraping_redditpost", "?subreddit=python&hold=none&q=python")

    assert chips(page) == [
        ("Subreddit", "r/python", "?hold=none&q=python"),
        ("Hold", "Not held", "?q=python&subreddit=python"),
    ]
    assert 'class="chip-clear" href="?q=python"' in page


def test_a_link_that_filters_by_what_the_menu_lacks_is_a_chip_too(reader):
    session = factories.session()

    page = shown(reader, "scraping_scrapesession", f"?config={session.config_id}")

    assert [(value, address) for _title, value, address in chips(page)] == [(str(session.config_id), "?")]


def test_a_chip_shows_a_strange_value_as_text(reader):
    page = shown(reader, "scraping_redditpost", "?subreddit=%3Cscript%3Ealert(1)%3C/script%3E")

    assert "<script>alert" not in page


def test_every_cell_carries_the_title_of_its_column(reader):
    factories.post(title="A title")

    page = shown(reader, "scraping_redditpost")

    row = re.search(r'id="result_list".*<tbody>(.*?)</tbody>', page, re.DOTALL)[1]
    assert 'data-label="Subreddit"' in row
    assert re.findall(r"<t[dh](?! data-label)", row) == []


def test_a_cell_that_says_nothing_is_marked(reader):
    factories.post()

    page = shown(reader, "scraping_redditpost")

    assert re.search(r'<td data-label="Hold" data-nothing', page)


def test_an_empty_list_says_whether_it_is_empty_or_nothing_matches(reader):
    assert "Nothing matches." not in shown(reader, "scraping_redditpost")
    assert 'class="empty-list"' in shown(reader, "scraping_redditpost")
    assert "Nothing matches." in shown(reader, "scraping_redditpost", "?hold=held")


def test_each_empty_list_teaches_what_will_appear_in_it():
    # There is always a user: the reader. Activity has a page of its own.
    taught = {
        model._meta.label: getattr(one, "empty_list", "") for model, one in admin.site._registry.items()
    }

    assert {label for label, text in taught.items() if not text} == {"auth.User", "audit.Event"}
