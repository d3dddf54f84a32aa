"""Schedulers, workers, runs, and the limits of purges."""

from .base import env

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
