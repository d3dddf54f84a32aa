"""Traces: one from the request to the job's statements, without a secret or a value; nothing loaded while they are off."""

import contextlib
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from celery import current_app
from celery.app.trace import trace_task
from django.conf import settings
from django.contrib.auth.models import User
from django.core import checks
from django.test import Client
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from requests.adapters import BaseAdapter

import maintenance.tasks  # noqa: F401  (registers the tasks, as in each process)
from accounts.models import ApiToken
from console.tracing import spans, switch
from database import trace_points
from maintenance.ledger import dispatch, performing
from maintenance.models import JobRun
from scraping.reddit.http_session import HttpSession
from tests.api.calls import Api
from tests.kit import factories

COLLECTOR = "http://127.0.0.1:1/collector"
NAME = "some_account"


@pytest.fixture
def told():
    """What leaves this process while it is traced, as a function."""
    exporter = InMemorySpanExporter()
    tracing = spans.Tracing(SimpleSpanProcessor(spans.OnlyTold(exporter)))
    tracing.begin()
    yield exporter.get_finished_spans
    tracing.end()


@pytest.fixture
def wanted(settings):
    """Settings that ask for traces."""
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = COLLECTOR
    switch.load.cache_clear()
    yield
    switch.load.cache_clear()


def only(found, start):
    matching = [span for span in found if span.name.startswith(start)]
    assert len(matching) == 1, [span.name for span in found]
    return matching[0]


def children_of(found, parent):
    return [span for span in found if span.parent and span.parent.span_id == parent.context.span_id]


def statements(found):
    return [span.attributes["db.query.text"] for span in found if span.name.startswith("sql ")]


def taken_by_a_worker(queue):
    """Take the next message, and do with it what a child of a worker's pool does."""
    with current_app.connection_for_read() as line:
        message = line.SimpleQueue(queue).get(timeout=10)
        message.ack()
    args, kwargs, _ = message.decode()
    request: dict[str, Any] = {
        **message.headers,
        "hostname": "worker",
        "is_eager": True,
        "delivery_info": message.delivery_info,
    }
    trace_task(
        current_app.tasks[message.headers["task"]], request["id"], args, kwargs, request, app=current_app
    )


# --- One trace ---------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("broker")
def test_one_trace_goes_from_the_request_to_the_statements_of_the_job(told):
    api = Api.of(factories.superuser())

    answer = api.post("jobs/cleanup_tokens/run", {})
    assert answer.status_code == 202, answer.content
    run = JobRun.objects.get()
    taken_by_a_worker("maintenance")

    run.refresh_from_db()
    assert run.status == "succeeded"
    found = told()
    request, sent = only(found, "POST "), only(found, "apply_async/")
    taken, job = only(found, "run/"), only(found, "job ")
    assert sent.parent.span_id == request.context.span_id
    assert taken.parent.span_id == sent.context.span_id
    assert job.parent.span_id == taken.context.span_id
    of_the_job = children_of(found, job)
    assert any(f'FROM "{ApiToken._meta.db_table}"' in text for text in statements(of_the_job))
    assert {span.context.trace_id for span in of_the_job} == {request.context.trace_id}
    assert any(span.name == "sql INSERT" for span in children_of(found, request))
    assert sent.attributes["run.id"] == run.pk
    assert {name: value for name, value in job.attributes.items() if name.startswith("run.")} == {
        "run.id": run.pk, "run.job": "cleanup_tokens", "run.trigger": "api", "run.attempt": 1,
        "run.status": "succeeded", "run.claimed": True,
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("broker")
def test_a_run_that_waited_behind_another_begins_a_trace_of_its_own(told):
    factories.job_run(job="cleanup_tokens", status="queued", concurrency_key="cleanup_tokens")

    with trace_of_another_run():
        dispatch.publish_next("cleanup_tokens")

    assert only(told(), "apply_async/").parent is None


def test_statements_that_belong_to_no_trace_have_no_span(told, db):
    JobRun.objects.count()

    assert told() == ()


def trace_of_another_run():
    return TracerProvider().get_tracer("test").start_as_current_span("another run")


# --- What does not leave -----------------------------------------------------------------------


def everything(found):
    return "\n".join(span.to_json() for span in found)


@pytest.mark.django_db
def test_values_of_a_request_stay_here(told):
    factories.superuser(username=NAME)
    address = f"/admin/auth/user/?q={NAME}"

    client = Client(headers={"User-Agent": NAME, "X-Forwarded-For": NAME})
    client.force_login(User.objects.get())
    assert client.get(address).status_code == 200
    assert client.get(f"/no/such/page/{NAME}").status_code == 404

    found = told()
    requests_told = [span for span in found if span.kind == SpanKind.SERVER]
    assert requests_told[0].attributes["http.route"] == "admin/auth/user/"
    assert any("auth_user" in span.attributes.get("db.query.text", "") for span in found)
    assert NAME not in everything(found)


@pytest.mark.django_db
def test_of_an_error_only_its_type_leaves(told, declare):
    def stumble(ctx):
        """Fail with a value in the text."""
        raise ValueError(NAME)

    slug = declare(stumble)
    run = factories.job_run(job=slug, status="queued")
    with pytest.raises(ValueError, match=NAME):
        performing.perform(run)

    job = only(told(), "job ")
    assert (job.status.status_code, job.attributes["error.type"]) == (StatusCode.ERROR, "ValueError")
    assert job.attributes["run.status"] == "failed"
    assert NAME not in everything(told())


def test_the_text_of_an_error_that_an_instrumentation_noted_stays_here():
    inner = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans.OnlyTold(inner)))
    with contextlib.suppress(KeyError), provider.get_tracer("test").start_as_current_span("x") as span:
        span.set_attribute("http.url", f"https://hooks.example.org/{NAME}")
        raise KeyError(NAME)

    (left,) = inner.get_finished_spans()
    assert left.events[0].attributes == {"exception.type": "KeyError"}
    assert NAME not in everything([left])


