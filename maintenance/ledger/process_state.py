"""Where the threads of a job are, and how much memory their process has; never the value of a variable."""

import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

from django.conf import settings

# Frames shown of a thread, and threads shown of a job.
FRAMES_MAX: Final = 8
THREADS_MAX: Final = 8
# The function that calls the job's: the frames above it are the worker's own.
CALLER: Final = "_execute"

_ROOT: Final = Path(settings.BASE_DIR)
_LIBRARIES: Final = tuple(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib"))


def memory() -> int | None:
    """Return the bytes of memory that this process occupies (resident set size); None: this system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except (OSError, IndexError):
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


class ProcessState:
    """The state of this process, told as the difference from the start of a job.

    Args:
        thread: the identity of the thread in which the job runs.
    """

    def __init__(self, thread: int) -> None:
        self._thread = thread
        self._memory = memory()
        self._foreign = set(sys._current_frames())

    def as_json(self) -> dict[str, Any]:
        """Return the threads of the job, its own first, each with its frames, and the memory in bytes.

        A thread that began after the job is taken for one of the job's; the calling thread is none of them. ``grown``:
        by how much the memory has grown since the job began; other work of the same process is in it.
        """
        frames = sys._current_frames()
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        foreign = {*self._foreign, threading.get_ident()}
        threads = [{"name": "", "frames": told(frames.get(self._thread))}]
        for ident, frame in sorted(frames.items(), key=lambda one: names.get(one[0], "")):
            if ident not in foreign and ident != self._thread and any(map(_is_ours, _outwards(frame))):
                threads.append({"name": names.get(ident) or "", "frames": told(frame)})
        now = memory()
        grown = None if now is None or self._memory is None else now - self._memory
        return {"threads": threads[:THREADS_MAX], "memory": now, "grown": grown}


def told(frame: FrameType | None) -> list[str]:
    """Return the innermost frame and the nearest ones of the console's own code, as ``file:line function``."""
    found: list[str] = []
    for one in _outwards(frame):
        if one.f_code.co_name == CALLER and _is_ours(one):
            break
        if not found or _is_ours(one):
            found.append(f"{_place(one)}:{one.f_lineno} {one.f_code.co_qualname}")
        if len(found) == FRAMES_MAX:
            break
    return found


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_ours(frame: FrameType) -> bool:
    path = Path(frame.f_code.co_filename)
    return path.is_relative_to(_ROOT) and not any(path.is_relative_to(one) for one in _LIBRARIES)


def _place(frame: FrameType) -> str:
    """Return the file without the folders of this installation."""
    path = Path(frame.f_code.co_filename)
    for root in (*_LIBRARIES, _ROOT):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.name
