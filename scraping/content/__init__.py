"""Posts and comments: made from Reddit's answers, stored, held, exported."""
