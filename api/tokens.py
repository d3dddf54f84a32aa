"""Signing in and out: token/, token/refresh/, token/revoke/."""

from typing import Annotated, Any, Literal

from django.http import HttpRequest
from ninja import Field, Router, Schema

from accounts import api_tokens
from adminkit.address import client_address
from api import throttle
from api.answers import CHANGES, caller
from api.auth import PERSON
from api.problems import Problem

router = Router(tags=["tokens"])
Secret = Annotated[str, Field(min_length=1, max_length=200)]


class Credentials(Schema):
    """A name and a password; the code of the second factor, for an account that has one."""

    username: Annotated[str, Field(min_length=1, max_length=150)]
    password: Annotated[str, Field(min_length=1, max_length=4096)]
    otp: Annotated[str, Field(max_length=40)] = ""


class Tokens(Schema):
    """A new pair: the access token is valid for 15 minutes, the refresh token once within 30 days."""

    access: str
    refresh: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  (the kind of a token)
    expires_in: int


class RefreshIn(Schema):
    """A refresh token."""

    refresh: Secret


class RevokeIn(Schema):
    """One token, whose whole sign-in ends; or all sign-ins of the caller."""

    token: Secret | None = None
    all: bool = False


class Revoked(Schema):
    """What was revoked."""

    all: bool


@router.post("token/", auth=None, response={200: Tokens, **CHANGES}, summary="Sign in")
def token(request: HttpRequest, body: Credentials) -> dict[str, Any]:
    """Exchange a name and a password for tokens."""
    _count(request)
    try:
        issued = api_tokens.sign_in(request, username=body.username, password=body.password, otp=body.otp)
    except api_tokens.SignInRefused as error:
        raise Problem(401, error.code) from None
    except api_tokens.Throttled:
        raise Problem(429, headers={"Retry-After": "300"}) from None
    return _told(issued)


@router.post("token/refresh/", auth=None, response={200: Tokens, **CHANGES}, summary="Get a new pair")
def token_refresh(request: HttpRequest, body: RefreshIn) -> dict[str, Any]:
    """Exchange a refresh token for a new pair. A token that comes twice ends its sign-in."""
    _count(request)
    try:
        return _told(api_tokens.refresh(body.refresh))
    except api_tokens.SignInRefused as error:
        raise Problem(401, error.code) from None


@router.post("token/revoke/", auth=None, response={200: Revoked, **CHANGES}, summary="Sign out")
def token_revoke(request: HttpRequest, body: RevokeIn) -> dict[str, Any]:
    """Revoke a token with its sign-in, or with ``all`` every one of the caller, who must be signed in then."""
    if body.all == (body.token is not None):
        raise Problem(422, detail="Send either token or all.")
    if body.token is not None:
        _count(request)
        api_tokens.revoke(body.token)
    else:
        PERSON(request)
        api_tokens.revoke_all(caller(request))
    return {"all": body.all}


def _count(request: HttpRequest) -> None:
    throttle.count(request, f"address:{client_address(request)}", throttle.PER_ADDRESS)


def _told(issued: api_tokens.Issued) -> dict[str, Any]:
    seconds = int(api_tokens.ACCESS_LIFETIME.total_seconds())
    return {"access": issued.access, "refresh": issued.refresh, "expires_in": seconds}
