"""The declaration of jobs, and the only list of them."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.db.models import Model, Q
from django.utils.translation import gettext_lazy as _

from database.messages import gettext, joined
from maintenance.context import JobContext
from maintenance.models import Person as Person
from maintenance.models import group_runs, show_runs
from maintenance.models.schedules import TIME_LIMIT_SECONDS_MAX
from maintenance.purging.cap import Caps
from maintenance.purging.days import Retention, stored_retention
from maintenance.purging.interface import DeletionRules

TASK_PREFIX = "maintenance."
TIME_LIMIT = timedelta(hours=1)
TIME_LIMIT_MAX = timedelta(seconds=TIME_LIMIT_SECONDS_MAX)
DAYS_MAX = 36_500

Cleaner = Callable[[Any], Any]
Authorizer = Callable[[Person, Mapping[str, Any]], bool]
# The same for many at once, such as the rows of a list: one result for each.
ManyAuthorizer = Callable[[Person, Sequence[Mapping[str, Any]]], list[bool]]


class UnknownJob(KeyError):
    """No job has this slug."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug

    def __str__(self) -> str:
        return f"There is no job {self.slug!r}; the jobs are {', '.join(_registry)}."


class InvalidParams(ValidationError):
    """A parameter that the job does not accept, or an unusable value; ``message_dict`` names it."""

    @property
    def text(self) -> str:
        """All errors as one text that names the parameters."""
        return joined(
            message if name == NON_FIELD_ERRORS else joined([f"{name}:", message])
            for name, messages in self.message_dict.items()
            for message in messages
        )


class JobsPaused(InvalidParams):
    """The job's group is paused: none of its runs starts, not even manual ones."""


def read_params(text: str | None) -> dict[str, Any]:
    """Return the parameters in a schedule's text; an empty text has none.

    Raises:
        InvalidParams: it is not a JSON object, or contains characters that no database can store in a text.
    """
    try:
        params = json.loads(text or "{}")
        told = json.dumps(params, ensure_ascii=False)
        told.encode()  # half a surrogate pair is no character
    except (ValueError, RecursionError):
        raise InvalidParams(
            {NON_FIELD_ERRORS: _("The parameters are not JSON: write a JSON object.")}
        ) from None
    if not isinstance(params, dict):
        raise InvalidParams({NON_FIELD_ERRORS: _("The parameters are not a JSON object.")})
    if "\\u0000" in told:
        raise InvalidParams({NON_FIELD_ERRORS: _("The parameters hold a NUL character.")})
    return params


def clean_days(value: Any) -> int:
    """Return a retention as a whole number of days, 1 to 36,500."""
    try:
        days = int(str(value))
    except ValueError:
        days = 0
    if not 1 <= days <= DAYS_MAX:
        raise ValidationError(_("Days must be a whole number from 1 to 36,500."))
    return days


def clean_days_from(floor: int) -> Cleaner:
    """Return the check of a retention; the database keeps rows for at least ``floor`` days."""

    def clean(value: Any) -> int:
        days = clean_days(value)
        if days < floor:
            text = _("At least %(floor)s days: the database keeps these rows that long.")
            raise ValidationError(text % {"floor": floor})
        return days

    return clean


def may_keep(user: Person, days: int) -> bool:
    """Whether the user may set a retention of this few days."""
    return days >= settings.RETENTION_FLOOR_DAYS or (
        user.is_active and user.has_perm("maintenance.approve_run")
    )


def may_run_jobs(user: Person, params: Mapping[str, Any]) -> bool:
    """Whether the user has the model permission to run jobs, and may set a retention as low as that in ``params``."""
    may_run = user.is_active and user.has_perm("maintenance.run_job")
    return may_run and ("days" not in params or may_keep(user, params["days"]))


