"""Records the client address with the events of a request."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from adminkit.address import client_address
from audit.events import acting_from


class AddressMiddleware:
    """Record the client address with the events of the request."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        with acting_from(client_address(request)):
            return self._get_response(request)
