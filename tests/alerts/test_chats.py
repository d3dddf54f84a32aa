"""A chat service is told by its apprise address, which is a secret and leads only where a webhook may go."""

import ast
import json
import logging
import time
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from django.db import IntegrityError, connection
from django.urls import reverse
from django.utils import timezone

from alerts import trying
from alerts.channels import chat, chat_requests, http
from alerts.channels.texts import Notice
from alerts.models import Delivery, Route
from alerts.reading import Reading
from audit.models import Event
from tests.kit import factories

pytestmark = pytest.mark.django_db

SECRET = "1234567890abcdef1234567890abcdef"
DIGITS = "1234567890"
# An address of each service, as its documentation has it, and the host that it leads to.
EXAMPLES = {
    "dingtalk": (f"dingtalk://{SECRET}/", "oapi.dingtalk.com"),
    "discord": (f"discord://{DIGITS}/{SECRET}", "discord.com"),
    "feishu": (f"feishu://{SECRET}", "open.feishu.cn"),
    "gotify": (f"gotify://gotify.example.org/{SECRET}", "gotify.example.org"),
    "gotifys": (f"gotifys://gotify.example.org/{SECRET}", "gotify.example.org"),
    "lark": ("lark://12345678-1234-1234-1234-1234567890ab", "open.larksuite.com"),
    "mmost": ("mmost://chat.example.org/3ccdd113474722377935511fc85d3dd4", "chat.example.org"),
    "mmosts": ("mmosts://chat.example.org/3ccdd113474722377935511fc85d3dd4", "chat.example.org"),
    "ntfy": (f"ntfy://ntfy.example.org/{SECRET}", "ntfy.example.org"),
    "ntfys": (f"ntfys://ntfy.example.org/{SECRET}", "ntfy.example.org"),
    "opsgenie": ("opsgenie://12345678-1234-1234-1234-1234567890ab", "api.opsgenie.com"),
    "pagerduty": (f"pagerduty://{SECRET}@{SECRET}", "events.pagerduty.com"),
    "pover": (f"pover://{SECRET[:30]}@{SECRET[:30]}", "api.pushover.net"),
    "rocket": (f"rocket://{SECRET}/{SECRET}@chat.example.org/#general", "chat.example.org"),
    "rockets": (f"rockets://{SECRET}/{SECRET}@chat.example.org/#general", "chat.example.org"),
    "schan": (f"schan://{SECRET}", "sctapi.ftqq.com"),
    "slack": (f"slack://T1JJ3T3L2/A1BRTD4JD/{SECRET[:24]}/#general", "hooks.slack.com"),
    "tgram": (f"tgram://123456789:{SECRET}/{DIGITS}/", "api.telegram.org"),
    "wecombot": (f"wecombot://{SECRET}", "qyapi.weixin.qq.com"),
    "workflows": (f"workflows://flow.example.org/{SECRET}/{SECRET}", "flow.example.org"),
    "zulip": (f"zulip://bot@example/{SECRET}", "example.zulipchat.com"),
}
SENDING = {"get", "post", "put", "delete", "request"}
DANGEROUS = {"socket", "ssl", "subprocess", "smtplib", "urllib.request", "http.client", "ftplib", "asyncio"}


@pytest.fixture
def topic(hooks):
    """The apprise address of the local web server, as that of an ntfy."""
    return f"ntfy://{hooks.url.partition('://')[2].partition('/')[0]}/a-secret-topic"


def chat_route(url, **fields):
    return factories.route(**{"to": "chat", "url": url, **fields})


def notice(*alerts, event="opened", language="en"):
    return Notice(uuid4(), event, alerts, timezone.now(), Reading((language,)))


def body_of(hooks):
    ((_headers, _raw, told),) = hooks.requests
    return told


# --- What arrives -----------------------------------------------------------------------------------


