"""Makes the spans of a trace and says what of them leaves this process; the only module that imports OpenTelemetry."""

import os
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from celery.signals import before_task_publish
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from requests import PreparedRequest, Response

from database import trace_points
from maintenance.ledger import heartbeat
from maintenance.models import JobRun
from maintenance.models.statuses import FAILURES

Result = TypeVar("Result")

# What it answers itself is not traced: probes, metrics, static files; and no header of theirs is lost to an error here.
AFTER: Final = "django.middleware.common.CommonMiddleware"
# How long a collector may take, retries included; the end of a process waits for it. A variable may say otherwise.
ANSWER_SECONDS: Final = 3
# The most characters of a statement that a span has.
STATEMENT_MAX: Final = 1_000
# The attributes that leave; what an instrumentation adds besides, such as addresses with queries, stays here.
TOLD: Final = frozenset(
    {"http.method", "http.request.method", "http.status_code", "http.response.status_code", "http.route", "error.type",
     "server.address", "celery.action", "messaging.destination", "messaging.message.id", "db.system.name", "db.query.text",
     "reddit.path", "run.id", "run.job", "run.schedule", "run.trigger", "run.attempt", "run.status", "run.reason",
     "run.claimed"}
)  # fmt: skip
# Accounts in a path of Reddit: /user/NAME/about, /u/NAME, /r/u_NAME/new.
_ACCOUNT: Final = re.compile(r"(/u(?:ser)?/|/r/u_)[^/]+", re.IGNORECASE)


def reddit_path(url: str) -> str:
    """Return the path of a request to Reddit, without names of accounts and without its query."""
    return _ACCOUNT.sub(r"\1-", urlsplit(url).path)


class OnlyTold(SpanExporter):
    """Hands on what may leave: the attributes in ``TOLD``, and of errors the type, because their texts have values."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export copies of the spans."""
        return self._exporter.export([self._copy(span) for span in spans])

    def shutdown(self) -> None:
        """Stop the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Let the exporter send what it has."""
        return self._exporter.force_flush(timeout_millis)

    @staticmethod
    def _copy(span: ReadableSpan) -> ReadableSpan:
        def type_of(event: Event) -> dict[str, Any]:
            return {
                name: value for name, value in (event.attributes or {}).items() if name == "exception.type"
            }

        return ReadableSpan(
            name=span.name,
            context=span.get_span_context(),
            parent=span.parent,
            resource=span.resource,
            attributes={name: value for name, value in (span.attributes or {}).items() if name in TOLD},
            events=[Event(event.name, type_of(event), event.timestamp) for event in span.events],
            kind=span.kind,
            status=Status(span.status.status_code),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )


