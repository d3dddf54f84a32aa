"""Every page of the console asks the database at most 25 times, in a world with every state, for a superuser and others."""

import pytest
from django.core.cache import caches
from django.db import connection
from django.test import Client

from alerts.models import Alert
from bench import pages
from console.roles import BOT_OWNERS, OPERATORS, VIEWERS
from maintenance.models import JobRun
from maintenance.registry import jobs
from maintenance.scheduling import schedules
from scraping.models import BotConfig, RedditComment, RedditPost, ScrapeSession
from tests.filled import filled_world
from tests.kit import factories

# With real transactions: inside that of a test, each block of the code would be a savepoint, which is a statement.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("seeded"), pytest.mark.slow]


@pytest.fixture
def people(settings):
    """The people of a filled world, with an open alert and a job that has more schedules than the dashboard shows."""
    found = filled_world(settings)
    factories.alert(rule="late")
    for bot in BotConfig.objects.all():
        factories.schedule(task="maintenance.scrape_now", kwargs=f'{{"config": {bot.pk}}}')
    return found


@pytest.fixture
def addresses(people):
    """The addresses of the pages, by name."""
    rows = {
        "schedule": schedules.for_job("purge_old_content"),
        "run": JobRun.objects.filter(status="running").first(),
        "bot": BotConfig.objects.filter(paused_at=None).first(),
        "session": ScrapeSession.objects.filter(status="partial").first(),
        "post": RedditPost.objects.filter(hold_reason="court order").first(),
        "comment": RedditComment.objects.first(),
        "user": people[BOT_OWNERS],
        "alert": Alert.objects.first(),
    }
    ids = {name: row.pk for name, row in rows.items()}
    of_jobs = {f"run {job.slug}": f"jobs/{job.slug}/run/" for job in jobs() if not job.refers_to}
    return {name: address.format(**ids) for name, address in pages.PAGES.items()} | of_jobs


def queries_of(person, address):
    """Return the status of a page and its statements, with nothing cached; not those of a session's first page."""
    client = Client()
    client.force_login(person)
    client.get("/admin/my-sessions/")
    caches["process"].clear()
    statements = []

    def note(execute, sql, *arguments):
        if not sql.startswith("BEGIN"):
            statements.append(sql)
        return execute(sql, *arguments)

    with connection.execute_wrapper(note):
        answer = client.get(f"/admin/{address}")
    return answer.status_code, statements


def faults(person, addresses):
    """Return the pages with too many queries, each with its statements."""
    found = []
    for name, address in addresses.items():
        status, statements = queries_of(person, address)
        assert status in (200, 400, 403, 404), (person, name, status)
        if len(statements) > pages.TARGET_QUERIES:
            found += [f"{person}, {name}: {len(statements)} queries", *(sql[:120] for sql in statements)]
    return "\n".join(found)


def test_no_page_asks_more_than_25_times(people, addresses):
    reached = [
        name for name, address in addresses.items() if queries_of(people["superuser"], address)[0] == 200
    ]
    assert reached == list(addresses)

    found = [faults(people[role], addresses) for role in ("superuser", OPERATORS, VIEWERS, BOT_OWNERS)]
    assert not any(found), "\n".join(found)
