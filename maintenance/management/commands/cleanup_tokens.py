"""`manage.py cleanup_tokens`: run the job cleanup_tokens here."""

from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    """The command; its help is the job's docstring."""

    job = "cleanup_tokens"
