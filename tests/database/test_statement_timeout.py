"""Web requests have a limit for each statement on PostgreSQL; workers and commands do not."""

import os
import subprocess
import sys

import pytest
from django.db import OperationalError, connection
from django.db.backends.signals import connection_created
from django.urls import reverse

from database.statement_timeout import limit_statements, was_too_slow
from scraping.admin.content import RedditPostAdmin
from tests.kit import factories

postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL only")


@pytest.fixture
def limited():
    """A new connection under a limit of 0.2 s."""
    limit_statements(0.2)
    connection.close()
    yield
    limit_statements(0)
    connection_created.disconnect(dispatch_uid="database.statement_timeout")
    connection.close()


def sleep(seconds):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])


@postgresql
@pytest.mark.django_db(transaction=True)
def test_a_slow_statement_is_ended(limited):
    with pytest.raises(OperationalError) as ended:
        sleep(5)

    assert was_too_slow(ended.value)
    sleep(0.01)  # the connection goes on


@postgresql
@pytest.mark.django_db(transaction=True)
def test_a_page_that_takes_too_long_says_so(limited, client, monkeypatch):
    client.force_login(factories.superuser())

    def slow(*_args, **_kwargs):
        sleep(5)

    monkeypatch.setattr(RedditPostAdmin, "get_search_results", slow)

    answer = client.get(reverse("admin:scraping_redditpost_changelist"), {"q": "x"})

    assert answer.status_code == 503
    assert "WEB_STATEMENT_TIMEOUT_SECONDS" in answer.content.decode()


@postgresql
@pytest.mark.django_db(transaction=True)
def test_without_a_limit_nothing_is_ended():
    limit_statements(0)
    connection.close()

    sleep(0.3)


@pytest.mark.slow
def test_only_the_web_is_limited():
    """Loading what a worker and a command load sets no limit; loading what gunicorn serves does."""
    heard = "any(getattr(k, '__iter__', None) and 'database.statement_timeout' in k for (k, *_r) in connection_created.receivers)"
    for module, limited in (("console.wsgi", True), ("console.celery", False)):
        program = (
            f"import {module}; import django; django.setup();"
            f"from django.db.backends.signals import connection_created; print({heard})"
        )
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "console.settings"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == str(limited), module
