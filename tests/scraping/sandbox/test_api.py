"""The sandbox as a server and as a command."""

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import requests
from django.conf import settings
from django.core.management import CommandError, call_command

from scraping.models import SANDBOX_CLIENT_ID
from scraping.sandbox import CLIENT_ID, SandboxReddit
from tests.scraping.sandbox.asking import NOW, bearer, call, get, post_with


def answers(server):
    post = post_with(server, lambda post: post.comment_count(NOW) > 50)
    paths = [
        "/r/python+sandbox_quiet/new?limit=100",
        "/r/python/hot?limit=100",
        "/r/sandbox_busy/top?t=week&limit=100",
        "/r/python/controversial?t=all&limit=20",
        "/r/python/about",
        f"/comments/{post.id36}?limit=30",
    ]
    return [get(server, path) for path in paths]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_answers_and_another_seed_others(clock):
    with SandboxReddit(clock=clock, seed=7) as one, SandboxReddit(clock=clock, seed=7) as again:
        assert answers(one) == answers(again)

        with SandboxReddit(clock=clock, seed=8) as other:
            assert all(a != b for a, b in zip(answers(one), answers(other), strict=True))


@pytest.mark.slow
def test_many_clients_at_once_get_the_same_answers_as_one(sandbox):
    headers = bearer(sandbox)
    path = "/r/SomewhereNew/hot?limit=50"
    got = []
    threads = [
        threading.Thread(target=lambda: got.append(call(sandbox, "GET", path, headers=headers)[2]))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(got) == 8
    assert set(got) == {call(sandbox, "GET", path, headers=headers)[2]}


def test_stopping_frees_the_port_and_the_server_starts_again_there(sandbox):
    port = sandbox.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/r/python/new")
    assert connection.getresponse().read()  # kept alive, idle

    sandbox.stop()
    sandbox.stop()
    connection.close()
    with pytest.raises(ConnectionRefusedError):
        call(sandbox, "GET", "/")
    sandbox.start()

    assert sandbox.port == port
    assert call(sandbox, "GET", "/r/python/new")[0] == 401


def test_it_needs_no_django(tmp_path):
    program = "import sys, scraping.sandbox; sys.exit('django' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], cwd=settings.BASE_DIR, timeout=30).returncode == 0


def test_the_model_names_the_sandboxs_client_id():
    assert SANDBOX_CLIENT_ID == CLIENT_ID


@contextmanager
def command(*arguments, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "manage.py", "sandbox_reddit", *arguments],
        cwd=settings.BASE_DIR,
        env={**os.environ, "VAR_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_a_signal_and_stops_at_once(tmp_path, stop_signal):
    with command("--port", "0", "--seed", "5", "--latency", "1", tmp_path=tmp_path) as process:
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        with requests.Session() as session:
            session.trust_env = False
            assert session.get(f"{url}/r/python/new", timeout=10).status_code == 401
            began = time.monotonic()
            process.send_signal(stop_signal)
            out, errors = process.communicate(timeout=10)

    assert process.returncode == 0
    assert time.monotonic() - began < 2
    assert (out, errors) == ("", "")  # the address once, and nothing else


@pytest.mark.slow
def test_the_command_says_that_a_port_is_taken(tmp_path, sandbox):
    with command("--port", str(sandbox.port), tmp_path=tmp_path) as process:
        out, errors = process.communicate(timeout=30)

    assert process.returncode == 2
    assert f"127.0.0.1:{sandbox.port}" in errors
    assert "--port" in errors
    assert "Traceback" not in errors
    assert out == ""


@pytest.mark.parametrize("arguments", [[], ["--port=70000"], ["--port=x"], ["--port=0", "--latency=-1"]])
def test_the_command_refuses_wrong_options(arguments):
    with pytest.raises(CommandError, match=r"--port|--latency"):
        call_command("sandbox_reddit", *arguments)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["all", "Popular"])
def test_all_and_popular_list_many_subreddits(sandbox, name):
    children = get(sandbox, f"/r/{name}/new?limit=100")["data"]["children"]
    assert len(children) == 100
    assert len({child["data"]["subreddit"] for child in children}) > 2
    assert name.lower() not in {child["data"]["subreddit"].lower() for child in children}


@pytest.mark.slow
def test_a_search_ends_near_250_posts(sandbox):
    path, after, number = "/r/sandbox_busy/search?limit=100&sort=new&restrict_sr=1&q=", "", 0
    while after is not None:
        data = get(sandbox, f"{path}&after={after}")["data"]
        number, after = number + len(data["children"]), data["after"]
    assert number == 250
