"""Waiting for a condition instead of sleeping for luck."""

import time


def wait_until(condition, *, timeout, every=0.1):
    """Return the condition's first true value; fail after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s")
        time.sleep(every)
