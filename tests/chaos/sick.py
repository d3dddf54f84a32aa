"""What a test lets its worker import: SIGURG makes the main process stand still for ever, deaf to SIGTERM."""

import signal
import time


def stand_still(*_):
    while True:
        time.sleep(1)


signal.signal(signal.SIGURG, stand_still)
