"""Rows of every kind for the fuzzing of the API, and what a refused request must leave as it was."""

import itertools
from dataclasses import dataclass

from django.apps import apps
from django.contrib.auth.models import Group
from django.utils import timezone

from accounts import api_tokens
from console.roles import APPROVERS, BOT_OWNERS, OPERATORS
from maintenance.models import JobRun, RunLogLine, statuses
from maintenance.registry import jobs
from maintenance.scheduling import edits, seeding
from scraping.models import BotConfig, RedditComment, RedditPost, ScrapeSession
from tests.kit import factories

OPERATOR, OWNER, SUPERUSER, STRANGER = "operator", "bot owner", "superuser", "stranger"
# Written beside the change, or by a refusal too: counters, who was refused, and what was used.
LEFT_OUT = ("sessions.Session", "accounts.LoginSession")
REFUSALS = (
    "person.sign_in_failed",
    "person.sign_in_refused",
    "person.reset_refused",
    "person.reset_asked",
    "token.reused",
)


@dataclass(frozen=True)
class World:
    """The secrets of each role, and the values that a request names."""

    secrets: dict[str, str | None]
    values: dict[str, list]


def build():
    """Make the rows, for three roles."""
    seeding.seed()
    people = {role: _person(role) for role in (OPERATOR, OWNER, SUPERUSER)}
    mine, others = factories.bot_config(owner=people[OWNER]), factories.bot_config(name="secret")
    factories.bot_config(owner=people[OWNER], is_active=False)
    for bot in (mine, others):
        factories.session(config=bot)
        post = factories.post(config=bot)
        factories.comment(post=post)
    factories.post(held_at=timezone.now(), hold_reason="x")
    for status, job in itertools.product(statuses.Status, ("cleanup_tokens", "purge_old_content")):
        run = factories.job_run(status=status, job=job)
        RunLogLine.objects.create(run=run, level="info", text="line")
    task = factories.schedule()
    edits.pause(factories.schedule(), by=None, reason="x")
    secrets = {role: api_tokens.issue(person) for role, person in people.items()}

    def keys(model):
        return list(model.objects.values_list("pk", flat=True))

    values = {
        "slug": [job.slug for job in jobs()],
        "run_id": keys(JobRun), "bot_id": keys(BotConfig), "session_id": keys(ScrapeSession), "post_id": keys(RedditPost),
        "schedule_id": keys(type(task)), "config": keys(BotConfig), "post": keys(RedditPost), "plan": keys(JobRun),
        "schedule": keys(type(task)), "app": [factories.reddit_app().pk], "comment": keys(RedditComment),
        "refresh": [one.refresh for one in secrets.values()],
        "token": [one.access for one in secrets.values()] + [one.refresh for one in secrets.values()],
        "crontab": ["15 4 * * *", "*/5 * * * *"], "timezone": ["Europe/Berlin"], "job": [job.slug for job in jobs()],
        "username": [person.username for person in people.values()], "login": [people[OWNER].username],
        "subreddits": [["python"], ["r/flask", "rust"]], "cursor": ["MQ", "OTk5OTk5"],
    }  # fmt: skip
    return World({**{role: one.access for role, one in secrets.items()}, STRANGER: None}, values)


def _person(role):
    if role == SUPERUSER:
        return factories.superuser(username="root")
    person = factories.user(username=role.replace(" ", "_"))
    wanted = {OPERATOR: [OPERATORS, APPROVERS], OWNER: [BOT_OWNERS]}[role]
    person.groups.set(Group.objects.filter(name__in=wanted))
    return person


def contents():
    """Return all rows, by model."""
    found = {}
    for model in apps.get_models():
        label = model._meta.label
        if label in LEFT_OUT or not model._meta.managed:
            continue
        rows = model._base_manager.order_by("pk")
        if label == "audit.Event":
            rows = rows.exclude(verb__in=REFUSALS)
        found[label] = list(rows.values_list())
    return found


def written(before, after):
    """Return the models whose rows differ."""
    return [label for label, rows in before.items() if rows != after[label]]
