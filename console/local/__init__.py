"""Runs the whole console on one machine: the broker, the processes, and their supervisor."""
