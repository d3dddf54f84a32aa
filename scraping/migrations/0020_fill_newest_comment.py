from django.db import migrations, transaction
from django.db.models import Max, Min
from django.utils import timezone

# Posts of one transaction: short enough that a scrape beside it does not wait.
POSTS = 5_000


def fill(apps, schema_editor):
    """Let each post know how young its newest comment is. Stopped in the middle it goes on where it was."""
    using = schema_editor.connection.alias
    post, comment = (
        schema_editor.quote_name(apps.get_model("scraping", name)._meta.db_table) for name in ("RedditPost", "RedditComment")
    )
    ends = apps.get_model("scraping", "RedditPost").objects.using(using).aggregate(first=Min("pk"), last=Max("pk"))
    if ends["first"] is None:
        return
    now = schema_editor.connection.ops.adapt_datetimefield_value(timezone.now())
    newest = f"SELECT max(created_at) FROM {comment} WHERE post_id = {post}.id AND created_at <= %s"
    for start in range(ends["first"], ends["last"] + 1, POSTS):
        with transaction.atomic(using=using), schema_editor.connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {post} SET newest_comment_at = ({newest}) WHERE id BETWEEN %s AND %s"
                f" AND newest_comment_at IS NULL AND EXISTS (SELECT 1 FROM {comment} WHERE post_id = {post}.id)",
                [now, start, start + POSTS - 1],
            )


class Migration(migrations.Migration):
    # Batch by batch: one UPDATE of a large table would keep its rows locked for minutes.
    atomic = False

    dependencies = [("scraping", "0019_newest_comment")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, elidable=True)]
