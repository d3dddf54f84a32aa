"""Every page of the console with rows that our code would never write: none answers with an error.

The rows are such as imports, other tools, older versions and deletions leave. All addresses come from the admin itself,
so a new page is tested too; a page with an argument of a new name fails until it gets rows here.
"""

import json
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import JSONField, Value
from django.urls import URLPattern, reverse
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from console.roles import APPROVERS, BOT_OWNERS, OPERATORS, VIEWERS
from maintenance.models import JobRun, PlannedWindow, RetentionPolicy, ScheduleControl
from maintenance.registry import jobs
from maintenance.scheduling import edits, maintenance_mode, schedules, seeding
from scraping.models import BotConfig, RedditApp, RedditPost, ScrapeSession, Watermark
from tests import spoilt
from tests.kit import factories, windows
from tests.soak import IS_SOAK

pytestmark = pytest.mark.django_db

JSON_NULL = Value(None, JSONField())  # which a NOT NULL column accepts
# Values of a JSON column that our code does not write.
ODD = [[], "x", 5, {"x": None}, {"x": [1]}, {"a.b": {"c": "d"}}, JSON_NULL, True]
ODD_COUNTS = [
    {"scraping.RedditPost": "many"},
    {"scraping.RedditPost": None},
    {"posts_new": [2]},
    {"a.b.c": 1},
    {"": 1},
]
ODD_PLANS = [
    {"tables": 5}, {"tables": [{}]}, {"tables": [5]}, {"at": "yesterday", "tables": []}, {"at": None, "tables": None},
    {"at": "yesterday", "tables": [{"model": "no.Model", "rows": "many", "sample": [{}], "held_reasons": 7}]},
    {
        "at": "2026-13-45", "tables": [
            {"model": "scraping.RedditPost", "rows": 5, "total": 0, "sample": [{"pk": "x", "at": "y"}], "held_reasons": [],
             "by_month": {"x": "y"}, "oldest": "long ago", "newest": 5, "cutoff": "soon", "held": 3, "left": -1},
        ],
    },
    {
        "at": "2026-01-01T00:00:00", "tables": [
            {"model": "gone.Model", "rows": 5, "total": 0, "sample": [{"pk": 1, "at": "2026-01-01T00:00:00+00:00"}],
             "held_reasons": [], "unheard_of": 1},
        ],
    },
]  # fmt: skip
ODD_TOTALS = [
    {"python": None}, {"python": []}, {"python": {"skipped": [], "warnings": 5}}, {"python": {"skipped": {"a": None}}},
    {"python": {"posts_found": "many", "error": ["x"]}},
]  # fmt: skip


def odd_runs(bot):
    """Create runs of removed jobs, with unexpected values in their JSON columns."""
    for number, value in enumerate([*ODD, *ODD_COUNTS]):
        factories.job_run(counts=value, status=("succeeded", "running", "blocked")[number % 3])
    for number, value in enumerate([*ODD, *ODD_PLANS]):
        common = {
            "job": "purge_old_content",
            "plan": value,
            "mandate": value,
            "cursor": value,
        }
        factories.job_run(**common, dry_run=number % 2 == 0, status="succeeded")
        factories.job_run(**common, status="blocked")
    for value in [*ODD, {"config": [1]}, {"config": None}, {"config": bot.pk, "x": 1}, {"days": "many"}]:
        factories.job_run(job="scrape_now", params=value, status="failed", error="no")
        factories.job_run(job="no_such_job", params=value, status="queued")
    for mandate in (
        {"run": "x", "at": 5},
        {"run": 10**30, "rows": []},
        {"at": "yesterday", "rows": {"x": "y"}},
    ):
        factories.job_run(mandate=mandate, plan={"at": "2026-01-01", "tables": []})
    long_ago, far = timezone.now().replace(year=1), timezone.now().replace(year=9999)
    for moment in (long_ago, far):
        factories.job_run(
            status="running",
            queued_at=moment,
            started_at=moment,
            scheduled_for=moment,
            progress_done=9,
            progress_total=0,
        )
        factories.job_run(
            status="failed",
            job="no_such_job",
            started_at=far,
            finished_at=long_ago,
            progress_done=9,
            progress_total=-3,
        )
    run = factories.job_run(status="interrupted", job="", schedule_name="", requested_by_name="nobody")
    JobRun.objects.filter(pk=run.pk).update(retry_of=run.pk, message="\x1b[31m" + "x" * 10_000)
    factories.log_line(run=run, text="\x07" + "y" * 10_000)
    factories.session(run=run, config=bot)


