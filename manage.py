#!/usr/bin/env python3
"""Django's command line for the maintenance console."""

import importlib.util
import os
import sys
from pathlib import Path


def main() -> None:
    """Run one management command."""
    if importlib.util.find_spec("django") is None:
        run_in_own_environment()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import Error

    # A sentence for the operator, who reads no stack traces.
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Unusable settings: {error}")
    except Error as error:
        from console.command_line import in_words

        if "--traceback" in sys.argv or (text := in_words(error, *sys.argv[1:2])) is None:
            raise
        sys.exit(text)


def run_in_own_environment() -> None:
    """Start again with the interpreter of the .venv beside this file; end with the remedy where there is none."""
    own = Path(__file__).resolve().parent / ".venv" / "bin" / "python"
    if not own.exists() or own.parent.parent == Path(sys.prefix):
        sys.exit("Django is not installed: `make run` sets everything up.")
    os.execv(own, [str(own), *sys.argv])  # noqa: S606  # our own interpreter, no shell


if __name__ == "__main__":
    main()
