"""The log of a run: searched, followed, and as a text file that holds no credentials and is no formula anywhere."""

import pytest
from django.urls import reverse

from maintenance.models import RunLogLine
from tests.kit import factories

pytestmark = pytest.mark.django_db


def address(name, run):
    return reverse(f"admin:maintenance_jobrun_{name}", args=[run.pk])


def text_of(client, run, **query):
    response = client.get(address("log", run), query)
    return response, b"".join(response.streaming_content).decode()


def test_the_log_is_searched_on_the_page_and_in_its_polls(client, operator):
    run = factories.job_run(status="running")
    factories.log_line(run=run, text="deleted 5 posts")
    factories.log_line(run=run, text="Reddit answered 503 & more")

    page = client.get(address("change", run), {"log": "reddit ANSWERED"}).content.decode()
    assert "answered 503 &amp; more" in page
    assert "deleted 5 posts" not in page
    assert "1 line contains" in page
    assert "&amp;log=reddit%20ANSWERED" in page

    factories.log_line(run=run, text="deleted 6 posts")
    factories.log_line(run=run, text="Reddit answered again")
    page = client.get(address("live", run), {"after": "0", "log": "reddit answered"}).content.decode()
    assert "Reddit answered again" in page
    assert "deleted 6 posts" not in page


@pytest.mark.slow
def test_words_that_no_log_can_contain_are_refused(client, operator):
    run = factories.job_run()

    for words in ("\0", "x" * 201):
        assert client.get(address("change", run), {"log": words}).status_code == 400
        assert client.get(address("log", run), {"log": words}).status_code == 400


def test_the_log_is_downloaded_as_plain_text_in_order(client, operator):
    run, other = factories.job_run(), factories.job_run()
    lines = [factories.unsaved_log_line(run, f"line {number}") for number in range(1200)]
    RunLogLine.objects.bulk_create(lines)
    factories.log_line(run=other, text="of another run")
    factories.log_line(run=run, level="error", text="<b>bold</b>\n=HYPERLINK(1)\r\n@cmd")

    response, text = text_of(client, run)
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Content-Disposition"] == f'attachment; filename="run-{run.pk}-log.txt"'
    assert response["X-Content-Type-Options"] == "nosniff"
    rows = text.splitlines()
    assert [row.split(" INFO ")[1] for row in rows[:1200]] == [f"line {number}" for number in range(1200)]
    assert rows[1200].endswith("+00:00 ERROR <b>bold</b>")
    assert rows[1201:] == ["    =HYPERLINK(1)", "    @cmd"]
    assert text_of(client, run, log="LINE 1199")[1].count("\n") == 1


@pytest.mark.slow
def test_only_who_sees_a_run_gets_its_log(client):
    owner = factories.user()
    bot = factories.bot_config(owner=owner)
    mine = factories.job_run(job="scrape_now", params={"config": bot.pk})
    other = factories.job_run()
    factories.log_line(run=mine, text="of my bot")
    client.force_login(owner)

    assert "of my bot" in text_of(client, mine)[1]
    assert client.get(address("log", other)).status_code == 404
    client.force_login(factories.user("maintenance.run_job"))
    assert client.get(address("log", mine)).status_code == 403


def test_without_javascript_the_page_of_an_open_run_renews_itself(client, operator):
    refresh = '<noscript><meta http-equiv="refresh" content="10"></noscript>'

    for status, renews in (("running", True), ("queued", True), ("blocked", False), ("failed", False)):
        page = client.get(address("change", factories.job_run(status=status))).content.decode()
        assert (refresh in page) == renews
