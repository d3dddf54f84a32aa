"""One address of every kind of page of the console, with rows to show."""

from datetime import time, timedelta

from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import reverse

from alerts import decisions
from audit.admin_edits import activity_url
from database import clock
from maintenance import retention
from maintenance.models import RetentionPolicy
from maintenance.scheduling import edits, planned_windows, schedules, seeding
from maintenance.scheduling.planned_windows import Plan
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
            "alerts_route",
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
        reverse("admin:maintenance_jobrun_cancel", args=[factories.job_run(status="queued").pk]),
        reverse("admin:maintenance_schedule_pause", args=[task.pk]),
        reverse("admin:maintenance_schedule_hook", args=[task.pk]),
        reverse("admin:maintenance_jobrun_compare"),
        reverse("admin:maintenance_mode"),
        reverse("admin:my_sessions"),
        reverse("admin:my_messages"),
        reverse("admin:my_tokens"),
        reverse("mfa_index"),
        reverse("admin:django_celery_beat_periodictask_delete", args=[task.pk]),
        reverse("admin:scraping_botconfig_delete", args=[config.pk]),
    ]


def alerts(superuser):
    """Make an alert that was acknowledged and muted, one that nobody cares for, a delivery and routes."""
    kept, other = factories.alert(rule="late"), factories.alert(rule="late")
    decisions.acknowledge(kept, by=superuser, note="on it")
    decisions.mute(kept, until=kept.opened_at + timedelta(hours=1), reason="known", by=superuser)
    delivery = factories.delivery(alert=kept, answer="HTTP 500 no")
    found = (("alert", kept), ("alert", other), ("delivery", delivery), ("route", factories.webhook_route()))
    return [(f"alerts_{name}", row) for name, row in found]


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
        *alerts(superuser),
    ]
    addresses += [reverse(f"admin:{name}_change", args=[row.pk]) for name, row in changed]
    addresses += [activity_url(row._meta.label, row.pk) for _name, row in changed]
    return [*addresses, *lists_and_forms()]


def rarer_pages(superuser):
    """Return the addresses of pages that stand behind a button: deletions, passwords, second factors."""
    group = Group.objects.create(name="Night shift")
    other = factories.user(username="mo", is_staff=True)
    threads = [{"name": "", "frames": ["maintenance/jobs.py:88 delete_window"]}]
    state = {"threads": threads, "memory": 181_000_000, "grown": 24_000_000}
    seen = factories.job_run(job="purge_old_content", status="running", process_state=state)
    # Not open at present: an open one lets no run of its group start.
    days = frozenset({(clock.now().weekday() + 3) % 7})
    weekly = Plan(weekdays=days, from_time=time(22), to_time=time(3), timezone="Asia/Shanghai")
    planned_windows.plan_window(weekly, by=superuser, reason="patches", scope="scraping")
    chat = factories.route(to="chat", url="slack://TokenA/TokenB/TokenC/#ops")
    app = factories.reddit_app(name="Spare")
    return [
        reverse("mfa_activate_totp"),
        reverse("mfa_generate_recovery_codes"),
        reverse("mfa_list_webauthn"),
        reverse("mfa_add_webauthn"),
        reverse("account_reauthenticate"),
        reverse("admin:sessions_of", args=[other.pk]),
        reverse("admin:maintenance_pause_scraping"),
        reverse("admin:planned_windows"),
        reverse("admin:maintenance_jobrun_xray", args=[seen.pk]),
        reverse("admin:alerts_route_change", args=[chat.pk]),
        reverse("admin:scraping_redditapp_delete", args=[app.pk]),
        reverse("admin:auth_user_delete", args=[other.pk]),
        reverse("admin:auth_user_password_change", args=[other.pk]),
        reverse("admin:auth_user_second_factor_reset", args=[other.pk]),
        reverse("admin:auth_group_change", args=[group.pk]),
        reverse("admin:auth_group_delete", args=[group.pk]),
        reverse("admin:scraping_botconfig_changelist") + "?q=nothing+is+called+so",
    ]


def pages_of_strangers():
    """Return the addresses of pages for people who are not signed in."""
    return [
        reverse(name)
        for name in ("admin:login", "password_reset", "password_reset_sent", "password_reset_confirm")
    ]
