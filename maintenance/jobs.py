"""THE list of jobs. Each job does one thing, and each of its runs is one row of history.

To add one: write its function here, its test, and its command file (four lines). Everything else follows.
"""

from collections.abc import Sequence
from datetime import timedelta

from django.contrib.sessions.models import Session
from django.db.models import Q

from accounts.models import ApiToken, IdempotencyKey, PasswordResetToken, PersonalToken, RefreshToken
from audit.models import Event
from audit.triggers import KEPT_DAYS
from database import clock
from database.grouping import grouped
from database.messages import gettext as _
from database.messages import joined, message_of
from database.slices import Each, bound, values_of_each
from maintenance import history, job_groups
from maintenance.bot_rights import clean_config, of_own_configs, owns_config, owns_configs
from maintenance.content_facts import facts_of_content, trace_of_content
from maintenance.context import JobContext
from maintenance.failed_parts import FAILED_IN, bots_wanted, clean_failed_in
from maintenance.models import HookCall, JobRun, RunsOfDay
from maintenance.models.deleted_schedules import forget_deleted_schedules
from maintenance.registry import get_job, job
from maintenance.stops import JobFailed
from maintenance.yields.comparing import compare_with_usual, last_start
from scraping.compliance.coverage import coverage
from scraping.compliance.sweep import refresh_stored_content as refresh
from scraping.content.expiry import Cutoffs
from scraping.models import BotConfig, RedditPost, ScrapeSession, is_old
from scraping.models.erasures import Erasure
from scraping.reddit.errors import OutOfBudget, RedditError
from scraping.sessions.parallel import scrape_configs
from scraping.sessions.part import clean_subreddits
from scraping.sessions.scrape import AlreadyScraping, ContinueLater, ScrapeRefused, scrape_config

# cleanup_run_history keeps at least this many runs of each job, however old.
RUNS_KEPT_PER_JOB = 100

# The cap by share applies from this many posts and comments on: of fewer, a large share is quickly reached.
CONTENT_CAP_MIN_ROWS = 100

# Retries after an error of Reddit or the network: well before the next slot of six-hourly scraping.
RETRIES = (timedelta(minutes=5), timedelta(minutes=30))

# Retries after locked rows: a forgotten database session is noticed within hours, and the next slot may be a week
# away.
RETRIES_OF_DELETION = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=3))

# Of 100 requests per minute, half of them, for half of the 20 minutes between two sweeps.
COMPLIANCE_REQUESTS = 500


@job(crontab="0 * * * *", has_relative_caps=False, retries=RETRIES_OF_DELETION[:3])
def cleanup_tokens(ctx: JobContext) -> None:
    """Delete expired or revoked API tokens, expired or used password-reset tokens, and old keys of requests."""
    ctx.delete(HookCall.objects.old(ctx.now), by="at")
    ctx.delete(IdempotencyKey.objects.expired(ctx.now), by="expires_at")
    ctx.delete(PersonalToken.objects.expired_or_revoked(ctx.now), by="expires_at")
    ctx.delete(ApiToken.objects.expired_or_revoked(ctx.now), by="expires_at")
    ctx.delete(RefreshToken.objects.expired_or_revoked(ctx.now), by="expires_at")
    ctx.delete(PasswordResetToken.objects.expired_or_used(ctx.now), by="expires_at")


@job(crontab="0 2 * * *", retention_days=30, retries=RETRIES_OF_DELETION)
def cleanup_sessions(ctx: JobContext) -> None:
    """Delete finished scrape sessions older than the retention; the content they found stays."""
    ctx.delete(ScrapeSession.objects.finished_before(ctx.cutoff), by="finished_at")


@job(
    crontab="30 2 * * 0",
    retention_days=90,
    has_overrides=True,
    has_live_threads=True,
    share_cap_min_rows=CONTENT_CAP_MIN_ROWS,
    retries=RETRIES_OF_DELETION,
)
def purge_old_content(ctx: JobContext) -> None:
    """Delete Reddit posts older than the retention, with their comments."""
    expired = is_old(
        ctx.cutoff,
        subreddits={row.subreddit: ctx.cutoff_of(row) for row in ctx.overrides if row.subreddit},
        configs={row.config_id: ctx.cutoff_of(row) for row in ctx.overrides if row.config_id},
        keeps_live_threads=ctx.keeps_live_threads,
    )
    ctx.delete(
        RedditPost.objects.filter(expired).not_held(ctx.now),
        by="created_at",
        held=RedditPost.objects.filter(expired).held(ctx.now),
        facts=facts_of_content(ctx, expired),
        trace=trace_of_content(ctx),
    )


def content_cutoffs() -> Cutoffs:
    """Return the cutoffs of a purge that began now: older posts are not stored."""
    retention = get_job("purge_old_content").retention()
    assert retention is not None
    now = clock.now()
    return Cutoffs(
        now - timedelta(days=retention.days),
        {row.subreddit: now - timedelta(days=row.days) for row in retention.overrides if row.subreddit},
        {row.config_id: now - timedelta(days=row.days) for row in retention.overrides if row.config_id},
        keeps_live_threads=retention.keeps_live_threads,
    )


