"""`manage.py purge_old_content`: run the job purge_old_content here."""

from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    """The command; its help is the job's docstring."""

    job = "purge_old_content"
