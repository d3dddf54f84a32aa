"""Finds and reads the recorded data: real answers of Reddit, kept beside the project and never inside it.

``RECORDED_DATA_DIR`` names the folder; without it, ``../shared/reddit-data`` beside the project is taken. Tests
that need it carry ``@recorded.needed`` and skip where it is absent. Its MANIFEST.md says what is in it.
"""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(
    os.environ.get("RECORDED_DATA_DIR")
    or Path(__file__).resolve().parent.parent.parent / "shared" / "reddit-data"
)

needed = pytest.mark.skipif(
    not (FOLDER / "MANIFEST.md").is_file(),
    reason=f"no recorded data at {FOLDER}: set RECORDED_DATA_DIR to its folder",
)

Raw = dict[str, Any]


def _lines(path: Path) -> Iterator[Raw]:
    if path.suffix == ".json":
        yield json.loads(path.read_text(encoding="utf-8"))
        return
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def posts() -> Iterator[Raw]:
    """Yield the raw data of every recorded post (t3), sorted by subreddit, newest first."""
    return _lines(FOLDER / "posts.ndjson.gz")


def comments() -> Iterator[Raw]:
    """Yield the raw data of every recorded comment (t1), sorted by post."""
    return _lines(FOLDER / "comments.ndjson.gz")


def responses(name: str) -> Iterator[Raw]:
    """Yield recorded exchanges: pages, search, users, info, about or duplicates."""
    return _lines(FOLDER / name / f"{name}.ndjson.gz")


def trees() -> dict[str, list[Raw]]:
    """Return the recorded exchanges of every comment tree, by the post's id36."""
    found: dict[str, list[Raw]] = {}
    for path in sorted((FOLDER / "trees").iterdir()):
        id36 = path.name.partition("__t3_")[2].replace("__", ".").partition(".")[0]
        found.setdefault(id36, []).extend(_lines(path))
    return found


def error_names() -> list[str]:
    """Return the names of the recorded error answers; empty where there is no recorded data."""
    return sorted(path.stem for path in (FOLDER / "errors").glob("*.json"))


def error(name: str) -> Raw:
    """Return status, headers and body_text of a recorded error answer."""
    response: Raw = json.loads((FOLDER / "errors" / f"{name}.json").read_text(encoding="utf-8"))["response"]
    return response
