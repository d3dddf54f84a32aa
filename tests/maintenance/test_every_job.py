"""Rules for every job in the list."""

import dataclasses
import inspect
from datetime import timedelta

import pytest
from django.core.management import get_commands, load_command_class
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from console.celery import app
from maintenance import jobs as job_list
from maintenance import registry
from maintenance.models import JobRun
from maintenance.registry import jobs
from maintenance.scheduling import schedules
from maintenance.scheduling.firetimes import Crontab
from scraping.models import BotConfig
from tests.kit import factories
from tests.kit.steps import ran

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("seeded")]

SLUGS = [job.slug for job in jobs()]

SCHEDULED = {
    "cleanup_tokens": "0 * * * *",
    "cleanup_sessions": "0 2 * * *",
    "purge_old_content": "30 2 * * 0",
    "auto_scraping": "0 0,6,12,18 * * *",
    "cleanup_run_history": "15 3 * * *",
    "cleanup_events": "5 4 * * *",
    "cleanup_login_sessions": "45 3 * * *",
    "refresh_stored_content": "*/20 * * * *",
    "learn_usual_rows": "50 * * * *",
}


def test_these_are_the_jobs_and_their_defaults():
    # At least these: a new job does not change the contract.
    assert SCHEDULED.items() <= {job.slug: job.crontab for job in jobs()}.items()
    assert {"cleanup_sessions": 30, "purge_old_content": 90, "cleanup_run_history": 180}.items() <= {
        job.slug: job.retention_days for job in jobs()
    }.items()


@pytest.mark.parametrize("slug", SLUGS)
def test_a_job_is_whole(slug):
    job = registry.get_job(slug)

    assert job.english_summary.endswith(".")
    assert getattr(job_list, slug) is job.function
    assert job.task_name == f"maintenance.{slug}"
    app.loader.import_default_modules()  # as a worker does at its start
    assert job.task_name in app.tasks
    assert slug in get_commands()
    assert vars(type(load_command_class("maintenance", slug)))["job"] == slug
    if job.crontab:
        Crontab.parse(job.crontab).validate()
        assert str(schedules.crontab_of(schedules.for_job(slug))) == job.crontab


@pytest.mark.parametrize("slug", SLUGS)
def test_a_job_is_refused_to_who_may_not_run_it(slug):
    config = factories.bot_config()
    job = registry.get_job(slug)
    params = {"config": config.pk} if "config" in job.params else {}

    assert not job.may_run(factories.user(), params)
    assert job.may_run(factories.superuser(), params)


@pytest.mark.parametrize("slug", SLUGS)
def test_a_dry_run_changes_nothing(slug, reddit):
    config = factories.bot_config()
    old = timezone.now() - timedelta(days=400)
    factories.comment(post=factories.post(created_at=old))
    factories.session(status="succeeded", finished_at=old)
    factories.expired_refresh_token()
    factories.login_session(expire_date=old)
    before = contents()

    run = ran(slug, dry_run=True, params={"config": config.pk} if slug == "scrape_now" else None)

    assert run.status == JobRun.Status.SUCCEEDED
    assert contents() == before


def contents():
    """Return all rows of all tables except those of the ledger and of events, because a request writes an event."""
    rows = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            if not table.startswith(("maintenance_", "audit_event")):
                cursor.execute(f'SELECT * FROM "{table}"')
                rows[table] = sorted(map(repr, cursor.fetchall()))
    return rows


def test_a_default_schedule_cannot_be_declared_for_a_job_that_requires_a_parameter():
    with pytest.raises(ValueError, match="requires config, which its default schedule would not give"):
        registry.job(crontab="0 0 * * *", params={"config": int}, concurrent_by="config")(lambda ctx: None)


def test_what_a_declaration_says_is_what_the_job_has(declare):
    """The registry has the list of options three times: none may be missing in one of them."""
    said = {
        "crontab": "1 2 * * *",
        "retention_days": 7,
        "floor_days": 5,
        "has_overrides": True,
        "has_live_threads": True,
        "authorize": lambda user, params: True,
        "authorize_many": lambda user, many: [],
        "shown_to": lambda user: Q(),
        "refers_to": {"config": BotConfig},
        "has_relative_caps": False,
        "share_cap_min_rows": 3,
        "time_limit": timedelta(seconds=9),
        "retries": (timedelta(seconds=1),),
        "keeps_its_place": True,
        "runs_at_first_start": True,
        "group": "scraping",
    }

    def tidy(ctx):
        """Tidy up."""

    made = registry.get_job(declare(tidy, **said))

    assert {name: getattr(made, name) for name in said} == said
    options = set(inspect.signature(registry.job).parameters)
    assert options == {*said, "params", "concurrent_by"}
    assert options == {field.name for field in dataclasses.fields(made)} - {"slug", "function"}