def odd_schedules():
    """Create schedules that cannot fire, whose control row is missing or garbage, and of unknown tasks."""
    for kind, make in spoilt.TIMES.items():
        if kind != "crontab gone":
            make()
    for kwargs in (
        "{",
        "[]",
        "null",
        "5",
        '{"config": 0}',
        '{"config": [[]]}',
        '{"\\u0000": "\\ud800"}',
        "[" * 9_999,
        "",
    ):
        factories.schedule(task="maintenance.scrape_now", kwargs=kwargs)
        factories.schedule(task="other.task", kwargs=kwargs, one_off=True)
    for task in ("maintenance.no_such_job", "maintenance.", "", "celery.backend_cleanup"):
        factories.schedule(task=task, description="\x1b", expires=timezone.now().replace(year=1))
        factories.schedule(task=task, start_time=timezone.now().replace(year=9998), enabled=False)
    schedules.for_job("cleanup_tokens").delete()
    ScheduleControl.objects.filter(schedule=schedules.for_job("cleanup_sessions")).delete()
    ScheduleControl.objects.filter(schedule=schedules.for_job("purge_old_content")).update(
        default_crontab="garbage", timing="garbage", next_slot_at=timezone.now().replace(year=1)
    )
    PeriodicTask.objects.filter(task="maintenance.auto_scraping").update(crontab=None)
    PeriodicTask.objects.filter(task="maintenance.cleanup_run_history").update(kwargs='{"days": "many"}')
    gone = factories.user(username="gone")
    edits.pause(schedules.for_job("cleanup_login_sessions"), by=None, reason="x")
    ScheduleControl.objects.filter(paused_at__isnull=False).update(paused_by=gone)
    gone.delete()


def odd_content(bot):
    """Create sessions, posts and comments without bot, session or texts, and bots with unexpected values in lists."""
    gone = factories.bot_config()
    for value in [*ODD, *ODD_TOTALS]:
        session = factories.session(config=gone, totals=value, config_name="")
        factories.session(config=bot, totals=value, checkpoint=value)
        post = factories.post(
            title="", url="", media=value, walk=value, config_id=gone.pk, session_id=session.pk, num_comments=-1,
            subreddit="", author="",
        )  # fmt: skip
        factories.comment(post=post, body="", author="", parent_fullname="t1_gone")
    ScrapeSession.objects.filter(config=gone).update(config=None)
    RedditPost.objects.filter(config_id=gone.pk).update(upvote_ratio=None)
    gone.delete()
    for value in ODD:
        made = factories.bot_config(owner=bot.owner)
        BotConfig.objects.filter(pk=made.pk).update(
            subreddits=value, flairs_wanted=value, domains_unwanted=value, pattern_wanted="(", post_limit=1
        )
    factories.watermark(config=bot, posts_per_hour=0)
    Watermark.objects.update(newest_at=timezone.now().replace(year=1))
    app = factories.reddit_app()
    BotConfig.objects.filter(pk=bot.pk).update(app=app)
    factories.request_budget(client_id=app.client_id, ends_at=timezone.now().replace(year=1))
    factories.request_budget(client_id="")


def odd_history(subjects):
    """Create entries of the admin's log that our code did not write."""
    person = factories.user(username="historian")
    for subject in subjects:
        for text in (
            "{",
            '{"before": 5}',
            '{"before": null, "after": []}',
            "[]",
            "x",
            "{}",
        ):
            LogEntry.objects.create(
                user=person, content_type=ContentType.objects.get_for_model(subject), object_id=subject.pk,
                object_repr="", action_flag=CHANGE, change_message=text,
            )  # fmt: skip
    LogEntry.objects.create(user=person, action_flag=CHANGE, change_message="{", object_repr="")


@pytest.fixture
def world():
    """Create all of these rows; return the person who owns the bots."""
    seeding.seed()
    owner = factories.user(username="owner")
    bot = factories.bot_config(owner=owner)
    odd_runs(bot)
    odd_schedules()
    odd_content(bot)
    factories.retention_override(policy=factories.retention_policy(job="no_such_job", days=5), config=bot)
    factories.retention_override(policy=factories.retention_policy(job="", days=5), subreddit="x")
    factories.retention_override(subreddit="\x1b")
    maintenance_mode.start(by=None, reason="x")
    windows.planned_window(reason="\x1b", timezone="No/Where")
    odd_history(
        [
            schedules.for_job("purge_old_content"), RetentionPolicy.objects.first(), bot, owner, RedditApp.objects.only("pk").first(),
            RedditPost.objects.first(),
        ]
    )  # fmt: skip
    return owner


# --- All addresses -------------------------------------------------------------------------------


ROWS_EACH = 60


def patterns(found=None, model=None):
    """Yield every named address of the admin as (name, names of its arguments, the model of its admin)."""
    for pattern in admin.site.get_urls() if found is None else found:
        if isinstance(pattern, URLPattern):
            if pattern.name:
                yield pattern.name, sorted(pattern.pattern.regex.groupindex), model
        else:
            of = next((m for m, a in admin.site._registry.items() if pattern.url_patterns == a.urls), None)
            names = {one.name for one in pattern.url_patterns if isinstance(one, URLPattern)}
            of = of or next(
                (
                    m
                    for m in admin.site._registry
                    if f"{m._meta.app_label}_{m._meta.model_name}_changelist" in names
                ),
                None,
            )
            yield from patterns(pattern.url_patterns, of)


