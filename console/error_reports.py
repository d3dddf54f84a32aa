"""Limits what the developers' error page and error reports may show."""

from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.views.debug import ExceptionReporter, SafeExceptionReporterFilter

from database.redaction import redacted

# Of the request's metadata; a WSGI environment may contain the process's own environment, with every secret in it.
SHOWN = frozenset(
    {
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "HTTP_ACCEPT",
        "HTTP_ACCEPT_LANGUAGE",
        "HTTP_HOST",
        "HTTP_HX_REQUEST",
        "HTTP_REFERER",
        "HTTP_USER_AGENT",
        "HTTP_X_FORWARDED_FOR",
        "HTTP_X_FORWARDED_PROTO",
        "PATH_INFO",
        "QUERY_STRING",
        "REMOTE_ADDR",
        "REQUEST_METHOD",
    }
)


class WithoutSecrets(SafeExceptionReporterFilter):
    """Shows the traceback and the request, but no settings, no environment, no variables and no posted values.

    Django hides settings by their names, but a broker's password is part of a setting with a harmless name.
    """

    def get_safe_settings(self) -> dict[str, Any]:
        """Show no settings."""
        return {}

    def get_safe_request_meta(self, request: HttpRequest | None) -> dict[str, Any]:
        """Show the headers that the browser sent, without cookies and credentials."""
        return {name: value for name, value in (request.META if request else {}).items() if name in SHOWN}

    def get_safe_cookies(self, request: HttpRequest | None) -> dict[str, Any]:
        """Show the names of the cookies."""
        return dict.fromkeys(request.COOKIES if request else {}, self.cleansed_substitute)

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        """Show the names of the posted fields."""
        return dict.fromkeys(request.POST if request else {}, self.cleansed_substitute)

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        """Show no variables: any of them may contain a secret."""
        return []


class RedactedReporter(ExceptionReporter):
    """Takes secrets out of what the error itself says."""

    def get_traceback_text(self) -> SafeString:
        """Return the report as text."""
        return SafeString(redacted(super().get_traceback_text()))

    def get_traceback_html(self) -> SafeString:
        """Return the report as a page."""
        return SafeString(redacted(super().get_traceback_html()))
