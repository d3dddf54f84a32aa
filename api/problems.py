"""Errors as problem details (RFC 9457): one shape for every error under /api/."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse

from database.messages import english_of

CONTENT_TYPE = "application/problem+json"
# Code, and its sentence for people. The code is the end of the problem's type.
TITLES = {
    "bad-request": "The request cannot be read.",
    "not-signed-in": "Send an access token: Authorization: Bearer …",
    "invalid-credentials": "The name, the password or the code is wrong.",
    "invalid-signature": "There is no such address, or the signature is wrong, too old or was used before.",
    "second-factor-required": "The account needs a second factor; a sign-in sends its code as otp.",
    "invalid-token": "The token is unknown, expired, revoked or used up.",
    "csrf-failed": "A call signed by a session cookie needs the header X-CSRFToken.",
    "forbidden": "Your account may not do this.",
    "insufficient-scope": "The personal token lacks the scope that this call needs.",
    "not-found": "There is no such thing, or you may not see it.",
    "method-not-allowed": "This address does not take this method.",
    "conflict": "The state does not allow this.",
    "precondition-failed": "It was changed meanwhile: read it again.",
    "too-large": "The request is too large.",
    "unsupported-media-type": "Send application/json.",
    "invalid": "A value cannot be used.",
    "idempotency-key-reused": "The Idempotency-Key was sent before with another request.",
    "precondition-required": "Send the ETag that you have read as If-Match.",
    "throttled": "Too many requests: wait as long as Retry-After says.",
    "internal-error": "The server failed. The request id is in its log.",
    "unavailable": "The database did not answer in time: wait as long as Retry-After says, or ask for less.",
}
CODES = {
    400: "bad-request", 401: "not-signed-in", 403: "forbidden", 404: "not-found", 405: "method-not-allowed", 409: "conflict",
    412: "precondition-failed", 413: "too-large", 415: "unsupported-media-type", 422: "invalid", 428: "precondition-required",
    429: "throttled", 500: "internal-error", 503: "unavailable",
}  # fmt: skip


class Problem(Exception):
    """An error that is answered as problem details.

    Args:
        status: the HTTP status.
        code: a key of ``TITLES``; None: the usual one of the status.
        detail: what is wrong in this case.
        more: further members of the answer.
    """

    def __init__(
        self, status: int, code: str | None = None, *, detail: Any = "", headers: Any = None, **more: Any
    ) -> None:
        super().__init__(status, code)
        self.status, self.code = status, code or CODES[status]
        self.detail, self.headers, self.more = detail, headers or {}, more


def answer(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Return the response of a problem."""
    told = {
        "type": f"/api/docs#{problem.code}",
        "title": TITLES[problem.code],
        "status": problem.status,
        "detail": str(english_of(problem.detail)) or TITLES[problem.code],
        "request_id": getattr(request, "request_id", ""),
        **problem.more,
    }
    return JsonResponse(told, status=problem.status, content_type=CONTENT_TYPE, headers=problem.headers)


def of_status(status: int) -> Problem:
    """Return the problem of a response that something else has made."""
    return Problem(status, CODES.get(status, "internal-error" if status >= 500 else "bad-request"))
