"""A forgotten password: password-reset/ mails a code, password-reset/confirm/ takes it."""

from typing import Annotated, Any

from django.http import HttpRequest
from django.urls import reverse
from ninja import Field, Router, Schema, Status

from accounts import password_reset
from accounts.password_reset_pages import absolute
from adminkit.address import client_address
from api import throttle
from api.answers import CHANGES
from api.problems import Problem

router = Router(tags=["tokens"])


class AskIn(Schema):
    """The user name or the mail address."""

    login: Annotated[str, Field(min_length=1, max_length=254)]


class ConfirmIn(Schema):
    """The code of the mail, and the new password."""

    code: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[str, Field(min_length=1, max_length=4096)]


class Accepted(Schema):
    """The same for every name, whether there is such an account or not."""

    detail: str


@router.post(
    "password-reset/", auth=None, response={202: Accepted, **CHANGES}, summary="Ask for a code by mail"
)
def ask_for_reset(request: HttpRequest, body: AskIn) -> Any:
    """Mail a code that works once within an hour, if there is such an account; the answer does not tell."""
    address = _count(request)
    link = absolute(request, reverse("password_reset_confirm"))
    try:
        password_reset.ask(login=body.login, address=address, link=link)
    except password_reset.TooManyResets:
        raise Problem(429, headers={"Retry-After": "3600"}) from None
    return Status(202, {"detail": "If there is such an account, a mail is on its way."})


@router.post(
    "password-reset/confirm/", auth=None, response={204: None, **CHANGES}, summary="Set a new password"
)
def confirm_reset(request: HttpRequest, body: ConfirmIn) -> Any:
    """Set the new password, and end all sessions and tokens of the person; 422 says why it cannot be used."""
    address = _count(request)
    try:
        password_reset.confirm(secret=body.code, password=body.password, address=address)
    except password_reset.TooManyResets:
        raise Problem(429, headers={"Retry-After": "3600"}) from None
    except password_reset.ResetRefused:
        raise Problem(401, "invalid-token") from None
    return Status(204, None)


def _count(request: HttpRequest) -> str | None:
    address = client_address(request)
    throttle.count(request, f"address:{address}", throttle.PER_ADDRESS)
    return address
