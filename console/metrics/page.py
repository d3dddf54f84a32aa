"""Answers ``/metrics``, to Prometheus and to nobody else."""

import hmac
import logging
import time
from collections.abc import Iterator

from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from console.metrics.families import PARTS

logger = logging.getLogger(__name__)

LOOPBACK = ("127.0.0.1", "::1")


class LedgerCollector(Collector):
    """Reads all metrics; ``console_metrics_read`` says which parts could be read."""

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that can be read now."""
        readable = GaugeMetricFamily(
            "console_metrics_read", "1 for each part of the metrics that could be read.", labels=["part"]
        )
        seconds = GaugeMetricFamily(
            "console_metrics_read_seconds", "How long reading each part took.", labels=["part"]
        )
        for name, part in PARTS:
            began = time.perf_counter()
            try:
                found = list(part())
            except Error as error:
                connection.close()
                logger.warning("metrics: %s: %s", name, error)
                readable.add_metric([name], 0)
                continue
            readable.add_metric([name], 1)
            seconds.add_metric([name], time.perf_counter() - began)
            yield from found
        yield readable
        yield seconds

    def describe(self) -> list[Metric]:
        """Return nothing: a registry calls it at registration, which must not use the database."""
        return []


registry = CollectorRegistry(auto_describe=False)
registry.register(LedgerCollector())


def metrics(request: HttpRequest) -> HttpResponse:
    """Answer with all metrics, in the format of OpenMetrics or Prometheus.

    Who may read them: with ``METRICS_TOKEN``, whoever sends it as a bearer token; without one, only a client on this
    host that did not come through a proxy.
    """
    if not _may_read(request):
        answer = HttpResponse(
            "Send METRICS_TOKEN as a bearer token. Without that setting, only a client on this host may read metrics.\n",
            content_type="text/plain",
            status=401,
        )
        answer["WWW-Authenticate"] = "Bearer"
        return answer
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry), content_type=content_type)


def _may_read(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    if token:
        sent = request.headers.get("Authorization", "")
        return hmac.compare_digest(sent.encode(), f"Bearer {token}".encode())
    is_forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    return not is_forwarded and request.META.get("REMOTE_ADDR") in LOOPBACK
