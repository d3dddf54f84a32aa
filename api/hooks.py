"""hooks/{public_id}: a signed call that starts a schedule."""

from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Header, Router, Schema, Status

from adminkit.address import client_address
from api import throttle
from api.answers import CHANGES
from api.problems import Problem
from maintenance.scheduling import hooks

router = Router(tags=["hooks"])
PER_HOOK = 10  # a minute
BODY_MAX = 65_536
SentAt = Annotated[str, Header(alias="X-Console-Timestamp", max_length=20, description="Unix seconds.")]
Signature = Annotated[
    str,
    Header(
        alias="X-Console-Signature",
        max_length=80,
        description="sha256=…: hex HMAC-SHA256 of the time, a full stop and the body, with the secret.",
    ),
]


class Started(Schema):
    """The run that was requested."""

    run: int
    status: str


@router.post(
    "hooks/{uuid:public_id}", auth=None, response={202: Started, **CHANGES}, summary="Start a schedule"
)
def call_hook(request: HttpRequest, public_id: UUID, sent_at: SentAt, signature: Signature) -> Any:
    """Start the schedule that has this address; the body is signed, and not read.

    401: no such address, a wrong signature, one older or newer than 5 minutes, or one that came before.
    409: the schedule cannot start now.
    """
    throttle.count(request, f"address:{client_address(request)}", throttle.PER_ADDRESS)
    if len(request.body) > BODY_MAX:
        raise Problem(413)
    scheme, _sign, digits = signature.partition("=")
    try:
        if scheme != "sha256":
            raise hooks.CallRefused
        hook = hooks.authenticate(public_id, sent_at=sent_at, signature=digits, body=request.body)
    except hooks.CallRefused:
        raise Problem(401, "invalid-signature") from None
    throttle.count(request, f"hook:{public_id}", PER_HOOK)
    try:
        run = hooks.start(hook)
    except hooks.NotNow as error:
        raise Problem(409, detail=error.args[0]) from None
    return Status(202, {"run": run.pk, "status": run.status})
