"""Tells the events of a request where it came from."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from audit.events import acting_from


class AddressMiddleware:
    """Give the events of a request its peer's address: of the proxy, if there is one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        with acting_from(request.META.get("REMOTE_ADDR")):
            return self._get_response(request)