@job(
    crontab="0 0,6,12,18 * * *",
    params={FAILED_IN: clean_failed_in},
    keeps_its_place=True,
    retries=RETRIES,
    runs_at_first_start=True,
    group=job_groups.SCRAPING.slug,
)
def auto_scraping(ctx: JobContext) -> None:
    """Scrape every active bot that has automatic scraping on."""
    configs, parts = bots_wanted(ctx.params)
    if not configs:
        ctx.message = _("No bot is active with automatic scraping on: nothing was scraped.")
        return
    if ctx.dry_run:
        _say_what_would_be_scraped(ctx, configs)
        return
    finished: list[int] = list(ctx.cursor.get("finished", []))
    failures = int(ctx.cursor.get("failures", 0))
    refused: list[int] = list(ctx.cursor.get("refused", []))
    # Bots with a transient failure are not finished: another attempt scrapes them again.
    failed_for_now = 0
    postponed: list[ContinueLater] = []
    ctx.checkpoint()
    for config, outcome in scrape_configs(
        [config for config in configs if config.pk not in finished],
        run_id=ctx.run_id,
        kind=ScrapeSession.Kind.AUTO,
        progress_of=lambda config: ctx.within(len(finished), len(configs), config.name),
        cutoffs=content_cutoffs,
        parts=parts,
    ):
        match outcome:
            case ContinueLater():
                _tally(ctx, outcome.session)
                postponed.append(outcome)
                continue
            case ScrapeRefused():
                ctx.log(joined([f"{config.name}:", str(outcome)]), "warning")
                failures += 1
                refused.append(config.pk)
            case _:
                succeeded = _tally(ctx, outcome)
                if not succeeded and outcome.has_transient_error:
                    failed_for_now += 1
                    continue
                failures += not succeeded
        finished.append(config.pk)
        ctx.save_cursor(finished=finished, failures=failures, refused=refused)
        ctx.report(len(finished), len(configs), config.name)
    if postponed:
        _wait_for(ctx, postponed, done=len(finished) - failures, number=len(configs))
    ctx.report(len(configs), len(configs), "")
    _sum_up(ctx, len(configs), failures + failed_for_now, is_transient=failed_for_now > 0)


def _wait_for(ctx: JobContext, postponed: Sequence[ContinueLater], *, done: int, number: int) -> None:
    text = _("%(done)s of %(all)s bots scraped; the others go on when their Reddit app has requests again.")
    until = min(outcome.until for outcome in postponed)
    ctx.hand_back(until=until, message=text % {"done": done, "all": number})


def _say_what_would_be_scraped(ctx: JobContext, configs: Sequence[BotConfig]) -> None:
    for config in configs:
        names = f"r/{', r/'.join(config.subreddits)}"
        ctx.log(_("%(bot)s would be scraped: %(subreddits)s") % {"bot": config.name, "subreddits": names})
    ctx.message = _("%(all)s bots would be scraped") % {"all": len(configs)}


def _sum_up(ctx: JobContext, number: int, failures: int, *, is_transient: bool) -> None:
    """End as succeeded, partial or failed, by the number of failures."""
    summary = _("%(done)s of %(all)s bots scraped") % {"done": number - failures, "all": number}
    if failures == number:
        raise JobFailed(summary, is_transient=is_transient)
    if failures:
        ctx.partial(summary, is_transient=is_transient)
    else:
        ctx.message = summary


@job(crontab="15 3 * * *", retention_days=180, retries=RETRIES_OF_DELETION)
def cleanup_run_history(ctx: JobContext) -> None:
    """Delete finished job runs and their log lines older than the retention, but never a job's newest 100.

    With them go the lines that say which item was deleted or blanked by which run, and closed alerts, as old.
    """
    slugs = list(JobRun.objects.order_by().values_list("job", flat=True).distinct())
    of_job = JobRun.objects.filter(job=Each("job")).order_by("-pk").values_list("job", "pk")
    oldest_kept = of_job[RUNS_KEPT_PER_JOB - 1 : RUNS_KEPT_PER_JOB]
    found = dict(values_of_each([bound(oldest_kept, job=slug) for slug in slugs]))
    newest = Q()
    for slug in slugs:
        newest |= Q(job=slug, pk__gte=found.get(slug, 0))
    ctx.delete(JobRun.objects.finished_before(ctx.cutoff).exclude(newest), by="finished_at")
    # All trace lines of one purge become old in the same night, which is no error.
    ctx.delete(Erasure.objects.made_before(ctx.cutoff), by="at", has_relative_caps=False, is_indexed=False)
    for older_than, by in history.registered():
        ctx.delete(older_than(ctx.cutoff), by=by, has_relative_caps=False, is_indexed=False)
    if not ctx.dry_run:
        forget_deleted_schedules(between=ctx.checkpoint)
        RunsOfDay.objects.filter(day__lt=ctx.cutoff.date()).delete()


