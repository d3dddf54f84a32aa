"""Signals that a run waits for a decision."""

from django.dispatch import Signal

# Sent with ``run`` when the safety cap has stopped it, for code that others connect. People are told by the alert that
# the rule "blocked" opens (``alerts/rules.py``).
run_blocked = Signal()
