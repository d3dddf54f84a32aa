"""URLs under /api/."""

from django.urls import path, re_path

from api import docs
from api.site import api

urlpatterns = [
    path("docs", docs.reference, name="api_docs"),
    path("openapi.json", docs.openapi, name="api_openapi"),
    path("v1/", api.urls),
    # Also what lacks a slash at its end or has one too many: a redirect would lose the body.
    re_path(r"^(?P<rest>.*)$", docs.not_found, name="api_not_found"),
]
