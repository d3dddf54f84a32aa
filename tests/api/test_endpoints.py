"""What each endpoint does: to the ledger, to schedules, to bots; and whom it refuses."""

import json
import threading
from datetime import datetime, timedelta
from datetime import timezone as FarZone  # noqa: N812  # an offset that no place has

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.utils import timezone
from django_celery_beat.models import PeriodicTask

from api import waiting
from audit.models import Event
from console.roles import BOT_OWNERS, OPERATORS, VIEWERS
from maintenance.models import JobRun
from maintenance.scheduling.edits import DELETE
from scraping.models import BotConfig
from tests.api.calls import Api
from tests.kit import factories
from tests.kit.steps import performed

pytestmark = pytest.mark.django_db


def member(role):
    person = factories.user()
    person.groups.add(Group.objects.get(name=role))
    return person


@pytest.fixture
def api():
    return Api.of(factories.superuser())


def test_a_run_is_requested_followed_and_found():
    user = factories.superuser()
    api = Api.of(user)

    answer = api.post("jobs/cleanup_tokens/run", {"dry_run": True})
    run = JobRun.objects.get()
    assert (answer.status_code, answer["Location"], run.trigger) == (202, f"/api/v1/runs/{run.pk}", "api")
    assert Event.objects.get(verb="run.requested").actor_kind == "token"
    performed(run)

    told = api.get(answer["Location"])
    assert (told.json()["status"], told.json()["requested_by"]) == ("succeeded", user.username)
    assert api.get(answer["Location"], **{"If-None-Match": told["ETag"]}).status_code == 304
    log = api.get(f"runs/{run.pk}/log").json()
    assert log["lines"]
    assert api.get(f"runs/{run.pk}/log?after={log['next']}").json()["lines"] == []


def test_pages_hold_every_run_once_and_filters_are_an_allow_list(api):
    runs = [factories.job_run(job="cleanup_tokens") for _ in range(5)]
    factories.job_run(job="cleanup_sessions")
    seen, cursor = [], ""

    while cursor is not None:
        page = api.get(f"runs/?job=cleanup_tokens&limit=2{cursor and '&cursor=' + cursor}").json()
        seen += [run["id"] for run in page["items"]]
        cursor = page["next"]

    assert seen == [run.pk for run in reversed(runs)]
    assert api.get("runs/?status=nonsense").status_code == 422
    assert api.get(f"runs/?schedule={2**63}").status_code == 422


def test_runs_are_listed_without_a_query_for_each(api, django_assert_max_num_queries):
    for _ in range(30):
        factories.job_run()

    with django_assert_max_num_queries(6):
        assert len(api.get("runs/").json()["items"]) == 30


def test_a_run_is_cancelled_once_and_run_again(api):
    run = factories.job_run(status="queued")

    assert api.post(f"runs/{run.pk}/retry").status_code == 409
    assert api.post(f"runs/{run.pk}/cancel").json()["status"] == "cancelled"
    assert api.post(f"runs/{run.pk}/cancel").status_code == 409
    again = api.post(f"runs/{run.pk}/retry")
    assert (again.status_code, again.json()["trigger"]) == (202, "api")
    assert api.post(f"runs/{run.pk}/retry").status_code == 409  # the run that it made is not over
    assert api.post(f"runs/{run.pk}/approve", {"reason": "x"}).status_code == 409


def test_force_needs_a_reason_and_the_permission(api):
    assert api.post("jobs/purge_old_content/run", {"force": True}).status_code == 422
    runner = Api.of(factories.user("maintenance.run_job"))
    forced = {"force": True, "reason": "because"}
    assert runner.post("jobs/purge_old_content/run", forced).status_code == 403
    assert JobRun.objects.count() == 0
    assert api.post("jobs/purge_old_content/run", forced).status_code == 202


def test_a_bot_of_somebody_else_is_as_missing_as_one_that_is_not_there():
    foreign = factories.bot_config(name="secret")
    api = Api.of(member(BOT_OWNERS))

    answers = [
        api.post("jobs/scrape_now/run", {"params": {"config": value}})
        for value in (foreign.pk, 987_654, "secret", "no such", None, [], 2**70)
    ]

    def same(answer):
        told = answer.json()
        return answer.status_code, told["detail"]

    assert {same(answer) for answer in answers} == {(404, "There is no such thing, or you may not see it.")}
    assert api.get(f"bot-configs/{foreign.pk}").status_code == 404
    assert api.get(f"posts/?config={foreign.pk}").status_code == 404
    assert api.get("bot-configs/").json()["items"] == []


@pytest.mark.parametrize("role", [VIEWERS, OPERATORS])
def test_scraping_with_a_visible_bot_of_somebody_else_is_forbidden(role):
    bot = factories.bot_config()

    assert Api.of(member(role)).post(f"bot-configs/{bot.pk}/scrape-now").status_code == 403
    assert JobRun.objects.count() == 0


