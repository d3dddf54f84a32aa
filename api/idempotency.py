"""``Idempotency-Key``: a request that is sent again with the same key gets the first answer, and does nothing.

The key, what it starts and its answer are written in one transaction, so that there is never one without the others.
Of two calls at the same moment the second waits at the unique constraint until the first has committed. Only accepted
requests keep their key: a refused one has changed nothing, and may be corrected.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Annotated, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from ninja import Header, Status

from accounts.models import IdempotencyKey
from api.answers import caller
from api.problems import Problem
from maintenance.ledger.run_json import as_json
from maintenance.models import JobRun

REPLAYED = "Idempotency-Replayed"
KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,100}$",
        description="Chosen by the client, kept for 24 hours: a second request with it gets the first answer.",
        examples=["nightly-2026-11-29"],
    ),
]


def started(
    request: HttpRequest, response: HttpResponse, key: str | None, start: Callable[[], JobRun]
) -> tuple[Status, JobRun | None]:
    """Return the answer of a request that starts a run, and the run; None: it was started by an earlier request.

    Raises:
        Problem: 422, the key was used for another request; 400, the body is not JSON.
    """
    if key is None:
        run = start()
        return _answer(response, run.pk, 202, as_json(run)), run
    with transaction.atomic():
        kept = IdempotencyKey.take(user=caller(request), key=key, fingerprint=_fingerprint(request))
        if kept is None:
            raise Problem(422, "idempotency-key-reused")
        if kept.run_id is None or kept.status is None:
            run = start()
            told = as_json(run)
            kept.answer(run_id=run.pk, status=202, body=json.dumps(told, cls=DjangoJSONEncoder))
            return _answer(response, run.pk, 202, told), run
    response[REPLAYED] = "true"
    return _answer(response, kept.run_id, kept.status, json.loads(kept.body)), None


def amend(request: HttpRequest, key: str | None, *, status: int, told: dict[str, Any]) -> None:
    """Replace the answer that the key keeps: the caller has waited for a better one."""
    if key is not None:
        kept = IdempotencyKey.objects.filter(user=caller(request), key=key)
        kept.update(status=status, body=json.dumps(told, cls=DjangoJSONEncoder))


def _answer(response: HttpResponse, run_id: int, status: int, told: dict[str, Any]) -> Status:
    response["Location"] = f"/api/v1/runs/{run_id}"
    return Status(status, told)


def _fingerprint(request: HttpRequest) -> str:
    """Return the hash of method, address and body; white space and order in the body do not count."""
    try:
        body = json.dumps(json.loads(request.body or b"{}"), sort_keys=True)
    except (ValueError, RecursionError):  # of an endpoint that reads no body, so that nothing has parsed it
        raise Problem(400, detail="The body is not JSON.") from None
    return hashlib.sha256(f"{request.method} {request.get_full_path()}\n{body}".encode()).hexdigest()
