"""Every setting is parsed strictly: an invalid value ends the start with one line: the variable and the remedy."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / "console/settings"
COMMANDS = Path(sys.executable).parent
TEXT = "\n".join(path.read_text() for path in SETTINGS.glob("*.py"))
VARIABLES = set(re.findall(r"\benv\.\w+\(\s*\"(\w+)\"", TEXT))
SECRETS = {
    "SECRET_KEY", "FIELD_ENCRYPTION_KEY", "DATABASE_URL", "CELERY_BROKER_URL", "EMAIL_URL", "REDDIT_CLIENT_SECRET",
    "METRICS_TOKEN",
}  # fmt: skip
# Any text is a valid value of these.
FREE = {
    "HELP_CONTACT", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_GROUPS_CLAIM", "OIDC_NAME", "OIDC_SCOPES",
    "REDDIT_CLIENT_ID", "REDDIT_CLIENT_SECRET", "REDDIT_USER_AGENT", "WORKER_ALIVE_FILE",
}  # fmt: skip
SWITCH = ["enabled", "maybe", "2", "true # behind nginx", "-"]
NUMBER = ["a", "1min", "9.5.0", "1e3", "nan", "inf", "-5", "1,5", "0x10", "٣", "9" * 30]
RUBBISH = {
    "READ_DOT_ENV": SWITCH,
    "DEBUG": SWITCH,
    "TRUSTED_PROXY_COUNT": [*NUMBER, "1.5", "11"],
    "HTTPS": SWITCH,
    "CONSOLE_URL": ["foo", "ftp://x", "http://"],
    "SECOND_FACTOR_REQUIRED_FOR": ["on", "Operators and above"],
    "SESSION_IDLE_MINUTES": [*NUMBER, "1.5", "20161"],
    "OIDC_ISSUER": ["id.example.org", "ftp://x", "http://id.example.org", "https://id.example.org/?realm=a"],
    "OIDC_ROLES": ["Operators", "admins=", "=Operators", "admins=Operators,Viewers"],
    "OIDC_AUTO_CREATE": SWITCH,
    "OIDC_EMAIL_DOMAINS": ["https://example.org", "a b", "lin@example.org"],
    "OIDC_SECOND_FACTOR": SWITCH,
    "OIDC_SESSION_HOURS": [*NUMBER, "1.5", "0", "337"],
    "APPROVE_OWN_RUNS": SWITCH,
    "VAR_DIR": ["/dev/null", "/proc/nothing/here", "/etc/hostname/x"],
    "SECRET_KEY": ["a", "x" * 31],
    "FIELD_ENCRYPTION_KEY": ["a", f"a,{'x' * 40}"],
    "ALLOWED_HOSTS": ["https://console.example.org", "a b", "a;b", "localhost:8000"],
    "CSRF_TRUSTED_ORIGINS": ["console.example.org", "ftp://a", "https://a/path", "https://"],
    "DATABASE_URL": ["garbage", "postgres://u:p@h:port/name", "postgres://h:99999/n", "mysql://h/n", "postgres://h", "://"],
    "CONN_MAX_AGE": [*NUMBER, "1.5"],
    "WEB_STATEMENT_TIMEOUT_SECONDS": [*NUMBER, "0.01", "3601"],
    "LANGUAGE_CODE": ["xx", "zh_CN", "zh"],
    "TIME_ZONE": ["Mars/Base", "localtime", "Factory", "+8"],
    "EMAIL_URL": ["garbage", "smtp://", "smtp://h:port", "http://h"],
    "ALERT_EMAILS": ["nobody", "a@b.example,nobody", "a@"],
    "SERVER_EMAIL": ["nobody", "<>"],
    "WEBHOOKS_TO_PRIVATE_ADDRESSES": SWITCH,
    "DEAD_MAN_URL": ["foo", "ftp://x", "http://"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["collector:4318", "grpc://x", "http://"],
    "CELERY_BROKER_URL": ["garbage", "http://x", "redis://", "redis://h:port/0", "amqp://h", "redis+socket://"],
    "BEAT_LEASE_SECONDS": [*NUMBER, "0.5", "301", "0"],
    "HEARTBEAT_SECONDS": [*NUMBER, "61", "0"],
    "WORKER_STUCK_SECONDS": [*NUMBER, "0", "3601"],
    "PURGE_CAP_ROWS": [*NUMBER, "1.5"],
    "PURGE_CAP_SHARE": [*NUMBER, "1.01"],
    "PURGE_CAP_MIN_ROWS": [*NUMBER, "1.5"],
    "PURGE_THROTTLE": [*NUMBER, "0.001", "2"],
    "RETENTION_FLOOR_DAYS": [*NUMBER, "0", "36501"],
    "COMPLIANCE_TARGET_PERCENT": [*NUMBER, "101"],
    "REDDIT_URL": ["foo", "ftp://x", "http://", "http://h:port"],
    "REDDIT_OAUTH_URL": ["foo", "//x"],
    "REDDIT_TIMEOUT_SECONDS": [*NUMBER, "0", "301"],
    "METRICS_TOKEN": ["a", "x" * 31],
    "LOG_FORMAT": ["xml", "json|text"],
    "LOG_LEVEL": ["LOUD", "10", "info|LOUD"],
}  # fmt: skip
CASES = [(name, value) for name, values in RUBBISH.items() for value in values]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A separate copy of the settings, without an environment; its ``.env`` is beside it."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("READ_DOT_ENV", "on")
    # Changes of the environment by a .env file end with this test.
    monkeypatch.setattr(os, "environ", dict(os.environ))
    shutil.copytree(SETTINGS, tmp_path / "console/settings")
    return tmp_path


def load(project):
    """Run the copy's modules once more, under a name of their own, and return the settings."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "settings_copy"]:
        del sys.modules[name]
    folder = project / "console/settings"
    spec = importlib.util.spec_from_file_location(
        "settings_copy", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = sys.modules["settings_copy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


def refusal(project, capsys):
    with pytest.raises(SystemExit) as end:
        load(project)
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), CASES)
def test_rubbish_in_the_environment_ends_the_start(project, capsys, name, value):
    os.environ[name] = value

    told = refusal(project, capsys)

    assert re.match(rf"{name}: .+\. [A-Z].+\.\n", told), told
    assert name not in SECRETS or len(value) < 12 or value not in told


