"""Factories of ping addresses and pings."""

from typing import Any

from django.utils import timezone

from alerts.models import Ping, PingAddress
from tests.kit import factories


def ping_address(**fields: Any) -> PingAddress:
    values = {"url": "https://hc-ping.example.org/6b1f4c1e-secret-uuid", **fields}
    values["schedule"] = values.get("schedule") or factories.schedule(task="maintenance.cleanup_tokens")
    return PingAddress.objects.create(**values)


def ping(**fields: Any) -> Ping:
    values = {"event": "start", **fields}
    values["address"] = values.get("address") or ping_address()
    values["run"] = values.get("run") or factories.job_run(schedule=values["address"].schedule)
    if not {"next_attempt_at", "delivered_at", "failed_at"} & values.keys():
        values["next_attempt_at"] = timezone.now()
    return Ping.objects.create(**values)
