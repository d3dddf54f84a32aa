"""`manage.py export_comments`: stored comments that are live on Reddit, as a file."""

from scraping.management.export_command import ExportCommand
from scraping.models import RedditComment


class Command(ExportCommand):
    """Write stored comments as CSV, JSON Lines or Parquet."""

    help = "Write stored comments that are live on Reddit as CSV, JSON Lines or Parquet."
    model = RedditComment
