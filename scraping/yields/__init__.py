"""How many posts a bot usually keeps from a subreddit, and whether it is far from that now."""
