"""Stored names of jobs, schedules and runs as people read them."""

from maintenance.registry import job_title, jobs


def name_in_words(stored: str) -> str:
    """Return the stored name of a job, schedule or run ("purge_old_content #7") in the reader's language.

    A name that a person gave stays.
    """
    name, mark, number = stored.partition(" #")
    titles = {job.english_title: job.title for job in jobs()}
    return f"{titles.get(name) or job_title(name)}{mark}{number}"
