"""The effect of migrations on existing rows."""

from datetime import timedelta
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from scraping.models import RedditPost
from tests.kit import factories


@pytest.mark.django_db
def test_posts_get_the_bot_of_the_session_that_found_them(monkeypatch):
    migration = import_module("scraping.migrations.0003_fill_post_config")
    monkeypatch.setattr(migration, "POSTS", 2)
    session = factories.session()
    orphaned = factories.session()
    orphaned.config.delete()
    found = [factories.post(session=session) for _ in range(3)]
    nobodys = [factories.post(), factories.post(session=orphaned), factories.post(session_id=999_999)]
    known = factories.post(session=session, config=factories.bot_config())

    migration.fill(apps, SimpleNamespace(connection=connection))

    assert set(RedditPost.objects.filter(config=session.config)) == set(found)
    assert set(RedditPost.objects.filter(config=None)) == set(nobodys)
    assert RedditPost.objects.filter(config=known.config).get() == known


@pytest.mark.django_db
def test_an_empty_table_is_migrated():
    migration = import_module("scraping.migrations.0003_fill_post_config")
    migration.fill(apps, SimpleNamespace(connection=connection))

    assert not RedditPost.objects.exists()


@pytest.mark.django_db
def test_posts_get_the_time_of_their_newest_comment(monkeypatch):
    migration = import_module("scraping.migrations.0020_fill_newest_comment")
    monkeypatch.setattr(migration, "POSTS", 2)
    now = timezone.now()
    posts = [factories.post() for _ in range(3)]
    for post in posts[:2]:
        for age in (9, 3, 6, -1):  # the last one is from the future
            factories.comment(post=post, created_at=now - timedelta(days=age))
    RedditPost.objects.filter(pk=posts[1].pk).update(newest_comment_at=now)

    migration.fill(apps, SimpleNamespace(connection=connection, quote_name=connection.ops.quote_name))

    found = [RedditPost.objects.get(pk=post.pk).newest_comment_at for post in posts]
    assert found == [now - timedelta(days=3), now, None]