@job(
    crontab="5 4 * * *",
    retention_days=730,
    floor_days=KEPT_DAYS,
    has_relative_caps=False,
    retries=RETRIES_OF_DELETION,
)
def cleanup_events(ctx: JobContext) -> None:
    """Delete events older than the retention, which is 180 days at least.

    The database refuses to delete younger ones, whoever asks (``audit.triggers``).
    """
    ctx.delete(Event.objects.made_before(ctx.cutoff), by="at")


@job(crontab="45 3 * * *", has_relative_caps=False, retries=RETRIES_OF_DELETION)
def cleanup_login_sessions(ctx: JobContext) -> None:
    """Delete expired login sessions."""
    ctx.delete(Session.objects.filter(expire_date__lt=ctx.now), by="expire_date")


@job(crontab="*/20 * * * *", keeps_its_place=True, retries=RETRIES)
def refresh_stored_content(ctx: JobContext) -> None:
    """Check stored posts and comments with Reddit and blank what was deleted there."""
    if ctx.dry_run:
        ctx.message = _("A dry run asks Reddit nothing.")
        return
    try:
        # Counted in the run itself, because an attempt that ends early has done some work too.
        done = refresh(ctx, max_requests=COMPLIANCE_REQUESTS, counts=ctx.counts, run_id=ctx.run_id)
    except OutOfBudget as shortage:
        ctx.hand_back(until=shortage.until, message=str(shortage))
    except RedditError as error:
        raise JobFailed(str(error), is_transient=error.kind.is_transient) from error
    for name in done.counts:
        ctx.count(name, 0)  # "0 removed" is a result too
    for problem in done.problems:
        ctx.log(problem, "warning")
    if done.problems:
        ctx.partial(joined(done.problems))
    verified = coverage()
    if verified.is_below_target:
        text = _(
            "%(percent).1f %% of the stored items were verified in the last %(hours)d h, the target is %(target)g %%:"
            " run this job more often, or store less."
        ) % {"percent": verified.shown_percent, "hours": verified.hours, "target": verified.target_percent}
        ctx.log(text, "warning")
        ctx.partial(text)


@job(crontab="50 * * * *")
def learn_usual_rows(ctx: JobContext) -> None:
    """Learn how many rows each schedule's runs usually delete or store, and note which are far from that."""
    if not ctx.dry_run:
        ctx.message = compare_with_usual(ctx, now=ctx.now, since=last_start("learn_usual_rows"))


@job(
    params={"config": clean_config, "subreddits": clean_subreddits},
    concurrent_by="config",
    refers_to={"config": BotConfig},
    authorize=owns_config,
    authorize_many=owns_configs,
    shown_to=of_own_configs,
    keeps_its_place=True,
    retries=RETRIES,
    group=job_groups.SCRAPING.slug,
)
def scrape_now(ctx: JobContext) -> None:
    """Scrape one bot now."""
    config = BotConfig.objects.select_related("app").get(pk=ctx.params["config"])
    only: list[str] = ctx.params.get("subreddits", [])
    if ctx.dry_run:
        ctx.message = _("%(bot)s would be scraped.") % {"bot": config.name}
        return
    try:
        session = scrape_config(
            config,
            run_id=ctx.run_id,
            kind=ScrapeSession.Kind.MANUAL,
            progress=ctx,
            cutoffs=content_cutoffs,
            only=only,
        )
    except AlreadyScraping as refusal:
        ctx.skip(str(refusal))
    except ScrapeRefused as refusal:
        raise JobFailed(str(refusal)) from None
    except ContinueLater as later:
        _tally(ctx, later.session)
        ctx.hand_back(until=later.until, message=str(later))
    else:
        if not _tally(ctx, session):
            if session.status == ScrapeSession.Status.FAILED:
                raise JobFailed(session.error, is_transient=session.has_transient_error)
            ctx.partial(session.error, is_transient=session.has_transient_error)


def _tally(ctx: JobContext, session: ScrapeSession) -> bool:
    """Add a session's totals to the run's counts; return whether it succeeded completely."""
    for name in (
        "posts_found",
        "posts_new",
        "comments_found",
        "comments_new",
        "items_skipped",
        "requests_used",
    ):
        ctx.count(name, getattr(session, name))
    succeeded = session.status == ScrapeSession.Status.SUCCEEDED
    text = _(
        "%(bot)s: %(status)s, %(posts)s posts (%(posts_new)s new), %(comments)s comments (%(comments_new)s new)"
    ) % {
        "bot": session.config_name,
        "status": message_of(ScrapeSession.Status(session.status).label),
        "posts": grouped(session.posts_found),
        "posts_new": grouped(session.posts_new),
        "comments": grouped(session.comments_found),
        "comments_new": grouped(session.comments_new),
    }
    ctx.log(
        joined([text, session.error], by="; ") if session.error else text, "info" if succeeded else "warning"
    )
    return succeeded
