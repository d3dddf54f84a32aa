from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    job = "cleanup_events"