@dataclass(frozen=True)
class Job:
    """A declared job; everything else (task, schedule, command, button, endpoint) is derived from it."""

    slug: str
    function: Callable[[JobContext], None]
    # Celery's crontab as "minute hour day-of-month month day-of-week"; None: only on demand.
    crontab: str | None = None
    # The default retention in days; None: the job has no retention.
    retention_days: int | None = None
    # The fewest days that anybody may set or request.
    floor_days: int = 1
    # Whether operators may set overrides for subreddits and bots; the job then uses ``ctx.overrides``.
    has_overrides: bool = False
    # Whether operators may keep threads while they are alive; the job then uses ``ctx.keeps_live_threads``.
    has_live_threads: bool = False
    params: Mapping[str, Cleaner] = field(default_factory=dict)
    authorize: Authorizer = may_run_jobs
    authorize_many: ManyAuthorizer | None = None
    # Whether a purge waits for a person if it would delete a large share of the table, or far more rows than usual.
    # False if the rows are worthless by definition.
    has_relative_caps: bool = True
    # The cap by share applies from this many rows on; None: from PURGE_CAP_MIN_ROWS on.
    share_cap_min_rows: int | None = None
    # The parameter that allows parallel runs: one running run for each of its values.
    concurrent_by: str | None = None
    # Which of its runs a person may see without the permission to see all; None: none of them.
    shown_to: Callable[[Person], Q] | None = None
    # Parameters that are keys of rows, which may be deleted while a schedule still names them.
    refers_to: Mapping[str, type[Model]] = field(default_factory=dict)
    # How long one attempt may take. A job that reaches checkpoints continues in another attempt before that; a job that
    # reaches none is killed.
    time_limit: timedelta = TIME_LIMIT
    # The delays before retries after an end as FAILED or PARTIAL with a transient cause.
    retries: tuple[timedelta, ...] = ()
    # Whether the job stores its position elsewhere than in the run's cursor: what it reports as done stays done.
    keeps_its_place: bool = False
    # Whether ``manage.py up`` requests it when it is started for the first time, with the sandbox for Reddit.
    runs_at_first_start: bool = False
    # The scope of the switch that pauses it together with others; "": only maintenance mode stops it.
    group: str = ""

    def __post_init__(self) -> None:
        if not timedelta() < self.time_limit <= TIME_LIMIT_MAX:
            limit = TIME_LIMIT_MAX.total_seconds()
            raise ValueError(
                f"time_limit must be more than 0 and at most {limit:,.0f} s, not {self.time_limit}."
            )
        if self.crontab is not None and self.concurrent_by is not None:
            raise ValueError(
                f"{self.slug} requires {self.concurrent_by}, which its default schedule would not give:"
                " leave out the crontab, or make the parameter optional."
            )

    @property
    def task_name(self) -> str:
        """The Celery task: ``maintenance.<slug>``."""
        return TASK_PREFIX + self.slug

    @property
    def queue(self) -> str:
        """The queue of its messages: that of its kind of work."""
        return self.group if self.group in settings.JOB_QUEUES else str(settings.JOB_QUEUES[0])

    @property
    def english_title(self) -> str:
        """The slug as words; the message id of the translated title."""
        return self.slug.replace("_", " ").capitalize()

    @property
    def english_summary(self) -> str:
        """The first line of the docstring; the message id of the translated summary."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @property
    def title(self) -> str:
        """The job's name in the reader's language."""
        return gettext(self.english_title)

    @property
    def summary(self) -> str:
        """What the job does, in the reader's language."""
        return gettext(self.english_summary)

    def clean(
        self, params: Mapping[str, Any] | None, *, known: Mapping[str, Collection[Any]] | None = None
    ) -> dict[str, Any]:
        """Return checked, JSON-ready parameters; ``known``: values that were checked before, by parameter.

        Raises:
            InvalidParams: with the parameter's name and its allowed values.
        """
        cleaned: dict[str, Any] = {}
        errors: dict[str, Any] = {}
        for name, value in (params or {}).items():
            if name not in self.params:
                errors[name] = _("%(job)s takes no parameter %(name)s.") % {"job": self.slug, "name": name}
                continue
            if known and type(value) is int and value in known.get(name, ()):
                cleaned[name] = value
                continue
            try:
                cleaned[name] = self.params[name](value)
            except ValidationError as error:
                errors[name] = error
            except (ValueError, TypeError, OverflowError):  # 5,000 digits, half a surrogate pair
                errors[name] = _("This value cannot be used.")
        for name in self.params:
            if name not in (params or {}) and name == self.concurrent_by:
                errors[name] = _("This parameter is required.")
        if errors:
            raise InvalidParams(errors)
        return cleaned

    def clean_stored(
        self, text: str | None, *, known: Mapping[str, Collection[Any]] | None = None
    ) -> dict[str, Any]:
        """Return the checked parameters of a schedule, whatever is stored there.

        Raises:
            InvalidParams: it is not a JSON object, or names rows that no longer exist. Its messages can be stored.
        """
        return self.clean(read_params(text), known=known)

    def retention(self, params: Mapping[str, Any] | None = None) -> Retention | None:
        """Return the current retention of a run with these parameters; None: the job has no retention.

        Overrides also apply with the parameter ``days``: a request for one run with fewer days does not remove them.
        """
        if self.retention_days is None:
            return None
        stored = stored_retention(
            self.slug,
            default=self.retention_days,
            has_overrides=self.has_overrides,
            has_live_threads=self.has_live_threads,
        )
        return replace(stored, days=(params or {}).get("days", stored.days))

    def rules(self, params: Mapping[str, Any]) -> DeletionRules:
        """Return the rules under which a run with these parameters deletes."""
        caps = Caps.in_force(has_relative=self.has_relative_caps, share_min_rows=self.share_cap_min_rows)
        return DeletionRules(
            job=self.slug,
            function=self.function,
            read_retention=lambda: self.retention(params),
            caps=caps,
        )

    def concurrency_key(self, params: Mapping[str, Any]) -> str:
        """Return the key that two running runs must not share."""
        return f"{self.slug}:{params[self.concurrent_by]}" if self.concurrent_by else self.slug

    def may_run(self, user: Person, params: Mapping[str, Any] | None = None) -> bool:
        """Whether the user may request this job with these (cleaned) parameters."""
        return self.authorize(user, params or {})

    def may_run_each(self, user: Person, many: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Whether the user may request this job, for each of these sets of (cleaned) parameters."""
        if self.authorize_many is not None:
            return self.authorize_many(user, many)
        return [self.authorize(user, params) for params in many]

    def require(self, user: Person, params: Mapping[str, Any]) -> None:
        """Raise PermissionDenied, with the missing permission, unless the user may request this."""
        if self.may_run(user, params):
            return
        if "days" in params and self.may_run(user, {**params, "days": settings.RETENTION_FLOOR_DAYS}):
            raise PermissionDenied(
                gettext("Runs that keep fewer than %(floor)s days need the permission to approve runs.")
                % {"floor": settings.RETENTION_FLOOR_DAYS}
            )
        raise PermissionDenied(self.refusal)

    @property
    def refusal(self) -> str:
        """The message for a person who may not run the job."""
        return gettext("You may not run %(job)s.") % {"job": self.title}


_registry: dict[str, Job] = {}


def job(
    *,
    crontab: str | None = None,
    retention_days: int | None = None,
    floor_days: int = 1,
    has_overrides: bool = False,
    has_live_threads: bool = False,
    params: Mapping[str, Cleaner] | None = None,
    authorize: Authorizer = may_run_jobs,
    authorize_many: ManyAuthorizer | None = None,
    concurrent_by: str | None = None,
    shown_to: Callable[[Person], Q] | None = None,
    refers_to: Mapping[str, type[Model]] | None = None,
    has_relative_caps: bool = True,
    share_cap_min_rows: int | None = None,
    time_limit: timedelta = TIME_LIMIT,
    retries: tuple[timedelta, ...] = (),
    keeps_its_place: bool = False,
    runs_at_first_start: bool = False,
    group: str = "",
) -> Callable[[Callable[[JobContext], None]], Callable[[JobContext], None]]:
    """Declare the decorated function as a job; its name is the slug, its docstring is the summary; see ``Job``.

    Raises:
        ValueError: another job has this slug, its default schedule could not give what it requires, or its time limit
            is too long.
    """
    days = {"days": clean_days_from(floor_days)} if retention_days is not None else {}
    of_function = partial(
        Job,
        crontab=crontab,
        retention_days=retention_days,
        floor_days=floor_days,
        has_overrides=has_overrides,
        has_live_threads=has_live_threads,
        params={**days, **(params or {})},
        authorize=authorize,
        authorize_many=authorize_many,
        concurrent_by=concurrent_by,
        shown_to=shown_to,
        refers_to=refers_to or {},
        has_relative_caps=has_relative_caps,
        share_cap_min_rows=share_cap_min_rows,
        time_limit=time_limit,
        retries=retries,
        keeps_its_place=keeps_its_place,
        runs_at_first_start=runs_at_first_start,
        group=group,
    )
    return partial(_declare, of_function)


def _declare(
    of_function: Callable[..., Job], function: Callable[[JobContext], None]
) -> Callable[[JobContext], None]:
    _add(of_function(slug=function.__name__, function=function))
    return function


def _add(job: Job) -> None:
    if job.slug in _registry:
        raise ValueError(f"Two jobs are named {job.slug}.")
    _registry[job.slug] = job
    if job.group:
        group_runs(job.slug, job.group)
    shown_to = job.shown_to
    if shown_to is not None:
        show_runs(lambda user: Q(job=job.slug) & shown_to(user))


def jobs() -> list[Job]:
    """Return every declared job, in the order of ``maintenance/jobs.py``."""
    return list(_registry.values())


def get_job(slug: str) -> Job:
    """Return the job of this slug, or raise UnknownJob."""
    try:
        return _registry[slug]
    except KeyError:
        raise UnknownJob(slug) from None


def job_title(slug: str) -> str:
    """Return a job's title; the slug of a job that is no longer declared."""
    return _registry[slug].title if slug in _registry else slug


def is_known(slug: str) -> bool:
    """Whether this process knows the job; a process of another release may know other jobs."""
    return slug in _registry


def job_of_task(task_name: str) -> Job | None:
    """Return the job of a Celery task name; None for a task that is no job of ours."""
    return _registry.get(task_name.removeprefix(TASK_PREFIX)) if task_name.startswith(TASK_PREFIX) else None