def test_a_chat_is_told_in_the_language_of_its_route_with_the_cause(condition, later, hooks, topic):
    chat_route(topic, language="zh-hans")
    condition.ids = ["1"]
    condition.look()
    later(minutes=2)

    told = body_of(hooks)
    assert told["title"] == "[严重] 失败: name 1"
    assert "why" in told["message"]
    assert "Since" not in told["message"]
    row = Delivery.objects.get(channel="chat")
    assert (row.recipient.split()[0], row.attempts, bool(row.delivered_at)) == ("ntfy", 1, True)
    assert row.answer.startswith("HTTP 200")


def test_a_chat_that_answers_500_is_tried_again_and_told_once(condition, later, hooks, topic):
    chat_route(topic)
    hooks.answers = [(500, {}, "ill")]
    condition.ids = ["1"]
    condition.look()
    later(seconds=60)
    assert Delivery.objects.get().answer.startswith("HTTP 500 ill")

    later(minutes=5)

    assert Delivery.objects.filter(delivered_at__isnull=False, attempts=2).count() == 1
    assert len(events_of(hooks)) == 2


def events_of(hooks):
    return [told["title"] for _headers, _raw, told in hooks.requests]


@pytest.mark.parametrize("scheme", sorted(chat.SERVICES))
def test_each_service_is_reached_at_its_own_host_by_https_unless_its_scheme_says_otherwise(
    scheme, monkeypatch
):
    asked = []

    told_by = {"slack": b"ok", "opsgenie": b'{"requestId": "1"}'}

    def answer(method, url, body, headers, **options):
        asked.append((method, url, options["allows_private"]))
        return http.Reply(200, {}, told_by.get(scheme, b'{"errcode": 0, "code": 0, "ok": true, "status": 1}'))

    monkeypatch.setattr(http, "request", answer)
    url, host = EXAMPLES[scheme]

    told = chat.send(chat_route(url), notice(factories.alert(cause="why")))

    assert asked, told
    assert not any(allows_private for _method, _url, allows_private in asked)
    for _method, address, _allows in asked:
        way, _, rest = address.partition("://")
        assert rest.partition("/")[0] == host
        assert way == ("http" if scheme in ("gotify", "mmost", "ntfy", "rocket") else "https")
    # Rocket.Chat signs in first and needs the answer to that.
    if scheme not in ("rocket", "rockets"):
        assert told.is_delivered, told


@pytest.mark.parametrize(
    ("scheme", "body"),
    [
        ("dingtalk", {"errcode": 310000, "errmsg": "keywords not in content"}),
        ("wecombot", {"errcode": 93000, "errmsg": "invalid webhook url"}),
        ("feishu", {"code": 9499, "msg": "Bad Request"}),
        ("lark", {"code": 19001, "msg": "param invalid"}),
        ("tgram", {"ok": False, "description": "chat not found"}),
    ],
)
def test_what_is_refused_with_200_is_not_delivered(scheme, body, monkeypatch):
    monkeypatch.setattr(http, "request", lambda *_args, **_o: http.Reply(200, {}, json.dumps(body).encode()))

    answer = chat.send(chat_route(EXAMPLES[scheme][0]), notice())

    assert not answer.is_delivered
    assert str(next(iter(reversed(body.values())))) in answer.text


# --- Incidents --------------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """What is sent to an on-call service: the path with its query, and the JSON."""
    sent = []

    def answer(method, url, body, headers, **_options):
        sent.append((url.partition("://")[2].partition("/")[2], json.loads(body)))
        return http.Reply(202, {}, b'{"requestId": "1", "status": "success"}')

    monkeypatch.setattr(http, "request", answer)
    return sent


def test_a_pagerduty_incident_is_resolved_when_the_last_of_its_alerts_is_over(condition, later, asked):
    chat_route(EXAMPLES["pagerduty"][0])
    condition.ids = ["1", "2"]
    condition.look()
    later(minutes=2)
    (opened,) = [told for _path, told in asked]
    assert opened["event_action"] == "trigger"

    condition.ids = ["1"]
    condition.look()
    later(minutes=2)
    assert len(asked) == 1
    over = Delivery.objects.get(event="closed")
    assert "stays open" in over.answer
    assert over.delivered_at

    condition.ids = []
    condition.look()
    later(minutes=20)

    (_path, resolved) = asked[1]
    assert (resolved["event_action"], resolved["dedup_key"]) == ("resolve", opened["dedup_key"])
    assert opened["dedup_key"] == str(Delivery.objects.filter(event="opened").first().message)
    assert len(asked) == 2


