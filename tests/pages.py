"""One address of every kind of page of the console, with rows to show."""

from django.contrib import admin
from django.urls import reverse

from audit.admin_edits import activity_url
from maintenance import retention
from maintenance.models import RetentionPolicy
from maintenance.scheduling import edits, schedules, seeding
from scraping.content import holds
from scraping.models import RedditPost
from tests import spoilt
from tests.kit import factories


def lists_and_forms():
    """Return the addresses of every list, and of the forms for a new row."""
    lists = [
        reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
        for model in admin.site._registry
    ]
    forms = [
        reverse(f"admin:{name}_add")
        for name in (
            "django_celery_beat_periodictask",
            "scraping_botconfig",
            "scraping_redditapp",
            "auth_user",
            "auth_group",
        )
    ]
    return [*lists, *forms]


def changed_retention(superuser):
    """Return a retention with an override and a history."""
    policy = factories.retention_policy(job="purge_old_content", days=9)
    factories.retention_override(policy=policy, subreddit="python", days=30)
    kept = retention.Retention(10, retention.retention_of(policy).overrides)
    retention.change(policy, kept, by=superuser)
    return policy


def runs_of_other_ends():
    """Make the runs that only lists show."""
    factories.job_run(job="purge_old_content", status="failed", error="no")
    factories.job_run(status="missed", trigger="schedule", counts={"slots_missed": 60})


def pages_of_their_own(task, config):
    """Return the addresses that no list or form of a model stands for."""
    return [
        reverse("admin:index"),
        reverse("admin:app_list", args=["scraping"]),
        reverse("admin:password_change"),
        reverse("admin:search"),
        reverse("admin:search") + "?q=python",
        reverse("admin:search") + "?q=t3_gone",
        reverse("admin:maintenance_job_run", args=["purge_old_content"]),
        reverse("admin:maintenance_job_run", args=["cleanup_tokens"]),
        reverse("admin:maintenance_job_run", args=["scrape_now"]) + f"?config={config.pk}",
        reverse("admin:maintenance_schedule_pause", args=[task.pk]),
        reverse("admin:maintenance_mode"),
        reverse("admin:django_celery_beat_periodictask_delete", args=[task.pk]),
        reverse("admin:scraping_botconfig_delete", args=[config.pk]),
    ]


def every_page(superuser):
    """Return the addresses, as the superuser sees them; makes the rows they need."""
    seeding.seed()
    task = schedules.for_job("purge_old_content")
    edits.pause(schedules.for_job("cleanup_tokens"), by=superuser, reason="audit")
    config = factories.bot_config(owner=superuser)
    run = factories.job_run(status="running", progress_done=1, progress_total=2)
    factories.log_line(run=run)
    failed = factories.job_run(status="failed", error="no", traceback="Traceback")
    blocked = factories.job_run(status="blocked")
    runs_of_other_ends()
    schedules.for_job("cleanup_login_sessions").delete()
    broken = spoilt.TIMES["unknown zone"]()
    factories.schedule(task="maintenance.scrape_now", kwargs=f'{{"config": {config.pk}}}')
    session = factories.session(
        config=config, run=run, has_gap=True, error="no", totals={"python": {"posts_found": 1}}
    )
    held = factories.post()
    comment = factories.comment(post=held)
    holds.hold_posts(RedditPost.objects.filter(pk=held.pk), by=superuser, reason="court order")
    policy = changed_retention(superuser)
    addresses = pages_of_their_own(task, config)
    changed = [
        ("django_celery_beat_periodictask", task),
        ("django_celery_beat_periodictask", broken),
        ("maintenance_jobrun", run),
        ("maintenance_jobrun", failed),
        ("maintenance_jobrun", blocked),
        ("maintenance_retentionpolicy", policy),
        ("maintenance_retentionpolicy", RetentionPolicy.objects.get(job="cleanup_sessions")),
        ("scraping_botconfig", config),
        ("scraping_redditapp", factories.reddit_app()),
        ("scraping_scrapesession", session),
        ("scraping_redditpost", comment.post),
        ("scraping_redditcomment", comment),
        ("scraping_setaside", factories.set_aside(doubt={"fullname": comment.fullname})),
        ("auth_user", superuser),
    ]
    addresses += [reverse(f"admin:{name}_change", args=[row.pk]) for name, row in changed]
    addresses += [activity_url(row._meta.label, row.pk) for _name, row in changed]
    return [*addresses, *lists_and_forms()]
