"""URLs: the console is the admin; ``/`` leads there."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from accounts.sign_in import SignInView
from console import probes

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path(
        "healthz", probes.live, name="healthz"
    ),  # in fact the middleware answers, as it does the other probes
    # Before the admin's own, whose address it takes: that one has no limits.
    path("admin/login/", SignInView.as_view(), name="account_login"),
    path("admin/", admin.site.urls),
]

handler400 = "console.errors.bad_request"
handler403 = "console.errors.permission_denied"
handler404 = "console.errors.page_not_found"
