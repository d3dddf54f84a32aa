"""A module for a test's worker to import: at SIGURG the main process hangs for ever and ignores SIGTERM."""

import signal
import time


def stand_still(*_):
    while True:
        time.sleep(1)


signal.signal(signal.SIGURG, stand_still)
