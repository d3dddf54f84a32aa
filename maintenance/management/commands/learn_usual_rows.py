from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    job = "learn_usual_rows"