def test_scrape_now_answers_with_the_run_and_refuses_a_second_one():
    owner = member(BOT_OWNERS)
    bot, api = factories.bot_config(owner=owner), Api.of(owner)

    first = api.post(f"bot-configs/{bot.pk}/scrape-now")
    second = api.post(f"bot-configs/{bot.pk}/scrape-now")

    assert (first.status_code, second.status_code) == (202, 409)
    assert second.json()["run"]["id"] == first.json()["id"]
    assert api.post(f"bot-configs/{bot.pk + 999}/scrape-now").status_code == 404
    BotConfig.objects.filter(pk=bot.pk).update(is_active=False)
    assert api.post(f"bot-configs/{bot.pk}/scrape-now").status_code == 409


def test_a_caller_who_waits_gets_the_session(api, monkeypatch):
    bot = factories.bot_config()

    def ended(run, seconds):
        assert seconds == 60
        factories.session(config=bot, run=run, posts_found=7, comments_found=9)
        JobRun.objects.filter(pk=run.pk).update(status="succeeded", finished_at=run.queued_at)
        run.refresh_from_db()
        return True

    monkeypatch.setattr(waiting, "until_final", ended)
    answer = api.post(f"bot-configs/{bot.pk}/scrape-now", Prefer="respond-async, wait=999")

    told = answer.json()
    assert answer.status_code == 200
    assert set(told) == {"session_id", "status", "message", "total_posts", "total_comments"}
    assert (told["status"], told["total_posts"], told["total_comments"]) == ("succeeded", 7, 9)


@pytest.mark.slow
def test_only_one_caller_waits_in_a_process_and_gives_its_place_back(monkeypatch):
    run = factories.job_run(status="queued")
    done = factories.job_run()
    assert waiting.until_final(done, 5)
    assert waiting._free.acquire(blocking=False)
    try:
        assert not waiting.until_final(done, 5)
    finally:
        waiting._free.release()
    assert not waiting.until_final(run, 1)
    assert waiting.until_final(done, 5)


def test_a_schedule_is_retimed_only_as_it_was_read(api):
    task = factories.schedule(crontab="0 3 * * *")
    address = f"schedules/{task.pk}"
    read = api.get(address)
    body = {"crontab": "15 4 * * *", "reason": "quieter"}

    assert read.json()["crontab"] == "0 3 * * *"
    assert api("PATCH", address, body).status_code == 428
    assert api("PATCH", address, body, **{"If-Match": '"old"'}).status_code == 412
    assert api("PATCH", address, {"crontab": "61 * * * *"}, **{"If-Match": read["ETag"]}).status_code == 422
    changed = api("PATCH", address, body, **{"If-Match": read["ETag"]})

    assert (changed.status_code, changed.json()["crontab"]) == (200, "15 4 * * *")
    assert api("PATCH", address, body, **{"If-Match": read["ETag"]}).status_code == 412
    assert api.get(address)["ETag"] == changed["ETag"]


def test_a_schedule_is_paused_with_a_reason_and_resumed(api):
    address = f"schedules/{factories.schedule().pk}"

    assert api.post(f"{address}/pause", {}).status_code == 422
    paused = api.post(f"{address}/pause", {"reason": "move"}).json()
    assert (paused["enabled"], paused["paused"]["reason"]) == (False, "move")
    assert api.post(f"{address}/pause", {"reason": "x", "until": "2001-01-01T00:00:00Z"}).status_code == 422
    tomorrow = timezone.now().replace(microsecond=0) + timedelta(days=1)
    far = tomorrow.astimezone(FarZone(timedelta(hours=18, minutes=50))).isoformat()
    answer = api.post(f"{address}/pause", {"reason": "x", "until": far})
    assert datetime.fromisoformat(answer.json()["paused"]["until"]) == tomorrow
    assert api.post(f"{address}/resume").json()["enabled"] is True


