"""The page that compares two periods: its figures lead to their runs, in every period and for every reader."""

import csv
import io
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from database.deadlines import TooSlow
from maintenance.admin import comparison
from maintenance.admin.comparison_rows import COLUMNS, Cell
from maintenance.ledger.comparison import figures_in
from maintenance.models import JobRun
from maintenance.scheduling import seeding
from tests.kit import factories

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

PAGE = reverse("admin:maintenance_jobrun_compare")
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
RUNS, FAILURES, MISSED, P50, P95, ROWS = (column.name for column in COLUMNS)


def ran(days_ago, minutes=1, **fields):
    begun = timezone.now() - days_ago * DAY
    return factories.job_run(
        **{"queued_at": begun, "started_at": begun, "finished_at": begun + minutes * MINUTE, **fields}
    )


def two_weeks():
    """Make runs of both weeks: later ones are slower, fail less, and delete more."""
    for minutes in (1, 2, 3):
        ran(10, minutes, counts={"scraping.RedditPost": 5})
        ran(3, 2 * minutes, counts={"scraping.RedditPost": 10})
    ran(10, status="failed")
    ran(10, status="missed", counts={"slots_missed": 4})
    ran(3, 99, dry_run=True)
    ran(20, 99)


def text_of(answer):
    return " ".join(answer.content.decode().split())


def row_of(answer, slug="cleanup_tokens", schedule=None):
    rows = answer.context["comparison"].rows
    return next(row for row in rows if (row.slug, row.schedule) == (slug, schedule))


def cells_of(answer, **which):
    return {cell.column.name: cell for cell in row_of(answer, **which).cells}


def test_the_last_week_is_compared_with_the_one_before(client, superuser):
    two_weeks()

    answer = client.get(PAGE)
    cells = cells_of(answer)

    assert {name: (cell.before, cell.after, cell.change) for name, cell in cells.items()} == {
        "runs": (4, 3, "1 fewer"),
        "failures": (1, 0, "1 fewer"),
        "missed": (4, 0, "4 fewer"),
        "p50": (2 * MINUTE, 4 * MINUTE, "2 m 00 s longer"),
        "p95": (3 * MINUTE, 6 * MINUTE, "3 m 00 s longer"),
        "rows": (15, 30, "15 more"),
    }
    assert [cell.judgement for cell in cells.values()] == ["", "better", "better", "worse", "worse", ""]
    assert "mark-up" in text_of(answer)
    assert "mark-down" in text_of(answer)


def test_each_figure_leads_to_its_runs(client, superuser):
    two_weeks()
    ran(10, status="partial")
    ran(10, 5, attempt=2)
    ran(10, job="auto_scraping")

    cells = cells_of(client.get(PAGE))

    def listed(address):
        answer = client.get(address)
        assert answer.status_code == 200
        return list(answer.context["cl"].result_list)

    assert len(listed(cells[RUNS].before_url)) == cells[RUNS].before == 6
    assert len(listed(cells[RUNS].after_url)) == cells[RUNS].after == 3
    assert len(listed(cells[FAILURES].before_url)) == cells[FAILURES].before == 2
    assert [run.counts for run in listed(cells[MISSED].before_url)] == [{"slots_missed": 4}]
    assert len(listed(cells[P50].before_url)) == 3
    assert len(listed(cells[ROWS].before_url)) == 6


def test_a_schedule_that_differs_has_a_row_whose_runs_can_be_listed(client, superuser):
    seeding.seed()
    other = factories.schedule(task="maintenance.cleanup_tokens", name="Tokens at noon", crontab="0 12 * * *")
    for minutes in (1, 2, 3):
        ran(3, minutes, schedule=other, trigger="schedule", scheduled_for=timezone.now() - minutes * MINUTE)
    ran(3)

    answer = client.get(PAGE)
    cells = cells_of(answer, schedule=other.pk)

    assert row_of(answer, schedule=other.pk).title == "Tokens at noon"
    assert (cells[RUNS].after, cells_of(answer)[RUNS].after) == (3, 4)
    assert len(client.get(cells[RUNS].after_url).context["cl"].result_list) == 3
    assert [row.schedule for row in answer.context["comparison"].rows if row.slug == "purge_old_content"] == [
        None
    ]


