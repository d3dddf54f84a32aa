"""One scrape of a bot: what is asked, what is kept, where it goes on."""
