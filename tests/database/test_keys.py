"""Rotating the keys of stored secrets, through the page and the command; a lost key breaks no page."""

import json
from io import StringIO
from unittest.mock import Mock

import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.urls import reverse

from database import keys
from database.keys import check_keys, encrypted_columns
from scraping.models import AccessToken, RedditApp
from tests.kit import factories

pytestmark = pytest.mark.django_db
SECRET = "s3cret"


@pytest.fixture
def app(settings):
    """An app whose secret the old key encrypted."""
    settings.FIELD_ENCRYPTION_KEY = ["old"]
    made = factories.reddit_app(client_secret=SECRET)
    settings.FIELD_ENCRYPTION_KEY = ["new", "old"]
    return made


@pytest.fixture
def lost(settings):
    """An app whose key is gone."""
    settings.FIELD_ENCRYPTION_KEY = ["lost"]
    made = factories.reddit_app(client_secret=SECRET, name="lost app")
    settings.FIELD_ENCRYPTION_KEY = ["new"]
    return made


def token(app):
    with connection.cursor() as cursor:
        cursor.execute("SELECT client_secret FROM scraping_redditapp WHERE id = %s", [app.pk])
        return cursor.fetchone()[0]


def rotate(*options):
    out = StringIO()
    call_command("rotate_keys", *options, stdout=out)
    return out.getvalue()


def checked():
    out = StringIO()
    call_command("check", "--database", "default", stdout=out, stderr=out)
    return out.getvalue()


def save_in_the_page(client, app):
    return client.post(
        reverse("admin:scraping_redditapp_change", args=[app.pk]),
        {"name": "renamed", "client_id": app.client_id, "user_agent": app.user_agent, "new_secret": ""},
    )


def test_saving_an_app_in_its_page_moves_its_secret_to_the_new_key(app, client, settings):
    client.force_login(factories.superuser())

    assert save_in_the_page(client, app).status_code == 302

    settings.FIELD_ENCRYPTION_KEY = ["new"]
    stored = RedditApp.objects.get(pk=app.pk)
    assert (stored.name, stored.client_secret) == ("renamed", SECRET)


def test_the_command_moves_every_secret_to_the_new_key(app, settings):
    settings.FIELD_ENCRYPTION_KEY = ["old"]
    access = factories.access_token(token="bearer")
    settings.FIELD_ENCRYPTION_KEY = ["new", "old"]
    current = factories.reddit_app(client_secret="already")
    without = factories.reddit_app()
    kept = token(current)

    told = rotate("--json")

    assert json.loads(told) == {"rotated": 2, "current": 1, "unreadable": []}
    assert token(current) == kept
    settings.FIELD_ENCRYPTION_KEY = ["new"]
    assert RedditApp.objects.get(pk=app.pk).client_secret == SECRET
    assert AccessToken.objects.get(pk=access.pk).token == "bearer"
    assert RedditApp.objects.get(pk=without.pk).client_secret == ""
    assert rotate() == "0 encrypted with the first key, 3 were already.\n"


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(app):
    before = token(app)

    assert rotate("--dry-run") == "1 would be encrypted with the first key, 0 were already.\n"
    assert token(app) == before


def test_what_no_key_reads_is_named_and_left_alone(app, lost, settings):
    settings.FIELD_ENCRYPTION_KEY = ["new", "old"]
    before = token(lost)

    with pytest.raises(CommandError, match=rf"scraping\.RedditApp {lost.pk}, client_secret"):
        rotate()

    assert token(lost) == before
    settings.FIELD_ENCRYPTION_KEY = ["new"]
    assert RedditApp.objects.get(pk=app.pk).client_secret == SECRET


def test_the_check_names_what_the_first_key_cannot_read(app, lost, settings):
    settings.FIELD_ENCRYPTION_KEY = ["new", "old"]
    factories.reddit_app(client_secret="fine")

    told = checked()

    assert f"scraping.RedditApp {app.pk}, client_secret is not encrypted with the first key." in told
    assert "manage.py rotate_keys" in told
    assert f"scraping.RedditApp {lost.pk}, client_secret fits none of the keys." in told
    assert told.count("RedditApp") == 2
    assert SECRET not in told


def test_the_check_asks_no_database_unless_it_is_named(lost):
    out = StringIO()

    call_command("check", stdout=out, stderr=out)

    assert "RedditApp" not in out.getvalue()


@pytest.mark.slow
def test_a_lost_key_breaks_no_page(lost, client):
    person = factories.superuser()
    client.force_login(person)
    bot = factories.bot_config(app=lost, owner=person)
    run = factories.job_run(job="scrape_now", params={"config": bot.pk})
    for name, row in (
        ("scraping_botconfig", bot),
        ("scraping_redditapp", lost),
        ("maintenance_jobrun", run),
    ):
        assert client.get(reverse(f"admin:{name}_changelist")).status_code == 200
        assert client.get(reverse(f"admin:{name}_change", args=[row.pk])).status_code == 200
    question = client.get(reverse("admin:maintenance_job_run", args=["scrape_now"]) + f"?config={bot.pk}")
    assert question.status_code == 200


def test_saving_an_app_whose_key_is_lost_keeps_what_is_stored_until_a_new_secret_is_typed(
    lost, client, settings
):
    client.force_login(factories.superuser())
    before = token(lost)

    assert save_in_the_page(client, lost).status_code == 302

    assert token(lost) == before
    settings.FIELD_ENCRYPTION_KEY = ["new", "lost"]
    assert RedditApp.objects.get(pk=lost.pk).client_secret == SECRET


@pytest.mark.slow
def test_the_trial_page_of_a_bot_names_the_remedy(lost, client):
    person = factories.superuser()
    client.force_login(person)
    bot = factories.bot_config(app=lost, owner=person)
    form = client.get(reverse("admin:scraping_botconfig_change", args=[bot.pk])).context["adminform"].form
    data = {
        name: "\n".join(value) if isinstance(value, list) else value
        for name in form.fields
        if (value := form.get_initial_for_field(form.fields[name], name)) not in (None, "", False)
    }

    page = client.post(reverse("admin:scraping_botconfig_test", args=[bot.pk]), data).content.decode()

    assert "lost app" in page
    assert "FIELD_ENCRYPTION_KEY" in page


def test_every_encrypted_column_is_known():
    found = {(model.__name__, column) for model, column in encrypted_columns()}

    assert {("RedditApp", "client_secret"), ("AccessToken", "token")} <= found


@pytest.mark.django_db(transaction=True)
def test_before_the_first_migration_the_check_has_nothing_to_say():
    with connection.schema_editor() as editor:
        editor.alter_db_table(RedditApp, "scraping_redditapp", "elsewhere")
    try:
        assert check_keys(databases=["default"]) == []
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(RedditApp, "elsewhere", "scraping_redditapp")


def test_a_check_that_cannot_read_the_secrets_says_so(monkeypatch):
    """Silence would say that the old key can be removed."""
    lost = OperationalError("connection refused\n\tIs the server running?")
    lost.__cause__ = psycopg2.OperationalError()
    monkeypatch.setattr(keys, "stored_secrets", Mock(side_effect=lost))

    (told,) = check_keys(databases=["default"])

    assert (told.id, told.msg) == (
        "database.W003",
        "Stored secrets could not be checked. connection refused.",
    )
