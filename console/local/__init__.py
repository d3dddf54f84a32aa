"""The whole console on one machine: its broker, its processes, their supervisor."""
