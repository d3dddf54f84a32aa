"""URLs: the console is the admin; ``/`` redirects there."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from accounts import password_reset_pages
from accounts.sign_in import SignInView
from console import probes

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("healthz", probes.live, name="healthz"),  # the middleware answers it, as the other probes
    path("api/", include("api.urls")),
    # Before the admin's own sign-in at the same address, which has no rate limits.
    path("admin/login/", SignInView.as_view(), name="account_login"),
    path("admin/login/openid/", include("accounts.openid.pages")),
    path("admin/second-factor/", include("accounts.second_factor_pages")),
    path("admin/password-reset/", password_reset_pages.ask, name="password_reset"),
    path("admin/password-reset/sent/", password_reset_pages.sent, name="password_reset_sent"),
    path("admin/password-reset/confirm/", password_reset_pages.confirm, name="password_reset_confirm"),
    path("admin/", admin.site.urls),
]

handler400 = "console.errors.bad_request"
handler403 = "console.errors.permission_denied"
handler404 = "console.errors.page_not_found"
handler500 = "console.errors.server_error"
