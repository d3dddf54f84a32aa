"""`manage.py export_posts`: stored posts that are live on Reddit, as a file."""

from scraping.management.export_command import ExportCommand
from scraping.models import RedditPost


class Command(ExportCommand):
    """Write stored posts as CSV, JSON Lines or Parquet."""

    help = "Write stored posts that are live on Reddit as CSV, JSON Lines or Parquet."
    model = RedditPost
