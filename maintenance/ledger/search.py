"""Finds runs by words: in their messages, logs and parameters, and in the names of people who requested them.

A fullname or a link to Reddit also finds the runs that deleted or blanked that item, however old.

Words have no index, so only the newest runs are read; the page says how many.
"""

from django.db.models import Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast

from database.messages import SUFFIX, codes_that_read
from maintenance.models import JobRun, RunLogLine
from scraping.item_names import names_in
from scraping.models.erasures import Erasure

RUNS_SEARCHED = 20_000
LINES_SEARCHED = 100_000
ERASURES_SHOWN = 100


# At most this many sentences of a text are searched.
SENTENCES_SEARCHED = 4


def read_as(words: str, field: str) -> Q:
    """Return the condition that a text contains the words, in English or in the reader's language."""
    said, codes = Q(**{f"{field}__icontains": words}), codes_that_read(words)
    if not codes:
        return said
    places = ["code", *(f"sentences__{number}__code" for number in range(SENTENCES_SEARCHED))]
    for place in places:
        said |= Q(**{f"{field}{SUFFIX}__{place}__in": codes})
    return said


def having_words(runs: QuerySet[JobRun], words: str) -> QuerySet[JobRun]:
    """Return those of the newest runs that contain these words, whatever the case."""
    newest = JobRun.objects.order_by("-pk").values_list("pk", flat=True)[RUNS_SEARCHED : RUNS_SEARCHED + 1]
    newest_lines = RunLogLine.objects.order_by("-pk").values_list("pk", flat=True)
    lines = RunLogLine.objects.filter(read_as(words, "text"), run=OuterRef("pk"))
    if beyond := list(newest_lines[LINES_SEARCHED : LINES_SEARCHED + 1]):
        lines = lines.filter(pk__gt=beyond[0])
    said = Q()
    for field in ("requested_by_name", "schedule_name", "_params"):
        said |= Q(**{f"{field}__icontains": words})
    said |= read_as(words, "error") | read_as(words, "message")
    said |= Q(Exists(lines))
    if oldest := list(newest):
        said &= Q(pk__gt=oldest[0])
    if names := names_in(words):
        said |= Q(pk__in=Erasure.objects.of(names).values("run_id"))
    return runs.alias(_params=Cast("params", TextField())).filter(said)


def erasures_of(text: str) -> list[Erasure]:
    """Return the erasures of the item that a fullname or a link names, newest first; of a comment's post too."""
    names = names_in(text)
    return list(Erasure.objects.of(names)[:ERASURES_SHOWN]) if names else []
