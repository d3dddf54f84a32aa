from django.db import migrations

from audit import triggers


def install(apps, schema_editor):
    triggers.install(apps.get_model("audit", "Event"), schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0003_activity'),
    ]

    operations = [
        migrations.RunPython(install, migrations.RunPython.noop),
    ]
