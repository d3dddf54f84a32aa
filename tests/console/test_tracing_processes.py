"""Traces of real processes, which fork: a web server and a worker send one trace to a collector."""

import http.server
import json
import signal
import socket
import threading
import urllib.request

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from accounts import api_tokens
from console.local import processes
from maintenance.models import JobRun
from tests.chaos.services import Service
from tests.kit import factories
from tests.kit.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.usefixtures("broker")]


@pytest.fixture
def collector():
    """A collector that keeps what it gets: its address, and a list of (service, span)."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            for resource in body.resource_spans:
                (name,) = (
                    entry.value.string_value
                    for entry in resource.resource.attributes
                    if entry.key == "service.name"
                )
                got.extend((name, span) for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Print nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", got
    server.shutdown()
    server.server_close()


@pytest.fixture
def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_one_trace_of_a_web_server_and_a_worker(collector, free_port):
    address, got = collector
    # Spans leave only when a process ends: the last ones of a child that forked are not lost.
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    token = api_tokens.issue(factories.superuser()).access
    web = processes.web(host="127.0.0.1", port=free_port)
    with (
        Service(web, OTEL_SERVICE_NAME="web", **environment) as server,
        Service(processes.worker(), **environment) as worker,
    ):
        server.wait_for("Listening at")
        order = urllib.request.Request(
            f"http://127.0.0.1:{free_port}/api/v1/jobs/cleanup_tokens/run",
            data=b"{}",
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(order, timeout=30) as answer:
            number = json.load(answer)["id"]
        wait_until(lambda: JobRun.objects.get(pk=number).is_final, timeout=60)
        for service in (worker, server):
            service.signal(signal.SIGTERM)
            assert service.process.wait(30) == 0

    (job,) = (span for _, span in got if span.name == "job cleanup_tokens")
    of_the_trace = [(name, span.name) for name, span in got if span.trace_id == job.trace_id]
    assert ("web", "POST api/v1/jobs/<str:slug>/run") in of_the_trace, of_the_trace
    assert ("web", "apply_async/maintenance.cleanup_tokens") in of_the_trace
    assert ("maintenance-console", "run/maintenance.cleanup_tokens") in of_the_trace
    assert ("maintenance-console", "sql WITH") in of_the_trace
