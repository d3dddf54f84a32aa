"""How many rows the runs of a schedule usually delete or store, and which schedules are far from that."""
