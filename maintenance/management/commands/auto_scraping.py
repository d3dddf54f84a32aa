"""`manage.py auto_scraping`: run the job auto_scraping here."""

from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    """The command; its help is the job's docstring."""

    job = "auto_scraping"
