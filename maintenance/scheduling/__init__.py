"""When jobs run by themselves: the services and readings of schedules."""