class Tracing:
    """The traces of this process; it sets no global provider, so that no other package adds spans."""

    def __init__(self, processor: SpanProcessor) -> None:
        self.provider = TracerProvider(resource=_resource())
        self.provider.add_span_processor(processor)
        self._tracer = self.provider.get_tracer("console")

    def begin(self) -> None:
        """Trace from now on; before the web server loads its middleware."""
        position = settings.MIDDLEWARE.index(AFTER) + 1
        DjangoInstrumentor().instrument(tracer_provider=self.provider, middleware_position=position)
        CeleryInstrumentor().instrument(tracer_provider=self.provider)  # type: ignore[no-untyped-call]
        before_task_publish.connect(self._name_the_run)  # after Celery's own: its span is the current one
        connection_created.connect(self._watch)
        for connection in connections.all(initialized_only=True):
            self._watch(connection=connection)
        trace_points.around_run, trace_points.around_request = self.run, self.request
        trace_points.apart = self.apart

    def end(self) -> None:
        """Trace no more, and send what is left."""
        trace_points.around_run = trace_points.around_request = trace_points.plain
        trace_points.apart = trace_points.plainly_apart
        for connection in connections.all(initialized_only=True):
            if self.statement in connection.execute_wrappers:
                connection.execute_wrappers.remove(self.statement)
        connection_created.disconnect(self._watch)
        before_task_publish.disconnect(self._name_the_run)
        CeleryInstrumentor().uninstrument()  # type: ignore[no-untyped-call]
        DjangoInstrumentor().uninstrument()
        self.provider.shutdown()

    def _watch(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        if self.statement not in connection.execute_wrappers:
            connection.execute_wrappers.append(self.statement)

    @staticmethod
    def _name_the_run(sender: str, body: Any, **_: Any) -> None:
        args = body[0] if isinstance(body, tuple) else ()
        if str(sender).startswith("maintenance.") and args:
            trace.get_current_span().set_attribute("run.id", args[0])

    # --- The spans of our own ----------------------------------------------------------------

    def run(self, run: JobRun, work: Callable[[], Result]) -> Result:
        """Perform a run in a span."""

        def told(span: Span) -> Result:
            claimed = False
            try:
                result = work()
                claimed = bool(result)
            except BaseException:
                claimed = True  # what fails has begun
                raise
            finally:
                span.set_attribute("run.claimed", claimed)
                if claimed:
                    self._tell_the_end(span, run)
            return result

        return self._in_span(
            f"job {run.job}", SpanKind.INTERNAL, {"run.id": run.pk, "run.job": run.job}, told
        )

    @staticmethod
    def _tell_the_end(span: Span, run: JobRun) -> None:
        told = {
            "run.schedule": run.schedule_id,
            "run.trigger": run.trigger,
            "run.attempt": run.attempt,
            "run.status": run.status,
            "run.reason": run.reason or None,
        }
        span.set_attributes({name: value for name, value in told.items() if value is not None})
        if run.status in FAILURES:
            span.set_status(StatusCode.ERROR)

    def request(self, request: PreparedRequest, work: Callable[[], Result]) -> Result:
        """Send a request to Reddit in a span."""
        url, method = request.url or "", request.method or ""

        def told(span: Span) -> Result:
            answer = work()
            if isinstance(answer, Response):
                span.set_attribute("http.response.status_code", answer.status_code)
            return answer

        values = {
            "http.request.method": method,
            "server.address": urlsplit(url).hostname or "",
            "reddit.path": reddit_path(url),
        }
        return self._in_span(f"reddit {method}", SpanKind.CLIENT, values, told)

    @staticmethod
    def apart(work: Callable[[], Result]) -> Result:
        """Do the work with no span as its parent; all else of the context stays, such as Django's connections."""
        token = otel_context.attach(otel_context.Context())
        try:
            return work()
        finally:
            otel_context.detach(token)

    def statement(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        """Execute a statement, in a span if it belongs to a trace; Django calls this for each one."""
        # A scheduler's and a worker's statements about themselves belong to none; a heartbeat's are one a second.
        is_of_a_trace = trace.get_current_span().is_recording()
        if not is_of_a_trace or threading.current_thread().name == heartbeat.THREAD_NAME:
            return execute(sql, params, many, context)
        text = str(sql)
        values = {
            "db.system.name": context["connection"].vendor,
            "db.query.text": text[:STATEMENT_MAX],
        }
        verb = (text.split(maxsplit=1) or ["SQL"])[0].upper()
        return self._in_span(
            f"sql {verb}", SpanKind.CLIENT, values, lambda _span: execute(sql, params, many, context)
        )

    def _in_span(
        self, name: str, kind: SpanKind, values: dict[str, Any], work: Callable[[Span], Result]
    ) -> Result:
        with self._tracer.start_as_current_span(
            name, kind=kind, attributes=values, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                return work(span)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(StatusCode.ERROR)
                raise


def _resource() -> Resource:
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return Resource.create({} if named else {"service.name": "maintenance-console"})


_tracing: Tracing | None = None


def begin() -> None:
    """Trace this process, and send to where the variables of OpenTelemetry say."""
    global _tracing
    variables = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
    is_given = any(os.environ.get(name) for name in variables)
    exporter = OTLPSpanExporter(timeout=None if is_given else ANSWER_SECONDS)
    _tracing = Tracing(BatchSpanProcessor(OnlyTold(exporter)))
    _tracing.begin()


def end() -> None:
    """Send what is left, for a process that ends."""
    global _tracing
    if _tracing is not None:
        _tracing.end()
        _tracing = None
