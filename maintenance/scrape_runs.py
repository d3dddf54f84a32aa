"""Answers the questions of scraping about runs."""

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.http import urlencode

from maintenance.models import JobRun


class ScrapeRuns:
    """Uses the rows of ``JobRun`` and the addresses of the admin."""

    def running(self) -> QuerySet[JobRun]:
        """Return the runs that are being performed now."""
        return JobRun.objects.running()

    def run_page(self, run_id: int) -> str:
        """Return the address of a run's page."""
        return reverse("admin:maintenance_jobrun_change", args=[run_id])

    def scrape_page(self, config_id: int, subreddit: str = "") -> str:
        """Return the address of the page that starts a scrape of a bot, or of one of its subreddits."""
        params: dict[str, str | int] = {"config": config_id}
        if subreddit:
            params["subreddits"] = subreddit
        return reverse("admin:maintenance_job_run", args=["scrape_now"]) + "?" + urlencode(params)
