"""A webhook is signed, goes only where it may, and takes no longer than it may."""

import hashlib
import hmac
import socket
import threading
import time
from contextlib import suppress
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from alerts.channels import addresses, http, webhook
from alerts.channels.texts import LISTED_MAX, Notice
from alerts.models import Alert, Route
from alerts.reading import Reading
from tests.kit import factories

pytestmark = pytest.mark.django_db


def notice(*alerts, event="opened"):
    return Notice(uuid4(), event, alerts, timezone.now(), Reading(("en",)))


def test_the_body_is_signed_with_its_time_and_says_what_the_schema_promises(hooks, settings):
    settings.CONSOLE_URL = "https://console.example.org/"
    route = factories.webhook_route(url=hooks.url, secret="0123456789abcdef0123456789abcdef")
    alert = Alert.objects.get(pk=factories.alert(cause="why", subject_name="名").pk)

    answer = webhook.send(route, sent := notice(alert))

    assert (answer.text, answer.is_delivered) == ("HTTP 200 ok", True)
    ((headers, body, told),) = hooks.requests
    signed = headers["Console-Timestamp"].encode() + b"." + body
    assert (
        headers["Console-Signature"]
        == "sha256=" + hmac.new(b"0123456789abcdef0123456789abcdef", signed, hashlib.sha256).hexdigest()
    )
    assert headers["Console-Delivery"] == told["id"] == str(sent.id)
    assert abs(int(headers["Console-Timestamp"]) - time.time()) < 60
    assert told == {
        "schema": 1,
        "id": str(sent.id),
        "event": "opened",
        "sent_at": sent.sent_at.isoformat(),
        "console": "https://console.example.org/",
        "count": 1,
        "alerts": [
            {
                "id": alert.pk,
                "rule": "failed",
                "title": "failed",
                "severity": "warning",
                "subject": {"type": "maintenance.Job", "id": str(alert.subject_id), "name": "名"},
                "cause": "why",
                "occurrences": 1,
                "opened_at": alert.opened_at.isoformat(),
                "closed_at": None,
                "is_flapping": False,
                "url": f"https://console.example.org/admin/alerts/alert/{alert.pk}/change/",
            }
        ],
    }


def test_a_message_about_many_lists_the_first_and_counts_all(hooks):
    alerts = [factories.alert() for _ in range(LISTED_MAX + 3)]

    webhook.send(factories.webhook_route(url=hooks.url), notice(*alerts))

    ((_headers, _body, told),) = hooks.requests
    assert (told["count"], len(told["alerts"])) == (LISTED_MAX + 3, LISTED_MAX)


def test_address_and_secret_are_encrypted_at_rest():
    route = factories.webhook_route(url="https://hooks.example.org/T0/secret-path", secret="s" * 40)
    with connection.cursor() as cursor:
        cursor.execute("SELECT url, secret FROM alerts_route WHERE id = %s", [route.pk])
        stored = " ".join(cursor.fetchone())

    assert "secret-path" not in stored
    assert "s" * 10 not in stored
    assert Route.objects.get(pk=route.pk).url == "https://hooks.example.org/T0/secret-path"


@pytest.mark.parametrize("missing", ["url", "secret"])
def test_a_webhook_without_address_or_secret_cannot_be_stored(missing):
    with pytest.raises(IntegrityError, match="route_webhook_is_signed"):
        factories.webhook_route(**{missing: ""})


def test_a_secret_that_no_key_decrypts_is_an_answer_and_no_error(settings, hooks):
    route = Route.objects.get(pk=factories.webhook_route(url=hooks.url).pk)
    settings.FIELD_ENCRYPTION_KEY = ["another key that is long enough for it"]

    assert "FIELD_ENCRYPTION_KEY" in webhook.send(route, notice()).text


def test_an_answer_that_repeats_a_secret_of_the_address_is_stored_without_it(hooks):
    hooks.answers = [(404, {}, "no hook T0SECRET1234 here, nor a-secret-token")]

    answer = webhook.send(
        factories.webhook_route(url=hooks.url.replace("hook?a=b", "T0SECRET1234?token=a-secret-token")),
        notice(),
    )

    assert answer.text == "HTTP 404 no hook … here, nor …"


def test_a_redirect_is_not_followed(hooks):
    hooks.answers = [(302, {"Location": hooks.url}, "over there")]

    answer = webhook.send(factories.webhook_route(url=hooks.url), notice())

    assert (answer.text, answer.is_delivered, len(hooks.requests)) == ("HTTP 302 over there", False, 1)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "255.255.255.255", "224.0.0.1", "192.0.2.1", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::1", "::7f00:1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe", "fec0::1",
    ],
)  # fmt: skip
def test_these_addresses_are_not_public(address):
    assert not addresses.is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_these_addresses_are_public(address):
    assert addresses.is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/", "http://localhost/", "http://[::1]/", "http://2130706433/", "http://0x7f.1/", "http://0/",
        "http://127.1/",
    ],
)  # fmt: skip
def test_loopback_is_refused_however_it_is_written(url):
    answer = webhook.send(factories.webhook_route(url=url), notice())

    assert "is not a public address" in answer.text


@pytest.mark.parametrize(
    "url", ["ftp://8.8.8.8/", "file:///etc/passwd", "http://u:p@8.8.8.8/", "http://", "http://h:x/", "x"]
)
def test_what_is_no_web_address_is_refused(url):
    assert webhook.send(factories.webhook_route(url=url), notice()).text == "It is no web address."


def look_ups(monkeypatch, *answers):
    asked = []

    def getaddrinfo(host, port, **_options):
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_one_private_address_among_public_ones_is_refused(monkeypatch):
    look_ups(monkeypatch, ["8.8.8.8", "10.0.0.1"])

    answer = webhook.send(factories.webhook_route(url="http://rebinding.example/"), notice())

    assert answer.text == "rebinding.example is not a public address."


def test_the_name_is_looked_up_once_and_that_address_is_connected_to(monkeypatch):
    asked = look_ups(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])
    connected = []

    def connect(address, _timeout):
        connected.append(address)
        raise OSError("unreachable")

    monkeypatch.setattr(socket, "create_connection", connect)

    answer = webhook.send(factories.webhook_route(url="https://rebinding.example:444/"), notice())

    assert (asked, connected) == (["rebinding.example"], [("8.8.8.8", 444)])
    assert answer.text == "OSError: unreachable"


@pytest.mark.slow
def test_a_server_that_sends_a_byte_at_a_time_is_cut_off(settings, monkeypatch):
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    monkeypatch.setattr(http, "TOTAL_SECONDS", 1.0)
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            client, _address = server.accept()
            with client:
                while not over.wait(0.1):
                    client.sendall(b"H" if over.is_set() else b"X")

        def guarded():
            with suppress(OSError):
                drip()

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        begin = time.monotonic()
        answer = webhook.send(
            factories.webhook_route(url=f"http://127.0.0.1:{server.getsockname()[1]}/"), notice()
        )
        over.set()
        thread.join(5)

    assert not answer.is_delivered
    assert time.monotonic() - begin < 5
