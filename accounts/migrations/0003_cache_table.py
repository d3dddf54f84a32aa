from django.core.management import call_command
from django.db import migrations


def create(apps, schema_editor):
    """Make the table of the cache, which counts failed sign-ins for all web processes; nothing where it exists."""
    call_command("createcachetable", "console_cache", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    # createcachetable has a transaction of its own.
    atomic = False

    dependencies = [("accounts", "0002_the_databases_clock")]

    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
