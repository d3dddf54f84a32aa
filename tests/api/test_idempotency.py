"""A request that is sent again with the same Idempotency-Key does nothing, and is answered as the first."""

import threading
from collections import defaultdict
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import IdempotencyKey
from api import waiting
from audit.models import Event
from maintenance.models import JobRun
from tests.api.calls import Api
from tests.kit import factories
from tests.kit.steps import ran

pytestmark = pytest.mark.django_db
KEY = "Idempotency-Key"
RUN = "jobs/cleanup_tokens/run"


@pytest.fixture
def api():
    return Api.of(factories.superuser())


def kind(answer):
    return answer.status_code, answer.json()["type"].partition("#")[2]


def test_a_second_request_with_the_key_gets_the_first_answer(api):
    first = api.post(RUN, {"dry_run": True}, **{KEY: "a1"})
    JobRun.objects.update(status="cancelled", finished_at=timezone.now())
    again = api.post(RUN, {"dry_run": True}, **{KEY: "a1"})

    assert (first.status_code, again.status_code) == (202, 202)
    assert (again.json(), again["Location"]) == (first.json(), first["Location"])
    assert (again["Idempotency-Replayed"], first.get("Idempotency-Replayed")) == ("true", None)
    assert (JobRun.objects.count(), Event.objects.filter(verb="run.requested").count()) == (1, 1)


def test_the_key_belongs_to_one_request_of_one_person(api):
    done = factories.job_run()
    api.post(RUN, {"dry_run": True}, **{KEY: "a1"})

    assert kind(api.post(RUN, {"dry_run": False}, **{KEY: "a1"})) == (422, "idempotency-key-reused")
    assert kind(api.post(f"runs/{done.pk}/retry", **{KEY: "a1"})) == (422, "idempotency-key-reused")
    assert kind(api.post(RUN, {}, **{KEY: "a b"})) == (422, "invalid")
    assert JobRun.objects.count() == 2
    other = Api.of(factories.superuser()).post(RUN, {"dry_run": True}, **{KEY: "a1"})
    assert (other.status_code, "Idempotency-Replayed" in other) == (202, False)


@pytest.mark.parametrize("body", ["{", "\xff", "[" * 100_000], ids=["cut off", "not UTF-8", "nested"])
def test_a_body_that_no_endpoint_reads_and_that_is_no_json_is_refused_with_a_key(api, body):
    done = factories.job_run()
    headers = {KEY: "a1", "Authorization": f"Bearer {api.secret}"}

    answer = api.client.post(
        f"/api/v1/runs/{done.pk}/retry", body.encode("latin-1"), "application/json", headers=headers
    )

    assert kind(answer) == (400, "bad-request")
    assert not IdempotencyKey.objects.exists()
    assert JobRun.objects.count() == 1


def test_a_refused_request_keeps_no_key_and_may_be_corrected(api):
    assert api.post(RUN, {"params": {"days": 3}}, **{KEY: "a1"}).status_code == 422
    assert not IdempotencyKey.objects.exists()

    assert api.post(RUN, {}, **{KEY: "a1"}).status_code == 202


def test_retries_and_scrapes_take_keys_too(api, monkeypatch):
    done, bot = factories.job_run(), factories.bot_config()
    retry, scrape = f"runs/{done.pk}/retry", f"bot-configs/{bot.pk}/scrape-now"
    assert api.post(retry, **{KEY: "r"}).json() == api.post(retry, **{KEY: "r"}).json()

    def ended(run, _seconds):
        # Another call with the key, while this one waits.
        assert api.post(scrape, **{KEY: "s"}).status_code == 202
        JobRun.objects.filter(pk=run.pk).update(status="succeeded", finished_at=run.queued_at)
        run.refresh_from_db()
        return True

    monkeypatch.setattr(waiting, "until_final", ended)
    waited = api.post(scrape, Prefer="wait=5", **{KEY: "s"})
    again = api.post(scrape, Prefer="wait=5", **{KEY: "s"})

    assert (waited.status_code, again.status_code) == (200, 200)
    assert waited.json() == again.json()
    assert JobRun.objects.filter(trigger="api").count() == 2


def test_a_key_is_kept_for_a_day_then_cleaned():
    user = factories.superuser()
    api = Api.of(user)
    old, live = api.post(RUN, {}, **{KEY: "old"}).json(), api.post(RUN, {}, **{KEY: "live"}).json()
    IdempotencyKey.objects.filter(key="old").update(expires_at=timezone.now() - timedelta(seconds=1))

    assert api.post(RUN, {}, **{KEY: "old"}).json()["id"] != old["id"]
    assert api.post(RUN, {}, **{KEY: "live"}).json()["id"] == live["id"]
    left = IdempotencyKey.objects.get(key="live").expires_at - timezone.now()
    assert timedelta(hours=23, minutes=50) < left <= timedelta(hours=24)


@pytest.mark.django_db(transaction=True)
def test_cleanup_deletes_keys_that_are_no_longer_kept():
    api = Api.of(factories.superuser())
    for key in ("old", "live"):
        api.post(RUN, {"dry_run": True}, **{KEY: key})
    IdempotencyKey.objects.filter(key="old").update(expires_at=timezone.now() - timedelta(seconds=1))

    assert ran("cleanup_tokens").counts["accounts.IdempotencyKey"] == 1

    assert IdempotencyKey.objects.get().key == "live"


calls = st.lists(
    st.tuples(st.sampled_from(["k1", "k2"]), st.sampled_from(["cleanup_tokens", "cleanup_sessions"])),
    min_size=2, max_size=8,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_calls_at_the_same_moment_start_one_run_for_each_key():
    secret = Api.of(factories.superuser()).secret

    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(calls)
    def property_(wanted):
        JobRun.objects.all().delete()
        IdempotencyKey.objects.all().delete()
        together, answers = threading.Barrier(len(wanted)), defaultdict(list)

        def call(key, job):
            together.wait(20)
            answers[key].append(Api(secret).post(f"jobs/{job}/run", {"dry_run": True}, **{KEY: key}))
            connection.close()

        threads = [threading.Thread(target=call, args=one) for one in wanted]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert JobRun.objects.count() == len(answers)
        for key, told in answers.items():
            accepted = [one for one in told if one.status_code == 202]
            job = accepted[0].json()["job"]
            assert len({one.content for one in accepted}) == 1
            assert sum("Idempotency-Replayed" not in one for one in accepted) == 1
            assert len(accepted) == wanted.count((key, job))
            others = [kind(one) for one in told if one.status_code != 202]
            assert others == [(422, "idempotency-key-reused")] * (len(told) - len(accepted))

    property_()
