"""The lines of the log: one object each in JSON, with the ids of run and request, and no secret in any of them."""

import io
import json
import logging
import os
import subprocess
import sys
import threading

import pytest
from django.conf import settings
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from api import request_ids
from console import logs
from database import opened_secrets, redaction
from maintenance.ledger import current_run, heartbeat, performing, requests
from scraping.models import RedditApp
from tests.kit import factories

PLANTED = {
    "SECRET_KEY": "planted-key-0123456789-0123456789-abcdef",
    "SECRET_KEY_FALLBACKS": ["planted-older-key-0123456789-abcdef"],
    "FIELD_ENCRYPTION_KEY": ["planted-field-key-0123456789-abcdefgh"],
    "METRICS_TOKEN": "planted-metrics-0123456789-0123456789",
    "REDDIT_CLIENT_SECRET": "planted+reddit/secret",
    "EMAIL_HOST_PASSWORD": "planted mail password",
    "OIDC_CLIENT_SECRET": "planted-openid-secret",
    "DEAD_MAN_URL": "https://ping.example.org/planted-0123456789",
    "CELERY_BROKER_URL": "redis://:planted-broker-password@broker:6379/0",
}
VALUES = [
    *(value if isinstance(value, str) else value[0] for value in PLANTED.values()),
    "planted-broker-password",
    "planted-database-password",
]


@pytest.fixture
def planted(settings, monkeypatch):
    """Settings with secrets that a test can look for."""
    for name, value in PLANTED.items():
        setattr(settings, name, value)
    monkeypatch.setitem(settings.DATABASES["default"], "PASSWORD", "planted-database-password")
    redaction._of_settings.cache_clear()
    yield
    redaction._of_settings.cache_clear()


@pytest.fixture(params=["text", "json"])
def lines(request):
    """What the console's own handler writes in this format, as a function."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.FORMATTERS[request.param]())
    handler.addFilter(logs.RefusalInOneLine())
    handler.addFilter(logs.WithIds())
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: stream.getvalue().splitlines()
    root.removeHandler(handler)


def written(log_format, message, *args, exc_info=None):
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, message, args, exc_info)
    logs.WithIds().filter(record)
    return logs.FORMATTERS[log_format]().format(record)


def raised(text):
    try:
        raise ValueError(text)
    except ValueError:
        return sys.exc_info()


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("secret", VALUES)
def test_no_secret_of_the_settings_is_in_a_line(planted, log_format, secret):
    assert secret not in written(log_format, f"it was {secret}.")
    assert secret not in written(log_format, "it was %s, not %r", secret, {"a": secret})
    assert secret not in written(log_format, "it failed", exc_info=raised(f"cannot use {secret}"))


@pytest.mark.django_db
def test_a_stored_secret_that_was_opened_is_in_no_line(lines):
    factories.reddit_app(client_secret="stored-in-the-database")
    opened_secrets._opened.clear()  # saving it has opened it too
    app = RedditApp.objects.latest("pk")

    logging.getLogger("scraping").error("Reddit refused %s", app.client_secret)

    assert len(lines()) == 1
    assert "stored-in-the-database" not in lines()[0]
    assert "Reddit refused [hidden]" in lines()[0]


@given(st.text(), st.text())
def test_every_json_line_is_one_object(message, argument):
    line = written("json", "%s %s", message, argument, exc_info=raised(message))

    assert "\n" not in line
    assert "\r" not in line
    told = json.loads(line)
    assert told["level"] == "ERROR"
    assert {"time", "logger", "message", "process", "exception"} <= told.keys()


@pytest.mark.django_db(transaction=True)
def test_every_line_of_a_run_has_its_id_also_those_of_its_threads(declare, monkeypatch, lines):
    monkeypatch.setattr(heartbeat, "POLL_SECONDS", 0.01)
    beaten = threading.Event()

    def hear(self, run):
        logging.getLogger("heartbeat").warning("beat")
        beaten.set()
        return False

    def speak(ctx):
        """Log a line, and fail."""
        logging.getLogger("job").warning("work")
        assert beaten.wait(5)
        raise ValueError("token=abcdefgh1234")

    monkeypatch.setattr(heartbeat.Heartbeat, "_hears_of_force", hear)
    run = requests.request_run(job=declare(speak), trigger="command", send=False)
    with pytest.raises(ValueError, match="token"):
        performing.perform(run)
    logging.getLogger("after").warning("done")

    starts = [
        line for line in lines() if any(name in line for name in (" beat", " work", '"beat"', '"work"'))
    ]
    assert len(starts) >= 2
    for line in starts:
        assert f"[run {run.pk}]" in line or json.loads(line)["run"] == run.pk
    (after,) = [line for line in lines() if "done" in line]
    assert "run" not in after
    assert "abcdefgh1234" not in "\n".join(lines())


@pytest.mark.django_db
def test_a_line_about_a_request_has_its_id(client, lines):
    client.force_login(factories.user())

    answer = client.get(reverse("admin:auth_user_changelist"), headers={"X-Request-Id": "trace-12345"})

    assert answer["X-Request-Id"] == "trace-12345"
    (line,) = [line for line in lines() if "Forbidden" in line]
    assert "[trace-12345]" in line or json.loads(line)["request"] == "trace-12345"


def test_outside_of_runs_and_requests_a_line_has_no_id():
    assert current_run.current.get() is None
    assert request_ids.current.get() == ""
    assert written("text", "hello").endswith(" ERROR   x: hello")
    assert {"run", "request"}.isdisjoint(json.loads(written("json", "hello")))


@pytest.mark.parametrize(
    ("data", "run_id"),
    [
        ({"name": "maintenance.cleanup_tokens", "args": "(17,)"}, 17),
        ({"name": "maintenance.cleanup_tokens", "args": "[17]"}, 17),
        ({"name": "others.task", "args": "(17,)"}, None),
        ({"name": "maintenance.cleanup_tokens", "args": "('x',)"}, None),
        ("text", None),
    ],
)
def test_a_line_of_celerys_main_process_has_the_run_of_its_message(data, run_id):
    record = logging.LogRecord("celery", logging.INFO, __file__, 1, "received", (), None)
    vars(record)["data"] = data
    logs.WithIds().filter(record)

    assert vars(record)["run_id"] == run_id


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "is_json"), [({}, True), ({"LOG_FORMAT": "text"}, False), ({"DEBUG": "on"}, False)]
)
def test_a_process_without_a_terminal_writes_json(environment, is_json):
    code = "import django, logging; django.setup(); logging.getLogger('x').warning('hello')"
    kept = {name: value for name, value in os.environ.items() if name not in ("LOG_FORMAT", "DEBUG")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env={**kept, "DJANGO_SETTINGS_MODULE": "console.settings", "READ_DOT_ENV": "false", **environment},
        capture_output=True,
        text=True,
        check=True,
    )

    (line,) = done.stderr.splitlines()
    assert (json.loads(line)["message"] == "hello") if is_json else line.endswith("WARNING x: hello")
