"""Every named constraint of our models is broken once, past all Python, and the database must refuse it."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from database.constraints import DatabaseOnDelete
from maintenance.models import BeatLease, RunTotals
from maintenance.models.statuses import FINAL
from tests.accounts.broken import PEOPLE
from tests.alerts.broken import ALERTS
from tests.kit import factories, yields
from tests.maintenance.broken import SCHEDULES

MODELS = [
    model
    for config in apps.get_app_configs()
    if Path(config.path).parent == settings.BASE_DIR
    for model in config.get_models()
]
CONSTRAINTS = {constraint.name: constraint for model in MODELS for constraint in model._meta.constraints}

NOW = timezone.now()
HOUR = timedelta(hours=1)
NOBODY = -1  # no row has this key


# Each case: a valid row, and the update that breaks it.


def token_ends_before_it_begins(make):
    token = make()
    return token, {"expires_at": token.created_at - HOUR}


def token_never_lives(make):
    token = make()
    return token, {"expires_at": token.created_at}


def same_as_another(make, *fields):
    """Two rows that may exist beside each other, until the second equals the first in these fields."""
    first, second = make(), make()
    return second, {field: getattr(first, field) for field in fields}


def a_hook():
    return factories.schedule_hook(secret="")


def same_beside(make, field, **shared):
    return same_as_another(lambda: make(**shared), field)


def one_owner_names_two_bots_alike():
    owner = factories.user()
    return same_as_another(lambda: factories.bot_config(owner=owner), "name")


def one_post_is_due_twice():
    first = factories.due_walk()
    return factories.due_walk(config=first.config), {"fullname": first.fullname}


def one_subreddit_has_two_watermarks():
    config = factories.bot_config()
    return same_as_another(lambda: factories.watermark(config=config), "subreddit")


def one_subreddit_is_fresh_twice():
    config = factories.bot_config()
    return same_as_another(lambda: factories.freshness(config=config), "subreddit")


def one_bot_is_scraped_twice_at_once():
    config = factories.bot_config()
    factories.session(config=config, status="running")
    return factories.session(config=config), {"status": "running", "finished_at": None}


def two_sweeps_of_one_moment():
    factories.sweep_tally(swept_at=NOW)
    return factories.sweep_tally(swept_at=NOW, age=1), {"age": 0}


def one_slot_runs_twice():
    schedule = factories.schedule()
    factories.job_run(trigger="schedule", schedule=schedule, scheduled_for=NOW)
    other = factories.job_run(trigger="schedule", schedule=schedule, scheduled_for=NOW + HOUR)
    return other, {"scheduled_for": NOW}


def one_job_runs_twice_at_once():
    factories.job_run(status="running", concurrency_key="purge_old_content")
    return factories.job_run(status="running", concurrency_key="other"), {
        "concurrency_key": "purge_old_content"
    }


def broken_run(status, **broken):
    return factories.job_run(status=status), broken


def one_subreddit_has_two_retentions():
    factories.retention_override(subreddit="Python")
    return factories.retention_override(subreddit="django"), {"subreddit": "pYTHON"}


def one_bot_has_two_retentions():
    taken = factories.retention_override(config=factories.bot_config())
    return factories.retention_override(config=factories.bot_config()), {"config": taken.config}


def override(**broken):
    return factories.retention_override(), broken


def lease():
    return BeatLease.objects.get_or_create(pk=BeatLease.ROW, defaults={"expires_at": NOW})[0]


BROKEN = [
    # accounts
    *PEOPLE,
    ("apitoken_secret_hash_unique", lambda: same_as_another(factories.api_token, "secret_hash")),
    ("apitoken_expires_after_creation", lambda: token_ends_before_it_begins(factories.api_token)),
    ("personaltoken_secret_hash_unique", lambda: same_as_another(factories.personal_token, "secret_hash")),
    ("personaltoken_expires_after_creation", lambda: token_ends_before_it_begins(factories.personal_token)),
    ("schedulehook_public_id_unique", lambda: same_as_another(a_hook, "public_id")),
    ("hookcall_signature_unique", lambda: same_beside(factories.hook_call, "signature", hook=a_hook())),
    ("idempotencykey_unique", lambda: same_beside(factories.idempotency_key, "key", user=factories.user())),
    (
        "refreshtoken_secret_hash_unique",
        lambda: same_as_another(factories.refresh_token, "secret_hash"),
    ),
    ("refreshtoken_expires_after_creation", lambda: token_ends_before_it_begins(factories.refresh_token)),
    ("refreshtoken_expires_after_creation", lambda: token_never_lives(factories.refresh_token)),
    (
        "passwordreset_secret_hash_unique",
        lambda: same_as_another(factories.password_reset_token, "secret_hash"),
    ),
    (
        "passwordreset_expires_after_creation",
        lambda: token_ends_before_it_begins(factories.password_reset_token),
    ),
    ("passwordreset_expires_after_creation", lambda: token_never_lives(factories.password_reset_token)),
    # audit
    ("event_actor_kind_known", lambda: (factories.event(), {"actor_kind": "ghost"})),
    ("event_has_verb", lambda: (factories.event(), {"verb": ""})),
    ("event_has_subject", lambda: (factories.event(), {"subject_type": ""})),
    ("event_has_subject", lambda: (factories.event(), {"subject_id": ""})),
    # scraping
    ("botconfig_name_unique_per_owner", one_owner_names_two_bots_alike),
    ("botconfig_post_limit_1_to_1000", lambda: (factories.bot_config(), {"post_limit": 0})),
    ("botconfig_post_limit_1_to_1000", lambda: (factories.bot_config(), {"post_limit": 1001})),
    ("botconfig_comment_limit_1_to_100000", lambda: (factories.bot_config(), {"comment_limit": 0})),
    ("botconfig_comment_limit_1_to_100000", lambda: (factories.bot_config(), {"comment_limit": 100_001})),
    ("botconfig_comment_depth_1_to_100", lambda: (factories.bot_config(), {"comment_depth": 0})),
    ("botconfig_comment_depth_1_to_100", lambda: (factories.bot_config(), {"comment_depth": 101})),
    ("botconfig_sort_known", lambda: (factories.bot_config(), {"sort": "best"})),
    ("botconfig_nsfw_known", lambda: (factories.bot_config(), {"nsfw": "maybe"})),
    ("botconfig_comment_policy_known", lambda: (factories.bot_config(), {"comment_policy": "some"})),
    ("botconfig_search_has_query", lambda: (factories.bot_config(), {"sort": "search"})),
    ("botconfig_comment_requests_1_to_1000", lambda: (factories.bot_config(), {"comment_requests": 0})),
    ("botconfig_comment_requests_1_to_1000", lambda: (factories.bot_config(), {"comment_requests": 1001})),
    ("botconfig_refresh_hours_to_168", lambda: (factories.bot_config(), {"comment_refresh_hours": 169})),
    (
        "botconfig_paused_is_inactive",
        lambda: (factories.bot_config(), {"paused_at": NOW, "refusal_kind": "private"}),
    ),
    (
        "botconfig_paused_is_inactive",
        lambda: (factories.bot_config(), {"paused_at": NOW, "is_active": False}),
    ),
    ("watermark_config_fk", lambda: (factories.watermark(), {"config_id": NOBODY})),
    ("postsighting_post_fk", lambda: (factories.sighting(), {"post_id": NOBODY})),
    ("postsighting_config_fk", lambda: (factories.sighting(), {"config_id": NOBODY})),
    ("watermark_one_per_subreddit", one_subreddit_has_two_watermarks),
    ("watermark_subreddit_is_folded", lambda: (factories.watermark(), {"subreddit": "Python"})),
    ("watermark_rate_not_negative", lambda: (factories.watermark(), {"posts_per_hour": -0.1})),
    ("accesstoken_one_per_client", lambda: same_as_another(factories.access_token, "client_id")),
    *ALERTS,
    ("freshness_config_fk", lambda: (factories.freshness(), {"config_id": NOBODY})),
    ("freshness_one_per_subreddit", one_subreddit_is_fresh_twice),
    ("freshness_subreddit_is_folded", lambda: (factories.freshness(), {"subreddit": "Python"})),
    ("freshness_silence_has_a_reason", lambda: (factories.freshness(), {"silent_since": timezone.now()})),
    (
        "freshness_verdict_known",
        lambda: (
            factories.freshness(counted_from=timezone.now(), posts=1, usual_low=1, usual_high=1),
            {"verdict": "odd"},
        ),
    ),
    ("freshness_verdict_has_figures", lambda: (factories.freshness(), {"verdict": "usual"})),
    ("duewalk_config_fk", lambda: (factories.due_walk(), {"config_id": NOBODY})),
    ("duewalk_one_per_post", one_post_is_due_twice),
    ("duewalk_is_of_a_post", lambda: (factories.due_walk(), {"fullname": "t1_1"})),
    ("requestbudget_one_per_client", lambda: same_as_another(factories.request_budget, "client_id")),
    ("requestbudget_window_not_empty", lambda: (factories.request_budget(), {"window_requests": 0})),
    ("usualrows_schedule_fk", lambda: (yields.usual_rows(), {"schedule_id": NOBODY})),
    ("rowsverdict_schedule_fk", lambda: (yields.rows_verdict(), {"schedule_id": NOBODY})),
    ("schedulehook_schedule_fk", lambda: (a_hook(), {"schedule_id": NOBODY})),
    ("hookcall_hook_fk", lambda: (factories.hook_call(), {"hook_id": NOBODY})),
    ("loginsession_session_fk", lambda: (factories.listed_session(), {"session_id": "gone"})),
    ("scrapesession_run_fk", lambda: (factories.session(), {"run_id": NOBODY})),
    ("scrapesession_one_running_per_config", one_bot_is_scraped_twice_at_once),
    ("scrapesession_status_known", lambda: (factories.session(), {"status": "lost"})),
    ("scrapesession_finished_unless_running", lambda: (factories.session(), {"finished_at": None})),
    (
        "scrapesession_finished_unless_running",
        lambda: (factories.session(status="running"), {"finished_at": NOW}),
    ),
    ("redditpost_fullname_unique", lambda: same_as_another(factories.post, "fullname")),
    ("redditpost_fullname_is_t3", lambda: (factories.post(), {"fullname": "t1_1"})),
    # "_" is a wildcard of LIKE, unless it is escaped.
    ("redditpost_fullname_is_t3", lambda: (factories.post(), {"fullname": "t3x1"})),
    ("redditpost_state_known", lambda: (factories.post(), {"state": "lost"})),
    ("redditpost_hold_has_reason", lambda: (factories.post(), {"held_at": NOW})),
    ("redditpost_hold_has_reason", lambda: (factories.post(), {"held_until": NOW})),
    ("redditcomment_post_fk", lambda: (factories.comment(), {"post_id": NOBODY})),
    ("redditcomment_fullname_unique", lambda: same_as_another(factories.comment, "fullname")),
    ("redditcomment_fullname_is_t1", lambda: (factories.comment(), {"fullname": "t3_1"})),
    ("redditcomment_state_known", lambda: (factories.comment(), {"state": "lost"})),
    # maintenance
    ("jobrun_retry_of_fk", lambda: (factories.job_run(), {"retry_of_id": NOBODY})),
    ("jobrun_one_per_slot", one_slot_runs_twice),
    ("jobrun_one_running_per_key", one_job_runs_twice_at_once),
    ("jobrun_status_known", lambda: (factories.job_run(), {"status": "lost"})),
    ("jobrun_trigger_known", lambda: (factories.job_run(), {"trigger": "moon"})),
    *[
        ("jobrun_finished_when_final", partial(broken_run, status, finished_at=NOW))
        for status in ("queued", "running", "blocked")
    ],
    *[("jobrun_finished_when_final", partial(broken_run, status, finished_at=None)) for status in FINAL],
    ("jobrun_running_has_worker", partial(broken_run, "running", worker="")),
    ("jobrun_running_has_worker", partial(broken_run, "running", started_at=None)),
    ("jobrun_running_has_worker", partial(broken_run, "running", heartbeat_at=None)),
    ("jobrun_attempt_from_1", lambda: (factories.job_run(), {"attempt": 0})),
    ("jobrun_progress_not_negative", lambda: (factories.job_run(), {"progress_done": -1})),
    ("runlogline_run_fk", lambda: (factories.log_line(), {"run_id": NOBODY})),
    *SCHEDULES,
    ("retentionpolicy_days_1_to_36500", lambda: (factories.retention_policy(job="x", days=1), {"days": 0})),
    (
        "retentionpolicy_updated_by_fk",
        lambda: (factories.retention_policy(job="x", days=1), {"updated_by_id": NOBODY}),
    ),
    (
        "retentionpolicy_days_1_to_36500",
        lambda: (factories.retention_policy(job="x", days=1), {"days": 36_501}),
    ),
    ("erasure_kind_known", lambda: (factories.erasure(), {"kind": 2})),
    ("erasure_rule_known", lambda: (factories.erasure(), {"rule": "x"})),
    ("setaside_decided_by_fk", lambda: (factories.set_aside(), {"decided_by_id": NOBODY})),
    ("setaside_cause_known", lambda: (factories.set_aside(), {"cause": "x"})),
    ("setaside_state_known", lambda: (factories.set_aside(), {"state": "x", "decided_at": NOW})),
    ("setaside_decided_unless_open", lambda: (factories.set_aside(), {"state": "confirmed"})),
    ("setaside_decided_unless_open", lambda: (factories.set_aside(), {"decided_at": NOW})),
    (
        "setaside_one_open_each",
        lambda: (factories.set_aside() and factories.set_aside(scope="1"), {"scope": "2"}),
    ),
    (
        "doubt_one_per_item",
        lambda: (factories.doubt_of(fullname="t3_a") and factories.doubt_of(), {"fullname": "t3_a"}),
    ),
    ("doubt_reason_known", lambda: (factories.doubt_of(), {"reason": "x"})),
    ("sweeptally_one_per_sweep_and_age", two_sweeps_of_one_moment),
    ("sweeptally_missing_within_checked", lambda: (factories.sweep_tally(), {"missing": 11})),
    ("retentionoverride_one_target", lambda: override(subreddit="")),
    ("retentionoverride_one_target", lambda: override(config=factories.bot_config())),
    ("retentionoverride_days_1_to_36500", lambda: override(days=0)),
    ("retentionoverride_days_1_to_36500", lambda: override(days=36_501)),
    ("retentionoverride_subreddit_once", one_subreddit_has_two_retentions),
    ("retentionoverride_config_once", one_bot_has_two_retentions),
    ("beatlease_single_row", lambda: (lease(), {"id": 2})),
    ("runtotals_single_row", lambda: (RunTotals.objects.create(counted_to=timezone.now()), {"id": 2})),
]


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize(("name", "case"), BROKEN, ids=[name for name, _ in BROKEN])
def test_the_database_refuses_what_breaks_a_constraint(name, case):
    row, broken = case()
    rows = type(row)._default_manager.filter(pk=row.pk)
    before = rows.values().get()

    with transaction.atomic():
        with pytest.raises(IntegrityError) as refused:
            write(rows, broken)
        transaction.set_rollback(True)

    assert_is_about(refused.value, CONSTRAINTS[name])
    assert rows.values().get() == before


def write(rows, values):
    rows.update(**values)
    # Foreign keys are deferred to the commit.
    connection.check_constraints()


def assert_is_about(error, constraint):
    """The database names the constraint it refused, where it does."""
    if connection.vendor == "postgresql":
        assert error.__cause__.diag.constraint_name == constraint.name
    elif isinstance(constraint, models.CheckConstraint):
        assert str(error) == f"CHECK constraint failed: {constraint.name}"
    elif isinstance(constraint, DatabaseOnDelete):
        assert "invalid foreign key" in str(error)
    else:
        assert "UNIQUE constraint failed" in str(error)


def test_every_constraint_has_a_case():
    assert {name for name, _ in BROKEN} == set(CONSTRAINTS)


# --- What a constraint must not refuse -------------------------------------------------------


def scraped_one_after_another():
    config = factories.bot_config()
    factories.session(config=config)
    factories.session(config=config)
    factories.session(config=config, status="running")


def sessions_of_deleted_bots():
    for _ in range(2):
        session = factories.session(status="running")
        session.config.delete()


def started_by_hand_in_the_minute_of_a_slot():
    schedule = factories.schedule()
    for trigger in ["schedule", "admin", "admin"]:
        factories.job_run(trigger=trigger, schedule=schedule, scheduled_for=NOW)


def runs_of_deleted_schedules():
    for _ in range(2):
        schedule = factories.schedule()
        factories.job_run(trigger="schedule", schedule=schedule, scheduled_for=NOW)
        schedule.delete()


def running_beside_itself_without_a_key():
    factories.job_run(status="running")
    factories.job_run(status="running")


def queued_while_it_runs():
    for status in ["running", "queued", "queued", "succeeded"]:
        factories.job_run(status=status, concurrency_key="purge_old_content")


def overrides_of_bots_and_of_subreddits_of_two_policies():
    for job in ("purge_old_content", "cleanup_sessions"):
        policy = factories.retention_policy(job=job, days=90)
        factories.retention_override(policy=policy, subreddit="python")
        for _ in range(2):
            factories.retention_override(policy=policy, config=factories.bot_config())


def held_without_an_end():
    factories.post(held_at=NOW, hold_reason="x")


@pytest.mark.django_db
@pytest.mark.parametrize(
    "rows",
    [
        scraped_one_after_another,
        sessions_of_deleted_bots,
        started_by_hand_in_the_minute_of_a_slot,
        runs_of_deleted_schedules,
        running_beside_itself_without_a_key,
        queued_while_it_runs,
        overrides_of_bots_and_of_subreddits_of_two_policies,
        held_without_an_end,
    ],
)
def test_the_database_takes_what_may_be(rows):
    rows()

    connection.check_constraints()


# --- How they are declared -------------------------------------------------------------------
