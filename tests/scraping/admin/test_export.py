"""Exporting lists in the admin."""

import csv
import io

import pytest
from django.urls import reverse

from audit.models import Event
from tests.kit import factories
from tests.scraping.content.exports import lines, sighting, titles

pytestmark = pytest.mark.django_db
POSTS = reverse("admin:scraping_redditpost_changelist")


def downloaded(response):
    assert response.status_code == 200
    return b"".join(response.streaming_content)


def export_url(suffix, query="", model="redditpost"):
    return reverse(f"admin:scraping_{model}_export", args=[suffix]) + query


@pytest.fixture
def exporter(client):
    user = factories.user(
        "scraping.view_redditpost", "scraping.export_redditpost",
        "scraping.view_redditcomment", "scraping.export_redditcomment", "scraping.view_everybodys_content",
    )  # fmt: skip
    client.force_login(user)
    return user


@pytest.mark.parametrize(
    "permissions",
    [[], ["scraping.view_redditpost"], ["scraping.export_redditpost"], ["scraping.export_redditcomment"]],
)
def test_only_people_who_may_see_and_export_can_export(client, permissions):
    client.force_login(factories.user(*permissions))

    assert client.get(export_url("csv")).status_code == 403


def test_a_stranger_is_sent_to_the_login_page(client):
    assert client.get(export_url("csv")).url.startswith(reverse("admin:login"))


def test_the_list_offers_the_export_with_its_filters_to_permitted_people(client, exporter):
    factories.post(subreddit="flask")
    page = client.get(POSTS, {"subreddit": "flask"}).content.decode()

    assert 'href="export/parquet/?subreddit=flask" download>Export as Parquet</a>' in page
    client.force_login(factories.user("scraping.view_redditpost"))
    assert "export/" not in client.get(POSTS).content.decode()


def test_the_file_holds_what_the_list_shows(client, exporter):
    factories.post(subreddit="flask", title="wanted", author="me")
    factories.post(subreddit="flask", title="other author")
    factories.post(subreddit="django", title="other subreddit", author="me")

    response = client.get(export_url("jsonl", "?subreddit=flask&q=u/me&p=3"))

    assert titles(downloaded(response)) == ["wanted"]
    assert response["Content-Type"].startswith("application/x-ndjson")
    assert response["Content-Disposition"].startswith('attachment; filename="redditpost-')
    started, ended = Event.objects.order_by("pk")
    assert (started.actor, started.subject_name, started.verb) == (exporter, "posts", "export.started")
    assert "subreddit=flask" in started.parameters["filters"]
    assert (ended.verb, ended.parameters["rows"], ended.parameters["complete"]) == ("export.ended", 1, True)
    assert "q=u%2F%E2%80%A6" in started.parameters["filters"]  # u/…: the log outlives the account


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    ["q=u/Quietone", "q=+U/Quietone", "q=quietone", "q=u_quietone", "q=r/u_Quietone", "subreddit=u_quietone"],
)
@pytest.mark.parametrize("model", ["redditpost", "redditcomment"])
def test_the_log_of_an_export_keeps_no_authors_name(client, exporter, query, model):
    model = "redditpost" if query.startswith("subreddit") else model  # comments have no such filter
    factories.post(subreddit="u_quietone", author="quietone")

    downloaded(client.get(export_url("jsonl", f"?{query}", model)))

    assert "quietone" not in str(list(Event.objects.values())).lower()


def test_the_log_has_the_row_count_of_an_export(client, exporter):
    factories.post(subreddit="flask", body="x" * 40_000)
    factories.post(subreddit="flask")

    response = client.get(export_url("excel", "?q=r/flask"))

    assert downloaded(response).startswith(b"\xef\xbb\xbf")
    assert response["Content-Disposition"].endswith('.csv"')
    assert Event.objects.get(verb="export.ended").parameters == {
        "format": "excel",
        "filters": "q=r%2Fflask",
        "rows": 2,
        "cells_cut": 1,
        "complete": True,
    }


@pytest.mark.slow
def test_owners_filter_by_their_own_bots_only(client):
    owner = factories.user(
        "scraping.view_redditpost", "scraping.export_redditpost",
        "scraping.view_redditcomment", "scraping.export_redditcomment",
    )  # fmt: skip
    client.force_login(owner)
    first, second = (factories.bot_config(owner=owner, name=name) for name in ("Mine", "Mine too"))
    foreign = factories.bot_config(name="Secret bot")
    shared = sighting(factories.post(title="both", config=foreign), first)
    sighting(shared, foreign)
    factories.comment(post=shared, body="under both")
    sighting(factories.post(title="second"), second)
    sighting(factories.post(title="foreign"), foreign)

    page = client.get(POSTS).content.decode()
    assert "Mine too" in page
    assert "Secret bot" not in page
    assert titles(downloaded(client.get(export_url("jsonl", f"?bot={first.pk}")))) == ["both"]
    comments = downloaded(client.get(export_url("jsonl", f"?bot={first.pk}", "redditcomment")))
    assert [line["body"] for line in lines(comments)] == ["under both"]
    assert sorted(titles(downloaded(client.get(export_url("jsonl"))))) == ["both", "second"]
    for bot in (foreign.pk, 10**17, "x", "1" * 40):
        assert client.get(POSTS, {"bot": bot}).status_code == 400


def test_comments_are_exported_with_their_filters_too(client, exporter):
    wanted = factories.comment(body="wanted")
    factories.comment(body="other")

    response = client.get(export_url("csv", f"?post__id__exact={wanted.post_id}", model="redditcomment"))

    rows = list(csv.DictReader(io.StringIO(downloaded(response).decode())))
    assert [row["body"] for row in rows] == ["wanted"]


def test_an_unknown_format_is_not_found_and_a_bad_filter_is_refused(client, exporter, without_pyarrow):
    assert client.get(export_url("exe")).status_code == 404
    assert client.get(export_url("csv", "?nonsense__exact=1")).status_code == 400
    page = client.get(export_url("parquet"), follow=True).content.decode()
    assert "requirements/parquet.txt" in page
