"""Liveness and readiness probes for supervisors and load balancers.

Probes use the address instead of the host name, and plain HTTP. So they are answered before any other middleware:
without ALLOWED_HOSTS, redirect to HTTPS, or session.
"""

import logging
from collections.abc import Callable, Mapping
from functools import cache

from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase

from console.metrics.page import metrics
from console.schema import missing_migrations
from maintenance.ledger import publishing
from maintenance.ledger.worker_health import WorkersState, worker_health
from maintenance.scheduling.scheduler_health import scheduler_health

logger = logging.getLogger(__name__)


class NotReady(Exception):
    """Something that a run needs is missing; the text says what."""


class ProbesMiddleware:
    """Answers ``/healthz``, ``/livez``, ``/readyz`` and ``/metrics``; it is the first middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer a probe, pass everything else on."""
        probe = PROBES.get(request.path)
        if probe is None:
            return self._get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        response = probe(request)
        response["Cache-Control"] = "no-store"
        return response


def live(request: HttpRequest) -> HttpResponse:
    """Answer that this process serves requests; it does not use the database or the broker."""
    return HttpResponse("ok\n", content_type="text/plain")


def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200 if everything that a run needs is available, otherwise 503, with the result of each check."""
    checks = {name: _checked(name, check) for name, check in CHECKS.items()}
    is_ready = all(one["ok"] for one in checks.values())
    return JsonResponse({"ready": is_ready, "checks": checks}, status=200 if is_ready else 503)


def _checked(name: str, check: Callable[[], str]) -> dict[str, str | bool]:
    try:
        return {"ok": True, "detail": check()}
    except NotReady as fault:
        return {"ok": False, "detail": str(fault)}
    except Error as error:
        connection.close()
        logger.warning("readyz: %s: %s", name, error)  # only logged: the answer is public, addresses are not
        return {"ok": False, "detail": "the database does not answer"}


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "answers"


@cache  # success is final for a process; a failure is checked again
def _migrations() -> str:
    if missing := missing_migrations():
        raise NotReady(f"{missing} are missing: run manage.py migrate")
    return "up to date"


def _broker() -> str:
    waiting = publishing.messages_waiting()
    if waiting is None:
        raise NotReady("does not answer")
    return f"answers; {waiting} messages wait"


def _scheduler() -> str:
    health = scheduler_health()
    if health.has_lost_its_lease:
        raise NotReady("none holds the lease, although one is alive: read the log of celery beat")
    if not health.is_alive:
        raise NotReady("none is alive: start celery beat")
    return f"last tick {health.tick_age_seconds or 0:.1f} s ago"


def _workers() -> str:
    health = worker_health()
    match health.state:
        case WorkersState.NONE:
            raise NotReady("none is alive: start a worker")
        case WorkersState.UNRESPONSIVE:
            raise NotReady("none listens to the broker: it has no connection to it, or stands still")
        case WorkersState.UNSERVED:
            raise NotReady(f"none takes the queue {', '.join(health.unserved)}: start one")
        case WorkersState.STUCK:
            raise NotReady("runs wait and none takes them")
    return f"{len(health.listening)} take runs"


def _queue() -> str:
    health = worker_health()
    return f"{health.waiting} runs wait, the first for {health.queue_age.total_seconds():.0f} s"


CHECKS: Mapping[str, Callable[[], str]] = {
    "database": _database,
    "migrations": _migrations,
    "broker": _broker,
    "scheduler": _scheduler,
    "workers": _workers,
    "queue": _queue,
}
PROBES: Mapping[str, Callable[[HttpRequest], HttpResponse]] = {
    "/healthz": live,
    "/livez": live,
    "/readyz": ready,
    "/metrics": metrics,
}
