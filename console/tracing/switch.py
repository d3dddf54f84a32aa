"""Turns traces on, in the processes that answer requests and in those that perform runs."""

import logging
from functools import cache
from importlib import metadata
from types import ModuleType
from typing import Any

from django.conf import settings
from django.core import checks

logger = logging.getLogger(__name__)

# What ``console.tracing.spans`` imports.
PACKAGES = (
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-instrumentation-celery",
    "opentelemetry-instrumentation-django",
)
REMEDY = "pip install --require-hashes --requirement requirements/tracing.txt, or unset the variable."


def missing() -> list[str]:
    """Return which of the packages are not installed."""
    return [name for name in PACKAGES if not _is_installed(name)]


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def check_packages(**_: Any) -> list[checks.CheckMessage]:
    """Warn if traces are wanted but cannot be made; the service works without them."""
    lacking = missing() if settings.OTEL_EXPORTER_OTLP_ENDPOINT else []
    if not lacking:
        return []
    told = f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced. Not installed: {', '.join(lacking)}."
    return [checks.Warning(told, hint=REMEDY, id="console.W001")]


@cache
def load() -> ModuleType | None:
    """Import what makes spans; None, after a line in the log if that is a fault: there are no traces."""
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT:
        return None
    for fault in check_packages():
        logger.warning("%s %s", fault.msg, fault.hint)
        return None
    from console.tracing import spans

    return spans


def start() -> None:
    """Begin to trace in this process; after a fork, because the exporter has a thread."""
    spans = load()
    if spans is not None:
        spans.begin()


def stop() -> None:
    """Send what is not sent yet: a child of Celery's pool runs no exit handlers."""
    spans = load()
    if spans is not None:
        spans.end()
