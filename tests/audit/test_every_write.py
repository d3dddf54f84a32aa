"""Every function that writes to the database writes an event, or is known to write what is no act of a person.

The service verbs with an argument ``by`` are called in test_every_verb; this finds the writers that have none.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from django.conf import settings

PACKAGES = (
    "accounts",
    "adminkit",
    "alerts",
    "api",
    "audit",
    "console",
    "database",
    "maintenance",
    "scraping",
)
# Methods that write rows.
WRITING = {
    "save", "create", "update", "delete", "bulk_create", "bulk_update", "get_or_create", "update_or_create",
    "_raw_delete",
}  # fmt: skip
WRITING_SQL = ("INSERT ", "UPDATE ", "DELETE ")
RECORDING = {
    "record",
    "record_each",
    "record_changes",
    "record_deletions",
    "try_to_record",
    "record_decision",
    "record_request",
}

# What is written without an event of its own: a file or a folder, and why.
NO_ACT = {
    "accounts/admin.py": "a form; RecordedAdmin writes the event",
    "accounts/ending.py": "a part of other acts, whose events say that sign-ins ended",
    "accounts/models.py": "creates the token for a sign-in, which has its event",
    "accounts/openid/pages.py": "keeps in the session that an answer was used; sign-ins and refusals have their events",
    "accounts/personal_tokens.py": "notes when a token was used; that all end is a part of other acts",
    "accounts/session_middleware.py": "notes when and from where a session was used",
    "alerts/": "alerts are a ledger of their own",
    "api/idempotency.py": "keeps the answer to a request, whose act has its event",
    "audit/history.py": "moves the entries of Django's log to the events",
    "console/demo_history.py": "made-up data; its command writes the event",
    "console/demo_content.py": "made-up data, for demo_history.py",
    "console/local/administrator.py": "within acting_as_shell, where every change of a user is recorded",
    "console/roles.py": "what migrating creates; the command writes the event",
    "console/tracing/spans.py": "describes the process to the collector; it has no rows",
    "database/": "tools, without rows of their own; rotate_keys writes the event of its command",
    "maintenance/context.py": "the log, counts and cursor of a run",
    "maintenance/ledger/": "the ledger of runs",
    "maintenance/models/": "the ledger of runs",
    "maintenance/purging/": "what a run deletes; the run says how many rows of what",
    "maintenance/scheduling/beat.py": "the scheduler's own bookkeeping",
    "maintenance/scheduling/hooks.py": "notes a call; the run that it starts has its event",
    "maintenance/scheduling/lease.py": "the scheduler's own bookkeeping",
    "maintenance/scheduling/recovery.py": "the scheduler's own bookkeeping",
    "maintenance/scheduling/replanning.py": "follows an edit, which has its event",
    "maintenance/scheduling/schedules.py": "creates what belongs to a schedule, which has its event",
    "maintenance/scheduling/seeding.py": "what migrating creates; the command writes the event",
    "maintenance/scheduling/time_rows.py": "the crontab or interval of a schedule, which has its event",
    "maintenance/scheduling/tick_batch.py": "the runs of due slots: the ledger of runs",
    "maintenance/yields/": "what a job reads from the ledger of runs",
    "scraping/admin/forms.py": "a form; RecordedAdmin writes the event",
    "scraping/compliance/": "what a sweep found at Reddit; its run says it",
    "scraping/content/upserts.py": "what a scrape found at Reddit; its session says it",
    "scraping/demo.py": "what `up` creates; within acting_as_shell",
    "scraping/models/": "what scrapes note: budgets, turns, what is due, traces of a purge",
    "scraping/reddit/": "the budget of requests",
    "scraping/sessions/": "what a scrape stores; its session says it",
}


@dataclass
class Function:
    """A function or method: what it calls, whether it writes, records and takes the person who acts."""

    name: str
    takes_person: bool
    calls: set[str] = field(default_factory=set)
    writes: bool = False

    @property
    def is_accounted_for(self) -> bool:
        """Whether it records itself, or is a verb that test_every_verb calls."""
        return self.takes_person or bool(self.calls & RECORDING)


def functions_of(tree: ast.Module) -> Iterator[Function]:
    """Yield the functions and methods; what an inner function does counts for the outer one."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        arguments = [*node.args.args, *node.args.kwonlyargs]
        found = Function(node.name, any(one.arg == "by" for one in arguments))
        for part in ast.walk(node):
            # What takes the person who acts is a verb, and records.
            if isinstance(part, ast.Call) and all(one.arg != "by" for one in part.keywords):
                note_call(found, part)
            elif isinstance(part, ast.Call):
                found.calls.add("record")
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                found.writes |= part.value.lstrip().startswith(WRITING_SQL)
        yield found


def note_call(found: Function, call: ast.Call) -> None:
    """Note the call of a name, of a method, or of something in the module ``access``, which records."""
    called = call.func
    if isinstance(called, ast.Name):
        found.calls.add(called.id)
    elif isinstance(called, ast.Attribute):
        if ast.unparse(called.value) == "access":
            found.calls.add("record")
        found.calls.add(called.attr)
        found.writes |= called.attr in WRITING and is_of_database(called, call)


def is_of_database(called: ast.Attribute, call: ast.Call) -> bool:
    """Whether a writing call is on rows: a queryset's update takes names, a dictionary's takes a dictionary."""
    if called.attr == "update":
        return not call.args and bool(call.keywords)
    return called.attr != "delete" or ast.unparse(called.value) not in ("router", "ctx")


def unaccounted(functions: list[Function]) -> list[str]:
    """Return the names of writing functions that neither record nor are a part of one in the module that does."""
    covered = {one.name for one in functions if one.is_accounted_for}
    while True:
        parts = {name for one in functions if one.name in covered for name in one.calls} & {
            one.name for one in functions
        }
        if parts <= covered:
            break
        covered |= parts
    return [one.name for one in functions if one.writes and one.name not in covered]


@pytest.mark.slow
def test_every_function_that_writes_records_or_is_no_act():
    missing, used = [], set()
    for package in PACKAGES:
        for path in sorted((settings.BASE_DIR / package).rglob("*.py")):
            name = path.relative_to(settings.BASE_DIR).as_posix()
            if "/migrations/" in name:
                continue
            left = unaccounted([*functions_of(ast.parse(path.read_text()))])
            reason = next((known for known in NO_ACT if name.startswith(known)), None)
            if left and reason is None:
                missing += [f"{name}: {function}" for function in left]
            elif left:
                used.add(reason)

    assert missing == [], (
        "write an event (audit.events.record), or say in NO_ACT why there is no act of a person"
    )
    assert sorted(NO_ACT.keys() - used) == [], "these need no exception any more"


def test_a_writer_without_an_event_is_found():
    source = """
def close(row):
    row.closed = True
    row.save()

def open(row, by):
    _mark(row)
    record("x", row, by=by)

def _mark(row):
    row.save()
"""

    assert unaccounted([*functions_of(ast.parse(source))]) == ["close"]
