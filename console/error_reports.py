"""What an error page for developers and an error report may show."""

from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

# Of the request; the rest of a WSGI environment may be the process's own environment, with every secret in it.
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
    """Shows the traceback and what was asked: no settings, no environment, no variables, nothing that was posted.

    Django hides settings by their names, and a broker's password stands in one whose name is harmless.
    """

    def get_safe_settings(self) -> dict[str, Any]:
        """Show none."""
        return {}

    def get_safe_request_meta(self, request: HttpRequest | None) -> dict[str, Any]:
        """Show what the browser sent, without cookies and credentials."""
        return {name: value for name, value in (request.META if request else {}).items() if name in SHOWN}

    def get_safe_cookies(self, request: HttpRequest | None) -> dict[str, Any]:
        """Show which cookies there were."""
        return dict.fromkeys(request.COOKIES if request else {}, self.cleansed_substitute)

    def get_post_parameters(self, request: HttpRequest | None) -> dict[str, Any]:
        """Show which fields there were."""
        return dict.fromkeys(request.POST if request else {}, self.cleansed_substitute)

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        """Show none: a secret is a variable wherever it is used."""
        return []
