"""All settings, read from the environment.

With an empty environment the console runs on one machine: SQLite and a private broker under
``var/``. ``DATABASE_URL`` and ``CELERY_BROKER_URL`` are enough to use PostgreSQL and Redis instead.
An unusable value ends the start with one line: the variable, the fault, the remedy (``console.environment``).
"""

import hashlib
import os
import secrets
import tempfile
import zoneinfo
from pathlib import Path

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from console.environment import Environment, refuse
from console.local import sandbox_beside

BASE_DIR = Path(__file__).resolve().parent.parent


env = Environment(os.environ)
# Tests, and the processes that they start, must never use a developer's database, broker or Reddit keys.
if env.switch("READ_DOT_ENV", default="PYTEST_VERSION" not in os.environ):
    env.read_file(BASE_DIR / ".env")

# Where the one-machine default keeps its database, broker and generated secrets.
VAR_DIR = env.folder("VAR_DIR", default=BASE_DIR / "var")


DATABASES = {"default": env.database("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'console.sqlite3'}")}


def local_secret(name: str, make: str) -> str:
    """Return the secret in ``var/<name>``; the first call stores ``make`` there, readable by its owner only.

    Not with a database on another host: each host would create its own secret, and could not read those of the others.
    """
    host = DATABASES["default"].get("HOST") or "localhost"
    if not (host in ("localhost", "127.0.0.1", "::1") or host.startswith("/")):
        fault = "it is missing, and DATABASE_URL names another host, whose users need the same."
        refuse(name.upper(), fault, "Write that of `openssl rand -hex 32` on every host.")
    path = VAR_DIR / name
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    except OSError as error:
        refuse(
            "VAR_DIR",
            f"{name} cannot be kept there ({error.strerror}).",
            f"Let it be written, or set {name.upper()}.",
        )
    with os.fdopen(descriptor, "w") as file:
        file.write(make)
    return make


# --- Core -----------------------------------------------------------------------------------

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
    "django_celery_beat",
    "django_htmx",
    "csp",
    "console",
    "maintenance",
    "scraping",
    "adminkit",
    "accounts",
]

