"""Connections to the database, and caches."""

from .base import DATABASES, VAR_DIR, env

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
