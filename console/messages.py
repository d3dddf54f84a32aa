"""The workers' incoming messages: an undecodable one is dropped and logged, and does not end a worker.

Celery expects every item in the broker's list to be one of its messages. Any other item raises in the worker's event
loop, which ends the worker, or in the callback of a result, which leaves it unable to work. So each message is decoded
here completely before it is used. If one of our own is dropped, it is sent again: its run is in the database.
"""

import logging
from collections.abc import Mapping
from queue import Empty
from typing import Any

from celery import current_app
from kombu.serialization import prepare_accept_content
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as kombu_redis

logger = logging.getLogger(__name__)

# How much of a dropped message is logged.
SHOWN_CHARACTERS = 300

_TEXT = (str, type(None))
_NUMBER = (int, float, type(None))
# The headers that Celery reads without a check (its documentation, "Message protocol", version 2).
HEADERS: Mapping[str, tuple[type, ...]] = {
    "task": (str,),
    "id": (str,),
    "root_id": _TEXT,
    "parent_id": _TEXT,
    "group": _TEXT,
    "group_index": _NUMBER,
    "shadow": _TEXT,
    "eta": _TEXT,
    "expires": _TEXT,
    "retries": (int,),
    "timelimit": (list, type(None)),
    "argsrepr": _TEXT,
    "kwargsrepr": _TEXT,
    "origin": _TEXT,
    "ignore_result": (bool, type(None)),
    "replaced_task_nesting": _NUMBER,
    "stamps": (dict, type(None)),
    "stamped_headers": (list, type(None)),
}
PROPERTIES: Mapping[str, tuple[type, ...]] = {
    "delivery_tag": (str,),
    "delivery_info": (dict,),
    "priority": _NUMBER,
    "correlation_id": _TEXT,
    "reply_to": _TEXT,
}
DELIVERY: Mapping[str, tuple[type, ...]] = {"exchange": _TEXT, "routing_key": _TEXT}
EMBED: Mapping[str, tuple[type, ...]] = {
    "callbacks": (list, type(None)),
    "errbacks": (list, type(None)),
    "chain": (list, type(None)),
    "chord": (dict, type(None)),
}
REQUIRED = {"task", "id", "delivery_tag", "delivery_info"}


class Unreadable(Exception):
    """Not a Celery message; the text says why."""


class Channel(kombu_redis.Channel):
    """Takes messages from the list; drops those whose envelope cannot be decoded."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # kombu's types end at its public names
        except Empty:
            raise
        except _broken(self.connection):
            raise
        except Exception as error:
            # Transport._deliver raises no other error, so it was the envelope, which is already removed from the list.
            shown = str(getattr(error, "doc", ""))[:SHOWN_CHARACTERS]
            logger.error("A message was dropped: it is no envelope of Celery's (%r): %s", error, shown)
            return True


class Transport(kombu_redis.Transport):
    """Passes messages to the worker; drops those that cannot be decoded."""

    Channel = Channel

    def _deliver(self, message: Any, queue: str | None) -> None:
        try:
            tag = self._check(message, queue)
        except Exception as error:  # damaged messages raise all kinds of exceptions
            logger.error(
                "A message of %s was dropped: %r: %.*r", queue, error, SHOWN_CHARACTERS, str(message)
            )
            return
        try:
            super()._deliver(message, queue)
        except _broken(self):
            raise
        except Exception:
            logger.exception("A message of %s was dropped: %.*r", queue, SHOWN_CHARACTERS, str(message))
            self._forget(tag)

    def _check(self, raw: Any, queue: str | None) -> str:
        """Return the delivery tag of a message that can be decoded.

        Raises:
            Exception: it cannot.
        """
        _check_types(raw, {"properties": (dict,), "headers": (dict, type(None))}, required={"properties"})
        _check_types(raw["properties"], PROPERTIES)
        _check_types(raw["properties"]["delivery_info"], DELIVERY, required=set())
        if queue in current_app.amqp.queues:  # otherwise it is one of Celery's own, such as remote control
            accept = prepare_accept_content(current_app.conf.accept_content)
            channel = self._open_channels()[0]
            message = channel.Message(raw, channel=channel, accept=accept)
            _check_types(message.headers, HEADERS)
            _check_time_limits(message.headers.get("timelimit"))
            _check_body(message.decode())
        tag: str = raw["properties"]["delivery_tag"]
        return tag

    def _forget(self, tag: str) -> None:
        for channel in self._open_channels():
            if tag in channel.qos._delivered:
                channel.basic_reject(tag, requeue=False)

    def _open_channels(self) -> list[Any]:
        return list(self.channels or [])


def _broken(transport: Any) -> tuple[type[BaseException], ...]:
    """Return the error classes of a broken connection; the worker then reconnects."""
    return (OSError, *transport.connection_errors, *transport.channel_errors)


def _check_types(given: Any, types: Mapping[str, tuple[type, ...]], *, required: set[str] = REQUIRED) -> None:
    if not isinstance(given, dict):
        raise Unreadable(f"{type(given).__name__} where an object is expected")
    for name, allowed in types.items():
        if name not in given and name in required:
            raise Unreadable(f"no {name}")
        if name in given and not isinstance(given[name], allowed):
            raise Unreadable(f"{name} is {type(given[name]).__name__}")


def _check_time_limits(limits: Any) -> None:
    if limits and (len(limits) != 2 or not all(isinstance(limit, _NUMBER) for limit in limits)):
        raise Unreadable("timelimit is not two numbers")


def _check_body(body: Any) -> None:
    match body:
        case [list(), dict(), None]:
            pass
        case [list(), dict(), dict() as embed]:
            _check_types(embed, EMBED)
        case _:
            raise Unreadable("the body is not arguments, named arguments and what comes after")


def install() -> None:
    """Make kombu use this transport for Redis."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
