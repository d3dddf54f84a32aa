"""Names are compared in one way, whatever the database's collation is."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from database.names import Folded, folded
from maintenance.models import RetentionOverride
from scraping.admin.content import stored_subreddits
from scraping.content.export import select
from scraping.models import RedditPost
from scraping.sessions import filters
from tests.kit import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["the database's collation", "a Turkish one"])
def collation(request):
    """The tables with names, as they are, or as a database made for Turkish has them."""
    if request.param == "a Turkish one":
        if connection.vendor != "postgresql":
            pytest.skip("SQLite folds ASCII only")
        with connection.cursor() as cursor:
            for table in ("scraping_redditpost", "maintenance_retentionoverride"):
                cursor.execute(
                    f'ALTER TABLE {table} ALTER COLUMN subreddit TYPE varchar(50) COLLATE "tr-x-icu"'
                )
    return request.param


@pytest.mark.parametrize("name", ["IAmA", "python", "u_Some-Body", "İstanbul", "ISTANBUL", "ΑΒΓ", "K", ""])
def test_python_and_the_database_fold_alike(collation, name):
    post = factories.post(subreddit=name)

    assert list(RedditPost.objects.annotate(key=Folded("subreddit")).values_list("key", flat=True)) == [
        folded(name)
    ]
    assert RedditPost.objects.filter(subreddit__folded=folded(name)).get() == post


def test_everything_that_looks_for_a_subreddit_finds_it_however_it_is_capitalised(collation):
    posts = {factories.post(subreddit="IAmA"), factories.post(subreddit="iama")}
    factories.post(subreddit="django")
    old = timezone.now()

    assert set(select(RedditPost, subreddits=["IAMA"])) == posts
    tried = filters.try_on_stored(factories.bot_config(subreddits=["iAmA"]), by=factories.superuser())
    assert {post for post, _reason in tried.posts} == posts
    assert {name.lower() for name in stored_subreddits()} == {"iama", "django"}
    # The purge: only what has no longer retention of its own.
    expired = RedditPost.objects.created_before(old, subreddits={"IAMA": old.replace(year=2000)})
    assert [post.subreddit for post in expired] == ["django"]


def test_one_subreddit_has_one_override_however_it_is_capitalised(collation):
    policy = factories.retention_policy(job="purge_old_content", days=90)
    kept = factories.retention_override(policy=policy, subreddit="IAmA")

    with pytest.raises(IntegrityError), transaction.atomic():
        factories.retention_override(policy=policy, subreddit="iama")

    assert list(RetentionOverride.objects.all()) == [kept]


def test_no_look_up_folds_by_the_collation_of_the_database():
    """``iexact`` and ``Lower`` of names: a search for people's words may use ``icontains``."""
    apart = re.compile(r"__i(exact|startswith|endswith|regex)\b|\bLower\(|\bUpper\(")
    found = [
        f"{file.relative_to(settings.BASE_DIR)}:{number}"
        for package in ("accounts", "audit", "console", "maintenance", "scraping")
        for file in sorted(Path(settings.BASE_DIR, package).rglob("*.py"))
        if "migrations" not in file.parts
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if apart.search(line)
    ]

    assert found == []
