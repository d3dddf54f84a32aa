"""The API: its parts, its errors, and its OpenAPI description."""

import json
import logging
from functools import cache
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import HttpError
from ninja.errors import ValidationError as InvalidRequest
from ninja.parser import Parser

from api import bots, content, hooks, jobs, password_reset, problems, records, runs, schedules, tokens
from api.auth import READ
from api.problems import Problem
from database import errors
from database.locks import RowGone
from database.statement_timeout import was_too_slow
from maintenance.ledger.interventions import NotPossible
from maintenance.registry import InvalidParams, JobsPaused

logger = logging.getLogger(__name__)
DESCRIPTION = (
    "Sign in at token/, send the access token as a bearer token. Lists are read page by page: send the cursor `next` as"
    " `cursor`. Times are ISO 8601. Errors are problem details (RFC 9457)."
)

TOO_SLOW = "The database ended a statement that took too long: ask for less."
BUSY = "The database is locked, overloaded or restarting. Look whether the change is there before you send it again."


class StrictParser(Parser):
    """Reads JSON that every database can store."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the body.

        Raises:
            Problem: 400: it is no JSON, has NaN, a NUL or half a surrogate pair.
        """
        try:
            told = json.loads(request.body or b"{}", parse_constant=_refuse)
            text = json.dumps(told, ensure_ascii=False)
            text.encode()
        except (ValueError, RecursionError):
            raise Problem(400, detail="The body is not JSON.") from None
        if "\\u0000" in text:
            raise Problem(400, detail="The body holds a NUL character.")
        return told


def _refuse(name: str) -> None:
    raise ValueError(name)


api = NinjaAPI(
    title="Maintenance Console",
    version="1",
    description=DESCRIPTION,
    docs_url=None,
    openapi_url=None,
    auth=READ,
    parser=StrictParser(),
    urls_namespace="api",
)
api.add_router("", tokens.router)
api.add_router("", password_reset.router)
api.add_router("", jobs.router)
api.add_router("", runs.router)
api.add_router("", schedules.router)
api.add_router("", hooks.router)
api.add_router("", bots.router)
api.add_router("", content.router)
api.add_router("", records.router)


@cache
def description() -> dict[str, Any]:
    """Return the OpenAPI description; errors have their own media type there too."""
    # Docstrings mark code by two backticks, CommonMark by one.
    text = json.dumps(api.get_openapi_schema(path_prefix="/api/v1/")).replace("``", "`")
    told: dict[str, Any] = json.loads(text)
    for address, operations in told["paths"].items():
        for operation in operations.values():
            for parameter in operation["parameters"]:
                # Of a parameter they are a map, which ninja does not know; the list stays in its schema.
                parameter.pop("examples", None)
            operation["responses"] = dict(sorted(operation["responses"].items()))
            if address.endswith("/export"):
                file = {"schema": {"type": "string"}}
                operation["responses"]["200"]["content"] = {
                    kind.partition(";")[0]: file for kind in content.EXPORT_TYPES
                }
            for status, response in operation["responses"].items():
                if int(status) >= 400 and "content" in response:
                    response["content"] = {problems.CONTENT_TYPE: response["content"]["application/json"]}
    return told


# --- Errors ----------------------------------------------------------------------------------


@api.exception_handler(Problem)
def _problem(request: HttpRequest, error: Problem) -> HttpResponse:
    return problems.answer(request, error)


@api.exception_handler(InvalidRequest)
def _invalid(request: HttpRequest, error: InvalidRequest) -> HttpResponse:
    # Without the values: one of them may be a password.
    errors = [{"at": [str(part) for part in one["loc"]], "message": one["msg"]} for one in error.errors]
    return problems.answer(request, Problem(422, errors=errors))


@api.exception_handler(InvalidParams)
def _params(request: HttpRequest, error: InvalidParams) -> HttpResponse:
    status = 409 if isinstance(error, JobsPaused) else 422
    return problems.answer(request, Problem(status, detail=error.text))


@api.exception_handler(ValidationError)
def _value(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return problems.answer(request, Problem(422, detail=" ".join(error.messages)))


@api.exception_handler(NotPossible)
def _not_possible(request: HttpRequest, error: NotPossible) -> HttpResponse:
    return problems.answer(request, Problem(409, detail=error.args[0]))


@api.exception_handler(PermissionDenied)
def _forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problems.answer(request, Problem(403, detail=error.args[0] if error.args else ""))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problems.answer(request, Problem(404))


@api.exception_handler(RowGone)
def _gone(request: HttpRequest, error: RowGone) -> HttpResponse:
    return problems.answer(request, Problem(404, detail=error.args[0]))


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return problems.answer(request, Problem(413))


@api.exception_handler(HttpError)
def _http(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problems.answer(request, problems.of_status(error.status_code))


@api.exception_handler(Exception)
def _failed(request: HttpRequest, error: Exception) -> HttpResponse:
    if was_too_slow(error):
        return problems.answer(request, Problem(503, detail=TOO_SLOW))
    if errors.is_passing(error):
        logger.warning("%s %s: the database refused", request.method, request.path, exc_info=error)
        after = {"Retry-After": str(errors.RETRY_AFTER_SECONDS)}
        return problems.answer(request, Problem(503, detail=BUSY, headers=after))
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return problems.answer(request, Problem(500))
