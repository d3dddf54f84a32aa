"""What "Needs you" says where it shows or reads only a part."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from alerts import failures
from console import needs
from console.needs import bots as bot_lines
from console.needs import runs as run_lines
from console.needs import world as needs_world
from tests.console.needs.test_needs import lines, number_in_list, served, world
from tests.kit import factories

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("seeded", "served")]
__all__ = ["served"]

MINUTE = timedelta(minutes=1)


def purge_run(status, *, minutes_ago, **fields):
    at = timezone.now() - minutes_ago * MINUTE
    values = {"started_at": at, "finished_at": at, "queued_at": at}
    return factories.job_run(job="purge_old_content", status=status, **values | fields)


def recovered():
    (found,) = needs.recovered_for(world(factories.superuser()))
    return found


def test_failures_before_the_runs_that_were_read_may_be_more(client, monkeypatch):
    for ago in (60, 59, 58, 57):
        purge_run("failed", minutes_ago=ago, error="503")
    first = purge_run("succeeded", minutes_ago=56)
    for ago in (55, 54):
        last = purge_run("succeeded", minutes_ago=ago)
    assert (recovered().times, recovered().or_more, recovered().or_earlier) == (4, False, False)
    assert recovered().fine_since == first.finished_at

    monkeypatch.setattr(failures, "RUNS_MAX", 5)
    assert (recovered().times, recovered().or_more, recovered().or_earlier) == (2, True, False)
    monkeypatch.setattr(failures, "RUNS_MAX", 1)
    assert (recovered().times, recovered().or_more, recovered().or_earlier) == (1, True, True)
    assert recovered().fine_since == last.finished_at
    client.force_login(factories.superuser())
    page = " ".join(client.get(reverse("admin:index")).content.decode().split())
    assert "×1 or more" in page
    assert re.search(r"\(fine since [^<]* or earlier\)", page)


def test_failures_are_all_counted_if_what_was_read_reaches_back_a_day(monkeypatch):
    purge_run("succeeded", minutes_ago=2 * 24 * 60)
    for ago in (60, 59):
        purge_run("failed", minutes_ago=ago, error="503")
    purge_run("succeeded", minutes_ago=58)
    monkeypatch.setattr(failures, "RUNS_MAX", 4)

    assert (recovered().times, recovered().or_more) == (2, False)


def test_blocked_runs_without_a_line_are_counted(monkeypatch):
    monkeypatch.setattr(run_lines, "BLOCKED_MAX", 2)
    monkeypatch.setattr(needs_world, "OPEN_MAX", 3)
    for _number in range(5):
        factories.job_run(job="purge_old_content", status="blocked", waiting_since=timezone.now())

    found = lines(factories.superuser())

    assert [line.text for line in found[2:]] == ["3 more runs wait for approval"]
    assert number_in_list(found[-1].actions[0].url) == 5


def test_of_too_many_items_set_aside_it_says_at_least_how_many(monkeypatch):
    monkeypatch.setattr(bot_lines, "READ_MAX", 2)
    for number in range(3):
        factories.doubt_of(set_aside=factories.set_aside(items=1, scope=f"r{number}"))

    (line,) = lines(factories.superuser())

    assert "2 or more items are set aside" in line.text


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("failed", "Scrape now is failing for 3 sets of parameters"),
        ("partial", "Scrape now does only a part for 3 sets of parameters"),
    ],
)
def test_bots_that_fare_alike_are_told_as_they_fare_and_lead_to_their_runs(status, text):
    factories.job_run(job="scrape_now", status=status, params={"config": 9}, error="404")
    factories.job_run(job="scrape_now", status="succeeded", params={"config": 9})
    for number in range(1, 4):
        factories.job_run(job="scrape_now", status=status, params={"config": number}, error="503")

    (line,) = lines(factories.superuser())

    assert line.text == text
    assert number_in_list(line.actions[1].url) == 3


def test_failed_and_partial_bots_do_not_share_a_line():
    for number, status in enumerate(["failed"] * 3 + ["partial"] * 3, start=1):
        factories.job_run(job="scrape_now", status=status, params={"config": number}, error="503")

    assert sorted(line.kind for line in lines(factories.superuser())) == ["failed", "partial"]