@pytest.mark.slow
def test_a_bot_is_added_changed_and_deleted_by_its_owner_only():
    owner = member(BOT_OWNERS)
    api, other = Api.of(owner), Api.of(member(VIEWERS))

    added = api.post(
        "bot-configs/", {"name": "news", "subreddits": ["r/python"], "flairs_wanted": ["a", "b"]}
    )
    address = added["Location"]
    told = added.json()
    assert (added.status_code, told["owner"], told["subreddits"]) == (201, owner.username, ["python"])
    assert other("PATCH", address, {"name": "mine"}).status_code == 403
    assert other("DELETE", address).status_code == 403
    assert api("PATCH", address, {"owner": 1}).status_code == 422
    assert api("PATCH", address, {"post_limit": 5000}).status_code == 422
    assert api("PATCH", address, {"subreddits": ["no way!"]}).status_code == 422
    changed = api("PATCH", address, {"post_limit": 50}).json()
    assert (changed["post_limit"], changed["flairs_wanted"], changed["name"]) == (50, ["a", "b"], "news")
    survivor = factories.bot_config(owner=owner)
    assert api("DELETE", address).status_code == 204
    assert list(BotConfig.objects.all()) == [survivor]
    verbs = (
        Event.objects.filter(subject_type="scraping.BotConfig").order_by("pk").values_list("verb", flat=True)
    )
    assert list(verbs) == ["row.added", "row.changed", "row.deleted"]


def test_content_is_read_and_exported(api):
    post = factories.post(title="Hello", subreddit="python")
    factories.comment(post=post, body="first")
    factories.post(subreddit="rust")

    assert [one["title"] for one in api.get("posts/?subreddit=python").json()["items"]] == ["Hello"]
    assert api.get(f"posts/{post.pk}").json()["fullname"] == post.fullname
    assert [one["body"] for one in api.get(f"comments/?post={post.pk}").json()["items"]] == ["first"]
    exported = api.get("posts/export?format=jsonl&subreddit=python")
    assert b"Hello" in b"".join(exported.streaming_content)
    assert api.get("posts/?since=0001-01-01T00:00:00%2B14:00").status_code == 422
    far = api.get("posts/?since=2001-01-01T00:00:00%2B18:50").json()["items"]
    assert len(far) == 2
    assert Api.of(member(VIEWERS)).get("posts/export").status_code in (200, 403)


def test_retentions_holds_sessions_and_events_are_read(api, seeded):
    factories.session()
    assert {one["job"] for one in api.get("retentions/").json()["items"]} >= {"purge_old_content"}
    assert api.get("holds/").json() == {"items": [], "next": None}
    assert len(api.get("sessions/").json()["items"]) == 1
    assert api.get("events/?limit=5").status_code == 200
    nobody = Api.of(factories.user())
    assert [nobody.get(path).status_code for path in ("retentions/", "holds/", "sessions/")] == [403] * 3
    assert nobody.get("events/").json()["items"] == []


@pytest.mark.parametrize(
    ("permissions", "query", "stays"),
    [([], "", True), ([DELETE], "?schedules=false", True), ([DELETE], "", False)],
)
def test_a_bot_is_deleted_with_its_schedules_by_who_may_delete_them(permissions, query, stays):
    owner = factories.user("scraping.view_botconfig", "scraping.delete_botconfig", *permissions)
    bot, other = factories.bot_config(owner=owner), factories.bot_config(owner=owner)
    mine, survivor = (
        factories.schedule(task="maintenance.scrape_now", kwargs=json.dumps({"config": one.pk}))
        for one in (bot, other)
    )

    assert Api.of(owner)("DELETE", f"bot-configs/{bot.pk}{query}").status_code == 204

    assert set(PeriodicTask.objects.all()) == {survivor, mine} if stays else {survivor}
    deleted = Event.objects.filter(verb="row.deleted", actor=owner)
    assert deleted.count() == (1 if stays else 2)


def test_an_export_records_its_begin_and_its_end_without_names():
    user = factories.superuser()
    factories.post(subreddit="u_quietone")
    factories.post(subreddit="flask")

    bot = factories.bot_config(owner=user)
    assert Api.of(user).get(f"posts/export?config={bot.pk}").status_code == 200
    Event.objects.all().delete()

    answer = Api.of(user).get("posts/export?subreddit=u_quietone&since=2001-01-01T00:00:00Z")
    assert len(b"".join(answer.streaming_content).splitlines()) == 1

    started, ended = Event.objects.filter(verb__startswith="export.").order_by("pk")
    assert (started.verb, ended.verb, ended.actor, ended.actor_kind) == (
        "export.started", "export.ended", user, "token"
    )  # fmt: skip
    assert started.parameters["filters"] == "subreddit=u%2F%E2%80%A6&since=2001-01-01T00%3A00%3A00Z"
    assert (ended.parameters["rows"], ended.parameters["complete"]) == (1, True)
    assert ended.address == started.address == "127.0.0.1"
    assert "quietone" not in str(list(Event.objects.values()))


@pytest.mark.django_db(transaction=True)
def test_two_scrapes_at_the_same_moment_become_one_run():
    owner = member(BOT_OWNERS)
    bot = factories.bot_config(owner=owner)
    secret, statuses = Api.of(owner).secret, []

    def call():
        statuses.append(Api(secret).post(f"bot-configs/{bot.pk}/scrape-now").status_code)
        connection.close()

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [202, 409, 409, 409]
