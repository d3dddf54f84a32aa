"""Reddit's API: the client, the reading of its answers, listings and comment trees."""
