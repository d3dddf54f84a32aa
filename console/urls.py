"""URLs: the console is the admin; ``/`` redirects there."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from accounts.sign_in import SignInView
from console import probes

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", probes.live, name="healthz"),  # the middleware answers it, as the other probes
    # Before the admin's own sign-in at the same address, which has no rate limits.
    path("admin/login/", SignInView.as_view(), name="account_login"),
    path("admin/", admin.site.urls),
]

handler400 = "console.errors.bad_request"
handler403 = "console.errors.permission_denied"
handler404 = "console.errors.page_not_found"
