"""Pings out: the runs of a schedule, told to the address that it has."""
