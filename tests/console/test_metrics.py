"""``/metrics`` says what the ledger knows, to Prometheus only, with a bounded number of queries."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from console.metrics import families
from database import clock
from maintenance.models import JobRun, RunTotals, WorkerProcess
from maintenance.scheduling.lease import Lease
from tests.kit import factories

pytestmark = pytest.mark.django_db

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
QUERIES_MAX = 25


def read(client, **headers):
    answer = client.get("/metrics", **headers)
    assert answer.status_code == 200, answer.content
    samples = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        for sample in family.samples:
            key = sample.name, *sorted(sample.labels.items())
            assert key not in samples, f"{key} twice"
            samples[key] = sample.value
    return samples


@pytest.fixture
def filled():
    """One row of each kind that a metric is about."""
    Lease(60).acquire()
    now = clock.now()
    WorkerProcess.objects.create(name="worker@one", pid=1, started_at=now, seen_at=now, listening_at=now)
    RunTotals.objects.create(
        counted_to=now - timedelta(hours=1), totals={"runs": [], "durations": {}, "counts": {}}
    )
    ended = now - timedelta(minutes=5)
    factories.job_run(
        job="purge_old_content",
        status="succeeded",
        trigger="admin",
        started_at=ended - timedelta(seconds=20),
        finished_at=ended,
        counts={"scraping.RedditPost": 14, "posts_new": 3},
    )
    factories.job_run(
        job="purge_old_content", status="missed", finished_at=ended, counts={"slots_missed": 12}
    )
    factories.job_run(job="auto_scraping", status="queued", queued_at=now - timedelta(minutes=2))
    factories.job_run(job="purge_old_content", status="blocked", started_at=now)
    app = factories.reddit_app(name="Main app")
    factories.request_budget(
        client_id=app.client_id, window_requests=1000, used=230, ends_at=now + timedelta(minutes=5)
    )
    factories.bot_config()
    factories.post()
    factories.alert(rule="failed", severity="critical")


def test_the_ledger_is_told(client, filled):
    found = read(client)

    job = ("job", "purge_old_content")
    assert found["console_runs_total", job, ("status", "succeeded"), ("trigger", "admin")] == 1
    assert found["console_runs_total", job, ("status", "missed"), ("trigger", "command")] == 12
    assert found["console_run_duration_seconds_bucket", job, ("le", "15.0")] == 0
    assert found["console_run_duration_seconds_bucket", job, ("le", "60.0")] == 1
    assert found["console_run_duration_seconds_sum", job] == pytest.approx(20)
    assert found["console_rows_deleted_total", ("table", "scraping.RedditPost")] == 14
    assert found["console_run_counts_total", ("name", "posts_new")] == 3
    assert found["console_runs_open", job, ("status", "blocked")] == 1
    assert found["console_queue_runs",] == 1
    assert found["console_queue_age_seconds",] == pytest.approx(120, abs=30)
    assert (found["console_scheduler_up",], found["console_workers_listening",]) == (1, 1)
    assert found["console_reddit_requests_used", ("app", "Main app")] == 230
    assert found["console_bots", ("state", "active")] == 1
    assert found["console_alerts_open", ("rule", "failed"), ("severity", "critical")] == 1
    assert found["console_alerts_open", ("rule", "partial"), ("severity", "warning")] == 0
    assert found["console_table_rows", ("table", "scraping.RedditPost")] == 1
    assert 0 <= found["console_compliance_verified_ratio",] <= 1


def test_any_web_process_gives_the_same_counters(client, filled):
    def counters():
        return {key: value for key, value in read(client).items() if key[0].endswith("_total")}

    first = counters()
    JobRun.objects.filter(status="succeeded").delete()

    assert counters() == first


def test_the_number_of_queries_does_not_grow(client, filled):
    with CaptureQueriesContext(connection) as few:
        read(client)
    for number in range(30):
        factories.bot_config()
        app = factories.reddit_app(name=f"App {number}")
        factories.request_budget(client_id=app.client_id)
        factories.job_run(job="auto_scraping", status="queued", concurrency_key=f"bot:{number}")

    with CaptureQueriesContext(connection) as many:
        read(client)

    # The first reader added a finished run to the totals.
    assert len(many) <= len(few) <= QUERIES_MAX


def test_no_client_id_and_no_secret_is_told(client, filled, settings):
    app = factories.reddit_app(name="Planted", client_id="planted-client-id")
    factories.request_budget(client_id=app.client_id)
    factories.request_budget(client_id="id-of-an-app-that-is-gone")

    text = client.get("/metrics").content.decode()

    assert "Planted" in text
    assert "planted-client-id" not in text
    assert "app-that-is-gone" not in text


def test_what_cannot_be_read_is_left_out_and_said(client, filled, monkeypatch):
    def broken():
        raise DatabaseError("planted")
        yield

    parts = [(name, broken if name == "content" else part) for name, part in families.PARTS]
    monkeypatch.setattr("console.metrics.page.PARTS", parts)

    found = read(client)

    assert found["console_metrics_read", ("part", "content")] == 0
    assert found["console_metrics_read", ("part", "runs")] == 1
    assert not any(key[0].startswith("console_table") for key in found)


# --- Who may read -----------------------------------------------------------------------------

TOKEN = "t" * 40


@pytest.mark.parametrize(
    ("token", "headers", "peer", "status"),
    [
        ("", {}, "127.0.0.1", 200),
        ("", {}, "::1", 200),
        ("", {}, "10.1.2.3", 401),
        ("", {}, "", 401),
        ("", {"X-Forwarded-For": "127.0.0.1"}, "127.0.0.1", 401),
        ("", {"Forwarded": "for=127.0.0.1"}, "127.0.0.1", 401),
        (TOKEN, {}, "127.0.0.1", 401),
        (TOKEN, {"Authorization": f"Bearer {TOKEN}"}, "10.1.2.3", 200),
        (TOKEN, {"Authorization": f"Bearer {TOKEN[:-1]}"}, "10.1.2.3", 401),
        (TOKEN, {"Authorization": f"Bearer {TOKEN}é"}, "10.1.2.3", 401),
        (TOKEN, {"Authorization": TOKEN}, "10.1.2.3", 401),
    ],
)
def test_only_prometheus_reads(client, settings, token, headers, peer, status):
    settings.METRICS_TOKEN = token
    settings.ALLOWED_HOSTS = ["console.example.org"]

    answer = client.get("/metrics", headers=headers, REMOTE_ADDR=peer)

    assert answer.status_code == status
    assert token not in answer.content.decode() or not token
    assert client.post("/metrics").status_code == 405


def test_openmetrics_is_spoken(client, filled):
    answer = client.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})

    assert answer["Content-Type"].startswith("application/openmetrics-text")
    assert answer.content.endswith(b"# EOF\n")


# --- deploy/ ----------------------------------------------------------------------------------


def named_in_deploy():
    """All names of metrics in the rules and the dashboard."""
    rules = yaml.safe_load((DEPLOY / "rules.yml").read_text())
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    expressions += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return {name for text in expressions for name in re.findall(r"\bconsole_\w+", text)}


def test_rules_and_dashboard_name_only_metrics_that_exist(client, filled):
    factories.job_run(status="missed", finished_at=clock.now() - timedelta(minutes=1))
    Lease(60).acquire()
    known = {key[0] for key in read(client)}
    # PostgreSQL only, and not before the first tick.
    known |= {"console_table_bytes", "console_scheduler_tick_age_seconds", "console_scheduler_lag_seconds"}

    assert len(named_in_deploy()) > 15
    assert named_in_deploy() - known == set()


def test_every_status_in_the_rules_exists():
    text = (DEPLOY / "rules.yml").read_text()
    named = {one for found in re.findall(r'status=~?"([^"]+)"', text) for one in found.split("|")}
    assert named <= set(JobRun.Status.values)
