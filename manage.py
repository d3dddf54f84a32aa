#!/usr/bin/env python
"""Django's command line for the maintenance console."""

import os
import sys


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except (
        ImproperlyConfigured
    ) as error:  # of the settings: a sentence for the operator, who reads no tracebacks
        sys.exit(f"Unusable settings: {error}")


if __name__ == "__main__":
    main()
