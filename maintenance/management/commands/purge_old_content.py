from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    job = "purge_old_content"
