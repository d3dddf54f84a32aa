"""URLs: the console is the admin; ``/`` leads there."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from console import probes

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path(
        "healthz", probes.live, name="healthz"
    ),  # in fact the middleware answers, as it does the other probes
    path("admin/", admin.site.urls),
]

handler400 = "console.errors.bad_request"
handler403 = "console.errors.permission_denied"
handler404 = "console.errors.page_not_found"
