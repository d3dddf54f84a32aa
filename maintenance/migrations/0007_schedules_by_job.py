"""An index of somebody else's table: the schedules of a job, oldest first.

The dashboard asks for the first schedules of each job and the list filters by it, also where there are 100,000.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("maintenance", "0006_the_databases_clock"),
        ("django_celery_beat", "0019_alter_periodictasks_options"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX maintenance_schedule_of_job ON django_celery_beat_periodictask (task, id)",
            "DROP INDEX maintenance_schedule_of_job",
        ),
    ]
