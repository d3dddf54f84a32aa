from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    job = "refresh_stored_content"