MIDDLEWARE = [
    "console.probes.ProbesMiddleware",  # before middleware that refuses or redirects
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

_database = DATABASES["default"]
if _database.get("ENGINE") == "django.db.backends.sqlite3":
    # WAL lets readers continue while one process writes; IMMEDIATE takes the write lock at BEGIN, where
    # SQLite can wait for it, not in the middle of a transaction, where it answers "database is locked".
    _database["OPTIONS"] = {
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
    }
    # A file, because the tests' worker and beat processes must see it too.
    _database["TEST"] = {"NAME": str(VAR_DIR / "test.sqlite3")}
else:
    _database["CONN_HEALTH_CHECKS"] = True
# Seconds for which a connection is kept; PostgreSQL only.
CONN_MAX_AGE = env.whole("CONN_MAX_AGE", default=60, low=0, high=86_400)
if _database["ENGINE"] == "django.db.backends.postgresql":
    _database.setdefault("CONN_MAX_AGE", CONN_MAX_AGE)

# How long a statement of a web request may take on PostgreSQL; 0: no limit. Workers and commands have no
# such limit. Until then, a slow page occupies one thread of one process.
WEB_STATEMENT_TIMEOUT_SECONDS = env.number(
    "WEB_STATEMENT_TIMEOUT_SECONDS", default=30.0, low=0.1, high=3600, or_zero=True
)

# The default cache counts failed sign-ins for all web processes; in the database, so that a broker that hangs cannot
# prevent sign-ins.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "console_cache",
        # More than an attacker can fill within the five minutes for which a count is needed.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    },
    # Results that one process reuses for the next reader; they may be lost at any time.
    "process": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "LOCATION": "process",
        "OPTIONS": {"MAX_ENTRIES": 2_000},
    },
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
# django-allauth handles sign-ins: see accounts/sign_in.py. Administrators create the accounts.
ACCOUNT_ADAPTER = "accounts.sign_in.Adapter"
ACCOUNT_FORMS = {"login": "accounts.sign_in.SignInForm"}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_SIGNUP_ENABLED = False
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
# Failures of one address per minute, and of one account per five minutes. At the limit everybody has to wait, even
# with the right password.
ACCOUNT_RATE_LIMITS = {"login_failed": "20/m/ip,5/5m/key", "login": "60/m/ip"}
# How many proxies in front of the web server add the client to X-Forwarded-For; 0: the header is ignored.
TRUSTED_PROXY_COUNT = ALLAUTH_TRUSTED_PROXY_COUNT = env.whole(
    "TRUSTED_PROXY_COUNT", default=0, low=0, high=10
)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
# Turn it on behind an HTTPS proxy; it is off by default because the one-machine console uses plain HTTP on loopback.
HTTPS = env.switch("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_SSL_REDIRECT = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Keys of the secrets stored in the database, newest first; the first encrypts, all decrypt.
FIELD_ENCRYPTION_KEY = env.secrets("FIELD_ENCRYPTION_KEY") or [
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

# --- Mail -----------------------------------------------------------------------------------

EMAIL_CONFIG = env.mail("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
# How many seconds a mail server may take to answer.
EMAIL_TIMEOUT = EMAIL_CONFIG.get("EMAIL_TIMEOUT", 10)
# Who gets a mail when something waits for a decision. There are no ADMINS: errors are logged, and a client that can
# cause an error (a wrong Host is enough) must not be able to send mail.
ALERT_EMAILS = env.addresses("ALERT_EMAILS")
SERVER_EMAIL = env.sender("SERVER_EMAIL", default="console@localhost")

# --- Celery ---------------------------------------------------------------------------------


def private_broker_socket() -> Path:
    """Return the unix socket of the one-machine broker; Linux refuses paths of 108 bytes and more."""
    path = VAR_DIR / "broker.sock"
    if len(os.fsencode(path)) < 104:  # macOS allows 104
        return path
    digest = hashlib.sha256(os.fsencode(VAR_DIR)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"console-{digest}.sock"


PRIVATE_BROKER_SOCKET = private_broker_socket()
CELERY_BROKER_URL = env.broker("CELERY_BROKER_URL") or f"redis+socket://{PRIVATE_BROKER_SOCKET}"
USES_PRIVATE_BROKER = not env.broker("CELERY_BROKER_URL")

CELERY_TIMEZONE = TIME_ZONE
CELERY_TASK_IGNORE_RESULT = True  # the ledger (JobRun) is the result
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 3600  # seconds, for tasks that are not jobs: jobs have their own limits (``@job``)
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # Longer than any time limit: a task that runs longer than this is delivered again while it runs.
    "visibility_timeout": 7200,
    # The message of a killed worker is delivered again after 20 s instead of 90 s.
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
    "socket_timeout": 30,
    "socket_keepalive": True,
    # A send that cannot connect fails soon: the run is stored, and recovery sends its message again.
    "socket_connect_timeout": 5,
    "retry_policy": {"max_retries": 1, "interval_start": 0, "interval_step": 0.2, "timeout": 5.0},
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.2}
# Seconds between SIGQUIT and the end of the running tasks. SIGTERM is the way to stop a worker (ADR 6).
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 20
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Celery would close the database connection around every task, and a new one costs as much as a small run.
# CONN_MAX_AGE and the health check decide instead: each task checks them first (``maintenance.tasks``).
CELERY_DB_REUSE_MAX = 1_000_000
CELERY_BEAT_SCHEDULER = "maintenance.scheduling.beat:LeasedDatabaseScheduler"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1  # seconds; an edit is seen within this time
DJANGO_CELERY_BEAT_TZ_AWARE = True

# --- The console's own ----------------------------------------------------------------------

# The model of runs, to which scrape sessions refer.
RUN_MODEL = "maintenance.JobRun"

# How long the leading scheduler keeps its lease without a heartbeat before a standby takes over.
BEAT_LEASE_SECONDS_MAX = 300
BEAT_LEASE_SECONDS = env.number("BEAT_LEASE_SECONDS", default=5.0, low=1, high=BEAT_LEASE_SECONDS_MAX)

# The interval of a running run's heartbeats; after six missed ones its worker counts as lost.
HEARTBEAT_SECONDS = env.number("HEARTBEAT_SECONDS", default=5.0, low=0.1, high=60)

# How long a worker may take no work although runs wait; then it exits in order to be restarted.
WORKER_STUCK_SECONDS = env.number("WORKER_STUCK_SECONDS", default=60.0, low=1, high=3600)
# A file that a worker touches every second as a sign of life for its supervisor; empty: none.
WORKER_ALIVE_FILE = env.text("WORKER_ALIVE_FILE")

# The safety cap: a purge that would delete more rows than this waits for a person's approval,
PURGE_CAP_ROWS = env.whole("PURGE_CAP_ROWS", default=10_000_000, low=0, high=10**15)
# and so does one that would delete more than this share of its table, or three times as much as usual,
PURGE_CAP_SHARE = env.number("PURGE_CAP_SHARE", default=0.5, low=0, high=1)
# if that is at least this many rows: half of a small table is soon reached. A job may declare that its share applies
# from fewer rows on (stored content: 100), or that neither of the two applies (expired tokens and log-in sessions).
PURGE_CAP_MIN_ROWS = env.whole("PURGE_CAP_MIN_ROWS", default=10_000, low=0, high=10**15)
# Whether the person who requested a run may approve it after a cap stopped it; off: a second person must.
APPROVE_OWN_RUNS = env.switch("APPROVE_OWN_RUNS", default=True)
# The share of its time that a purge works; 0: all of it on PostgreSQL, half of it on SQLite, which has one writer.
PURGE_THROTTLE = env.number("PURGE_THROTTLE", default=0.0, low=0.01, high=1, or_zero=True)

# A retention, or one run, with fewer days needs the permission to approve runs; less than one day is never allowed.
RETENTION_FLOOR_DAYS = env.whole("RETENTION_FLOOR_DAYS", default=7, low=1, high=36_500)

# How many of 100 stored items should have been verified with Reddit in the last 48 hours; fewer is a warning.
COMPLIANCE_TARGET_PERCENT = env.number("COMPLIANCE_TARGET_PERCENT", default=95.0, low=0, high=100)

# --- Reddit ---------------------------------------------------------------------------------

REDDIT_CLIENT_ID = env.text("REDDIT_CLIENT_ID")
REDDIT_CLIENT_SECRET = env.text("REDDIT_CLIENT_SECRET")
if REDDIT_CLIENT_ID and not REDDIT_CLIENT_SECRET:
    refuse(
        "REDDIT_CLIENT_SECRET",
        "it is missing beside REDDIT_CLIENT_ID.",
        "Write the secret of that Reddit app.",
    )
REDDIT_USER_AGENT = env.text("REDDIT_USER_AGENT")
REDDIT_URL = env.web_address("REDDIT_URL", default="https://www.reddit.com")
REDDIT_OAUTH_URL = env.web_address("REDDIT_OAUTH_URL", default="https://oauth.reddit.com")
# Without a configured Reddit app, a command in a shell scrapes the sandbox of a running `up`.
HAS_OWN_REDDIT_APP = bool(REDDIT_CLIENT_ID)
if not HAS_OWN_REDDIT_APP and (_sandbox := sandbox_beside.variables(VAR_DIR)):
    REDDIT_CLIENT_ID = _sandbox.get("REDDIT_CLIENT_ID", "")
    REDDIT_CLIENT_SECRET = _sandbox.get("REDDIT_CLIENT_SECRET", "")
    REDDIT_USER_AGENT = _sandbox.get("REDDIT_USER_AGENT", "")
    REDDIT_URL = _sandbox.get("REDDIT_URL", REDDIT_URL)
    REDDIT_OAUTH_URL = _sandbox.get("REDDIT_OAUTH_URL", REDDIT_OAUTH_URL)
# How many seconds a request to Reddit may hang.
REDDIT_TIMEOUT_SECONDS = env.number("REDDIT_TIMEOUT_SECONDS", default=16.0, low=0.1, high=300)

# --- Logs -----------------------------------------------------------------------------------

LOG_LEVEL = env.text("LOG_LEVEL", default="INFO", one_of=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"},
    },
    "filters": {"refusals": {"()": "console.logs.RefusalInOneLine"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["refusals"]}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # PRAW and urllib3 log whole requests at DEBUG; never let a token reach a log.
    "loggers": {
        "prawcore": {"level": "INFO"},
        "urllib3": {"level": "INFO"},
        # Without Django's own handlers: one logs each line twice in DEBUG mode, the other mails error reports.
        "django": {"handlers": [], "level": "INFO"},
    },
}
DEFAULT_EXCEPTION_REPORTER_FILTER = "console.error_reports.WithoutSecrets"