def test_any_two_periods_are_compared_and_they_may_overlap(client, superuser, settings):
    two_weeks()
    now = timezone.localtime()
    asked = {
        "before_from": f"{now - 25 * DAY:%Y-%m-%dT%H:%M}",
        "before_to": f"{now:%Y-%m-%dT%H:%M}",
        "after_from": f"{(now - 11 * DAY).date()}",
        "after_to": f"{now:%Y-%m-%d %H:%M}",
        "job": "cleanup_tokens",
    }

    answer = client.get(PAGE, asked)

    assert not answer.context["form"].errors
    assert (cells_of(answer)[RUNS].before, cells_of(answer)[RUNS].after) == (8, 7)
    assert {row.slug for row in answer.context["comparison"].rows} == {"cleanup_tokens"}
    assert f'value="{asked["before_from"]}"' in text_of(answer)


GOOD = {
    "before_from": "2026-01-01T00:00",
    "before_to": "2026-01-08T00:00",
    "after_from": "2026-02-01T00:00",
    "after_to": "2026-02-08T00:00",
}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("before_from", "", "This field is required."),
        ("before_from", "yesterday", "Enter a valid date/time."),
        ("after_from", "2026-02-30T00:00", "Enter a valid date/time."),
        ("before_to", "2026-01-01T00:00", "Choose a moment after the start of this period."),
        ("after_to", "2026-06-01T00:00", "Choose a period of at most 92 days."),
        ("before_from", "0001-01-01T00:00", "Its year is from 1970 to 2200."),
        ("after_to", "9999-12-31T23:59", "Its year is from 1970 to 2200."),
        ("job", "nothing", "Select a valid choice. nothing is not one of the available choices."),
    ],
)
def test_what_cannot_be_used_is_named(client, superuser, name, value, said):
    asked = {**GOOD, name: value}

    answer = client.get(PAGE, asked)
    assert answer.status_code == 200
    assert said in [str(error) for error in answer.context["form"].errors[name]]
    assert answer.context["comparison"] is None

    file = client.get(PAGE, {**asked, "format": "csv"})
    assert file.status_code == 400
    assert name in text_of(file)


@pytest.mark.parametrize(
    "asked",
    [
        {"days": "0"},
        {"days": "93"},
        {"days": "a"},
        {"days": "٣"},
        {"format": "xls"},
        {"job": "no"},
        {"x": "\0"},
    ],
)
def test_rubbish_in_the_address_is_refused_by_name(client, superuser, asked):
    answer = client.get(PAGE, asked)

    assert answer.status_code == 400
    assert next(iter(asked)) in text_of(answer)


def test_the_hour_that_comes_twice_is_compared(client, superuser, settings, monkeypatch):
    settings.TIME_ZONE = "Europe/Berlin"
    night = datetime.fromisoformat("2026-10-25T00:30:00+00:00")
    monkeypatch.setattr("database.clock.now", lambda: night)
    with timezone.override("Europe/Berlin"):
        assert client.get(PAGE).context["comparison"].after.end == night + MINUTE


def test_too_many_runs_ask_for_shorter_periods(client, superuser, monkeypatch):
    def slow(*_arguments, **_named):
        raise TooSlow

    monkeypatch.setattr(comparison, "compare", slow)

    for asked in ({}, GOOD):
        answer = client.get(PAGE, asked)
        assert answer.status_code == 200
        assert "choose shorter periods" in text_of(answer)
        assert client.get(PAGE, {**asked, "format": "csv"}).status_code == 400


