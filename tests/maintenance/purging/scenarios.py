"""A random scenario (posts, a retention with overrides, holds, one run) and the naive reference that checks it."""

import random
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg2
import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from maintenance import retention
from maintenance.ledger import decisions, interventions, performing, requests, run_json
from maintenance.models import JobRun, RetentionOverride
from maintenance.purging import batches
from maintenance.purging.days import Retention
from maintenance.stops import HandBack
from scraping.models import RedditComment, RedditPost
from tests.kit import factories

Status = JobRun.Status
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
SUBREDDITS = ("Python", "DJANGO", "rust")
DAYS = (1, 6)
# The cap for growth, scaled down to scenarios of a few dozen rows.
GROWTH_ROWS = 3
CAP_ROWS = 25
ROUNDS_MAX = 12
# How many scenarios one test runs.
CHUNK = 50
POST, COMMENT = "scraping.RedditPost", "scraping.RedditComment"
# The possible faults of a commit, all with the same probability.
COMMITS = ("fails", "refused", "killed before", "killed after", "answer lost")


# Short waits of the purge, because the locks are not released while it waits.
PATIENCE = {
    "LOCK_TIMEOUT_MS": 60,
    "LOCATE_TIMEOUT_MS": 5,
    "TRY_AGAIN_SECONDS": 0,
    "REFUSALS_MAX": 2,
    "REFUSED_SECONDS": 0.001,
}


class Killed(BaseException):
    """kill -9."""


def refusal():
    """Return the error of a lock that is not granted; on every database, the driver's error determines the cause."""
    error = OperationalError("refused")
    error.__cause__ = sqlite3.OperationalError("refused")
    error.__cause__.sqlite_errorname = "SQLITE_BUSY"
    return error


@dataclass
class Row:
    """The reference's copy of a post."""

    age: int
    subreddit: str
    bot: int | None
    held: bool
    comments: int
    quiet: int  # days since its newest comment, or the post's age if it has none


@dataclass
class Kept:
    """The reference's copy of a retention."""

    days: int
    overrides: dict = field(default_factory=dict)  # days by a subreddit's lower-case name, or a bot's index
    keeps_live_threads: bool = False

    def dooms(self, row):
        own = [self.overrides[key] for key in (row.subreddit.lower(), row.bot) if key in self.overrides]
        age = min(row.age, row.quiet) if self.keeps_live_threads else row.age
        return age >= max(own, default=self.days)


@dataclass
class Authority:
    """What a person or the first attempt authorised."""

    kept: Kept | None = None  # None: the retention that the first attempt finds
    rows: Counter | None = None
    takes_first_plan: bool = False
    past_caps: bool = False


