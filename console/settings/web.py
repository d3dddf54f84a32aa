"""Apps, middleware, templates, languages, static files and the headers of pages."""

import secrets
import zoneinfo

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from .base import BASE_DIR, VAR_DIR, env, local_secret

DEBUG = env.switch("DEBUG", default=False)
SECRET_KEY = env.secret("SECRET_KEY") or local_secret("secret_key", secrets.token_urlsafe(50))
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.origins("CSRF_TRUSTED_ORIGINS")
ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "console.apps.ConsoleAdminConfig",
    "audit",  # before the apps whose commands it records
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_celery_beat",
    "django_htmx",
    "csp",
    "console",
    "maintenance",
    "scraping",
    "alerts",  # after what it watches, which declares the jobs
    "adminkit",
    "accounts",
]

MIDDLEWARE = [
    "console.probes.ProbesMiddleware",  # before middleware that refuses or redirects
    "api.middleware.ApiMiddleware",  # before whatever may answer with an error
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "console.permissions_policy.PermissionsPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "audit.middleware.AddressMiddleware",
    "accounts.session_middleware.LoginSessionMiddleware",
    "accounts.second_factor_pages.SecondFactorMiddleware",
    "console.errors.ExplainedErrors",
    "allauth.account.middleware.AccountMiddleware",
]

# Says in words, in the reader's language, what Django's own page says in English.
CSRF_FAILURE_VIEW = "console.errors.stale_form"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        # What is not named below may not be loaded at all.
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # the stock admin's icons in CSS
        "connect-src": [SELF],
        "font-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Language and time ----------------------------------------------------------------------

LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LANGUAGE_CODE = env.text("LANGUAGE_CODE", default="en", one_of=("en", "zh-hans"))
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = ["console.formats"]
USE_I18N = True
USE_TZ = True
# The time zone of every seeded schedule and of all times shown.
# "localtime" and "Factory" have another meaning on every host.
TIME_ZONE = env.text(
    "TIME_ZONE",
    default="Asia/Shanghai",
    one_of=zoneinfo.available_timezones() - {"localtime", "Factory"},
    remedy="Write the name of an IANA time zone, such as Europe/Berlin.",
)

# --- Static files ---------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
