from django.db import migrations, transaction
from django.db.models import Max, Min

# Posts of one transaction: short enough that a scrape beside it does not wait.
POSTS = 5_000


def fill(apps, schema_editor):
    """Let the bot that found each post first have found it. Stopped in the middle it goes on where it was."""
    using = schema_editor.connection.alias
    post, bot, sighting = (
        schema_editor.quote_name(apps.get_model("scraping", name)._meta.db_table)
        for name in ("RedditPost", "BotConfig", "PostSighting")
    )
    ends = apps.get_model("scraping", "RedditPost").objects.using(using).aggregate(first=Min("pk"), last=Max("pk"))
    if ends["first"] is None:
        return
    for start in range(ends["first"], ends["last"] + 1, POSTS):
        with transaction.atomic(using=using), schema_editor.connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {sighting} (post_id, config_id) SELECT post.id, bot.id FROM {post} AS post"
                f" JOIN {bot} AS bot ON bot.id = post.config_id WHERE post.id BETWEEN %s AND %s ON CONFLICT DO NOTHING",
                [start, start + POSTS - 1],
            )


class Migration(migrations.Migration):
    # Batch by batch: one INSERT for a large table would keep its transaction open for minutes.
    atomic = False

    dependencies = [("scraping", "0008_visibility")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