def test_an_opsgenie_alert_is_closed_by_another_process_too(condition, later, asked):
    chat_route(EXAMPLES["opsgenie"][0])
    condition.ids = ["1"]
    condition.look()
    later(minutes=2)
    condition.ids = []
    condition.look()
    later(minutes=2)

    (path, opened), (closing, _note) = asked
    assert path == "v2/alerts"
    assert closing == f"v2/alerts/{opened['alias']}/close?identifierType=alias"
    assert Delivery.objects.filter(delivered_at__isnull=False).count() == 2


@pytest.mark.parametrize("scheme", ["opsgenie", "pagerduty"])
def test_an_incident_that_is_not_resolved_is_tried_again(scheme, condition, later, asked, monkeypatch):
    chat_route(EXAMPLES[scheme][0])
    condition.ids = ["1"]
    condition.look()
    later(minutes=2)
    sent = http.request
    monkeypatch.setattr(http, "request", lambda *_args, **_options: http.Reply(500, {}, b"ill"))
    condition.ids = []
    condition.look()
    later(minutes=1)
    assert Delivery.objects.get(event="closed").answer == "HTTP 500 ill"

    monkeypatch.setattr(http, "request", sent)
    later(minutes=2)

    assert Delivery.objects.get(event="closed").delivered_at
    assert len(asked) == 2


@pytest.mark.parametrize("scheme", ["opsgenie", "pagerduty"])
def test_a_test_opens_an_incident_of_its_own(scheme, asked):
    ((_recipient, answer),) = trying.send_test(chat_route(EXAMPLES[scheme][0]), by=factories.superuser())

    assert answer.is_delivered
    ((_path, told),) = asked
    assert told.get("dedup_key") or told.get("alias")


# --- Where it may go --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:1", "localhost:1", "[::1]:1", "2130706433", "10.0.0.1", "169.254.169.254"]
)
def test_loopback_and_private_addresses_are_refused(host):
    answer = chat.send(chat_route(f"gotify://{host}/{SECRET}"), notice())

    assert not answer.is_delivered
    assert "not a public address" in answer.text or "apprise" in answer.text


def test_a_redirect_is_not_followed(hooks, topic):
    hooks.answers = [(302, {"Location": hooks.url}, "over there")]

    answer = chat.send(chat_route(topic + "?cto=60&rto=60"), notice())

    assert (answer.is_delivered, len(hooks.requests)) == (False, 1)
    assert answer.text == "HTTP 302 over there"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "exec://x", "dbus://", "syslog://", "rsyslog://h", "windows://", "macosx://", "gnome://",
        "json://h", "xml://h", "form://h", "mailto://u:p@h", "mqtt://h", "https://h/", "matrix://h", "x", "", "slack",
        "gotify://h", "slack://x", f"slack://T1JJ3T3L2/A1BRTD4JD/{'x' * 24}?template=/etc/passwd",
        "ntfys://h/t?attach=http://10.0.0.1/", f"slack://T1JJ3T3L2/A1BRTD4JD/{'x' * 24}?TEMPLATE=x",
        "ntfys://h/t?verify=no", "ntfys://h/t?+template=x",
        "workflows://flow.example.org/a/b/#?template=/etc/passwd", f"discord://1/{'x' * 24}#?avatar_url=http://h/",
        f"slack://T1JJ3T3L2/A1BRTD4JD/{'x' * 24}/#general?template=/etc/passwd", "ntfys://h/t?+attach=x&:icon=x",
    ],
)  # fmt: skip
def test_what_is_no_allowed_address_is_refused_without_saying_it(url):
    with pytest.raises(chat.AddressUnusable) as error:
        chat.check(url)

    assert "passwd" not in str(error.value)
    assert "x" * 24 not in str(error.value)