@pytest.mark.slow
@pytest.mark.parametrize(("name", "value"), [case for case in CASES if case[0] != "READ_DOT_ENV"])
def test_rubbish_in_the_env_file_ends_the_start(project, capsys, name, value):
    (project / ".env").write_text(f"# A comment\n\n{name}={value}\n")

    assert refusal(project, capsys).startswith(f"{name}: ")


@pytest.mark.parametrize("line", ["HTTPS", "a b=c", "=x", "1A=b"])
def test_a_line_that_is_no_setting_is_named(project, capsys, line):
    (project / ".env").write_text(f"DEBUG=off\n{line}\n")

    assert ".env, line 2: it is no setting." in refusal(project, capsys)


def test_a_client_id_without_its_secret_is_refused(project, capsys):
    os.environ["REDDIT_CLIENT_ID"] = "id"

    assert refusal(project, capsys).startswith("REDDIT_CLIENT_SECRET: ")


@pytest.mark.parametrize("name", ["SECRET_KEY", "FIELD_ENCRYPTION_KEY"])
def test_hosts_that_share_a_database_make_no_keys_of_their_own(project, capsys, name):
    os.environ |= {
        "SECRET_KEY": "k" * 64,
        "FIELD_ENCRYPTION_KEY": "k" * 64,
        "DATABASE_URL": "postgres://u:p@db/n",
    }
    load(project)
    del os.environ[name]

    assert refusal(project, capsys).startswith(f"{name}: it is missing, and DATABASE_URL names another host")
    assert not (project / "var" / name.lower()).exists()
    for address in ("postgres://u:p@127.0.0.1:5432/n", "postgres://u@/n", "postgres://u:p@localhost/n"):
        os.environ["DATABASE_URL"] = address
        load(project)


def test_nothing_at_all_is_enough_and_an_empty_value_is_the_default(project):
    plain = load(project)
    for name in VARIABLES - {"READ_DOT_ENV"}:
        os.environ[name] = ""
    empty = load(project)

    assert plain["VAR_DIR"] == empty["VAR_DIR"] == project / "var"
    assert empty["ALLOWED_HOSTS"] == ["localhost", "127.0.0.1", "[::1]"]
    assert {name: empty[name] for name in empty if name.isupper() and name != "_"}.keys() == {
        name for name in plain if name.isupper() and name != "_"
    }
    assert [path.name for path in project.iterdir() if path.is_file()] == []  # no keys beside manage.py
    assert sorted(path.name for path in (project / "var").iterdir()) == ["field_encryption_key", "secret_key"]


