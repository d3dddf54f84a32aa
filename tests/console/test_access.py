"""Every address of the console, by method and role, against the table in docs/permissions.md.

``python -m pytest tests/console/test_access.py`` reports differences. ``RENEW=1`` rewrites the table: its diff shows
how the permissions of people change.
"""

import os
import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.template.base import Template
from django.urls import reverse
from django.utils import timezone

from api import throttle
from api.site import description
from console.roles import APPROVERS, BOT_OWNERS, OPERATORS, VIEWERS
from maintenance.models import RetentionPolicy
from maintenance.scheduling import schedules, seeding
from scraping.content.storage import store_posts
from scraping.models import RedditApp, RedditPost
from tests import rubbish
from tests.api.calls import Api
from tests.kit import factories, windows

pytestmark = pytest.mark.django_db

TABLE = settings.BASE_DIR / "docs" / "permissions.md"
ROLES = ("no role", VIEWERS, OPERATORS, APPROVERS, BOT_OWNERS)
# Open to everybody: signing in and out, probes, redirects.
FOR_ALL = {"", "index", "healthz", "livez", "readyz", "account_login", "login", "mfa_authenticate", "mfa_login_webauthn", "openid_start", "openid_answer", "password_reset", "password_reset_sent", "password_reset_confirm", "logout", "session", "jsi18n",
           "password_change", "password_change_done", "view_on_site", "app_list"}  # fmt: skip
# Models that are tested with an own row and with a row of somebody else.
OWNED = ("botconfig", "scrapesession", "redditpost", "redditcomment", "redditapp", "jobrun", "alert")

# Rows by the name of the address: pages about the account or the session of somebody else, and windows.
OF_PEOPLE = {
    "planned_window_end": "plannedwindow", "planned_window_delete": "plannedwindow",
    "sessions_of": "user", "sessions_of_end": "user", "session_end": "loginsession", "tokens_of": "user",
    "token_revoke": "personaltoken",
}  # fmt: skip


def member(role):
    person = factories.user(username=role)
    if role in (VIEWERS, OPERATORS, APPROVERS, BOT_OWNERS):
        person.groups.add(Group.objects.get(name=role))
    return person


def make_world():
    """Create one row of each model; for models with owners, one of the bot owner and one of somebody else."""
    seeding.seed()
    people = {role: member(role) for role in ROLES}
    owned = {}
    for whose, owner in (("own", people[BOT_OWNERS]), ("other", factories.user())):
        bot = factories.bot_config(owner=owner)
        run = factories.job_run(
            job="scrape_now", status="blocked", params={"config": bot.pk}, trigger="admin"
        )
        session = factories.session(config=bot, run=run)
        post = {"id": whose, "name": f"t3_{whose}", "subreddit": "python", "created_utc": 1_700_000_000.0}
        store_posts([post], session=session, seen_at=timezone.now())
        found = RedditPost.objects.get(fullname=f"t3_{whose}")
        app = RedditApp.objects.create(name=whose, client_id=whose, owner=owner)
        rows = (bot, session, found, factories.comment(post=found), app, run, factories.alert(config=bot))
        owned[whose] = dict(zip(OWNED, rows, strict=True))
    one = {
        "periodictask": schedules.for_job("cleanup_tokens"),
        "retentionpolicy": RetentionPolicy.objects.first(),
        "setaside": factories.set_aside(),
        "delivery": factories.delivery(),
        "route": factories.route(),
        "plannedwindow": windows.planned_window(
            starts_at=timezone.now() + timedelta(days=1), ends_at=timezone.now() + timedelta(days=2)
        ),
        "loginsession": factories.listed_session(),
        "personaltoken": factories.personal_token(),
        "user": factories.user(username="somebody", is_staff=False),
        "group": Group.objects.create(name="Empty"),
    }
    return people, owned, one


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(throttle, "count", lambda *_args: None)
    return make_world()


def addresses(owned, one):
    """Return (name in the table, path) for each address that is not open to everybody."""
    found = []
    for route in rubbish.routes():
        if route.name in FOR_ALL or route.pieces[0] == "api/":
            continue
        model = rubbish.model_of(route)
        kind = model._meta.model_name if model else None
        values = {"slug": "purge_old_content", "format": "csv", "name": "pings"}
        keyed = set(route.arguments) - values.keys()
        if kind in OWNED and keyed:
            for whose in ("own", "other"):
                key = str(owned[whose][kind].pk)
                path = rubbish.address(route, {**values, **dict.fromkeys(keyed, key)})
                found.append((f"{route.name} · {whose}", path))
            continue
        other = "periodictask" if "schedule" in route.name else "retentionpolicy"
        row = one.get(kind) or one[OF_PEOPLE.get(route.name, other)]
        path = rubbish.address(route, {**values, **dict.fromkeys(keyed, str(row.pk))})
        found.append((route.name, path))
    run = reverse("admin:maintenance_job_run", args=["scrape_now"])
    found += [
        (f"maintenance_job_run scrape_now · {whose}", f"{run}?config={owned[whose]['botconfig'].pk}")
        for whose in ("own", "other")
    ]
    return sorted(found)