class Scenario:
    """The database, and the reference's copy of it."""

    def __init__(self, seed, monkeypatch):
        self.random = random.Random(seed)
        self.now = timezone.now()
        self.bots = [factories.bot_config(), factories.bot_config()]
        self.boss, self.approvers = factories.superuser(), [factories.superuser(), factories.superuser()]
        self.policy = factories.retention_policy(job="purge_old_content", days=90)
        self.rows, self.gone = {}, Counter()
        self.kept, self.authority, self.planned = Kept(90), Authority(), None
        self.next_commit, self.refusals, self.was_refused, self.has_moved = "", 0, False, False
        # Posts that another session has locked, itself or a comment of it; and whether that changed in this attempt.
        self.locked, self.have_locks_moved, self.holder = set(), False, None
        self.edit()
        for _ in range(self.random.randint(0, 40)):
            self.scrape()
        batch = self.random.randint(1, 5)
        for name in ("BATCH_ROWS_FIRST", "BATCH_ROWS_MIN", "BATCH_ROWS_MAX"):
            monkeypatch.setattr(batches, name, batch)
        monkeypatch.setattr(batches, "STORAGE_WALK_SHARE", self.random.choice([0, 2]))

    # --- What people do

    def edit(self):
        keys = self.random.sample([*(name.lower() for name in SUBREDDITS), 0, 1], self.random.randint(0, 3))
        self.kept = Kept(
            self.random.randint(*DAYS),
            {key: self.random.randint(*DAYS) for key in keys},
            keeps_live_threads=self.random.random() < 0.5,
        )
        retention.change(self.policy, self.retention_of(self.kept), by=self.boss)
        self.policy.refresh_from_db()

    def retention_of(self, kept):
        rows = []
        for key, days in kept.overrides.items():
            target = {"subreddit": key} if isinstance(key, str) else {"config": self.bots[key]}
            rows.append(RetentionOverride(days=days, **target))
        return Retention(kept.days, tuple(rows), keeps_live_threads=kept.keeps_live_threads)

    def scrape(self):
        age, comments = self.random.randint(0, 7), self.random.choice([0, 0, 1, 3])
        row = Row(
            age=age,
            quiet=self.random.randint(0, age) if comments else age,
            subreddit=self.random.choice(SUBREDDITS),
            bot=self.random.choice([None, 0, 1]),
            held=self.random.random() < 0.15,
            comments=comments,
        )
        made = self.now - row.age * DAY - HOUR
        post = factories.post(
            created_at=made,
            subreddit=row.subreddit,
            config=None if row.bot is None else self.bots[row.bot],
            **self.hold_fields(row.held),
        )
        for _ in range(row.comments):
            factories.comment(post=post, created_at=made)
        if comments:
            self.comment_on(post.pk, row)
        self.rows[post.pk] = row

    def comment_on(self, pk, row):
        """Store a comment on the post, as old as the row's newest one."""
        RedditPost.objects.filter(pk=pk).update(newest_comment_at=self.now - row.quiet * DAY - HOUR)

    def revive(self):
        """Add a younger comment to some threads, unless their posts are locked."""
        self.unlock()
        for pk, row in self.random.sample(sorted(self.rows.items()), min(len(self.rows), 5)):
            if row.comments:
                row.quiet = self.random.randint(0, row.quiet)
                self.comment_on(pk, row)

    def scrape_many(self):
        for _ in range(self.random.randint(5, 15)):
            self.scrape()

    def hold_fields(self, held):
        ended = {"held_at": self.now, "held_until": self.now - HOUR, "hold_reason": "over"}
        none = {"held_at": None, "held_until": None, "hold_reason": ""}
        later = {"held_at": self.now, "held_until": self.now + DAY, "hold_reason": "until later"}
        ever = {"held_at": self.now, "held_until": None, "hold_reason": "court order"}
        return self.random.choice([later, ever] if held else [none, none, ended])

    def lock_some(self):
        if connection.vendor != "postgresql":
            return  # SQLite cannot lock a row: see refusal()
        self.holder = self.holder or psycopg2.connect(factories.database_url())
        self.unlock()
        posts = self.random.sample(sorted(self.rows), min(len(self.rows), self.random.randint(1, 4)))
        for pk in posts:
            on_comment = self.rows[pk].comments and self.random.random() < 0.5
            self.holder.cursor().execute(
                "SELECT 1 FROM scraping_redditcomment WHERE post_id = %s LIMIT 1 FOR UPDATE"
                if on_comment
                else "SELECT 1 FROM scraping_redditpost WHERE id = %s FOR UPDATE",
                [pk],
            )
        self.locked = set(posts)

    def unlock(self):
        if self.holder is not None:
            self.holder.rollback()
        self.locked, self.have_locks_moved = set(), True

    def locks_move(self, chance):
        if self.random.random() < chance:
            self.random.choice([self.lock_some, self.unlock])()

    def hold_or_release(self):
        self.unlock()
        for pk in self.random.sample(sorted(self.rows), min(len(self.rows), self.random.randint(1, 8))):
            self.rows[pk].held = self.random.random() < 0.5
            RedditPost.objects.filter(pk=pk).update(**self.hold_fields(self.rows[pk].held))

    def something_happens(self, chance):
        if self.random.random() < chance:
            self.has_moved = True
            happenings = [self.edit, self.scrape, self.scrape_many, self.hold_or_release, self.revive]
            self.random.choice(happenings)()

    # --- The reference

    def matching(self, kept=None):
        rows = [row for row in self.rows.values() if (kept or self.kept).dooms(row) and not row.held]
        return Counter({POST: len(rows), COMMENT: sum(row.comments for row in rows)})

    def others(self):
        kept = self.authority.kept
        return [
            row
            for row in self.rows.values()
            if kept and self.kept.dooms(row) and not row.held and not kept.dooms(row)
        ]

    def must_block(self):
        """Return whether an attempt that begins now must be blocked; if not, store what it may delete."""
        now, authority = self.matching() + self.gone, self.authority
        if authority.takes_first_plan and authority.rows is None:
            authority.rows = self.matching()
        grown = authority.rows is not None and any(
            now[label] > authority.rows[label] * 1.1 and now[label] - authority.rows[label] > GROWTH_ROWS
            for label in (POST, COMMENT)
        )
        above_cap = now.total() > CAP_ROWS and not (authority.past_caps and authority.rows is not None)
        if self.others() or grown or above_cap:
            return True
        authority.kept = authority.kept or self.kept
        return False

    def check_what_went(self):
        """Compare with the database; called before each batch, to check the rows that the last one deleted."""
        stored = set(RedditPost.objects.values_list("pk", flat=True))
        for pk in set(self.rows) - stored:
            row = self.rows.pop(pk)
            assert not row.held, f"held: {row}"
            assert self.authority.kept.dooms(row), f"not of the mandate: {row}"
            assert self.kept.dooms(row), f"kept by the retention as it is now: {row}"
            self.gone.update({POST: 1, COMMENT: row.comments})
        assert stored == set(self.rows)
        if self.authority.rows is not None:
            for label in (POST, COMMENT):
                allowed = self.authority.rows[label]
                assert self.gone[label] <= max(allowed * 1.1, allowed + GROWTH_ROWS), f"more {label}"

    # --- The run

    def ask(self):
        kind = self.random.choice(["rule", "plan", "force"])
        options: dict[str, Any] = {"job": "purge_old_content", "trigger": "command", "send": False}
        if kind == "plan":
            dry = requests.request_run(**options, dry_run=True)
            performing.perform(dry)
            dry.refresh_from_db()
            assert (run_json.would_do(dry) == "block") == (self.matching().total() > CAP_ROWS)
            self.authority = Authority(kept=self.kept, rows=self.matching())
            self.something_happens(0.6)
            return requests.request_run(**options, shown=decisions.shown_by_run(dry.pk, job=dry.job))
        if kind == "force":
            self.authority = Authority(takes_first_plan=True, past_caps=True)
            return requests.request_run(**options, force_reason="the import")
        return requests.request_run(**options)

    def perform(self, run):
        """Perform one attempt, and return the run's state after it."""
        must_block, self.began_under = self.must_block(), self.kept
        gone_before, self.has_moved = self.gone.copy(), False
        self.locks_move(0.3)
        self.have_locks_moved = self.was_refused = False
        JobRun.objects.filter(pk=run.pk).update(not_before=None)
        run.refresh_from_db()
        try:
            performing.perform(run)
        except OperationalError as failure:
            assert "disk full" in str(failure)  # noqa: PT017  (one of several possible ends)
        except Killed:
            run.refresh_from_db()
            assert run.mark_lost(silent_for=0, status="interrupted", reason="worker_lost", error="killed")
            requests.request_next_attempt(run)
        run.refresh_from_db()
        self.check_what_went()
        if run.status == Status.PARTIAL:
            self.check_what_waits(run)
        if must_block:
            assert (run.status, self.gone) == (Status.BLOCKED, gone_before)
        if run.status == Status.BLOCKED:
            # Either at its start, or because rows were added or released while it ran.
            assert must_block or self.has_moved
            # Its plan uses the retention at its start: the next attempt uses a later edit.
            self.planned = (self.began_under, self.matching(self.began_under) + self.gone)
            assert {table.model: table.rows + table.gone for table in decisions.plan_of(run)} == {
                POST: self.planned[1][POST],
                COMMENT: self.planned[1][COMMENT],
            }
        totals = run_json.totals(run)
        assert (totals.get(POST, 0), totals.get(COMMENT, 0)) == (self.gone[POST], self.gone[COMMENT])
        return run

    def check_what_waits(self, run):
        """Check that only rows that could not be deleted are left."""
        left = {pk for pk, row in self.rows.items() if self.began_under.dooms(row) and not row.held}
        if "could not be deleted" in run.message:
            assert self.locked or self.have_locks_moved or self.was_refused
        else:
            assert self.has_moved
        if not (self.has_moved or self.have_locks_moved or self.was_refused):
            assert left <= self.locked
            assert f"session {self.holder.info.backend_pid} " in run.message

    def commit(self):
        """Simulate a commit at the end of a batch's transaction, perhaps with a fault."""
        if self.refusals:
            self.refusals -= 1
            raise refusal()
        commit, self.next_commit = self.next_commit, ""

        def fail():
            raise Killed if "killed" in commit else OperationalError("disk full")

        if commit == "refused":
            # Once, or often enough to end the walk.
            self.refusals, self.was_refused = self.random.choice([0, batches.REFUSALS_MAX]), True
            raise refusal()
        if commit in ("killed after", "answer lost"):
            transaction.on_commit(fail)
        elif commit:
            fail()

    def between_batches(self):
        """Let other people act before each batch."""
        self.check_what_went()
        self.something_happens(0.25)
        self.locks_move(0.1)
        if self.random.random() < 0.05:
            raise HandBack(JobRun.Reason.WORKER_STOPPED)
        if not self.next_commit and self.random.random() < 0.05:
            self.next_commit = self.random.choice(COMMITS)

    def decide(self, run):
        """Two approvers decide on the page of a blocked run; the later decision changes nothing."""
        first, second = self.random.sample(self.approvers, 2)
        pages = [JobRun.objects.get(pk=run.pk) for _ in range(2)]
        plan_at = run.plan["at"]
        self.something_happens(0.5)
        if self.random.random() < 0.2:
            interventions.reject_run(pages[0], by=first, reason="looks wrong")
        else:
            interventions.approve_run(pages[0], by=first, reason="seen", plan_at=plan_at)
            kept, rows = self.planned
            self.authority = Authority(kept=kept, rows=rows, past_caps=True)
        with pytest.raises(interventions.NotPossible):
            interventions.approve_run(pages[1], by=second, reason="seen too", plan_at=plan_at)
        self.something_happens(0.3)

    def live(self):
        run = self.ask()
        for _ in range(ROUNDS_MAX):
            self.something_happens(0.4)
            run = self.perform(run)
            if run.status == Status.BLOCKED:
                self.decide(run)
                run.refresh_from_db()
            elif run.status == Status.INTERRUPTED:
                run = JobRun.objects.get(retry_of=run)
            elif run.status == Status.PARTIAL:
                self.refusals = 0
                run = JobRun.objects.filter(retry_of=run).first() or run
            if run.is_final:
                break
        self.unlock()
        if self.holder is not None:
            self.holder.close()
        if run.status == Status.SUCCEEDED:
            # An edit that only deletes more counts from the next run on.
            rules = (self.authority.kept, self.began_under, self.kept)
            assert not [
                row for row in self.rows.values() if all(kept.dooms(row) for kept in rules) and not row.held
            ]
        comments = sum(row.comments for row in self.rows.values())
        assert RedditComment.objects.count() == comments
        return run.status
