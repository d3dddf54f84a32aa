"""All settings, from the environment.

With an empty environment the console runs on one machine: SQLite and a private broker under
``var/``. ``DATABASE_URL`` and ``CELERY_BROKER_URL`` alone move it to PostgreSQL and Redis.
A value that cannot be used stops the start and names its variable.
"""

import hashlib
import os
import secrets
import tempfile
import zoneinfo
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from console import sandbox_beside

BASE_DIR = Path(__file__).resolve().parent.parent


class Environment(environ.Env):  # type: ignore[misc]  # django-environ carries no types
    """The environment; an unusable value names its variable."""

    def get_value(self, var: str, *args: Any, **kwargs: Any) -> Any:
        """Return the value, converted.

        Raises:
            ImproperlyConfigured: it cannot be.
        """
        try:
            return super().get_value(var, *args, **kwargs)
        except ValueError:
            raise ImproperlyConfigured(f"{var}: {os.environ.get(var)!r} cannot be used.") from None


env = Environment()


def on_or_off(name: str, *, default: bool) -> bool:
    """Return a switch from the environment.

    Raises:
        ImproperlyConfigured: it is neither on nor off. django-environ would take a typing error for off.
    """
    value = env.str(name, default="on" if default else "off").strip().lower()
    if value in ("on", "true", "yes", "y", "ok", "1"):
        return True
    if value in ("off", "false", "no", "n", "0"):
        return False
    raise ImproperlyConfigured(f"{name} must be on or off.")


# Tests, and the processes they start, must never meet a developer's database, broker or Reddit keys.
if env.bool("READ_DOT_ENV", default="PYTEST_VERSION" not in os.environ):
    env.read_env(str(BASE_DIR / ".env"))

# Where the one-machine default keeps its database, broker and generated secrets.
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).resolve()
VAR_DIR.mkdir(parents=True, exist_ok=True)


def local_secret(name: str, make: str) -> str:
    """Return the secret kept in ``var/<name>``; the first call stores ``make`` there, for its owner only."""
    path = VAR_DIR / name
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        file.write(make)
    return make


# --- Core -----------------------------------------------------------------------------------

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or local_secret("secret_key", secrets.token_urlsafe(50))
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
ROOT_URLCONF = "console.urls"
WSGI_APPLICATION = "console.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "console.apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "django_celery_beat",
    "django_htmx",
    "csp",
    "console",
    "maintenance",
    "scraping",
    "audit",
    "accounts",
]

MIDDLEWARE = [
    "console.probes.ProbesMiddleware",  # before what refuses or redirects
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "audit.middleware.AddressMiddleware",
    "console.errors.ExplainedErrors",
    "allauth.account.middleware.AccountMiddleware",
]

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

# --- Database -------------------------------------------------------------------------------

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'console.sqlite3'}")}
_database = DATABASES["default"]
if _database.get("ENGINE") == "django.db.backends.sqlite3":
    # WAL lets readers go on while one process writes; IMMEDIATE takes the write lock at BEGIN, where
    # waiting works, instead of in the middle of a transaction, where SQLite answers "database is locked".
    _database["OPTIONS"] = {
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
    }
    # A file, because worker and beat processes of the tests must see it too.
    _database["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
elif _database.get("ENGINE") == "django.db.backends.postgresql":
    _database.setdefault("CONN_MAX_AGE", env.int("CONN_MAX_AGE", default=60))
    _database["CONN_HEALTH_CHECKS"] = True
else:
    raise ImproperlyConfigured("DATABASE_URL must be a postgres:// or sqlite:/// address.")

# How long a statement of a web request may take, on PostgreSQL; 0: as long as it likes. Workers and commands have no
# such limit. Below it, one slow page holds one thread of one process.
WEB_STATEMENT_TIMEOUT_SECONDS = env.float("WEB_STATEMENT_TIMEOUT_SECONDS", default=30.0)
if WEB_STATEMENT_TIMEOUT_SECONDS != 0 and not 0.1 <= WEB_STATEMENT_TIMEOUT_SECONDS <= 3600:
    raise ImproperlyConfigured("WEB_STATEMENT_TIMEOUT_SECONDS must be 0, or between 0.1 and 3600.")

# Counts failed sign-ins for all web processes; in the database, because a broker that hangs must lock nobody out.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "console_cache",
        # Above what an attacker can fill within the five minutes that a count must live.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# --- People ---------------------------------------------------------------------------------

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
# Signing in is django-allauth's: see accounts/sign_in.py. Accounts are made by people who may.
ACCOUNT_ADAPTER = "accounts.sign_in.Adapter"
ACCOUNT_FORMS = {"login": "accounts.sign_in.SignInForm"}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_SIGNUP_ENABLED = False
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
# Failures: of one address a minute, of one account in five minutes; whoever meets the limit waits, also with the right password.
ACCOUNT_RATE_LIMITS = {"login_failed": "20/m/ip,5/5m/key", "login": "60/m/ip"}
# How many proxies stand before the web server and name the client in X-Forwarded-For; without one nobody is believed.
TRUSTED_PROXY_COUNT = ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)
if not 0 <= TRUSTED_PROXY_COUNT <= 10:
    raise ImproperlyConfigured("TRUSTED_PROXY_COUNT must be between 0 and 10.")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Set behind a proxy that speaks HTTPS; off by default because the one-machine console speaks plain HTTP on loopback.
HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Keys of the secrets stored in the database, newest first; the first encrypts, all decrypt.
FIELD_ENCRYPTION_KEY = env.list("FIELD_ENCRYPTION_KEY", default=[]) or [
    local_secret("field_encryption_key", secrets.token_urlsafe(50))
]

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],  # the stock admin's icons in CSS
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Language and time ----------------------------------------------------------------------

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
# The zone of every seeded schedule and of all times shown.
TIME_ZONE = env.str("TIME_ZONE", default="Asia/Shanghai")
# "localtime" and "Factory" mean something else on every host.
if TIME_ZONE not in zoneinfo.available_timezones() - {"localtime", "Factory"}:
    raise ImproperlyConfigured(f"TIME_ZONE: {TIME_ZONE!r} is not an IANA time zone, such as Europe/Berlin.")

# --- Static files ---------------------------------------------------------------------------

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

# --- Mail -----------------------------------------------------------------------------------

EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
# Seconds that a mail server may take to answer.
EMAIL_TIMEOUT = EMAIL_CONFIG.get("EMAIL_TIMEOUT", 10)
# Who is told when something waits for a decision. There are no ADMINS: errors stand in the log, and whoever can cause
# one (a wrong Host does) must not be able to send mail.
ALERT_EMAILS = env.list("ALERT_EMAILS", default=[])
SERVER_EMAIL = env.str("SERVER_EMAIL", default="console@localhost")

# --- Celery ---------------------------------------------------------------------------------


def private_broker_socket() -> Path:
    """Return the unix socket of the one-machine broker; Linux refuses paths of 108 bytes and more."""
    path = VAR_DIR / "broker.sock"
    if len(os.fsencode(path)) < 104:  # macOS allows 104
        return path
    digest = hashlib.sha256(os.fsencode(VAR_DIR)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"console-{digest}.sock"


PRIVATE_BROKER_SOCKET = private_broker_socket()
CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", default="") or f"redis+socket://{PRIVATE_BROKER_SOCKET}"
USES_PRIVATE_BROKER = not env.str("CELERY_BROKER_URL", default="")

CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_IGNORE_RESULT = True  # the ledger (JobRun) is the result
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 3600  # seconds, of what is no job: those have limits of their own (``@job``)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Above the time limit: a task that outlives it is delivered again, and again.
    "visibility_timeout": 7200,
    # The message of a killed worker comes back in 20 s instead of 90 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_keepalive": True,
    # A send that cannot connect gives up soon: the run is stored, recovery sends it again.
    "socket_connect_timeout": 5,
    "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "timeout": 5.0},
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}
# Seconds between SIGQUIT and the end of the running tasks. SIGTERM is the way to stop a worker (ADR 6).
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Celery would close the database's connection around every task, and a new one costs as much as a small run.
# CONN_MAX_AGE and the health check rule instead: each task asks them first (``maintenance.tasks``).
CELERY_DB_REUSE_MAX = 1_000_000
CELERY_BEAT_SCHEDULER = "maintenance.beat:LeasedDatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1  # seconds; bounds how late an edit is seen
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- The console's own ----------------------------------------------------------------------

# How long a silent leading scheduler keeps its lease before a standby takes over.
BEAT_LEASE_SECONDS = env.float("BEAT_LEASE_SECONDS", default=5.0)
BEAT_LEASE_SECONDS_MAX = 300
if not 1 <= BEAT_LEASE_SECONDS <= BEAT_LEASE_SECONDS_MAX:
    raise ImproperlyConfigured(f"BEAT_LEASE_SECONDS must be between 1 and {BEAT_LEASE_SECONDS_MAX}.")

# How often a running run tells that it lives; after six silent ones its worker is taken for lost.
HEARTBEAT_SECONDS = env.float("HEARTBEAT_SECONDS", default=5.0)
if not 0.1 <= HEARTBEAT_SECONDS <= 60:
    raise ImproperlyConfigured("HEARTBEAT_SECONDS must be between 0.1 and 60.")

