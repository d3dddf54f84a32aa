"""Records where the synthetic Reddit of `up` runs, so that commands in another shell scrape it too.

The settings import this module, so it must not need Django.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

FILE = "sandbox.json"


@contextlib.contextmanager
def written_down(directory: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Keep the sandbox's variables in a file in the directory while the block runs."""
    file = directory / FILE
    file.write_text(json.dumps(dict(environment)))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def variables(directory: Path) -> dict[str, str]:
    """Return the variables of the running sandbox; empty: there is none."""
    try:
        found = json.loads((directory / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
