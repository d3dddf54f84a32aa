"""What runs after the answer."""

import threading

from accounts import afterwards


def test_functions_run_in_order_in_another_thread_and_a_failure_is_logged(caplog):
    done, ended = [], threading.Event()

    def fail(_secret):
        raise ValueError("broken")

    afterwards.run(lambda: done.append(threading.current_thread().name))
    afterwards.run(fail, "hunter2")
    afterwards.run(ended.set)

    assert ended.wait(10)
    assert done[0].startswith("afterwards")
    assert "fail failed after the answer" in caplog.text
    assert "hunter2" not in caplog.text


def test_more_than_may_wait_is_dropped_and_logged(caplog, monkeypatch):
    monkeypatch.setattr(afterwards, "_free", threading.BoundedSemaphore(1))
    hold, ended = threading.Event(), threading.Event()

    def first():
        hold.wait(10)

    def second():
        ended.set()

    afterwards.run(first)
    afterwards.run(second)
    hold.set()

    assert "second was not called" in caplog.text
    assert not ended.wait(0.2)
