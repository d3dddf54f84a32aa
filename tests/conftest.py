"""What the whole suite shares: the broker, plain static files, a fast password hasher."""

import os
import signal
import subprocess
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connection
from django.test import testcases
from django.utils import timezone, translation
from django_celery_beat.models import PeriodicTask
from hypothesis import settings as hypothesis_settings

from audit import triggers
from console.local import broker as private_broker
from database import clock, opened_secrets
from maintenance import registry
from maintenance.admin import last_plans
from maintenance.ledger import publishing
from maintenance.models import groups
from maintenance.scheduling import seeding
from maintenance.scheduling.lease import Lease
from tests.kit import baseline, factories
from tests.kit.waiting import wait_until

# Playwright runs an event loop in the thread of the tests.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

hypothesis_settings.register_profile("suite", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis_settings.register_profile("fast", deadline=None, max_examples=10)
hypothesis_settings.load_profile("suite")


# Where slow tests are about the database, its locks or processes, and so run on both databases.
ABOUT_THE_DATABASE = (
    "alerts", "api", "audit", "chaos", "database", "maintenance/ledger", "maintenance/models", "maintenance/purging",
    "maintenance/scheduling", "maintenance/test_cleaning_jobs.py", "maintenance/test_job_effects.py",
    "scraping/compliance", "scraping/content", "test_page_queries.py",
)  # fmt: skip


def pytest_collection_modifyitems(config, items):
    """Of the whole suite's two runs, leave slow tests of pages and of Reddit's answers to the embedded one."""
    if not os.environ.get("BESIDE_EMBEDDED"):
        return
    kept = [
        item
        for item in items
        if not item.get_closest_marker("slow")
        or item.path.relative_to(config.rootpath / "tests").as_posix().startswith(ABOUT_THE_DATABASE)
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


@pytest.fixture(scope="session")
def migrated_file(request, django_db_modify_db_settings):
    """The file from which the SQLite database is copied instead of migrated; None: on PostgreSQL, or --create-db."""
    if connection.vendor != "sqlite" or request.config.getvalue("create_db"):
        return None
    return baseline.MigratedFile(Path(connection.settings_dict["TEST"]["NAME"]))


@pytest.fixture(scope="session")
def django_db_keepdb(request, migrated_file):
    """Whether Django uses the database that it finds: on SQLite, the copy of a migrated one."""
    return migrated_file is not None or request.config.getvalue("reuse_db")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker, migrated_file):
    """The test database, restored after each transactional test, and without the triggers that keep events.

    Without schedules too: those of the migrations would grow overdue while the suite runs. A test seeds its own.
    """
    with django_db_blocker.unblock():
        if migrated_file:
            migrated_file.finish(connection)
        triggers.remove(connection)
        PeriodicTask.objects.all().delete()
        start = baseline.of(connection)

    def call(name, **options):
        return start.restore() if name == "flush" else call_command(name, **options)

    vars(testcases)["call_command"] = call


def pytest_configure():
    """Take the signals' dispositions that the tests and their processes need, however the suite was started.

    A shell's `&` ignores SIGINT, nohup and some runners ignore SIGHUP; children inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def static_root():
    """The directory of the static files: WhiteNoise warns where it is missing, in the live server too."""
    django_settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def declare(monkeypatch):
    """Declare a job for one test only."""
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))
    monkeypatch.setattr(groups, "_slugs", {key: [*slugs] for key, slugs in groups._slugs.items()})

    def declare(function, **options):
        registry.job(**options)(function)
        return function.__name__

    return declare


@pytest.fixture(scope="session", autouse=True)
def broker_server():
    """The broker of the environment, or a private one for this session."""
    if not django_settings.USES_PRIVATE_BROKER:
        with redis.Redis.from_url(django_settings.CELERY_BROKER_URL, socket_connect_timeout=5) as client:
            client.ping()  # else no test runs: one by one they would wait for it and fail in puzzling ways
        yield
        return
    socket = django_settings.PRIVATE_BROKER_SOCKET
    command = private_broker.broker_command(
        server=private_broker.find_server(), socket=socket, directory=django_settings.VAR_DIR / "broker"
    )
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: private_broker.broker_answers(socket), timeout=20)
        yield
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def broker_client(broker_server):
    """A Redis client on the broker."""
    if django_settings.USES_PRIVATE_BROKER:
        client = redis.Redis(unix_socket_path=str(django_settings.PRIVATE_BROKER_SOCKET))
    else:
        client = redis.Redis.from_url(django_settings.CELERY_BROKER_URL)
    yield client
    client.close()


@pytest.fixture
def broker(broker_client):
    """The broker, empty."""
    broker_client.flushdb()
    return broker_client


@pytest.fixture(autouse=True)
def plain(settings):
    """Static files without a manifest, passwords hashed fast."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    # Counts failed sign-ins: a test knows nothing of the one before.
    settings.CACHES = {
        name: {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": uuid4().hex}
        for name in ("default", "process")
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def patient(request, monkeypatch):
    """A process that waits on a busy machine for its broker and its plans, unless the test is about not waiting."""
    if request.module.__name__.rpartition(".")[2] not in ("test_publishing", "test_hung_broker"):
        monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 20.0)
        monkeypatch.setattr(publishing, "PATIENCE_IN_ALL_SECONDS", 40.0)
        monkeypatch.setattr(publishing, "SOCKET_SECONDS", 20.0)
        # What an earlier test saw of a broker that was away is no news of the one that is there.
        if not publishing._publisher.is_answering:
            monkeypatch.setattr(publishing, "_publisher", publishing.Publisher())
    monkeypatch.setattr(last_plans, "PATIENCE_SECONDS", 20.0)


@pytest.fixture(autouse=True)
def one_clock(request, monkeypatch):
    """The clock in a test's hand is the database's too, unless the test is about the database's."""
    # No reading of an earlier test, whose clock may have stood elsewhere.
    monkeypatch.setattr(clock, "_reading", None)
    if "test_clock" not in request.module.__name__:
        monkeypatch.setattr(clock, "database_now", timezone.now)
        # A clock in hand stands still, and jumps: nothing is carried on.
        monkeypatch.setattr(clock, "CARRIED_SECONDS", 0.0)
        monkeypatch.setattr(clock, "JITTER", timedelta())
        monkeypatch.setattr(Lease, "now", lambda lease: clock.database_now())


@pytest.fixture(autouse=True)
def nothing_opened(monkeypatch):
    """No secret of an earlier test is hidden: one of them is the host of every server of tests."""
    monkeypatch.setattr(opened_secrets, "_opened", {})


@pytest.fixture(autouse=True)
def in_english():
    """English at the start of each test: a request in Chinese leaves its thread Chinese."""
    with translation.override("en"):
        yield


# --- People, and what a deployment starts with ----------------------------------------------------


@pytest.fixture
def superuser(client):
    """Somebody who may do everything, signed in."""
    user = factories.superuser()
    client.force_login(user)
    return user


@pytest.fixture
def operator(client):
    """Somebody who may run and cancel jobs and change schedules, signed in."""
    user = factories.operator(username="op")
    client.force_login(user)
    return user


@pytest.fixture
def seeded(db):
    """The schedules and retentions of a new installation."""
    seeding.seed()
