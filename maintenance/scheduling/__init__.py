"""When jobs run automatically: the services behind schedules, and what pages read of them."""
