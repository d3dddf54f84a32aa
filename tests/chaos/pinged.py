"""Schedules whose runs are told to a service outside, for the drill of alerts."""

import contextlib
from datetime import timedelta

import psycopg2

from alerts.models import Ping
from maintenance.models import JobRun
from tests.chaos.servers import clock_shows
from tests.kit import factories, pings
from tests.kit.waiting import wait_until

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
# The number of the advisory lock for which the job take_a_lock waits.
LOCK = 77


def _address(name, sink):
    task = factories.schedule(task="maintenance.take_a_lock", name=name, crontab="0 0 29 2 *")
    url = f"http://127.0.0.1:{sink.server_address[1]}/{name}"
    return pings.ping_address(schedule=task, url=url, since=clock_shows() - HOUR)


def _run(address, status, ago, **fields):
    of = {"job": "take_a_lock", "trigger": "schedule", "schedule": address.schedule}
    begun = clock_shows() - ago
    return factories.job_run(status=status, queued_at=begun, scheduled_for=begun, **of, **fields)


class Pinged:
    """Two schedules with addresses, and what must arrive at each."""

    def __init__(self, sink):
        self.sink = sink
        # Of each ping, what the service was asked while it refused.
        self.refused = 0
        self.killed = None
        self._held, self._ended = _address("held", sink), _address("ended", sink)
        self.expected = {
            "/held": ["/held/start", "/held"],
            "/ended": ["/ended/start", "/ended/fail", "/ended/start", "/ended"],
        }

    def plant(self):
        """Let two runs have ended before anybody scans, and the service be ill."""
        self.sink.answers = [(500, "ill")] * 10_000
        for status, minutes in (("cancelled", 20), ("succeeded", 10)):
            ended = clock_shows() - (minutes - 5) * MINUTE
            begun = ended - MINUTE
            reason = "operator" if status == "cancelled" else ""
            times = {"started_at": begun, "finished_at": ended}
            _run(self._ended, status, minutes * MINUTE, reason=reason, **times)

    @contextlib.contextmanager
    def run_that_is_held(self):
        """A real run that has begun, whose start is to be told, and that goes on to its end after the block."""
        with contextlib.closing(psycopg2.connect(factories.database_url())) as holder:
            holder.cursor().execute("SELECT pg_advisory_lock(%s)", [LOCK])
            run = _run(self._held, "queued", timedelta())
            self.killed = run.pk
            wait_until(lambda: JobRun.objects.running().filter(pk=run.pk).exists(), timeout=120)
            wait_until(lambda: Ping.objects.filter(run=run.pk, event="start").exists(), timeout=120)
            yield

    def held_run_is_done(self):
        """Whether an attempt after the killed one has succeeded."""
        return JobRun.objects.filter(schedule=self._held.schedule, status="succeeded", attempt=2).exists()

    def recover(self):
        """Let the service be well again."""
        self.refused = len(self.sink.requests)
        self.sink.answers.clear()
        self.sink.requests.clear()

    def judge(self):
        """Each ping arrived once, in order; none is lost, and none was sent more often than it was claimed."""
        paths = [path for path, _body in self.sink.requests]
        assert {
            name: [path for path in paths if path.startswith(name)] for name in self.expected
        } == self.expected
        assert not Ping.objects.filter(delivered_at__isnull=True).exists()
        assert Ping.objects.count() == len(paths)
        attempts = sum(Ping.objects.values_list("attempts", flat=True))
        # A sender that is killed between its claim and its request has made an attempt without a request.
        assert self.refused + len(paths) <= attempts
        assert self.refused >= 2 * len(self.expected)
