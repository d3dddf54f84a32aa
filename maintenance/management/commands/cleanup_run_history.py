"""`manage.py cleanup_run_history`: run the job cleanup_run_history here."""

from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    """The command; its help is the job's docstring."""

    job = "cleanup_run_history"
