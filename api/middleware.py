"""What surrounds each request: its id, and under /api/ the checks before and the shape of errors after."""

from collections.abc import Callable
from contextlib import nullcontext

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from api import problems, request_ids
from api.problems import Problem
from audit.events import acting_by_token

PREFIX = "/api/"
WITH_BODY = ("POST", "PUT", "PATCH")


class ApiMiddleware:
    """Gives each request its id, and turns every error under /api/ into problem details."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        request_id = request_ids.of(request.headers.get(request_ids.HEADER))
        request.request_id = request_id  # type: ignore[attr-defined]
        kept = request_ids.current.set(request_id)
        try:
            response = self._answer(request)
        finally:
            request_ids.current.reset(kept)
        response[request_ids.HEADER] = request_id
        return response

    def _answer(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith(PREFIX):
            return self._get_response(request)
        if (refused := _unreadable(request)) is not None:
            return problems.answer(request, refused)
        with acting_by_token() if "Authorization" in request.headers else nullcontext():
            response = self._get_response(request)
        if response.status_code >= 400 and response.get("Content-Type") != problems.CONTENT_TYPE:
            told = problems.answer(request, problems.of_status(response.status_code))
            if "Allow" in response:
                told["Allow"] = response["Allow"]
            response = told
        for name, value in getattr(request, "rate_limit", {}).items():
            response[name] = value
        response.setdefault("Cache-Control", "no-store")
        return response


def _unreadable(request: HttpRequest) -> Problem | None:
    """Return why the body of a request cannot be read, judging by its headers."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if not length.isdecimal() or (limit is not None and int(length[:18]) > limit):
        return Problem(413 if length.isdecimal() else 400)
    has_body = length != "0" or "HTTP_TRANSFER_ENCODING" in request.META
    if request.method in WITH_BODY and has_body and request.content_type != "application/json":
        return Problem(415)
    return None
