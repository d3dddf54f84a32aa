from maintenance.management.job_command import JobCommand


class Command(JobCommand):
    job = "auto_scraping"
