"""Random requests, drawn by schemathesis from the description: no 5xx, every answer as declared, nothing half written."""

import json
import warnings
from collections import Counter

import pytest
import requests
from django.conf import settings as django_settings
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from accounts import afterwards
from api import throttle, waiting
from tests.api import fuzzing_world as world_of
from tests.soak import IS_SOAK, size

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the library's own imports
    import schemathesis

SEED = 20_261_129
SCHEMA = schemathesis.openapi.from_dict(
    json.loads((django_settings.BASE_DIR / "docs" / "openapi.json").read_text())
)
OPERATIONS = [one.ok() for one in SCHEMA.get_all_operations()]  # type: ignore[union-attr]  # one that is no schema fails here
MODES = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
# Requests of each operation, drawn from its schema, and drawn to violate it.
CASES = size(6, 10_000 // (len(OPERATIONS) * len(MODES)) + 1)
ROLES = [world_of.SUPERUSER, world_of.OPERATOR, world_of.OWNER, world_of.STRANGER]
answers: Counter = Counter()


@pytest.fixture(scope="module", autouse=True)
def _figures(request):
    """Print the figures at the end of a soak."""
    yield
    if IS_SOAK:
        plugins = request.config.pluginmanager
        with plugins.get_plugin("capturemanager").global_and_fixture_disabled():
            for status in sorted({status for _role, status in answers}):
                by_role = {role: answers[role, status] for role in ROLES}
                plugins.get_plugin("terminalreporter").write_line(f"{status}: {by_role}")
            plugins.get_plugin("terminalreporter").write_line(f"{sum(answers.values())} cases")


@pytest.fixture
def world(db, monkeypatch, settings):
    monkeypatch.setattr(afterwards, "run", lambda *_args, **_options: None)  # threads see no open transaction
    monkeypatch.setattr(waiting, "SECONDS_MAX", 0)
    settings.REDDIT_CLIENT_ID = ""  # no request goes to Reddit
    return world_of.build()


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.label)
def test_every_answer_is_as_declared_and_a_refusal_writes_nothing(operation, mode, world):
    client = Client(raise_request_exception=False)
    before = world_of.contents()

    @seed(SEED)
    @settings(
        max_examples=CASES, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), draw=st.data())
    def one(case, draw):
        throttle.forget()
        role = draw.draw(st.sampled_from(ROLES))
        request = _request(case, draw, world, role)
        with transaction.atomic():
            answer = _sent(client, request)
            changed = world_of.written(before, world_of.contents())
            transaction.set_rollback(True)
        answers[role, answer.status_code] += 1
        fault = _fault(operation, answer, changed)
        assert not fault, (
            f"{role}: {request.method} {request.url} {request.headers} {request.body!r}\n{fault}"
        )

    one()


def _request(case, draw, world, role):
    """Return the request, with values of stored rows in two of three places that can name one."""
    for place in (case.path_parameters, case.query, case.body):
        if not isinstance(place, dict):
            continue
        for name in sorted(place.keys() & world.values.keys()):
            if draw.draw(st.integers(0, 2)):
                place[name] = draw.draw(st.sampled_from(world.values[name]))
        if isinstance(place.get("params"), dict) and draw.draw(st.booleans()):
            place["params"] = draw.draw(
                st.sampled_from([{}, {"config": world.values["config"][0]}, {"days": 3}])
            )
    told = case.as_transport_kwargs(base_url="http://testserver")
    headers = dict(told.pop("headers", None) or {})
    headers.pop("Authorization", None)
    if world.secrets[role]:
        headers["Authorization"] = f"Bearer {world.secrets[role]}"
    if case.method == "PATCH" and draw.draw(st.booleans()):
        headers["If-Match"] = "*"
    allowed = {"method", "url", "params", "data", "json", "files", "cookies"}
    return requests.Request(headers=headers, **{name: told[name] for name in told.keys() & allowed}).prepare()


def _sent(client, request):
    kind = request.headers.pop("Content-Type", "")
    body = request.body or b""
    headers = {
        name: value for name, value in request.headers.items() if name not in ("Cookie", "Content-Length")
    }
    answer = client.generic(
        request.method,
        request.path_url,
        body.encode() if isinstance(body, str) else body,
        kind,
        headers=headers,
    )
    return schemathesis.Response(
        status_code=answer.status_code,
        headers={name: [value] for name, value in answer.headers.items()},
        content=b"".join(answer.streaming_content) if answer.streaming else answer.content,
        request=request,
        elapsed=0,
        verify=False,
    )


def _fault(operation, answer, changed):
    """Return what is wrong; empty: nothing."""
    status = answer.status_code
    if status >= 500:
        return f"{status}: {answer.content[:300]!r}"
    declared = operation.definition.raw["responses"].get(str(status))
    if declared is None:
        return f"{status} is not declared"
    kind = answer.headers.get("content-type", [""])[0].partition(";")[0]
    kinds = set(declared.get("content", {}))
    if (kind or None) not in (kinds or {None, "application/json", "text/html"}) or (
        not kinds and answer.content
    ):
        return f"{status} is {kind!r}, declared are {kinds}"
    if status >= 400 and changed:
        return f"{status} and wrote {changed}"
    try:
        operation.validate_response(answer)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""
