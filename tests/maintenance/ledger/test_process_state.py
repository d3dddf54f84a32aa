"""The frames of a job's threads, and the memory of its process."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from maintenance.ledger.process_state import FRAMES_MAX, ProcessState, memory, told


def in_a_job(work):
    """Do the work as a job does, and return what is told of it meanwhile, from the heartbeat's thread."""
    found = []

    def _execute():
        state = ProcessState(threading.get_ident())
        over = threading.Event()

        def look():
            time.sleep(0.05)
            found.append(state.as_json())
            over.set()

        threading.Thread(target=look).start()
        work(over)

    _execute()
    return found[0]


def wait_here(over):
    secret_of_the_job = "hunter22"
    over.wait(10)
    return secret_of_the_job


def deep(over, levels=30):
    if levels:
        deep(over, levels - 1)
    else:
        over.wait(10)


def test_the_innermost_frame_and_the_consoles_own_are_told():
    told_of = in_a_job(wait_here)

    (thread,) = told_of["threads"]
    assert re.fullmatch(r"threading\.py:\d+ Condition\.wait", thread["frames"][0])
    assert re.fullmatch(r"tests/maintenance/ledger/test_process_state\.py:\d+ wait_here", thread["frames"][1])
    # Neither the frames above the job nor the value of a variable.
    assert len(thread["frames"]) == 2
    assert "hunter22" not in json.dumps(told_of)


def test_a_deep_stack_is_cut():
    (thread,) = in_a_job(deep)["threads"]

    assert len(thread["frames"]) == FRAMES_MAX


def test_threads_of_the_job_are_told_with_their_names():
    def several(over):
        with ThreadPoolExecutor(2, thread_name_prefix="scrape") as pool:
            for _ in range(2):
                pool.submit(wait_here, over)

    own, *others = in_a_job(several)["threads"]

    assert own["name"] == ""
    assert sorted(one["name"] for one in others) == ["scrape_0", "scrape_1"]
    assert all("wait_here" in one["frames"][1] for one in others)


def test_a_thread_that_has_ended_has_no_frames():
    assert told(None) == []


def test_memory_is_told_in_bytes_with_what_it_grew_by():
    def grow(over):
        kept = bytearray(50 * 2**20)
        kept[:: 2**12] = b"x" * len(kept[:: 2**12])
        over.wait(10)

    told_of = in_a_job(grow)

    assert 10 * 2**20 < told_of["memory"] < 2**40
    assert told_of["grown"] > 40 * 2**20


def test_a_system_without_proc_tells_no_memory(monkeypatch):
    monkeypatch.setattr("pathlib.Path.read_text", lambda self: (_ for _ in ()).throw(FileNotFoundError()))

    assert memory() is None
