"""Why a bot brings posts, or none."""

from collections.abc import Iterator

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django_celery_beat.models import PeriodicTask

from adminkit.templatetags.display import duration, moment, number
from database import clock
from maintenance.explanations.cause import Cause, last_event, who
from maintenance.explanations.held import explain_period
from maintenance.explanations.schedules import why_not
from maintenance.models import Person
from maintenance.registry import Job, jobs
from maintenance.scheduling import schedules
from maintenance.scheduling.bot_schedules import naming
from maintenance.scheduling.maintenance_mode import Modes
from maintenance.scheduling.reading import read_all
from scraping.models import BotConfig, RequestBudget, ScrapeSession
from scraping.models.causes import ErrorKind
from scraping.models.freshness import QUIET
from scraping.reddit.budget import states_of

SUBREDDITS_SHOWN = 3
SCHEDULES_READ = 10
# What keeps all schedules from firing alike.
OF_ALL = ("no_scheduler", "lease_lost")


def explain_bot(bot: BotConfig, *, seen_by: Person | None = None) -> list[Cause]:
    """Return why the bot brings no posts, or that it does; the main cause first.

    Args:
        bot: the bot.
        seen_by: who asks, None for a shell. Who may not see schedules is not told who paused which one, and why.
    """
    modes = Modes()
    latest = bot.sessions.order_by("-pk").first()
    causes = [
        *_switched_off(bot),
        *_held(modes),
        *_schedule(bot, modes, seen_by),
        *_budget(bot),
        *_latest_session(latest),
    ]
    causes += _silent(bot)
    if causes:
        return causes
    if latest is None:
        return [Cause("never", _("It has never scraped."), _("Scrape now, or wait for its schedule."))]
    text = _("It works: the session of %(time)s found %(found)s posts, %(posts)s of them new.")
    told = {
        "time": moment(latest.finished_at),
        "found": number(latest.posts_found),
        "posts": number(latest.posts_new),
    }
    return [Cause("works", text % told, about=latest)]


def _switched_off(bot: BotConfig) -> Iterator[Cause]:
    if bot.paused_at is not None:
        text = _("Reddit refused it %(number)s times in a row, so it was stopped at %(time)s: %(reason)s.")
        told = {"number": bot.refusals, "time": moment(bot.paused_at), "reason": bot.pause_reason}
        yield Cause("stopped_by_reddit", text % told, bot.pause_remedy, bot)
    elif not bot.is_active:
        event = last_event(bot, "row.changed", "row.added")
        text = _("It is not active (last changed by %(name)s, %(time)s).")
        told = {"name": who(event), "time": moment(event.at if event else bot.updated_at)}
        yield Cause("inactive", text % told, _("Activate it on its page."), bot)
    if bot.app_id is None and not settings.REDDIT_CLIENT_ID:
        yield Cause("not_configured", _("It has no Reddit app."), ErrorKind.NOT_CONFIGURED.remedy, bot)


def _held(modes: Modes) -> Iterator[Cause]:
    for period in modes.in_force(clock.now()):
        yield explain_period(period, _("It is not scraped by schedule: %(pause)s."))


def _schedule(bot: BotConfig, modes: Modes, seen_by: Person | None) -> Iterator[Cause]:
    """Yield what keeps the schedules that would scrape it from firing; none, if one of them fires."""
    if not bot.is_active:
        return
    held = {cause.code for cause in _held(modes)}
    first: tuple[PeriodicTask, Cause] | None = None
    for task in _schedules_of(bot):
        reading = read_all([task], modes=modes)[0]
        cause = next((one for one in why_not(task, reading, modes) if one.code not in held), None)
        if cause is None:
            return
        first = first or (task, cause)
        if cause.code in OF_ALL:
            break
    if first is None:
        yield _without_schedule(bot)
        return
    task, cause = first
    if seen_by is not None and not seen_by.has_perm("django_celery_beat.view_periodictask"):
        yield Cause(f"schedule_{cause.code}", _("The schedule that would scrape it does not fire."))
        return
    text = _("Schedule %(name)s: %(cause)s") % {"name": schedules.title(task), "cause": cause.text}
    yield Cause(f"schedule_{cause.code}", text, cause.remedy, task)


