from django.db import migrations, transaction
from django.db.models import Max, Min, OuterRef, Subquery

# Posts of one transaction: short enough that a scrape beside it does not wait.
POSTS = 5_000


def fill(apps, schema_editor):
    """Write the bot of each post that a stored session found. Stopped in the middle it goes on where it was."""
    using = schema_editor.connection.alias
    posts = apps.get_model("scraping", "RedditPost").objects.using(using)
    sessions = apps.get_model("scraping", "ScrapeSession").objects.using(using)
    bot = Subquery(sessions.filter(pk=OuterRef("session_id")).values("config_id")[:1])
    ends = posts.aggregate(first=Min("pk"), last=Max("pk"))
    if ends["first"] is None:
        return
    for start in range(ends["first"], ends["last"] + 1, POSTS):
        with transaction.atomic(using=using):
            posts.filter(
                pk__range=(start, start + POSTS - 1), config__isnull=True, session__isnull=False
            ).update(config_id=bot)


class Migration(migrations.Migration):
    # Batch by batch: one UPDATE of a large table would lock it for minutes.
    atomic = False

    dependencies = [("scraping", "0002_post_config_and_hold_permission")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
