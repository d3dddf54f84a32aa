from django.db import migrations

from audit import triggers


def install(apps, schema_editor):
    triggers.install(apps.get_model("audit", "Event"), schema_editor.connection)


def remove(apps, schema_editor):
    triggers.remove(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0001_initial'),
    ]

    operations = [
        migrations.RunPython(install, remove),
    ]
