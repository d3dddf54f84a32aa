"""Which servers the second run of the suite may use; `make test` asks with ``python -m tests.services``.

It prints the variables for the run, or nothing where a server is missing. With ``CI=true`` or
``REQUIRE_SERVICES=1`` a missing server, and a missing browser, is an error instead.
"""

import os
import shutil
import sys

import psycopg2
import redis

DATABASE_URL = os.environ.get("TEST_DATABASE_URL") or "postgres://postgres@127.0.0.1:5432/console"
BROKER_URL = os.environ.get("TEST_BROKER_URL") or "redis://127.0.0.1:6379/9"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def missing_services() -> list[str]:
    """Return a sentence for each server that does not answer."""
    missing = []
    # Django's test runner connects to the database `postgres` too, to make the test database.
    address = DATABASE_URL.rpartition("/")[0] + "/postgres"
    try:
        psycopg2.connect(address, connect_timeout=5).close()
    except psycopg2.OperationalError as error:
        missing.append(f"PostgreSQL (TEST_DATABASE_URL): {' '.join(str(error).split())}")
    client = redis.Redis.from_url(BROKER_URL, socket_connect_timeout=5)
    try:
        client.ping()
    except (redis.ConnectionError, redis.TimeoutError) as error:
        missing.append(f"Redis (TEST_BROKER_URL): {error}")
    finally:
        client.close()
    return missing


def variables() -> dict[str, str] | None:
    """Return the variables of the second run; empty: there is none. None: a server that is required is missing.

    What is missing is explained on stderr.
    """
    missing = missing_services()
    required = os.environ.get("CI") == "true" or os.environ.get("REQUIRE_SERVICES") == "1"
    if required and not any(map(shutil.which, CHROMIUM)):
        missing.append("Chromium: not found on the PATH")
    if not missing:
        return {"DATABASE_URL": DATABASE_URL, "CELERY_BROKER_URL": BROKER_URL}
    verdict = "These are required here" if required else "No second run of the tests"
    sys.stderr.write(f"{verdict}: {'; '.join(missing)}\n")
    return None if required else {}


def main() -> int:
    """Print the variables of the second run."""
    found = variables()
    if found:
        sys.stdout.write(" ".join(f"{name}={value}" for name, value in found.items()) + "\n")
    return 1 if found is None else 0


if __name__ == "__main__":
    sys.exit(main())