def test_what_can_be_used_is_used(project):
    (project / ".env").write_text(
        "ALLOWED_HOSTS=a.example, .b.example ,[::1]\nexport HTTPS='On'\nLOG_LEVEL=debug\n"
        f"SECRET_KEY={'k' * 64}\nFIELD_ENCRYPTION_KEY={'n' * 64},old\nCELERY_BROKER_URL=rediss://:p%40ss@h:6380/1\n"
        "DATABASE_URL=postgres://u:p@h:5433/n\nCONN_MAX_AGE=0\nALERT_EMAILS=a@b.example\nBEAT_LEASE_SECONDS=2.5\n"
        "EMAIL_URL=smtp+tls://u:p@mail.example:587\nLANGUAGE_CODE=ZH-hans\nPURGE_THROTTLE=0\n"
    )
    os.environ["BEAT_LEASE_SECONDS"] = "7"  # the environment wins

    found = load(project)

    assert found["ALLOWED_HOSTS"] == ["a.example", ".b.example", "[::1]"]
    assert (found["HTTPS"], found["LOG_LEVEL"], found["LANGUAGE_CODE"]) == (True, "DEBUG", "zh-hans")
    assert found["FIELD_ENCRYPTION_KEY"] == ["n" * 64, "old"]
    database = found["DATABASES"]["default"]
    assert (database["HOST"], database["PORT"], database["CONN_MAX_AGE"]) == ("h", 5433, 0)
    assert (found["EMAIL_HOST"], found["EMAIL_USE_TLS"], found["ALERT_EMAILS"]) == (
        "mail.example",
        True,
        ["a@b.example"],
    )
    assert (found["BEAT_LEASE_SECONDS"], found["PURGE_THROTTLE"]) == (7.0, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "manage.py", "check"],
        [sys.executable, "manage.py", "purge_old_content", "--dry-run"],
        [str(COMMANDS / "celery"), "-A", "console", "--quiet", "worker", "--pool", "solo"],
        [str(COMMANDS / "celery"), "-A", "console", "--quiet", "beat", "--pidfile="],
        [
            str(COMMANDS / "gunicorn"),
            "console.wsgi:application",
            "--bind",
            "127.0.0.1:0",
            "--no-control-socket",
        ],
    ],
    ids=["check", "job", "worker", "beat", "web"],
)
def test_every_process_refuses_in_one_line(command):
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "BEAT_LEASE_SECONDS": "1min"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode not in (0, None)
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    [line] = {line for line in output.splitlines() if "BEAT_LEASE_SECONDS" in line}
    assert line == (
        "BEAT_LEASE_SECONDS: '1min' is no number from 1 to 300. Write one without a unit, such as 5."
    )


@pytest.mark.slow
def test_the_log_level_counts_for_workers_and_schedulers():
    program = (
        "import logging; from console.celery import app; import django; django.setup();"
        " app.log.setup(loglevel='INFO'); print(logging.getLogger().level)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "LOG_LEVEL": "error", "DJANGO_SETTINGS_MODULE": "console.settings"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "40"


# --- One list of variables -------------------------------------------------------------------------


def test_every_variable_has_its_rubbish():
    assert set(RUBBISH) | FREE == VARIABLES


def test_the_guide_the_example_and_the_clean_environment_name_every_variable():
    guide = set(re.findall(r"`([A-Z_]{4,})`", (ROOT / "docs/operating.md").read_text()))
    example = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    cleaned = set(re.findall(r"-u (\w+)|(READ_DOT_ENV)=", (ROOT / "Makefile").read_text()))
    # Variables of processes that start others, and of tests.
    internal = {"READ_DOT_ENV", "WORKER_ALIVE_FILE"}

    assert VARIABLES - guide - internal == set()
    assert VARIABLES - example - internal == set()
    # Tests set their own directory.
    assert VARIABLES - {one or other for one, other in cleaned} - {"VAR_DIR"} == set()
