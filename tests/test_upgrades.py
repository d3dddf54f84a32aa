"""Processes of the release before go on working while the schema is this one's already."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from accounts.models import ApiToken, IdempotencyKey, LoginSession, PersonalToken
from alerts.models import Ping, PingAddress, QuietHours, Reader, Route
from console.management.commands.migrate import LOCK, lock_file
from maintenance.models import HookCall, MaintenanceMode, ScheduleControl, ScheduleHook
from tests.kit import factories, pings

# The last migrations of the release before this one; raise them when a release is made.
BEFORE = [
    ("accounts", "0001_initial"),
    ("maintenance", "0005_jobrun_not_before"),
    ("scraping", "0006_incremental_scraping"),
]


@pytest.fixture(scope="module")
def old_apps():
    """The models as the code of the release before knows them."""
    return MigrationLoader(None).project_state(BEFORE).apps


def maintenance_mode():
    return MaintenanceMode.objects.create(pk=1, started_at=timezone.now(), reason="x")


def schedule_control():
    return ScheduleControl.objects.get(pk=factories.schedule().pk)


ROWS: dict[str, Callable[[], Any]] = {
    "accounts.RefreshToken": factories.refresh_token,
    "accounts.PasswordResetToken": factories.password_reset_token,
    "scraping.RedditApp": factories.reddit_app,
    "scraping.BotConfig": factories.bot_config,
    "scraping.Watermark": factories.watermark,
    "scraping.RequestBudget": factories.request_budget,
    "scraping.ScrapeSession": factories.session,
    "scraping.RedditPost": factories.post,
    "scraping.RedditComment": factories.comment,
    "maintenance.JobRun": factories.job_run,
    "maintenance.RunLogLine": factories.log_line,
    "maintenance.RetentionPolicy": lambda: factories.retention_policy(job="x", days=9),
    "maintenance.RetentionOverride": factories.retention_override,
    "maintenance.ScheduleControl": schedule_control,
    "maintenance.MaintenanceMode": maintenance_mode,
}
# The leader's row and the schedulers' signs of life; a scheduler of the release before stands by.
BY_RAW_SQL = {"maintenance.BeatLease", "maintenance.BeatProcess"}


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("label", ROWS)
def test_the_release_before_writes_and_reads_its_rows(old_apps, label):
    row = ROWS[label]()
    old_model = old_apps.get_model(label)
    # A column that this release reads no more stays empty.
    values = {field.attname: getattr(row, field.attname, None) for field in old_model._meta.concrete_fields}
    type(row)._base_manager.filter(pk=row.pk)._raw_delete("default")

    old_model._base_manager.create(**values)

    kept = old_model._base_manager.get(pk=row.pk)
    values.pop("updated_at", None)  # the time of saving
    assert {name: getattr(kept, name) for name in values} == values
    kept.save()
    assert type(row)._base_manager.get(pk=row.pk) == row


def test_every_model_of_the_release_before_is_tried(old_apps):
    ours = {name for name, _ in BEFORE}
    models = {model._meta.label for model in old_apps.get_models() if model._meta.app_label in ours}

    assert models - BY_RAW_SQL == set(ROWS)


@pytest.mark.django_db(transaction=True)
def test_the_release_before_deletes_a_schedule_and_a_person_whose_new_rows_it_does_not_know(old_apps):
    """The database deletes what hangs on them; an event stays, without its key."""
    hook, token = factories.schedule_hook(secret=""), factories.personal_token()
    factories.hook_call(hook=hook)
    pings.ping(address=pings.ping_address(schedule=hook.schedule, url=""))
    factories.api_token(user=token.user)
    factories.idempotency_key(user=token.user)
    factories.listed_session(user=token.user)
    factories.quiet_hours(person=token.user)
    Reader.objects.create(person=token.user, language="en")
    route = factories.route(to="person", person=token.user)
    delivery = factories.delivery(route=route, person=token.user)
    event, survivor = factories.event(actor=token.user), factories.personal_token()

    old_apps.get_model("django_celery_beat", "PeriodicTask")._base_manager.get(pk=hook.pk).delete()
    old_apps.get_model("auth", "User")._base_manager.get(pk=token.user.pk).delete()

    connection.check_constraints()
    assert not ScheduleHook.objects.exists()
    assert not HookCall.objects.exists()
    assert not PingAddress.objects.exists()
    assert not Ping.objects.exists()
    assert [one.pk for one in PersonalToken.objects.all()] == [survivor.pk]
    for model in (ApiToken, IdempotencyKey, LoginSession, QuietHours, Reader):
        assert not model._base_manager.exists()
    assert not Route.objects.filter(pk=route.pk).exists()
    delivery.refresh_from_db()
    event.refresh_from_db()
    assert (event.actor, delivery.person, delivery.route) == (None, None, None)


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_a_second_migrate_waits_for_the_first():
    """Django does not lock migrations against each other."""
    command = [sys.executable, "manage.py", "migrate", "--check"]
    environment = {**os.environ, "DATABASE_URL": factories.database_url()}
    holder = psycopg2.connect(factories.database_url()) if connection.vendor == "postgresql" else None
    if holder:
        holder.cursor().execute("SELECT pg_advisory_lock(%s)", [LOCK])
        release = holder.close
    else:
        file = lock_file(connection.settings_dict["NAME"]).open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        release = file.close
    waiting = subprocess.Popen(
        command,
        cwd=settings.BASE_DIR,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    first_line = waiting.stdout.readline()
    release()

    assert "Another process migrates this database" in first_line
    assert waiting.wait(60) == 0, waiting.stdout.read()
    waiting.stdout.close()
