"""`manage.py cleanup_login_sessions`: run the job cleanup_login_sessions here."""

from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    """The command; its help is the job's docstring."""

    job = "cleanup_login_sessions"
