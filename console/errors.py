"""The error pages 400, 403, 404, 500 and 503; all but 500 in the console's layout where it can be shown."""

import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader
from django.utils.http import escape_leading_slashes
from django.views import defaults

from adminkit.guarded import NotForYou
from adminkit.parameters import RefusedParameter
from audit import access
from console.typed import typed
from database import errors
from database.locks import RowGone
from database.statement_timeout import was_too_slow


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Tell which part of the request cannot be used, and what to do."""
    if not hasattr(request, "user"):
        # Refused before authentication, such as for a wrong host: the layout's links would not work.
        return render(request, "400_bare.html", status=400)
    refused = exception if isinstance(exception, RefusedParameter) else None
    context = {**admin.site.each_context(request), "refused": refused, "back": request.path}
    return render(request, "400.html", context, status=400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Tell that the account lacks a permission, and which one if the refusal names it."""
    access.refused(request)
    context = {**admin.site.each_context(request), "refusal": str(exception)}
    return render(request, "403.html", context, status=403)


def stale_form(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Tell that a form was refused because its token is of another sign-in, or without its cookie; nothing was done."""
    context = {**admin.site.each_context(request), "back": _page_of_form(request), "typed": typed(request)}
    return render(request, "403_csrf.html", context, status=403)


def signed_out(request: HttpRequest) -> HttpResponse:
    """Tell that a form came after the end of its session; nothing was done."""
    context = {**admin.site.each_context(request), "next": _page_of_form(request), "typed": typed(request)}
    return render(request, "403_signed_out.html", context, status=403)


def _page_of_form(request: HttpRequest) -> str:
    """Return the address of the page with the form: where it was posted to, no page may be."""
    page = urlsplit(request.headers.get("Referer", ""))
    if page.netloc != request.get_host():
        return request.get_full_path()
    # Two slashes at the beginning would name another host.
    return escape_leading_slashes(urlunsplit(("", "", page.path, page.query, "")))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Tell that there is no such page, or no such row for this person."""
    refusal = str(exception) if isinstance(exception, NotForYou | RowGone) else ""
    context = {**admin.site.each_context(request), "refusal": refusal, "typed": typed(request)}
    return render(request, "404.html", context, status=404)


def too_slow(request: HttpRequest) -> HttpResponse:
    """Tell that the database cancelled the page's query, and how to request less."""
    context = {
        **admin.site.each_context(request),
        "seconds": settings.WEB_STATEMENT_TIMEOUT_SECONDS,
        "back": request.path,
    }
    return render(request, "503.html", context, status=503)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer an error that no other page explains: 503 if the database is away for a moment, otherwise 500."""
    failure = sys.exc_info()[1]
    if failure is None or not errors.is_passing(failure):
        return defaults.server_error(request)
    # Without the layout, which reads the database.
    answer = HttpResponse(loader.render_to_string("503_bare.html"), status=503)
    answer["Retry-After"] = str(errors.RETRY_AFTER_SECONDS)
    return answer


class ExplainedErrors:
    """Middleware that answers errors that have a remedy with their page, even if DEBUG would show a traceback."""

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> Any:
        """Pass the request on."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer a refused parameter, a row that is gone, and a statement that took too long."""
        if isinstance(exception, RowGone):
            return page_not_found(request, exception)
        if isinstance(exception, RefusedParameter):
            return bad_request(request, exception)
        return too_slow(request) if was_too_slow(exception) else None
