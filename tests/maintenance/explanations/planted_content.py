"""Planted causes of bots and posts."""

from django_celery_beat.models import PeriodicTask

from database import clock
from maintenance.explanations import explain_bot, explain_item
from maintenance.models import ScheduleControl
from maintenance.scheduling import edits
from scraping.models.erasures import Erasure
from tests.kit import factories
from tests.maintenance.explanations.planted import DAY, MINUTE, a_scheduler, default, planted

# --- Bots and posts ------------------------------------------------------------------------------


@planted("stopped_by_reddit", "times in a row")
def reddit_stopped_the_bot():
    a_scheduler()
    bot = factories.bot_config(
        app=factories.reddit_app(), is_active=False, refusal_kind="private", refusals=3, paused_at=clock.now()
    )
    return explain_bot(bot)


@planted("on_demand", "on demand")
def automatic_scraping_is_off():
    a_scheduler()
    return explain_bot(factories.bot_config(app=factories.reddit_app(), auto_scrape=False))


@planted("schedule_paused", "restore test")
def the_schedule_of_all_bots_is_paused():
    a_scheduler()
    edits.pause(default("auto_scraping"), by=factories.superuser(username="ada"), reason="restore test")
    return explain_bot(factories.bot_config(app=factories.reddit_app()))


@planted("schedule_ended", "ended")
def the_schedule_of_all_bots_has_ended():
    a_scheduler()
    task = default("auto_scraping")
    ScheduleControl.objects.filter(schedule=task).update(last_slot_at=clock.now())
    PeriodicTask.objects.filter(pk=task.pk).update(expires=clock.now() - DAY)
    return explain_bot(factories.bot_config(app=factories.reddit_app()))


@planted("schedule_no_scheduler", "No scheduler")
def nobody_ticks_the_schedule_of_bots():
    bot = factories.bot_config(app=factories.reddit_app())
    factories.session(config=bot)
    return explain_bot(bot)


@planted("works", "It works")
def a_schedule_of_its_own_scrapes_the_bot():
    a_scheduler()
    bot = factories.bot_config(app=factories.reddit_app(), auto_scrape=False)
    factories.schedule(task="maintenance.scrape_now", kwargs=f'{{"config": {bot.pk}}}')
    factories.session(config=bot)
    return explain_bot(bot)


@planted("rate_limited", "too many requests")
def reddit_refuses_more_requests():
    a_scheduler()
    app = factories.reddit_app()
    now = clock.now()
    factories.request_budget(
        client_id=app.client_id, ends_at=now + 5 * MINUTE, blocked_until=now + 3 * MINUTE
    )
    return explain_bot(factories.bot_config(app=app))


@planted("silent", "r/Foo")
def a_subreddit_fell_silent():
    a_scheduler()
    bot = factories.bot_config(app=factories.reddit_app(), subreddits=["Foo"])
    factories.freshness(config=bot, subreddit="foo", silent_since=clock.now() - DAY, why="private")
    return explain_bot(bot)


@planted("erased", "run #")
def a_purge_deleted_the_post():
    run = factories.job_run(status="succeeded", finished_at=clock.now(), started_at=clock.now())
    Erasure.objects.create(kind=3, number=int("abc12", 36), run_id=run.pk, rule="retention", days=90)
    return explain_item("https://www.reddit.com/r/foo/comments/abc12/a_title/")


@planted("blanked", "removed by a moderator")
def a_moderator_removed_the_post():
    post = factories.post(state="moderator", checked_at=clock.now())
    return explain_item(post.fullname)


@planted("not_scraped", "r/foo")
def no_bot_reads_the_subreddit():
    factories.bot_config(subreddits=["bar"])
    return explain_item("https://www.reddit.com/r/foo/comments/abc12/a_title/")


@planted("left_out", "r/foo")
def a_filter_left_the_post_out():
    factories.bot_config(subreddits=["Foo"])
    return explain_item("https://www.reddit.com/r/foo/comments/abc12/a_title/")


@planted("hold_ended", "ended at")
def the_hold_of_a_post_has_ended():
    now = clock.now()
    post = factories.post(
        held_at=now - DAY, held_until=now - MINUTE, hold_reason="court order", checked_at=now
    )
    return [cause for cause in explain_item(post.fullname) if cause.code != "stored"]


@planted("held", "until")
def a_post_is_held_until_a_day():
    now = clock.now()
    post = factories.post(held_at=now, held_until=now + DAY, hold_reason="court order", checked_at=now)
    return [cause for cause in explain_item(post.fullname) if cause.code != "stored"]
