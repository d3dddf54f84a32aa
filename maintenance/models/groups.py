"""Groups of jobs that can be paused together. ``maintenance/job_groups.py`` is the list of them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class JobGroup:
    """A group of jobs, and what the console says of its pause; the texts are lazy translations."""

    slug: str
    # In a sentence, such as "scraping".
    title: Any
    # The heading of the page, and its button.
    pause: Any
    resume: Any
    meaning: Any
    # What every page says during the pause.
    banner: Any
    is_on: Any
    is_off: Any


_groups: dict[str, JobGroup] = {}
_slugs: dict[str, list[str]] = {}


def declare_group(group: JobGroup) -> JobGroup:
    """Add a group to the list; return it.

    Raises:
        ValueError: another group has this slug.
    """
    if group.slug in _groups:
        raise ValueError(f"Two groups of jobs are named {group.slug}.")
    _groups[group.slug] = group
    return group


def groups() -> list[JobGroup]:
    """Return all groups, in the order of their list."""
    return list(_groups.values())


def group_title(slug: str) -> str:
    """Return the group's title in the reader's language; the slug of one that is no longer declared."""
    return str(_groups[slug].title) if slug in _groups else slug


def get_group(slug: str) -> JobGroup | None:
    """Return the group of this slug; None if there is none."""
    return _groups.get(slug)


def group_runs(slug: str, scope: str) -> None:
    """Let a pause of this group stop the runs of this job.

    Raises:
        ValueError: there is no such group.
    """
    if scope not in _groups:
        raise ValueError(f"{slug}: there is no group {scope!r}; add it to maintenance/job_groups.py.")
    _slugs.setdefault(scope, []).append(slug)


def jobs_by_group() -> dict[str, list[str]]:
    """Return the slugs of the jobs of each group that has any."""
    return _slugs