# How long a worker may take no work although work waits, before it ends itself to be started again.
WORKER_STUCK_SECONDS = env.float("WORKER_STUCK_SECONDS", default=60.0)
if not 1 <= WORKER_STUCK_SECONDS <= 3600:
    raise ImproperlyConfigured("WORKER_STUCK_SECONDS must be between 1 and 3600.")
# A file that a worker touches every second, for whoever started it; empty: none.
WORKER_ALIVE_FILE = env.str("WORKER_ALIVE_FILE", default="")

# The safety cap: a purge that would delete more rows than this waits for a person's approval,
PURGE_CAP_ROWS = env.int("PURGE_CAP_ROWS", default=10_000_000)
# so does one that would take more than this share of its table, or three times as much as usual,
PURGE_CAP_SHARE = env.float("PURGE_CAP_SHARE", default=0.5)
if not 0 <= PURGE_CAP_SHARE <= 1:
    raise ImproperlyConfigured("PURGE_CAP_SHARE must be between 0 and 1.")
# if it is at least so many rows: of a small table, half is soon reached. A job may declare that its share counts from
# fewer rows on (that of stored content: 100), or that it has none of the two (expired tokens and log-in sessions).
PURGE_CAP_MIN_ROWS = env.int("PURGE_CAP_MIN_ROWS", default=10_000)
# Whether who asked for a run may approve it once a cap has stopped it; off: it takes a second person.
APPROVE_OWN_RUNS = on_or_off("APPROVE_OWN_RUNS", default=True)
# The share of its time that a purge works; 0: all of it on PostgreSQL, half of it on SQLite, which has one writer.
PURGE_THROTTLE = env.float("PURGE_THROTTLE", default=0.0)
if PURGE_THROTTLE != 0 and not 0.01 <= PURGE_THROTTLE <= 1:
    raise ImproperlyConfigured("PURGE_THROTTLE must be 0, or between 0.01 and 1.")

# Fewer days than these, of a retention or of one run, need the permission to approve runs; fewer than one nobody gets.
RETENTION_FLOOR_DAYS = env.int("RETENTION_FLOOR_DAYS", default=7)
if not 1 <= RETENTION_FLOOR_DAYS <= 36_500:
    raise ImproperlyConfigured("RETENTION_FLOOR_DAYS must be between 1 and 36500.")

# How many of 100 stored items should have been verified with Reddit in the last 48 hours; fewer is a warning.
COMPLIANCE_TARGET_PERCENT = env.float("COMPLIANCE_TARGET_PERCENT", default=95.0)
if not 0 <= COMPLIANCE_TARGET_PERCENT <= 100:
    raise ImproperlyConfigured("COMPLIANCE_TARGET_PERCENT must be between 0 and 100.")

# --- Reddit ---------------------------------------------------------------------------------

REDDIT_CLIENT_ID = env.str("REDDIT_CLIENT_ID", default="")
REDDIT_CLIENT_SECRET = env.str("REDDIT_CLIENT_SECRET", default="")
REDDIT_USER_AGENT = env.str("REDDIT_USER_AGENT", default="")
REDDIT_URL = env.str("REDDIT_URL", default="https://www.reddit.com")
REDDIT_OAUTH_URL = env.str("REDDIT_OAUTH_URL", default="https://oauth.reddit.com")
# Without an app of one's own, a command in a shell scrapes the sandbox that `up` runs beside it.
HAS_OWN_REDDIT_APP = bool(REDDIT_CLIENT_ID)
if not HAS_OWN_REDDIT_APP and (_sandbox := sandbox_beside.variables(VAR_DIR)):
    REDDIT_CLIENT_ID = _sandbox.get("REDDIT_CLIENT_ID", "")
    REDDIT_CLIENT_SECRET = _sandbox.get("REDDIT_CLIENT_SECRET", "")
    REDDIT_USER_AGENT = _sandbox.get("REDDIT_USER_AGENT", "")
    REDDIT_URL = _sandbox.get("REDDIT_URL", REDDIT_URL)
    REDDIT_OAUTH_URL = _sandbox.get("REDDIT_OAUTH_URL", REDDIT_OAUTH_URL)
# Seconds a request to Reddit may hang.
REDDIT_TIMEOUT_SECONDS = env.float("REDDIT_TIMEOUT_SECONDS", default=16.0)

# --- Logs -----------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"},
    },
    "filters": {"refusals": {"()": "console.logs.RefusalInOneLine"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["refusals"]}},
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", default="INFO")},
    # PRAW and urllib3 log whole requests at DEBUG; never let a token reach a log.
    "loggers": {
        "prawcore": {"level": "INFO"},
        "urllib3": {"level": "INFO"},
        # Without Django's own handlers: one writes each line twice while debugging, the other mails error reports.
        "django": {"handlers": [], "level": "INFO"},
    },
}
DEFAULT_EXCEPTION_REPORTER_FILTER = "console.error_reports.WithoutSecrets"
