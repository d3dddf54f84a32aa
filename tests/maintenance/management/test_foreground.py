"""A run in the foreground: its progress bar in a terminal. test_commands.py tests signals and exit codes."""

import sys
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from scraping.models import RedditPost
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)


def purge_on(terminal, capsys, monkeypatch, *arguments):
    """Return what a purge of one old post prints on stderr."""
    factories.post(created_at=timezone.now() - timedelta(days=100))
    survivor = factories.post()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)

    call_command("purge_old_content", *arguments)

    assert list(RedditPost.objects.all()) == [survivor]
    return capsys.readouterr().err


def test_a_terminal_gets_a_progress_bar(capsys, monkeypatch):
    assert "/s]" in purge_on(True, capsys, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(("terminal", "arguments"), [(False, []), (True, ["--json"])])
def test_a_pipe_and_json_get_none(capsys, monkeypatch, terminal, arguments):
    assert purge_on(terminal, capsys, monkeypatch, *arguments) == ""
