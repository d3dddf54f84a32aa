"""Seeded random requests to every address of the console: no answer is 5xx, and nothing is half written."""

import logging
import random
import traceback
from collections import Counter

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session

from console import roles
from maintenance.models import JobRun
from maintenance.scheduling import seeding
from scraping.models import BotConfig, RedditApp, RedditComment
from tests import rubbish
from tests.kit import factories
from tests.pages import every_page
from tests.soak import size

REQUESTS = size(250, 5000)
SEED = 20260801
ROLES = (*["superuser"] * 7, *roles.PERMISSIONS, "nobody", "anonymous")
ARGUMENTS = {
    "slug": ["purge_old_content", "scrape_now", "auto_scraping", "cleanup_tokens"],
    "suffix": ["csv", "jsonl", "parquet"],
    "app_label": ["auth", "scraping"],
}


@pytest.fixture
def quiet():
    """Turn off the log: thousands of refusals are expected."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def person(role):
    """Restore and return the account of a role: an earlier request may have changed or deleted it."""
    user, _new = User.objects.update_or_create(
        username=f"rubbish-{role}",
        defaults={"is_staff": True, "is_active": True, "is_superuser": role == "superuser"},
    )
    user.user_permissions.clear()
    roles.create_groups()
    user.groups.set(Group.objects.filter(name=role))
    return user


def sign_in(client, role):
    client.logout()
    if role == "anonymous":
        return
    user = person(role)
    client.force_login(user)
    if role == roles.BOT_OWNERS and not user.bot_configs.exists():
        factories.bot_config(owner=user)


def top_up():
    """Create the rows again that the requests deleted."""
    seeding.seed()
    for model, make in (
        (BotConfig, factories.bot_config),
        (RedditApp, lambda: factories.reddit_app(client_secret="s")),
        (RedditComment, factories.comment),
        (JobRun, lambda: factories.job_run(status="blocked")),
    ):
        if not model._base_manager.exists():
            make()


def contents():
    """Return every row of every table except the log-in sessions."""
    return {
        model._meta.label: sorted(map(repr, model._base_manager.values_list()))
        for model in apps.get_models()
        if model is not Session
    }


def argument(draw, route, name):
    """Return a value for an argument of a route, usually one that exists."""
    if draw.random() > 0.75:
        return draw.choice(rubbish.NASTY) or "0"
    model = rubbish.model_of(route)
    keys = model._base_manager.order_by("pk").values_list("pk", flat=True)[:20] if model else ()
    return draw.choice(ARGUMENTS.get(name) or [str(key) for key in keys] or ["1"])


class Request:
    """One random request that was sent; ``fault`` says what is wrong with its answer."""

    def __init__(self, draw, client, routes, lists):
        self.route = draw.choice(lists if draw.random() < 0.3 else routes)
        self.role = draw.choice(ROLES)
        self.method = "POST" if draw.random() < 0.4 else "GET"
        sign_in(client, self.role)
        top_up()
        address = rubbish.address(
            self.route, {name: argument(draw, self.route, name) for name in self.route.arguments}
        )
        query = rubbish.query(draw, rubbish.model_of(self.route))
        self.target = f"{address}?{query}" if query else address
        self.data, kind = b"", ""
        if self.method == "POST":
            page = client.get(address)
            text = (
                page.content.decode(errors="replace")
                if page.status_code == 200 and not page.streaming
                else ""
            )
            self.data, kind = rubbish.encoded(draw, rubbish.body(draw, text))
        before = contents() if self.method == "POST" else {}
        self.answer = client.generic(self.method, self.target, self.data, content_type=kind)
        if self.answer.streaming:
            b"".join(self.answer.streaming_content)
        after = contents() if before and self.answer.status_code != 302 else before
        self.written = [label for label, rows in before.items() if rows != after[label]]

    def fault(self):
        """Why the answer is wrong; empty if it is right."""
        status = self.answer.status_code
        if status >= 500:
            told = getattr(self.answer, "exc_info", None)
            return "".join(traceback.format_exception(*told)[-5:]) if told else "5xx"
        # A refused page writes an event. Exports and pop-ups answer 200; a request that changed something logged it.
        is_refusal = status == 403 and self.written == ["audit.Event"]
        if self.written and not is_refusal and (status >= 400 or "audit.Event" not in self.written):
            return f"{status} and wrote {self.written}"
        return ""

    def __str__(self):
        return f"{self.role}: {self.method} {self.target[:300]} {self.data[:600]!r}"


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.django_db(transaction=True)
def test_no_rubbish_is_a_server_error_or_half_written(client, settings, quiet):
    settings.REDDIT_CLIENT_ID = ""  # no request goes to Reddit
    client.raise_request_exception = False
    every_page(person("superuser"))
    draw = random.Random(SEED)
    # Routes without a name are redirects to other pages, and the catch-all.
    routes = [route for route in rubbish.routes() if route.name]
    lists = [route for route in routes if route.name.endswith(("_changelist", "_export"))]
    wrong, answers = [], Counter()

    for number in range(REQUESTS):
        request = Request(draw, client, routes, lists)
        answers[request.method, request.answer.status_code] += 1
        if fault := request.fault():
            wrong.append(f"#{number} {request}\n{fault}")

    # Enough requests got past sign-in and permissions.
    assert answers["GET", 200] + answers["GET", 400] + answers["POST", 200] > REQUESTS / 5, answers
    assert not wrong, f"{len(wrong)} of {REQUESTS} wrong:\n" + "\n".join(wrong)


def test_the_draw_knows_every_page():
    names = {route.name for route in rubbish.routes()}

    assert {"healthz", "index", "autocomplete", "view_on_site", "auth_user_password_change"} <= names
    assert {"scraping_redditpost_export", "maintenance_jobrun_live", "maintenance_job_run"} <= names
    assert len(names) > 70