def test_the_table_is_exported_without_formulas(client, superuser):
    seeding.seed()
    two_weeks()
    bad = factories.schedule(task="maintenance.cleanup_tokens", name="=HYPERLINK(1)", crontab="0 12 * * *")

    answer = client.get(PAGE, {"format": "csv"})

    assert answer["Content-Disposition"].startswith('attachment; filename="compared-')
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    first = next(row for row in rows if row["job"] == "cleanup_tokens" and not row["schedule"])
    assert (first["runs_before"], first["runs_after"], first["runs_difference"]) == ("4", "3", "-1")
    assert (first["p50_before"], first["p50_after"], first["p50_difference"]) == ("120.0", "240.0", "120.0")
    assert (first["rows_before"], first["rows_after"]) == ("15", "30")
    named = next(row["schedule"] for row in rows if "HYPERLINK" in row["schedule"])
    assert not named.startswith("=")
    assert bad.name in named


def test_owners_see_their_own_runs_and_no_names_of_schedules(client):
    owner = factories.user(is_staff=True)
    bot = factories.bot_config(owner=owner)
    task = factories.schedule(
        task="maintenance.scrape_now", name="of others", kwargs=f'{{"config": {bot.pk}}}'
    )
    factories.schedule(task="maintenance.scrape_now", name="secret", crontab="0 12 * * *")
    ran(3, job="scrape_now", params={"config": bot.pk}, schedule=task)
    ran(3, job="scrape_now", params={"config": factories.bot_config().pk})
    ran(3)
    client.force_login(owner)

    answer = client.get(PAGE)

    (row,) = answer.context["comparison"].rows
    assert (row.slug, row.cells[0].after) == ("scrape_now", 1)
    assert "secret" not in text_of(answer)


def test_who_may_see_no_runs_is_refused(client):
    client.force_login(factories.user(is_staff=True))
    assert client.get(PAGE).status_code == 403
    client.logout()
    assert client.get(PAGE).status_code == 302
    assert client.post(PAGE).status_code in (302, 405)


def test_the_queries_do_not_grow_with_runs_and_schedules(client, superuser):
    seeding.seed()

    def looked():
        with CaptureQueriesContext(connection) as captured:
            answer = client.get(PAGE)
        assert answer.status_code == 200
        return len(captured)

    factories.schedule(task="maintenance.cleanup_tokens", name="first", crontab="0 12 * * *")
    looked()
    few = looked()
    for number in range(15):
        task = factories.schedule(task="maintenance.cleanup_tokens", name=f"n{number}", crontab="0 12 * * *")
        ran(3, schedule=task, trigger="schedule", job="cleanup_tokens", counts={f"a.{number}": 1})

    assert looked() <= 25  # it keeps the sums of the days
    assert looked() == few


def test_the_list_and_the_page_of_a_run_lead_to_the_comparison(client, superuser):
    run = ran(1)

    assert f'href="{PAGE}"' in text_of(client.get(reverse("admin:maintenance_jobrun_changelist")))
    page = text_of(client.get(reverse("admin:maintenance_jobrun_change", args=[run.pk])))
    assert f'href="{PAGE}?job=cleanup_tokens"' in page
    before_a_run = client.get(reverse("admin:maintenance_job_run", args=["cleanup_tokens"]))
    assert f'href="{PAGE}?job=cleanup_tokens"' in text_of(before_a_run)
    shown = client.get(PAGE, {"job": "cleanup_tokens"})
    assert {row.slug for row in shown.context["comparison"].rows} == {"cleanup_tokens"}
    assert 'href="?days=28&amp;job=cleanup_tokens"' in text_of(shown)


def test_a_difference_that_is_not_shown_is_none():
    almost = Cell(COLUMNS[3], timedelta(seconds=60.1), timedelta(seconds=60.2), "", "")
    assert (almost.direction, almost.change, almost.judgement) == ("same", "the same", "")
    unknown = Cell(COLUMNS[3], None, timedelta(seconds=1), "", "")
    assert (unknown.direction, unknown.change) == ("", "")


def test_the_figures_are_those_of_the_ledger(client, superuser):
    two_weeks()

    answer = client.get(PAGE)
    found = answer.context["comparison"]
    (figures,) = figures_in(found.before, JobRun.objects.all()).values()

    assert cells_of(answer)[P95].before == figures.p95
    query = dict(parse_qsl(urlsplit(cells_of(answer)[P95].before_url).query))
    assert urlencode({"attempt__exact": 1}) in urlencode(query)
