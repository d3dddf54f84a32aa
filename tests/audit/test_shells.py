"""Events of shell commands: those of the console, and Django's own that change something."""

import getpass
import json
import logging
import subprocess
import sys

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import CommandError
from django.db import DatabaseError, connection

from audit import events, triggers
from audit.commands import RecordedCommand
from audit.models import Event
from tests.kit import factories

pytestmark = pytest.mark.django_db

# What a web process knows: nothing has loaded the code of a command in it.
IS_KNOWN_TO_THE_WEB_SERVER = """
import django
django.setup()
from audit.words import is_known
assert is_known("command.ran")
"""
# Commands that change no data of the console, with the reason; every other one is recorded.
SILENT = {
    "check": "reads",
    "collectstatic": "copies files of the release",
    "compilemessages": "compiles files of the sources",
    "createcachetable": "makes a table that the console does not use",
    "dbshell": "is the database's own shell, which cannot be heard",
    "diffsettings": "reads",
    "dumpdata": "reads",
    "findstatic": "reads",
    "inspectdb": "reads",
    "makemessages": "writes sources",
    "makemigrations": "writes sources",
    "migrate": "makes the table of events; what it does is the release's",
    "optimizemigration": "writes sources",
    "runserver": "serves pages, whose people write their own events",
    "sandbox_reddit": "serves synthetic content",
    "sendtestemail": "sends mail",
    "showmigrations": "reads",
    "sqlflush": "prints",
    "sqlmigrate": "prints",
    "sqlsequencereset": "prints",
    "squashmigrations": "writes sources",
    "startapp": "writes sources",
    "startproject": "writes sources",
    "test": "has a database of its own",
    "testserver": "has a database of its own",
    "up": "runs for days; what it changes before that is written down as its shell's",
    "which_run": "reads",
    "why": "reads",
}


def by_the_shell(verb):
    """Return the only event of that verb; its actor is this process's user, as a shell."""
    event = Event.objects.get(verb=verb)
    assert (event.actor_kind, event.actor_name, event.actor) == ("shell", getpass.getuser(), None)
    return event


def test_every_command_that_changes_something_writes_that_it_ran():
    silent = {
        name
        for name, app in get_commands().items()
        if not isinstance(load_command_class(app, name), RecordedCommand)
    }

    assert silent == SILENT.keys()


def test_who_is_made_superuser_in_a_shell_is_an_event_without_the_password(monkeypatch):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "hunter2-hunter2")

    call_command(
        "createsuperuser", "--no-input", "--username", "eve", "--email", "e@example.org", verbosity=0
    )

    added = by_the_shell("row.added")
    assert (added.subject_id, added.subject_name) == (str(User.objects.get().pk), "eve")
    assert added.after["is_superuser"] is True
    assert by_the_shell("command.ran").parameters["succeeded"] is True
    assert "hunter2" not in str(list(Event.objects.values()))


def test_a_password_that_a_shell_changes_is_an_event_without_it(monkeypatch):
    bob = factories.user(username="bob")
    monkeypatch.setattr(getpass, "getpass", lambda *_, **__: "hunter2-hunter2")

    call_command("changepassword", "bob", verbosity=0)

    changed = by_the_shell("row.changed")
    assert (changed.subject_id, changed.after) == (str(bob.pk), {"password": "changed"})
    assert by_the_shell("command.ran").parameters["arguments"]["username"] == "bob"
    assert "hunter2" not in str(list(Event.objects.values()))


def test_loaded_fixtures_are_named(tmp_path):
    fixture = tmp_path / "groups.json"
    fixture.write_text(json.dumps([{"model": "auth.group", "pk": 9001, "fields": {"name": "Night shift"}}]))

    call_command("loaddata", str(fixture), verbosity=0)

    assert by_the_shell("command.ran").parameters["arguments"]["args"] == [str(fixture)]


@pytest.mark.django_db(transaction=True)
def test_a_database_with_events_is_not_flushed_and_the_attempt_is_an_event():
    kept = factories.event()
    triggers.install(Event, connection)
    try:
        with pytest.raises(CommandError):
            call_command("flush", interactive=False, verbosity=0)
    finally:
        triggers.remove(connection)

    assert Event.objects.filter(pk=kept.pk).exists()
    assert by_the_shell("command.ran").parameters["succeeded"] is False


def test_what_is_done_in_a_python_shell_is_the_shells_and_its_code_is_not_kept():
    code = "from django.contrib.auth.models import User; User.objects.create_user('eve', password='hunter2-hunter2')"

    call_command("shell", command=code, verbosity=0)

    assert by_the_shell("row.added").subject_name == "eve"
    assert by_the_shell("command.ran").subject_id == "shell"
    assert "hunter2" not in str(list(Event.objects.values()))


def test_a_command_whose_event_cannot_be_stored_keeps_its_outcome_and_says_so_in_the_log(caplog, monkeypatch):
    def full(*_args, **_kwargs):
        raise DatabaseError("disk full")

    monkeypatch.setattr(events, "record", full)

    with caplog.at_level(logging.ERROR, logger="audit.events"):
        call_command("seed_schedules", verbosity=0)

    assert [
        line.getMessage().startswith("No event could be stored: command.ran") for line in caplog.records
    ] == [True]


def test_the_web_server_has_words_for_commands():
    subprocess.run([sys.executable, "-c", IS_KNOWN_TO_THE_WEB_SERVER], check=True)
