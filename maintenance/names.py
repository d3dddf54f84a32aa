"""Names of jobs, schedules and runs as people read them."""

from collections.abc import Iterable

from maintenance.models import JobRun, Person
from maintenance.registry import job_title, jobs
from scraping.models import BotConfig


def name_in_words(stored: str) -> str:
    """Return the stored name of a job, schedule or run ("purge_old_content #7") in the reader's language.

    A name that a person gave stays.
    """
    name, mark, number = stored.partition(" #")
    titles = {job.english_title: job.title for job in jobs()}
    return f"{titles.get(name) or job_title(name)}{mark}{number}"


def name_bots(runs: Iterable[JobRun], user: Person) -> None:
    """Note on each run the bot that its parameters name (``JobRun.bot``), if the user may see it; one query or none."""
    wanted = [(run, run.params.get("config")) for run in runs if type(run.params.get("config")) is int]
    if not wanted:
        return
    bots = BotConfig.objects.named_to(user).only("pk", "name").in_bulk({key for _run, key in wanted})
    for run, key in wanted:
        run.bot = bots.get(key)
