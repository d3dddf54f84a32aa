"""What to do at 3 a.m.: one list, which is also the table of ``docs/operating.md``."""

from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext_noop

from database.messages import english_of
from maintenance.models import JobRun
from maintenance.models.statuses import Reason, Status


@dataclass(frozen=True)
class Advice:
    """A line of the table, in English with its marks for the guide; and for which runs it stands, if for any.

    Of several that fit, the run's page shows the one that names the most: words, a reason, a state.
    """

    seen: str
    meaning: str
    todo: str
    statuses: tuple[Status, ...] = ()
    reasons: tuple[Reason, ...] = ()
    # A part of the run's message or error, in English.
    words: str = ""
    # Only for runs that have a next attempt.
    is_tried_again: bool = False

    def fits(self, run: JobRun, *, is_tried_again: bool = False) -> bool:
        """Whether it is about this run."""
        if not self.statuses and not self.reasons:
            return False
        return (
            (not self.statuses or run.status in self.statuses)
            and (not self.reasons or run.reason in self.reasons)
            and self.words.lower() in f"{english_of(run.message)} {english_of(run.error)}".lower()
            and (is_tried_again or not self.is_tried_again)
        )

    @property
    def weight(self) -> tuple[bool, bool, bool]:
        """How much it names."""
        return self.is_tried_again, bool(self.words), bool(self.reasons)


def advice_for(run: JobRun, *, is_tried_again: bool = False) -> Advice | None:
    """Return what to do about a run that has not done its work; None: nothing is known."""
    fitting = [one for one in AT_NIGHT if one.fits(run, is_tried_again=is_tried_again)]
    return max(fitting, key=lambda one: one.weight, default=None)