class Wire(BaseAdapter):
    """Answers without a network; notes the headers."""

    def __init__(self):
        super().__init__()
        self.headers = {}

    def send(self, request, **_):  # type: ignore[override]
        self.headers = request.headers
        if "broken" in request.url:
            raise requests.ConnectionError(f"refused: {request.url}")
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 429, request, request.url
        return answer

    def close(self):
        """Nothing is open."""


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (f"/user/{NAME}/about", "/user/-/about"),
        (f"/u/{NAME}", "/u/-"),
        (f"/r/u_{NAME}/new", "/r/u_-/new"),
        ("/r/python/new", "/r/python/new"),
        (f"/user/{NAME}/broken", "/user/-/broken"),
    ],
)
def test_requests_to_reddit_have_a_path_without_accounts_tokens_and_the_trace(told, path, shown):
    allowance: Any = SimpleNamespace(take=lambda: None)
    session, wire = HttpSession(allowance), Wire()
    session.mount("https://", wire)

    with contextlib.suppress(requests.ConnectionError):
        session.get(
            f"https://oauth.reddit.com{path}?raw_json=1&access_token={NAME}", headers={"Authorization": NAME}
        )

    sent = only(told(), "reddit GET")
    assert (sent.attributes["reddit.path"], sent.attributes["server.address"]) == (shown, "oauth.reddit.com")
    if "broken" in path:
        assert sent.attributes["error.type"] == "ConnectionError"
    else:
        assert sent.attributes["http.response.status_code"] == 429
    assert NAME not in everything(told())
    assert "traceparent" not in wire.headers


@pytest.mark.django_db
def test_probes_are_not_traced_and_a_refused_host_keeps_its_headers(told):
    assert Client(headers={"Host": "10.0.0.7"}).get("/healthz").status_code == 200
    assert told() == ()
    refused = Client(headers={"Host": "evil.example.org"}).get("/admin/")
    assert refused.status_code == 400
    assert "Content-Security-Policy" in refused.headers


# --- Off, and packages that are not there --------------------------------------------------------

LOADS_EVERYTHING = """
import sys
if "absent" in sys.argv:
    sys.modules["opentelemetry"] = None  # an import fails
import console.wsgi, console.celery, maintenance.tasks
from console.tracing import switch
from scraping.reddit import client
assert switch.check_packages() == []
switch.start()
switch.stop()
ours = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "opentelemetry.instrumentation", "console.tracing.spans")
print([name for name in sys.modules if name.startswith(ours)])
"""


@pytest.mark.parametrize(
    ("endpoint", "packages", "is_loaded"),
    # The Redis client imports OpenTelemetry's metrics where it finds them, whatever we do.
    [("", "absent", False), ("", "present", False), (COLLECTOR, "present", True)],
)
def test_nothing_of_it_is_loaded_while_traces_are_off(endpoint, packages, is_loaded):
    done = subprocess.run(
        [sys.executable, "-c", LOADS_EVERYTHING, packages],
        cwd=settings.BASE_DIR,
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (done.stdout.strip() != "[]") == is_loaded, done.stdout


@pytest.mark.usefixtures("wanted")
def test_missing_packages_are_named_and_stop_nothing(monkeypatch, caplog):
    assert switch.check_packages() == []
    monkeypatch.setattr(switch, "PACKAGES", (*switch.PACKAGES, "opentelemetry-not-there"))

    (fault,) = [found for found in checks.run_checks() if found.id == "console.W001"]
    assert (fault.level, fault.hint) == (checks.WARNING, switch.REMEDY)
    assert "Not installed: opentelemetry-not-there." in fault.msg
    assert "opentelemetry-sdk" not in fault.msg
    switch.start()
    switch.stop()
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in caplog.text
    assert "requirements/tracing.txt" in caplog.text
    assert trace_points.around_run is trace_points.plain


def test_the_packages_are_those_of_the_requirements():
    lines = (settings.BASE_DIR / "requirements/tracing.in").read_text().splitlines()
    assert tuple(line.split()[0] for line in lines if not line.startswith(("#", "-c"))) == switch.PACKAGES
