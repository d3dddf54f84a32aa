"""The Permissions-Policy header: which devices and features of the browser the pages may use."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Passkeys are all that the console needs; nothing that it shows may ask for more, and nothing may be framed. Without
# bluetooth and web-share: Chromium on Linux does not know them, and reports them as errors on every page.
_NOT_USED = (
    "accelerometer", "autoplay", "camera", "display-capture", "fullscreen", "geolocation", "gyroscope", "hid",
    "identity-credentials-get", "idle-detection", "local-fonts", "magnetometer", "microphone", "midi", "payment",
    "picture-in-picture", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking",
)  # fmt: skip
_OWN = ("clipboard-write", "publickey-credentials-create", "publickey-credentials-get")
POLICY = ", ".join([*(f"{name}=()" for name in _NOT_USED), *(f"{name}=(self)" for name in _OWN)])


class PermissionsPolicyMiddleware:
    """Set the header on every answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        response = self._get_response(request)
        response.headers.setdefault("Permissions-Policy", POLICY)
        return response