def verdict(client, method, path):
    """Return whether the person may: yes, no, or · if there is no such method. Its changes are rolled back."""
    with transaction.atomic():
        try:
            status = getattr(client, method)(path).status_code
        except (PermissionDenied, Http404):  # raised inside the atomic block of a test client that re-raises
            status = 403
        transaction.set_rollback(True)
    if status == 405:
        return "·"
    assert status < 500, (method, path, status)
    return "–" if status in (403, 404) else "yes"


def table(client, people, owned, one):
    asked = [(name, method, path) for name, path in addresses(owned, one) for method in ("get", "post")]
    columns = []
    for role in ROLES:
        client.force_login(people[role])
        columns.append([verdict(client, method, path) for _name, method, path in asked])
    rows = zip(asked, zip(*columns, strict=True), strict=True)
    return [
        f"| {name} | {method.upper()} | {' | '.join(cells)} |"
        for (name, method, _path), cells in rows
        if set(cells) != {"·"}
    ]


# What a call has in its body; without it, an empty object.
API_BODIES = {
    "jobs/{slug}/run": {"dry_run": True},
    "pause": {"reason": "x"},
    "approve": {"reason": "x"},
    "reject": {"reason": "x"},
    "bot-configs/": {"name": "new", "subreddits": ["python"]},
}
API_KEYS = {
    "run_id": "jobrun",
    "bot_id": "botconfig",
    "session_id": "scrapesession",
    "post_id": "redditpost",
}


def api_calls(owned, one):
    """Return (name in the table, method, path, body) for each endpoint of the API that needs a caller."""
    for template, operations in sorted(description()["paths"].items()):
        kind = next((kind for key, kind in API_KEYS.items() if f"{{{key}}}" in template), None)
        for method, operation in sorted(operations.items()):
            if "security" not in operation:
                continue
            body = next((body for end, body in API_BODIES.items() if template.endswith(end)), {})
            for whose in ("own", "other") if kind else ("",):
                path = template.replace("{slug}", "purge_old_content")
                path = path.replace("{schedule_id}", str(one["periodictask"].pk))
                if kind:
                    path = re.sub(r"{\w+}", str(owned[whose][kind].pk), path)
                yield f"{template}{f' · {whose}' if whose else ''}", method, path, body


def api_verdict(api, method, path, body):
    """Return whether the person may: yes, or – for 401, 403 and 404. Its changes are rolled back."""
    with transaction.atomic():
        answer = api(method, path, None if method == "get" else body)
        transaction.set_rollback(True)
    assert answer.status_code < 500, (method, path, answer.status_code)
    return "–" if answer.status_code in (401, 403, 404) else "yes"


def api_table(people, owned, one):
    callers = [Api.of(people[role]) for role in ROLES]
    return [
        f"| {name} | {method.upper()} | "
        + " | ".join(api_verdict(api, method, path, body) for api in callers)
        + " |"
        for name, method, path, body in api_calls(owned, one)
    ]


API_HEAD = f"""
## The API

The same for programs; addresses that need no caller (token/, token/refresh/, token/revoke/ with a token) are left out.

| address | method | {" | ".join(ROLES)} |
|---|---|{"---|" * len(ROLES)}
"""

HEAD = f"""# Who may do what

Every address of the console by method and role; made by `RENEW=1 python -m pytest tests/console/test_access.py`, and held against
the code by the same test. Superusers may do everything, who is not signed in nothing but sign in. *own*: of a bot of the
person's own (for bot owners); *other*: of somebody else's. "yes" means that the request is let in; what it then does is said by
the permissions of the page. "·": there is no such method.

| address | method | {" | ".join(ROLES)} |
|---|---|{"---|" * len(ROLES)}
"""


@pytest.mark.slow
def test_the_table_of_permissions_is_what_the_console_does(client, world, monkeypatch):
    # Whether a request is let in is decided before the page is written, and writing takes a third of the time.
    monkeypatch.setattr(Template, "_render", lambda template, context: "")

    text = HEAD + "\n".join(table(client, *world)) + "\n" + API_HEAD + "\n".join(api_table(*world)) + "\n"

    if os.environ.get("RENEW") == "1":
        TABLE.write_text(text)
    assert text.splitlines() == TABLE.read_text().splitlines()


def test_the_api_lets_superusers_do_everything_and_strangers_nothing(world):
    _people, owned, one = world
    stranger, everything = Api(), Api.of(factories.superuser())

    for name, method, path, body in api_calls(owned, one):
        assert stranger(method, path, body).status_code == 401, name
        assert api_verdict(everything, method, path, body) == "yes", name


@pytest.mark.slow
def test_superusers_may_everything_and_strangers_nothing(client, world):
    _people, owned, one = world
    asked = addresses(owned, one)
    for name, path in asked:
        for method in ("get", "post"):
            answer = getattr(client, method)(path)
            assert answer.status_code == 302, name
            assert answer.url.startswith(reverse("admin:login")), name
    client.force_login(factories.superuser())
    # Rows that only the ledger and Reddit write; autocomplete views, which need parameters; second factors that the
    # superuser has not set up.
    never = ("_add", "_delete", "autocomplete", "mfa_deactivate_totp", "mfa_view_recovery_codes")
    refused = [
        name
        for name, path in asked
        if not any(part in name for part in never)
        and "yes" not in (verdict(client, "get", path), verdict(client, "post", path))
    ]
    assert refused == []
