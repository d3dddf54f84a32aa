"""Every address of the console, by method and role, against the table in docs/permissions.md.

``python -m pytest tests/console/test_access.py`` reports differences. ``RENEW=1`` rewrites the table: its diff shows
how the permissions of people change.
"""

import os

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.urls import reverse
from django.utils import timezone

from console.roles import APPROVERS, BOT_OWNERS, OPERATORS, VIEWERS
from maintenance.models import RetentionPolicy
from maintenance.scheduling import schedules, seeding
from scraping.content.storage import store_posts
from scraping.models import RedditApp, RedditPost
from tests import rubbish
from tests.kit import factories

pytestmark = pytest.mark.django_db

TABLE = settings.BASE_DIR / "docs" / "permissions.md"
ROLES = ("no role", VIEWERS, OPERATORS, APPROVERS, BOT_OWNERS)
# Open to everybody: signing in and out, probes, redirects.
FOR_ALL = {"", "index", "healthz", "livez", "readyz", "account_login", "login", "logout", "session", "jsi18n",
           "password_change", "password_change_done", "view_on_site", "app_list"}  # fmt: skip
# Models that are tested with an own row and with a row of somebody else.
OWNED = ("botconfig", "scrapesession", "redditpost", "redditcomment", "redditapp", "jobrun")


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
        rows = (bot, session, found, factories.comment(post=found), app, run)
        owned[whose] = dict(zip(OWNED, rows, strict=True))
    one = {
        "periodictask": schedules.for_job("cleanup_tokens"),
        "retentionpolicy": RetentionPolicy.objects.first(),
        "setaside": factories.set_aside(),
        "user": factories.user(username="somebody", is_staff=False),
        "group": Group.objects.create(name="Empty"),
    }
    return people, owned, one


@pytest.fixture
def world():
    return make_world()


def addresses(owned, one):
    """Return (name in the table, path) for each address that is not open to everybody."""
    found = []
    for route in rubbish.routes():
        if route.name in FOR_ALL:
            continue
        model = rubbish.model_of(route)
        kind = model._meta.model_name if model else None
        values = {"slug": "purge_old_content", "format": "csv"}
        keyed = set(route.arguments) - values.keys()
        if kind in OWNED and keyed:
            for whose in ("own", "other"):
                key = str(owned[whose][kind].pk)
                path = rubbish.address(route, {**values, **dict.fromkeys(keyed, key)})
                found.append((f"{route.name} · {whose}", path))
            continue
        row = one.get(kind) or one["periodictask" if "schedule" in route.name else "retentionpolicy"]
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


HEAD = f"""# Who may do what

Every address of the console by method and role; made by `RENEW=1 python -m pytest tests/console/test_access.py`, and held against
the code by the same test. Superusers may do everything, who is not signed in nothing but sign in. *own*: of a bot of the
person's own (for bot owners); *other*: of somebody else's. "yes" means that the request is let in; what it then does is said by
the permissions of the page. "·": there is no such method.

| address | method | {" | ".join(ROLES)} |
|---|---|{"---|" * len(ROLES)}
"""


def test_the_table_of_permissions_is_what_the_console_does(client, world):
    text = HEAD + "\n".join(table(client, *world)) + "\n"

    if os.environ.get("RENEW") == "1":
        TABLE.write_text(text)
    assert text.splitlines() == TABLE.read_text().splitlines()


def test_superusers_may_everything_and_strangers_nothing(client, world):
    _people, owned, one = world
    asked = addresses(owned, one)
    for name, path in asked:
        for method in ("get", "post"):
            answer = getattr(client, method)(path)
            assert answer.status_code == 302, name
            assert answer.url.startswith(reverse("admin:login")), name
    client.force_login(factories.superuser())
    # Rows that only the ledger and Reddit write; and autocomplete views, which need parameters.
    never = ("_add", "_delete", "autocomplete")
    refused = [
        name
        for name, path in asked
        if not any(part in name for part in never)
        and "yes" not in (verdict(client, "get", path), verdict(client, "post", path))
    ]
    assert refused == []
