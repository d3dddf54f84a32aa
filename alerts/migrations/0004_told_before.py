"""Alerts of the release before count as told: the first evaluation does not tell all that are open."""

from django.db import migrations
from django.db.models import F


def count_as_told(apps, schema_editor):
    alerts = apps.get_model("alerts", "Alert").objects.using(schema_editor.connection.alias)
    alerts.filter(told_at__isnull=True).update(told_at=F("opened_at"))


class Migration(migrations.Migration):

    dependencies = [
        ("alerts", "0003_acknowledge_and_mute"),
    ]

    operations = [
        migrations.RunPython(count_as_told, migrations.RunPython.noop),
    ]
