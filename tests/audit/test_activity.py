"""The Activity page: filters, pages, search, and which events a person sees."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone, translation

from audit import pages, words
from audit.admin_edits import activity_url
from audit.events import acting_from, record
from audit.models import Event
from audit.pages import NEWEST_FIRST
from console.roles import BOT_OWNERS, VIEWERS
from database.keyset import encoded, place_of, read
from scraping.models import PostSighting
from tests.kit import factories

pytestmark = pytest.mark.django_db

NOON = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=3)
URL = "admin:audit_event_changelist"


def shown(client, address="", **query):
    """Return the events of a page, in the order of the page."""
    page = client.get(address or reverse(URL), query or None)
    assert page.status_code == 200
    return [row["event"] for row in page.context["rows"]]


def member(group, **fields):
    person = factories.user(is_staff=True, **fields)
    person.groups.add(Group.objects.get(name=group))
    return person


@pytest.fixture
def root(client):
    person = factories.superuser(username="root")
    client.force_login(person)
    return person


# --- Filters ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    [
        {"person": "ada"},
        {"verb": "run.approved"},
        {"kind": "maintenance.JobRun"},
        {"id": "77"},
        {"kind": "maintenance.JobRun", "id": "77"},
        {"since": f"{timezone.localtime(NOON):%Y-%m-%dT%H:%M}"},
        {"until": f"{timezone.localtime(NOON + timedelta(minutes=1)):%Y-%m-%dT%H:%M}", "person": "ada"},
        {"q": "ENOUGH"},
        {"q": "night"},
        {"q": "ad", "verb": "run.approved"},
    ],
)
def test_each_filter_keeps_what_it_says_and_nothing_else(client, root, query):
    wanted = factories.event(
        at=NOON,
        actor_name="ada",
        verb="run.approved",
        subject_type="maintenance.JobRun",
        subject_id="77",
        subject_name="Nightly",
        reason="seen often enough",
    )
    factories.event(
        at=NOON - timedelta(days=1),
        actor_name="bob",
        verb="run.rejected",
        subject_type="auth.Group",
        subject_id="78",
        subject_name="Day",
        reason="no",
    )

    assert shown(client, **query) == [wanted]


@pytest.mark.slow
@pytest.mark.parametrize("query", [{"actor__password": "x"}, {"since": "x"}])
def test_what_is_no_filter_is_refused(client, root, query):
    assert client.get(reverse(URL), query).status_code == 400


def test_what_a_subject_was_called_and_did_is_one_click_from_it(client, root):
    run = factories.job_run()
    about, _other = record("run.approved", run, by=root), record("run.approved", factories.job_run(), by=root)

    assert shown(client, activity_url("maintenance.JobRun", run.pk)) == [about]


# --- Pages -----------------------------------------------------------------------------------


@pytest.fixture
def short_pages(monkeypatch):
    monkeypatch.setattr(pages, "EVENTS_PER_PAGE", 3)


def walk(client, link, address):
    """Follow the link from page to page; return each page as a list of keys."""
    found = []
    while address:
        page = client.get(address)
        found.append([row["event"].pk for row in page.context["rows"]])
        address = page.context[link] and reverse(URL) + page.context[link]
    return found, page


def many(number, **fields):
    """Return this many events, several of them of the same moment, with times of the database's clock."""
    made = []
    for n in range(number):
        made.append(factories.event(**fields))
        Event.objects.filter(pk=made[-1].pk).update(at=Now() - timedelta(minutes=n // 2))
    return list(Event.objects.newest_first().values_list("pk", flat=True))


@pytest.mark.slow
@pytest.mark.parametrize("query", ["?", "?verb=x.done", "?q=thing", "?verb=x.done&q=thing"])
def test_the_pages_hold_every_event_once_in_both_directions(client, root, short_pages, query):
    keys = many(10, verb="x.done", subject_name="thing")

    back, last = walk(client, "older_url", reverse(URL) + query)
    forth, first = walk(client, "newer_url", reverse(URL) + last.context["newer_url"])

    assert back == [keys[0:3], keys[3:6], keys[6:9], keys[9:]]
    assert [key for page in reversed([*forth]) for key in page] == keys[:9]
    assert first.context["newer_url"] == ""
    assert first.context["older_url"]


@pytest.mark.parametrize("query", [{"before": "17"}, {"before": "x"}, {"after": "\0"}, {"after": "9" * 500}])
def test_an_old_or_damaged_link_shows_the_first_page_and_says_so(client, root, query):
    keys = many(4)

    page = client.get(reverse(URL), query)

    assert [row["event"].pk for row in page.context["rows"]] == keys
    assert 'class="list-notice"' in page.content.decode()


def test_a_page_goes_on_where_an_event_was_that_is_gone(client, root, short_pages):
    keys = many(7)
    older = client.get(reverse(URL)).context["older_url"]
    Event.objects.filter(pk=keys[2]).delete()

    assert [event.pk for event in shown(client, reverse(URL) + older)] == keys[3:6]


@pytest.mark.slow
def test_a_search_goes_on_where_the_page_before_stopped_looking(client, root, monkeypatch):
    monkeypatch.setattr(pages, "SEARCHED_MAX", 4)
    many(9)
    oldest = factories.event(at=NOON, subject_name="needle")

    found, _last = walk(client, "older_url", reverse(URL) + "?q=needle")

    assert found == [[], [], [oldest.pk]]


# --- Who sees what ---------------------------------------------------------------------------


@pytest.fixture
def owned():
    """Two owners, and one event about every row of each."""
    world = {}
    for name in ("mine", "foreign"):
        owner = member(BOT_OWNERS, username=name)
        bot = factories.bot_config(owner=owner, name=f"{name} bot")
        run = factories.job_run(job="scrape_now", params={"config": bot.pk})
        post = factories.post()
        PostSighting.objects.create(post=post, config=bot)
        rows = [bot, run, factories.session(config=bot), post, factories.comment(post=post)]
        world[name] = owner, [record("x.done", row, reason=f"of {name}") for row in rows]
    return world


def test_a_bot_owner_sees_the_events_of_their_own_rows_and_no_foreign_name(client, owned):
    owner, events = owned["mine"]
    with acting_from("192.0.2.77"):
        record("x.done", factories.schedule(name="foreign schedule"), by=owned["foreign"][0])
        record("x.done", factories.superuser(username="foreign-boss"))
        own = record("x.done", factories.reddit_app(owner=owned["foreign"][0]), by=owner)
    client.force_login(owner)

    page = client.get(reverse(URL))

    assert {row["event"] for row in page.context["rows"]} == {*events, own}
    text = re.sub(r"<form.*?</form>", "", page.content.decode(), flags=re.S)
    assert "foreign" not in text
    assert "192.0.2.77" not in text


@pytest.mark.slow
def test_no_filter_search_or_page_shows_an_owner_more(client, owned):
    owner, events = owned["mine"]
    _foreign, others = owned["foreign"]
    client.force_login(owner)

    assert shown(client, q="foreign") == []
    assert shown(client, person="foreign") == []
    for event in others:
        assert shown(client, kind=event.subject_type, id=event.subject_id) == []
    oldest = encoded(
        place_of(read(Event.objects.all(), NEWEST_FIRST, size=99).rows[-1], NEWEST_FIRST), NEWEST_FIRST
    )
    assert set(shown(client, after=oldest)) <= set(events)


def test_an_owner_sees_no_event_of_a_row_whose_key_is_none(client, owned):
    owner, events = owned["mine"]
    bot = events[0]
    for key in ("", "x", "٣", "9" * 30, f"{bot.subject_id}.0", f"-{bot.subject_id}"):
        factories.event(subject_type=bot.subject_type, subject_id=key or "–")
    client.force_login(owner)

    assert set(shown(client)) == set(events)


@pytest.mark.slow
def test_a_page_of_an_owner_is_full_however_many_foreign_events_lie_between(
    client, owned, short_pages, monkeypatch, django_assert_max_num_queries
):
    owner, events = owned["mine"]
    monkeypatch.setattr(pages, "STEPS", (0, 2, 4))
    many(9)
    client.force_login(owner)

    with django_assert_max_num_queries(120):
        found, _last = walk(client, "older_url", reverse(URL))

    assert sorted(key for page in found for key in page) == sorted(event.pk for event in events)


def test_who_sees_all_sees_addresses_too(client, owned):
    client.force_login(member(VIEWERS, username="vera"))
    with acting_from("192.0.2.77"):
        record("x.done", factories.superuser(username="boss"))

    page = client.get(reverse(URL))

    assert len(page.context["rows"]) == Event.objects.count()
    assert "192.0.2.77" in page.content.decode()


@pytest.mark.parametrize("person", [None, "staff", "active"])
def test_who_may_not_enter_sees_nothing(client, person):
    factories.event()
    if person:
        who = factories.user(is_staff=person == "staff", is_active=person == "active")
        client.force_login(who)

    page = client.get(reverse(URL))

    assert page.status_code == 302 or page.context["rows"] == []


# --- Cost ------------------------------------------------------------------------------------


QUERIES = (
    {},
    {"person": "person7"},
    {"verb": "x.7"},
    {"kind": "auth.Group"},
    {"id": "77"},
    {"kind": "auth.Group", "id": "77"},
    {"since": "2026-01-01T00:00", "until": "2026-02-01T00:00"},
    {"q": "nothing like it"},
    {"q": "nothing like it", "person": "person7"},
    {"person": "nobody"},
)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="plans of PostgreSQL")
@pytest.mark.parametrize("group", [VIEWERS, BOT_OWNERS])
def test_no_page_reads_the_whole_log(client, group):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_event (at, actor_kind, actor_name, verb, subject_type, subject_id)"
            " SELECT now() - n * interval '1 minute', 'person', 'person' || n % 40, 'x.' || n % 20,"
            " (ARRAY['auth.Group', 'scraping.BotConfig', 'page'])[1 + n % 3], n % 5000"
            " FROM generate_series(1, 150000) n"
        )
        cursor.execute("ANALYZE audit_event")
    middle = Event.objects.order_by("-at")[75_000]
    before = encoded(place_of(middle, NEWEST_FIRST), NEWEST_FIRST)
    client.force_login(member(group, username="vera"))
    plans = []

    def explain(execute, sql, params, many, context):
        if 'FROM "audit_event"' in sql:
            with connection.cursor() as cursor:
                cursor.cursor.execute(f"EXPLAIN {sql}", params)
                plans.append((sql, "\n".join(row[0] for row in cursor.cursor.fetchall())))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        for query in QUERIES:
            shown(client, **query)
            shown(client, **query, before=before)
            shown(client, **query, after=before)

    assert len(plans) > len(QUERIES)
    assert [found for found in plans if "Seq Scan on audit_event" in found[1]] == []


def test_what_was_done_to_a_row_is_told_by_verbs_in_chinese():
    with translation.override("zh-hans"):
        told = [words.in_words(f"row.{verb}") for verb in ("added", "changed", "deleted")]

    assert told == ["添加", "更改", "删除"]
