"""Finds runs by words: in what they say of themselves, in their logs and parameters, and by who asked for them.

No index leads to words, so only the newest are read: a bound on the work, which the page names.
"""

from django.db.models import Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast

from database.messages import SUFFIX, codes_that_read
from maintenance.models import JobRun, RunLogLine

RUNS_SEARCHED = 20_000
LINES_SEARCHED = 100_000


# Of a text of several sentences so many are looked at.
SENTENCES_SEARCHED = 4


def _read_as(words: str, field: str) -> Q:
    """Return the condition that a text contains the words: in English, or as the reader reads its sentences."""
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
    lines = RunLogLine.objects.filter(_read_as(words, "text"), run=OuterRef("pk"))
    if beyond := list(newest_lines[LINES_SEARCHED : LINES_SEARCHED + 1]):
        lines = lines.filter(pk__gt=beyond[0])
    if oldest := list(newest):
        runs = runs.filter(pk__gt=oldest[0])
    said = Q()
    for field in ("requested_by_name", "schedule_name", "_params"):
        said |= Q(**{f"{field}__icontains": words})
    said |= _read_as(words, "error") | _read_as(words, "message")
    return runs.alias(_params=Cast("params", TextField())).filter(said | Exists(lines))