def keys_of(model):
    keys = list(model._default_manager.order_by("pk").values_list("pk", flat=True)[:ROWS_EACH])
    return [*keys, 987_654_321]


def addresses():
    """Return every address of the admin for the existing rows."""
    found = []
    for name, arguments, model in patterns():
        if name in ("logout", "login"):
            continue
        rows: dict[tuple[str, ...], list[list[Any]]] = {
            (): [[]],
            ("object_id",): [[key] for key in keys_of(model)] if model else [],
            ("pk",): [[key] for key in keys_of(model)] if model else [],
            ("slug",): [[slug] for slug in [*(job.slug for job in jobs()), "no_such_job"]],
            ("app_label",): [["scraping"], ["auth"]],
            ("format",): [["csv"], ["jsonl"], ["x"]],
            ("content_type_id", "object_id"): [[1, 1], ["x", "y"]],
            ("id",): [[key] for key in keys_of(User)],
            ("user_id",): [[key] for key in keys_of(User)],
            ("key",): [[key] for key in keys_of(PlannedWindow)],
            ("name", "pk"): [
                [key, part] for key in keys_of(PeriodicTask) for part in ("pings", "no_such_part")
            ],
            ("url",): [["no/such/page"]],
        }
        values = rows.get(tuple(arguments))
        assert values is not None, f"{name} takes {arguments}: give it rows here."
        found += [reverse(f"admin:{name}", args=one) for one in values]
    lists = [
        address
        for address in found
        if address.endswith(("/periodictask/", "/jobrun/", "/redditpost/", "/scrapesession/"))
    ]
    found += [
        f"{address}?{query}"
        for address in lists
        for query in ("q=x", "p=2", "p=999999", "o=1", "q=%231", "_popup=1")
    ]
    run_page = reverse("admin:maintenance_job_run", args=["scrape_now"])
    purge_page = reverse("admin:maintenance_job_run", args=["purge_old_content"])
    found += [f"{run_page}?config={pk}" for pk in keys_of(BotConfig)]
    found += [
        f"{purge_page}?plan={pk}" for pk in JobRun.objects.filter(dry_run=True).values_list("pk", flat=True)
    ]
    return found


@pytest.mark.slow
def test_all_addresses_of_the_admin_are_walked(world):
    found = addresses()

    for part in (
        "/jobrun/",
        "/periodictask/",
        "/redditcomment/",
        "/retentionpolicy/",
        "/user/",
        "/live/",
        "/pause/",
        "/run/",
    ):
        assert sum(part in address for address in found) > 5, part


# The superuser gets all addresses; each other role gets every fifth in the suite, beginning at a different one.
ROLES = {"superuser": 0, OPERATORS: 1, BOT_OWNERS: 2, VIEWERS: 3, APPROVERS: 4}
SAMPLED = 5


def sampled(found, role, method):
    """Return the addresses that this role requests with this method."""
    if IS_SOAK or (role == "superuser" and method == "get"):
        return found
    return found[ROLES[role] + (method == "post") :: SAMPLED]


def sign_in(client, role, owner):
    """Sign in a person with the role; the bot owner is the owner of the existing bots."""
    if role == "superuser":
        client.force_login(factories.superuser())
        return
    person = owner if role == BOT_OWNERS else factories.user()
    person.groups.add(Group.objects.get(name=role))
    client.force_login(person)


def answer(client, method, address, data):
    """Return the status, or an exception with its location."""
    try:
        # Rolled back, so that every page is requested with the same rows.
        with transaction.atomic():
            response = getattr(client, method)(address, data)
            if response.streaming:
                list(response.streaming_content)
            transaction.set_rollback(True)
        return response.status_code
    except Exception as error:
        frame = error.__traceback__
        while frame.tb_next:
            frame = frame.tb_next
        return f"{type(error).__name__}: {error} ({frame.tb_frame.f_code.co_filename}:{frame.tb_lineno})"[
            :600
        ]


POSTED = {
    "post": "yes",
    "reason": "x",
    "days": "8",
    "run": "1",
    "plan": "x",
    "action": "delete_selected",
    "_selected_action": "1",
}


@pytest.mark.parametrize(("method", "data"), [("get", {}), ("post", POSTED)], ids=["get", "post"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.soak
def test_no_page_answers_with_an_error(client, world, role, method, data):
    sign_in(client, role, world)
    failures = {}
    for address in sampled(addresses(), role, method):
        status = answer(client, method, address, data)
        if isinstance(status, str) or status >= 500:
            failures.setdefault(str(status), address)
    assert failures == {}, json.dumps(failures, indent=1)
