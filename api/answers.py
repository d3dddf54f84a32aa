"""What all endpoints share: rows by key, pages by cursor, ETags, and the errors of services."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from ninja import Field, Schema

from api.problems import Problem
from database import keyset

Item = TypeVar("Item")
KEY_MAX = 2**63 - 1
Key = Annotated[int, Field(ge=1, le=KEY_MAX)]
Reason = Annotated[str, Field(min_length=1, max_length=500)]


class ProblemOut(Schema):
    """Problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str


class Page(Schema, Generic[Item]):
    """Rows, and the cursor of the next page; null: this is the last."""

    items: list[Item]
    next: str | None


class Paging(Schema):
    """The parameters of every list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, Field(max_length=60)] | None = None
    order: Literal["-id", "id"] = "-id"


_ERRORS = frozenset({400, 401, 403, 404, 405, 413, 422, 429, 500, 503})
ERRORS: dict[Any, Any] = {_ERRORS: ProblemOut}
CHANGES: dict[Any, Any] = {_ERRORS | {409, 415}: ProblemOut}


def caller(request: HttpRequest) -> User:
    """Return the person who calls."""
    assert isinstance(request.user, User)
    return request.user


def require(request: HttpRequest, permission: str) -> User:
    """Return the caller.

    Raises:
        PermissionDenied: they lack the permission.
    """
    user = caller(request)
    if not user.has_perm(permission):
        raise PermissionDenied
    return user


def row(rows: QuerySet[Any], key: int) -> Any:
    """Return the row with this key among those that the caller sees.

    Raises:
        Problem: 404, for missing rows and for those of others.
    """
    found = rows.filter(pk=key).first() if 0 < key <= KEY_MAX else None
    if found is None:
        raise Problem(404)
    return found


def page(
    rows: QuerySet[Any], paging: Paging, as_json: Callable[[list[Any]], list[dict[str, Any]]]
) -> dict[str, Any]:
    """Return a page of rows by key, so that rows added meanwhile neither hide nor repeat others."""
    order = keyset.Order(is_descending=paging.order == "-id")
    place = _place(paging.cursor, rows, order) if paging.cursor is not None else None
    found = keyset.read(rows, order, size=paging.limit, after=place)
    return {"items": as_json(found.rows), "next": keyset.encoded(found.after) if found.after else None}


def _place(cursor: str, rows: QuerySet[Any], order: keyset.Order) -> keyset.Place:
    try:
        return keyset.decoded(cursor, rows, order)
    except keyset.BadCursor as error:
        raise Problem(422, detail="The cursor is none that a page has given.") from error


def iso(moment: datetime | None) -> str | None:
    """Return a time as ISO 8601."""
    return moment.isoformat() if moment else None


def etag_of(told: dict[str, Any]) -> str:
    """Return the ETag of an answer."""
    text = json.dumps(told, sort_keys=True, cls=DjangoJSONEncoder)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def tagged(
    request: HttpRequest, response: HttpResponse, told: dict[str, Any]
) -> dict[str, Any] | HttpResponse:
    """Return the answer with its ETag, or 304 if the caller has it already."""
    tag = etag_of(told)
    if request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=304, headers={"ETag": tag})
    response["ETag"] = tag
    return told
