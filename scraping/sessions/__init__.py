"""One scrape of a bot: its requests, its filters, its checkpoint and its watermarks."""