def _schedules_of(bot: BotConfig) -> Iterator[PeriodicTask]:
    """Yield the schedules that scrape this bot: those of all automatic ones, then its own."""
    if bot.auto_scrape:
        tasks = [job.task_name for job in _scraping_jobs()]
        of_all = PeriodicTask.objects.filter(task__in=tasks).select_related(*schedules.RELATED).order_by("pk")
        yield from of_all[:SCHEDULES_READ]
    yield from naming([bot])[:SCHEDULES_READ]


def _without_schedule(bot: BotConfig) -> Cause:
    if bot.auto_scrape:
        return Cause("no_schedule", _("No schedule scrapes bots by itself."), _("Add one."))
    text = _("It is scraped on demand only: automatic scraping is off.")
    return Cause("on_demand", text, _("Switch automatic scraping on, or scrape now."), bot)


def _scraping_jobs() -> list[Job]:
    """Return the scheduled jobs without parameters in the group of jobs that scrape."""
    return [job for job in jobs() if job.group and job.crontab is not None]


def _budget(bot: BotConfig) -> Iterator[Cause]:
    client = bot.app.client_id if bot.app else settings.REDDIT_CLIENT_ID
    state = states_of(RequestBudget.objects.filter(client_id=client)).get(client) if client else None
    if state is None:
        return
    if blocked := state.time_blocked:
        text = _("Reddit takes no requests of its app for another %(time)s (too many requests).")
        yield Cause("rate_limited", text % {"time": duration(blocked)}, _("It goes on by itself."))
    elif state.free(for_compliance=False) <= 0:
        text = _(
            "The request allowance of its app is used up: %(used)s of %(of)s; the next one begins in %(time)s."
        )
        told = {
            "used": number(state.taken),
            "of": number(state.window_requests),
            "time": duration(state.time_left),
        }
        yield Cause("budget", text % told, _("It goes on by itself; fewer comments per post cost less."))


def _latest_session(latest: ScrapeSession | None) -> Iterator[Cause]:
    if latest is None or latest.status == ScrapeSession.Status.SUCCEEDED:
        return
    if latest.status == ScrapeSession.Status.RUNNING:
        text = _("It is being scraped, since %(time)s.") % {"time": moment(latest.started_at)}
        yield Cause("running", text, about=latest)
        return
    kind = ErrorKind(latest.error_kind) if latest.error_kind in ErrorKind.values else ErrorKind.NONE
    text = _("Its latest session, of %(time)s: %(status)s (%(kind)s). %(error)s")
    if kind == ErrorKind.NONE:
        text = _("Its latest session, of %(time)s: %(status)s. %(error)s")
    told = {
        "time": moment(latest.started_at),
        "status": latest.get_status_display(),
        "kind": kind.label,
        "error": latest.error,
    }
    yield Cause(kind.value or "session", (text % told).strip(), kind.remedy, latest)


def _silent(bot: BotConfig) -> Iterator[Cause]:
    rows = bot.freshness.defer("rates", "yields")
    unusual = sorted(rows.unusual(), key=lambda row: row.counted_from or clock.now())
    silent = sorted(rows.silent(), key=lambda row: row.silent_since or clock.now()) + unusual
    for row in silent[:SUBREDDITS_SHOWN]:
        kind = ErrorKind(row.why) if row.why in ErrorKind.values else ErrorKind.NONE
        told = {"name": row.name, "time": moment(row.unusual_from), "why": row.why_text}
        if row.silent_since is None:
            text = _("r/%(name)s brings %(verdict)s: %(why)s.")
            told["verdict"] = row.get_verdict_display()
            yield Cause(row.verdict, text % told, row.error)
            continue
        text = _("r/%(name)s is silent since %(time)s: %(why)s.")
        yield Cause("silent", text % told, kind.remedy or (row.error if row.why == QUIET else ""))
    more = len(silent) - SUBREDDITS_SHOWN
    if more > 0:
        text = ngettext(
            "%(number)s more subreddit is silent or unusual.",
            "%(number)s more subreddits are silent or unusual.",
            more,
        )
        yield Cause("silent_more", text % {"number": number(more)})