def test_a_message_has_a_limit_of_time_and_of_requests(hooks, monkeypatch):
    post = chat_requests.Requests().post
    with chat_requests.exchange(allows_private=True) as made:
        for _ in range(chat_requests.REQUESTS_MAX):
            post(hooks.url, json={})
        with pytest.raises(requests.ConnectionError, match="too many"):
            post(hooks.url, json={})
        assert made.problem
    monkeypatch.setattr(chat_requests, "MESSAGE_SECONDS", 0.0)
    with chat_requests.exchange(allows_private=True) as made:
        made.ends_at = time.monotonic()
        with pytest.raises(requests.ConnectionError):
            post(hooks.url, json={})
    with pytest.raises(requests.ConnectionError, match="only for the console"):
        post(hooks.url, json={})


@pytest.mark.parametrize("module", sorted({module for module, _name in chat.SERVICES.values()}))
def test_the_plugins_send_by_requests_only(module):
    plugin = import_module(import_module(f"apprise.plugins.{module}").__name__)
    tree = ast.parse(Path(str(plugin.__file__)).read_text())
    imported, used = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(node.module)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "requests"
        ):
            used.add(node.attr)

    assert not imported & DANGEROUS
    held = chat_requests.Requests()
    assert all(hasattr(held, name) for name in used), used
    assert used & SENDING


# --- The address is a secret ------------------------------------------------------------------------


def test_the_address_is_encrypted_and_in_no_page_event_log_or_answer(
    client, hooks, topic, caplog, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    superuser = factories.superuser()
    client.force_login(superuser)
    hooks.answers = [(400, {}, "no such topic: a-secret-topic")]
    fields = {
        "name": "chat",
        "to": "chat",
        "new_chat": topic,
        "least_severity": "warning",
        "is_enabled": "on",
    }
    client.post(reverse("admin:alerts_route_add"), fields)
    route = Route.objects.get(name="chat")
    page = reverse("admin:alerts_route_change", args=[route.pk])

    shown = client.post(reverse("admin:alerts_route_test", args=[route.pk]), follow=True).text
    shown += client.get(page).text + client.get(reverse("admin:alerts_route_changelist")).text

    with connection.cursor() as cursor:
        cursor.execute("SELECT url FROM alerts_route WHERE id = %s", [route.pk])
        stored = cursor.fetchone()[0]
    told = json.dumps(
        list(Event.objects.values("before", "after", "parameters", "subject_name")), default=str
    )
    assert "HTTP 400 no such topic: …" in shown
    assert route.url == topic
    for text in (shown, stored, told, caplog.text, repr(route)):
        assert "secret-topic" not in text
    # Stored again without an address, it keeps its own.
    client.post(page, {**fields, "new_chat": "", "name": "renamed"})
    assert Route.objects.get(name="renamed").url == topic


def test_the_form_says_what_is_wrong_with_an_address(client):
    client.force_login(factories.superuser())
    fields = {"name": "chat", "to": "chat", "least_severity": "warning"}
    page = reverse("admin:alerts_route_add")

    assert "needs it" in client.post(page, fields).text
    assert "slack://" in client.post(page, {**fields, "new_chat": "exec://x"}).text
    assert "appriseit.com/services/slack" in client.post(page, {**fields, "new_chat": "slack://x"}).text
    assert not Route.objects.filter(name="chat").exists()


def test_a_chat_needs_an_address_and_has_no_signature():
    with pytest.raises(IntegrityError, match="route_webhook_is_signed"):
        factories.route(to="chat")


def test_a_secret_that_no_key_decrypts_is_an_answer(settings, hooks, topic):
    route = Route.objects.get(pk=chat_route(topic).pk)
    settings.FIELD_ENCRYPTION_KEY = ["another key that is long enough for it"]

    assert "FIELD_ENCRYPTION_KEY" in chat.send(route, notice()).text


def test_a_test_shows_what_the_service_says(hooks, topic):
    hooks.answers = [(403, {}, '{"error": "forbidden"}')]

    ((recipient, answer),) = trying.send_test(chat_route(topic), by=factories.superuser())

    assert recipient.startswith("ntfy (")
    assert answer.text == 'HTTP 403 {"error": "forbidden"}'
