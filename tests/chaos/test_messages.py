"""Undecodable messages: each is dropped and logged, and the worker continues."""

import base64
import json
import os
import random
from functools import partial

import psutil
import pytest

from maintenance.ledger import requests
from maintenance.models import JobRun
from tests.chaos.services import worker
from tests.kit.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

FULL = os.environ.get("CHAOS") == "full"
MUTANTS = 2_000 if FULL else 60


def envelope(body=None, *, tag="1", **changes):
    """Return a message in the format of kombu's Redis transport; None removes a part."""
    body = (
        [[1], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
        if body is None
        else body
    )
    whole = {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": "maintenance.cleanup_tokens", "id": f"id-{tag}", "lang": "py", "retries": 0},
        "properties": {
            "correlation_id": f"id-{tag}",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": f"tag-{tag}",
        },
    }
    whole.update(changes)
    return json.dumps({key: part for key, part in whole.items() if part is not None})


def headers(**changes):
    given = {"task": "maintenance.cleanup_tokens", "id": "id", "lang": "py", "retries": 0, **changes}
    return {key: value for key, value in given.items() if value is not ...}


RUBBISH = {
    "empty": "",
    "no JSON": "rubbish",
    "no text": b"\xff\xfe\x00\x01",
    "half a JSON": envelope()[:-10],
    "nested too deep": "[" * 100_000,
    "a number": "5",
    "a list": "[1, 2]",
    "an empty object": "{}",
    "a type of kombu's that is none": json.dumps({"__type__": "uuid", "__value__": {"hex": "no"}}),
    "no properties": envelope(properties=None),
    "properties that are none": envelope(properties="x"),
    "no delivery tag": envelope(properties={"body_encoding": "base64"}),
    "no headers": envelope(headers=None),
    "headers that are none": envelope(headers=[1]),
    "no content type": envelope(**{"content-type": None}),
    "an unknown content type": envelope(**{"content-type": "application/x-nobody"}),
    "pickle": envelope(**{"content-type": "application/x-python-serialize", "content-encoding": "binary"}),
    "an unknown encoding": envelope(**{"content-encoding": "x-nobody"}),
    "an unknown encoding of the body": envelope(
        properties={"body_encoding": "rot13", "delivery_tag": "t", "delivery_info": {"routing_key": "celery"}}
    ),
    "no body": envelope(body=None),
    "a body that is no base64": envelope(body="%%%"),
    "a body that is no JSON": envelope(body=base64.b64encode(b"{{{").decode()),
    "a body of a number": envelope(5),
    "a body of one part": envelope([[1]]),
    "a body whose parts are none": envelope([1, 2, 3]),
    "a body with callbacks that are none": envelope([[1], {}, {"callbacks": 5, "chain": "x", "chord": 1}]),
    "an unknown task": envelope(headers=headers(task="nobody.knows")),
    "an unknown task without an id": envelope(headers=headers(task="nobody.knows", id=...)),
    "a task that is no text": envelope(headers=headers(task=["x"])),
    "no id": envelope(headers=headers(id=...)),
    "an id that is no text": envelope(headers=headers(id={"a": 1})),
    "an ETA that is none": envelope(headers=headers(eta="soon")),
    "an end that is none": envelope(headers=headers(expires={"x": 1})),
    "limits that are none": envelope(headers=headers(timelimit="xyz")),
    "limits that are texts": envelope(headers=headers(timelimit=["a", "b"])),
    "retries that are none": envelope(headers=headers(retries="x")),
    "a group that is none": envelope(headers=headers(group={"x": []}, root_id=5, parent_id=[])),
    "arguments that the task does not take": envelope([["abc", 5], {"x": 1}, None]),
    "a run that is no number": envelope([["abc"], {}, None]),
    "a run that no database holds": envelope([[10**30], {}, None]),
    "a run that is an object": envelope([[{"a": 1}], {}, None]),
}  # fmt: skip


def mutants(number, seed=15):
    """Return valid messages with a few characters changed, or with one part replaced."""
    draw = random.Random(seed)  # no secret
    odd = [None, 5, "x", [], {}, True, -1, 1e300, [[]], {"x": None}]
    for n in range(number):
        message = json.loads(envelope(tag=str(n)))
        part = draw.choice(
            [message, message["headers"], message["properties"], message["properties"]["delivery_info"]]
        )
        part[draw.choice(list(part))] = draw.choice(odd)
        text = list(json.dumps(message))
        if draw.random() < 0.3:
            for _ in range(draw.randint(1, 4)):
                text[draw.randrange(len(text))] = chr(draw.randrange(32, 127))
        yield "".join(text)


def is_empty(broker):
    return broker.llen("celery") == 0


def performs_a_run():
    run = requests.request_run(job="cleanup_login_sessions", trigger="api")
    wait_until(partial(has_succeeded, run), timeout=30)


def has_succeeded(run):
    return JobRun.objects.get(pk=run.pk).status == "succeeded"


def children_of(service):
    return {child.pid: child.status() for child in psutil.Process(service.process.pid).children()}


def test_a_worker_drops_what_it_cannot_read_and_goes_on(broker):
    messages = [*RUBBISH.values(), *mutants(MUTANTS)]
    with worker() as service:
        performs_a_run()
        before = children_of(service)
        for start in range(0, len(messages), 20):
            few = messages[start : start + 20]
            broker.lpush("celery", *few)
            wait_until(lambda: is_empty(broker) or service.process.poll() is not None, timeout=60)
            assert service.process.poll() is None, service.output[-3000:]
            performs_a_run()

        assert children_of(service).keys() == before.keys()
        assert "zombie" not in children_of(service).values()
        wait_until(lambda: broker.hlen("unacked") == 0, timeout=30)
        dropped = service.output.count("was dropped")
    print(f"\n{len(messages)} messages that nobody can read: worker alive, {dropped} dropped on arrival")  # noqa: T201
