"""Every endpoint asks for one scope of a personal token; a token with the three others is refused."""

import re

import pytest

from accounts import personal_tokens
from accounts.models import Scope
from api.site import description
from maintenance.models import JobRun
from tests.api.calls import Api
from tests.kit import factories

pytestmark = pytest.mark.django_db
# Those that read are not listed.
WRITING = {
    "POST jobs/{slug}/run": "run",
    "POST runs/{run_id}/retry": "run",
    "POST bot-configs/{bot_id}/scrape-now": "run",
    "POST runs/{run_id}/cancel": "operate",
    "POST bot-configs/": "operate",
    "PATCH bot-configs/{bot_id}": "operate",
    "DELETE bot-configs/{bot_id}": "operate",
    "PATCH schedules/{schedule_id}": "operate",
    "POST schedules/{schedule_id}/pause": "operate",
    "POST schedules/{schedule_id}/resume": "operate",
    "POST runs/{run_id}/approve": "approve",
    "POST runs/{run_id}/reject": "approve",
}
# Without a token.
OPEN = {
    f"POST {path}"
    for path in (
        "token/",
        "token/refresh/",
        "token/revoke/",
        "password-reset/",
        "password-reset/confirm/",
        "hooks/{public_id}",
    )
}


def operations():
    return [
        f"{method.upper()} {address.removeprefix('/api/v1/')}"
        for address, found in description()["paths"].items()
        for method in found
    ]


def token_with(*scopes):
    user = factories.superuser()
    return Api(personal_tokens.make(user, name="x", scopes=scopes, days=7, by=user)[1])


def called(api, operation):
    method, _space, address = operation.partition(" ")
    path = address.replace("{slug}", "cleanup_tokens")
    answer = api(method, re.sub(r"\{\w+\}", "1", path), None if method == "GET" else {})
    is_refused = answer.status_code == 403 and answer.json()["type"] == "/api/docs#insufficient-scope"
    return answer.json()["scope"] if is_refused else None


@pytest.mark.slow
@pytest.mark.parametrize("operation", [one for one in operations() if one not in OPEN])
def test_an_endpoint_asks_for_its_scope_and_for_no_other(operation):
    needed = WRITING.get(operation, "read")

    assert operation in WRITING or operation.startswith("GET ")
    assert called(token_with(*(set(Scope.values) - {needed})), operation) == needed
    assert called(token_with(needed), operation) is None


def test_the_table_names_endpoints_that_exist():
    assert {*WRITING, *OPEN} <= set(operations())


def test_a_refusal_names_the_scope_and_starts_nothing():
    answer = token_with("read").post("jobs/cleanup_tokens/run", {})

    assert (answer.status_code, answer.json()["scope"]) == (403, "run")
    assert answer["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="run"'
    assert not JobRun.objects.exists()


def test_to_lift_the_cap_needs_the_scope_of_approvals():
    body = {"force": True, "reason": "x"}

    assert token_with("run").post("jobs/purge_old_content/run", body).json()["scope"] == "approve"
    assert not JobRun.objects.exists()
    assert token_with("run", "approve").post("jobs/purge_old_content/run", body).status_code == 202


@pytest.mark.slow
def test_a_scope_gives_no_right_that_the_person_lacks():
    user = factories.user()
    secret = personal_tokens.make(user, name="x", scopes=Scope.values, days=7, by=user)[1]

    answer = Api(secret).post("jobs/cleanup_tokens/run", {})

    assert answer.json()["type"] == "/api/docs#forbidden"


def test_a_personal_token_does_not_end_sign_ins():
    answer = token_with(*Scope.values).post("token/revoke/", {"all": True})

    assert (answer.status_code, answer.json()["type"]) == (403, "/api/docs#insufficient-scope")
