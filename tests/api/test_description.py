"""The description that is checked in, and what makes a change of it incompatible."""

import json
import os

import pytest
from django.conf import settings

from api.site import description

FILE = settings.BASE_DIR / "docs" / "openapi.json"


def incompatible(before, after):
    """Return what a client of ``before`` would miss in ``after``: addresses, answers, fields, new demands."""
    lost = []
    for path, operations in before["paths"].items():
        for method, operation in operations.items():
            now = after["paths"].get(path, {}).get(method)
            if now is None:
                lost.append(f"{method.upper()} {path} is gone")
                continue
            good = {status for status in operation["responses"] if status < "400"}
            lost += [
                f"{method.upper()} {path} no longer answers {one}" for one in good - set(now["responses"])
            ]
            had = {one["name"] for one in operation["parameters"]}
            has = {one["name"]: one.get("required", False) for one in now["parameters"]}
            lost += [f"{method.upper()} {path} no longer takes {name}" for name in had - set(has)]
            lost += [f"{method.upper()} {path} demands {name}" for name in set(has) - had if has[name]]
    schemas = after["components"]["schemas"]
    for name, schema in before["components"]["schemas"].items():
        now = schemas.get(name, {})
        lost += [
            f"{name}.{one} is gone"
            for one in set(schema.get("properties", {})) - set(now.get("properties", {}))
        ]
        new = set(now.get("required", [])) - set(schema.get("properties", {}))
        lost += [f"{name} demands {one}" for one in new if not name.endswith("Out")]
    return sorted(lost)


def test_the_description_that_is_checked_in_is_that_of_the_code():
    text = json.dumps(description(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("RENEW") == "1":
        assert not FILE.exists() or incompatible(json.loads(FILE.read_text()), description()) == []
        FILE.write_text(text)

    assert FILE.read_text() == text


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda told: told["paths"].pop("/api/v1/runs/"), "GET /api/v1/runs/ is gone"),
        (
            lambda told: told["paths"]["/api/v1/runs/"]["get"]["parameters"].pop(0),
            "GET /api/v1/runs/ no longer takes limit",
        ),
        (lambda told: told["components"]["schemas"]["Run"]["properties"].pop("job"), "Run.job is gone"),
    ],
)
def test_an_incompatible_change_is_told(break_it, told):
    after = json.loads(json.dumps(description()))
    break_it(after)

    assert told in incompatible(description(), after)
    assert incompatible(description(), description()) == []


def test_the_headers_that_are_read_are_described_with_examples():
    found = {
        (name, parameter["name"])
        for name, operations in description()["paths"].items()
        for operation in operations.values()
        for parameter in operation["parameters"]
        if parameter["in"] == "header" and parameter["schema"].get("examples")
    }

    api = "/api/v1"
    scrape, retry = f"{api}/bot-configs/{{bot_id}}/scrape-now", f"{api}/runs/{{run_id}}/retry"
    assert found >= {
        (scrape, "Prefer"),
        (scrape, "Idempotency-Key"),
        (retry, "Idempotency-Key"),
        (f"{api}/jobs/{{slug}}/run", "Idempotency-Key"),
        (f"{api}/schedules/{{schedule_id}}", "If-Match"),
    }