UNFINISHED: Final = (Status.FAILED, Status.PARTIAL)
AT_NIGHT: Final = (
    Advice(
        "a run is `failed`",
        "the run's page shows the error and the traceback",
        gettext_noop("fix the cause, then run it again"),
        statuses=(Status.FAILED,),
    ),
    Advice(
        "`interrupted`, worker lost",
        "a worker died; the next attempt is linked from the run",
        gettext_noop("nothing, unless it happens again"),
        reasons=(Reason.WORKER_LOST,),
    ),
    Advice(
        "`interrupted`, it goes on later",
        'its Reddit app has no requests left; the next attempt waits for them ("not before")',
        gettext_noop("nothing; if it happens all day, let bots scrape less often or give them another app"),
        reasons=(Reason.WAITS,),
    ),
    Advice(
        "`interrupted`, the database …",
        (
            "the reason is given: disk full, lock not granted, statement timeout, read-only, or no "
            "answer; the next attempt begins 5 or 30 seconds later"
        ),
        gettext_noop("free disk space, end the session that holds the lock, or nothing"),
        reasons=(
            Reason.DATABASE,
            Reason.DATABASE_FULL,
            Reason.DATABASE_LOCKED,
            Reason.DATABASE_TIMEOUT,
            Reason.DATABASE_READ_ONLY,
            Reason.DATABASE_OVERLOADED,
            Reason.DATABASE_LOST,
        ),
    ),
    Advice(
        "`interrupted`, time limit",
        (
            "no checkpoint was reached within the job's time limit; its process was killed, and the "
            "traceback shows where it hung"
        ),
        gettext_noop("look there, if it happens again"),
        reasons=(Reason.TIME_LIMIT,),
    ),
    Advice(
        "`interrupted`, it goes on as its next attempt",
        "most of its time limit was over",
        gettext_noop("nothing"),
        reasons=(Reason.HANDED_ON,),
    ),
    Advice(
        "`failed`, too many attempts",
        (
            "three attempts in a row made no progress; each attempt's error says what ended it. Lost "
            "workers without any other sign may need more memory"
        ),
        gettext_noop("fix the cause, then run it again"),
        reasons=(Reason.TOO_MANY_ATTEMPTS,),
    ),
    Advice(
        "`failed` or `partial`, and a next attempt is linked",
        "Reddit or the network failed; it is tried again after 5 and 30 minutes",
        gettext_noop("nothing"),
        statuses=UNFINISHED,
        is_tried_again=True,
    ),
    Advice(
        "a run does not stop when it is cancelled",
        "it has reached no checkpoint",
        "*Force stop*, after 30 seconds: its process is killed, other runs of that worker go on",
    ),
    Advice(
        "`failed`, no worker knows the job",
        "it was requested by a newer version that is gone",
        gettext_noop("deploy that version, or request it again"),
        reasons=(Reason.UNKNOWN_JOB,),
    ),
    Advice(
        "`failed`, the clock of a host is wrong",
        "that host's clock and the database's are more than a minute apart; nothing was deleted",
        gettext_noop("set the host's clock (NTP), Run again"),
        statuses=(Status.FAILED,),
        words="The clock of host",
    ),
    Advice(
        "`blocked`",
        "it would delete more than a cap allows; the message has the figures",
        gettext_noop("look at the plan; approve or reject"),
        statuses=(Status.BLOCKED,),
    ),
    Advice(
        '`blocked`, "Changed since the plan"',
        "it would delete other rows, or far more, than the person who allowed it saw",
        gettext_noop("look at the new plan; approve or reject"),
        statuses=(Status.BLOCKED,),
        words="Changed since the plan",
    ),
    Advice(
        "`interrupted`, the retention was changed",
        "somebody made the retention longer; the next attempt continues with the new one",
        gettext_noop("nothing"),
        reasons=(Reason.RETENTION,),
    ),
    Advice(
        "`interrupted`, the worker was stopped",
        "a deploy or a restart stopped the worker; the next attempt goes on from the cursor",
        gettext_noop("nothing"),
        reasons=(Reason.WORKER_STOPPED,),
    ),
    Advice(
        "`interrupted`, its process was told to exit",
        (
            "somebody or something, such as the system's memory killer or a supervisor, ended the "
            "process; the next attempt goes on"
        ),
        gettext_noop("nothing, unless it happens again: then read the system's log of that time"),
        reasons=(Reason.TERMINATED,),
    ),
    Advice(
        "`cancelled`, an operator cancelled it",
        "somebody cancelled or rejected it; *Activity* says who and why",
        gettext_noop("nothing, or Run again"),
        reasons=(Reason.OPERATOR,),
    ),
    Advice(
        "`cancelled`, superseded",
        "a newer run of the same job has made its own plan and takes its place",
        gettext_noop("decide about the newer run"),
        reasons=(Reason.SUPERSEDED,),
    ),
    Advice(
        '`partial`, "could not be deleted so far: locked by session N"',
        (
            "that session of PostgreSQL holds a lock on these rows, on their comments, or on a whole "
            "table; everything else is gone. It is tried again after 1, 5, 30 minutes and 3 hours"
        ),
        gettext_noop(
            'nothing, or end the session: `SELECT pg_terminate_backend(N)`; one that is "idle in '
            'transaction" was forgotten'
        ),
        statuses=UNFINISHED,
        words="locked by session",
    ),
    Advice(
        '`partial`, "another process is writing"',
        "the same on SQLite, where only one process writes at a time",
        gettext_noop("nothing; find out which process writes for so long, or use PostgreSQL"),
        statuses=UNFINISHED,
        words="another process is writing",
    ),
    Advice(
        '`partial`, "longer than the statement_timeout"',
        ("deleting one row with its children takes longer than the limit of the database or its user"),
        gettext_noop(
            "`ALTER ROLE … SET statement_timeout` for the workers' user. Plans and counts have a "
            "limit of their own"
        ),
        statuses=UNFINISHED,
        words="longer than the statement_timeout",
    ),
    Advice(
        '`partial`, "still there"',
        "rows became due while it ran and were not deleted",
        gettext_noop(
            "nothing; if it warns that rows become due faster than they are deleted, run it more "
            "often or raise `PURGE_THROTTLE`"
        ),
        statuses=(Status.PARTIAL,),
        words="still there",
    ),
    Advice(
        'a schedule is paused, "N runs in a row failed"',
        "it was told to pause itself after so many",
        "mend the cause, resume it",
    ),
    Advice(
        "`skipped`, overlap",
        "the run before it was not finished",
        gettext_noop("find out why that one takes so long"),
        reasons=(Reason.OVERLAP,),
    ),
    Advice(
        "`missed`",
        "no scheduler ticked at that slot",
        gettext_noop("start beat; the misfire policy decides whether the slot is caught up"),
        reasons=(Reason.NO_SCHEDULER,),
    ),
    Advice(
        "`partial`",
        "a part failed, such as one bot of many",
        gettext_noop("the message and the log name it"),
        statuses=(Status.PARTIAL,),
    ),
    Advice(
        "`refresh_stored_content` is `partial`, target",
        "fewer items than `COMPLIANCE_TARGET_PERCENT` were verified in 48 hours",
        gettext_noop(
            "check whether it was paused; otherwise run it more often, shorten the retention, or add "
            "a Reddit app"
        ),
        statuses=(Status.PARTIAL,),
        words="the target is",
    ),
    Advice(
        "`failed`, no such job",
        "the schedule starts a job that was removed or renamed",
        "give the schedule another job, or delete it",
    ),
    Advice(
        '*Workers*: "none is alive"',
        "no worker has sent a heartbeat for 30 s",
        "start one",
    ),
    Advice(
        '*Workers*: "No worker takes the queue"',
        "the workers that are alive take other queues (`--queues`)",
        "start one that takes it",
    ),
    Advice(
        '*Workers*: "not listening"',
        "the workers are alive but not connected to the broker",
        "check the broker; they reconnect by themselves",
    ),
    Advice(
        '*Workers*: "take nothing"',
        "runs are queued and no worker takes them",
        (
            "such a worker ends itself within `WORKER_STUCK_SECONDS`; if it is not restarted, check "
            "its supervisor"
        ),
    ),
    Advice(
        '*Workers*: "busy"',
        "runs are queued because all pool processes are busy",
        "nothing, or more workers",
    ),
    Advice(
        '"ends, so that it is started again" in a worker\'s log',
        "it took no work although runs were queued and the broker answered",
        "nothing; if it happens again, read the log before this line",
    ),
    Advice(
        '`refresh_stored_content` is `partial`, "asked again"',
        "Reddit's answers left out nearly all items, or said the same of them, which proves nothing",
        gettext_noop("nothing; the next runs ask for these items again"),
        statuses=(Status.PARTIAL,),
        words="asked again",
    ),
    Advice(
        '`refresh_stored_content` is `partial`, "set aside"',
        "Reddit reported implausibly many items as deleted at once",
        gettext_noop("decide under *Items set aside*"),
        statuses=(Status.PARTIAL,),
        words="set aside",
    ),
    Advice(
        '`refresh_stored_content` is `partial`, "fails whenever"',
        "every request for this item fails",
        gettext_noop("nothing; it is checked again in a separate request"),
        statuses=(Status.PARTIAL,),
        words="fails whenever",
    ),
    Advice(
        "runs stay `queued`",
        "no worker, or no broker",
        "start them; queued runs are sent again by themselves",
    ),
    Advice(
        '"messages were not sent", "The broker does not answer" in the logs',
        "the broker is down, or hangs with its port open",
        (
            "restart it; no process waits longer than half a second for it, and unsent messages are "
            "sent within seconds of its return"
        ),
    ),
    Advice(
        '"none is alive" on the dashboard',
        "no scheduler holds the lease",
        "start beat",
    ),
    Advice(
        '"none holds the lease" on the dashboard',
        "a scheduler is alive, but hangs or cannot write to the database",
        "read its log; restart it if it does not go on",
    ),
    Advice(
        "`missed`, the schedule was changed first",
        "an edit came between a slot and its tick",
        gettext_noop("nothing, or Run now"),
        reasons=(Reason.EDITED,),
    ),
    Advice(
        "`skipped`, paused",
        "the slots of a pause, of maintenance mode or of a maintenance window",
        gettext_noop("nothing"),
        reasons=(Reason.PAUSED,),
    ),
    Advice(
        '"A message … was dropped" in a worker\'s log',
        "another program writes into the queue, or a message was damaged",
        "find who shares the broker; our runs are sent again automatically",
    ),
    Advice(
        "a worker ends when the broker goes away",
        "a bug of the Redis transport while a message is being processed",
        "nothing: its supervisor restarts it",
    ),
    Advice(
        'a page says "This address cannot be used"',
        (
            "a list accepts only its own filters and values that its columns can have; the page names"
            " the parameter"
        ),
        "open the page without parameters",
    ),
    Advice(
        'a page says "This took too long"',
        "a statement took longer than `WEB_STATEMENT_TIMEOUT_SECONDS`; nothing was changed",
        "filter, or search for an exact name",
    ),
    Advice(
        'a page says "The database is busy"',
        "the database was locked, overloaded or restarting, answered with 503 and `Retry-After`",
        "reload; before saving again look whether the change is there",
    ),
    Advice(
        '"Another scheduler has the lease"',
        "this scheduler is a standby",
        "nothing",
    ),
)
