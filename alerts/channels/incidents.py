"""On-call services keep an incident open until they are told that it is over: which do so, and by which key.

The key of an incident is the id of the message that opened it. apprise resolves at PagerDuty by such a key; at Opsgenie it
remembers what it has opened only as long as its process lives, so the request to close is ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import quote

from alerts.channels import chat_requests


@dataclass(frozen=True)
class Incidents:
    """How a service's incidents are told apart: functions of its apprise plugin and a key."""

    # Lets the next message open an incident of this key.
    open_as: Callable[[Any, str], None]
    # Ends the incident of this key, with a text; returns whether the service has taken it. An unknown key is no error.
    resolve: Callable[[Any, str, str], bool]


def _open_at_pagerduty(service: Any, key: str) -> None:
    service.action, service.dedup = "trigger", key


def _resolve_at_pagerduty(service: Any, key: str, text: str) -> bool:
    service.action, service.dedup = "resolve", key
    return bool(service.send(body=text, notify_type=import_module("apprise").NotifyType.SUCCESS))


def _open_at_opsgenie(service: Any, key: str) -> None:
    service.action, service.alias = "new", key


def _resolve_at_opsgenie(service: Any, key: str, text: str) -> bool:
    addresses = import_module("apprise.plugins.opsgenie").OPSGENIE_API_LOOKUP
    answer = chat_requests.Requests().post(
        f"{addresses[service.region_name]}/{quote(key)}/close",
        params={"identifierType": "alias"},
        json={"source": service.app_desc, "note": text},
        headers={"Authorization": f"GenieKey {service.apikey}"},
    )
    return bool(answer.ok)


# By the scheme of the apprise address.
INCIDENTS = {
    "opsgenie": Incidents(_open_at_opsgenie, _resolve_at_opsgenie),
    "pagerduty": Incidents(_open_at_pagerduty, _resolve_at_pagerduty),
}
