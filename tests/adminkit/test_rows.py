"""The rows of lists are those of Django's own function, and each cell carries its column's title."""

import re

import pytest
import time_machine
from django.contrib import admin
from django.contrib.admin.templatetags.admin_list import items_for_result, result_headers
from django.db import models
from django.db.models.query_utils import DeferredAttribute
from django.urls import reverse

from adminkit.rows import table_rows
from database import clock
from tests.filled import filled_world
from tests.kit import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded")]
# Activity has a page of its own.
LISTS = sorted(model._meta.label_lower for model in admin.site._registry if model._meta.app_label != "audit")


def lists_of(client, query=""):
    """Return each list of the console, as its page has read it, with its rows."""
    for label in LISTS:
        answer = client.get(reverse(f"admin:{label.replace('.', '_')}_changelist") + query)
        cl = answer.context["cl"]
        yield label, cl, table_rows(cl, [header["text"] for header in result_headers(cl)])


def djangos_rows(cl):
    return "\n".join(f"<tr>{''.join(items_for_result(cl, row, None))}</tr>" for row in cl.result_list)


def without_titles(rows):
    return re.sub(r' data-label="[^"]*"| data-nothing| scope="row"', "", rows)


@pytest.mark.slow
@pytest.mark.parametrize("query", ["", "?q=e"])
def test_every_list_shows_what_djangos_own_function_shows(client, settings, query):
    client.force_login(filled_world(settings)["superuser"])

    with time_machine.travel(clock.now(), tick=False):  # some cells show how long something has lasted
        found = {
            label: (without_titles(rows), djangos_rows(cl)) for label, cl, rows in lists_of(client, query)
        }

    assert {label: ours for label, (ours, _) in found.items()} == {
        label: djangos for label, (_, djangos) in found.items()
    }
    assert query or all(ours for ours, _ in found.values())


def test_no_list_shows_a_time_in_djangos_style():
    times = [
        (model._meta.label, name)
        for model, one in admin.site._registry.items()
        for name in one.list_display
        if isinstance(name, str)
        and isinstance(getattr(model, name, None), DeferredAttribute)
        and isinstance(model._meta.get_field(name), models.DateTimeField)
    ]
    assert times == []  # use ``moment_column``


def test_what_a_row_says_is_escaped(client):
    factories.post(title="<script>alert(1)</script>", subreddit="python")
    client.force_login(factories.superuser())

    page = client.get(reverse("admin:scraping_redditpost_changelist")).content.decode()

    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_the_page_of_a_row_leads_back_to_the_filtered_list(client):
    post = factories.post(subreddit="python")
    client.force_login(factories.superuser())

    page = client.get(reverse("admin:scraping_redditpost_changelist") + "?subreddit=python&hold=none")

    (address,) = re.findall(r'<th data-label[^>]*><a href="([^"]*)"', page.content.decode())
    assert address == (
        reverse("admin:scraping_redditpost_change", args=[post.pk])
        + "?_changelist_filters=subreddit%3Dpython%26hold%3Dnone"
    )
