"""`manage.py refresh_stored_content`: run the job refresh_stored_content here."""

from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    """The command; its help is the job's docstring."""

    job = "refresh_stored_content"
