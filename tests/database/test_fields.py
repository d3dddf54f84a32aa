import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from database.fields import EncryptedTextField, SecretUnreadable
from scraping.models import RedditApp
from tests.kit import factories

pytestmark = pytest.mark.django_db
SECRET = "s3cret ünd geheim 密"


def stored(app):
    """The column as the database holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT client_secret FROM scraping_redditapp WHERE id = %s", [app.pk])
        return cursor.fetchone()[0]


def read(app):
    return RedditApp.objects.get(pk=app.pk).client_secret


def by_save(app, secret):
    app.client_secret = secret
    app.save()


def by_update(app, secret):
    RedditApp.objects.filter(pk=app.pk).update(client_secret=secret)


def by_bulk_update(app, secret):
    app.client_secret = secret
    RedditApp.objects.bulk_update([app], ["client_secret"])


def by_bulk_create(app, secret):
    app.client_secret = secret
    RedditApp.objects.bulk_create(
        [app], update_conflicts=True, unique_fields=["id"], update_fields=["client_secret"]
    )


@pytest.mark.parametrize("write", [by_save, by_update, by_bulk_update, by_bulk_create])
def test_a_secret_is_encrypted_at_rest_however_it_is_written(write):
    app = factories.reddit_app()

    write(app, SECRET)

    assert "s3cret" not in stored(app)
    assert stored(app).startswith("gAAAA")  # a Fernet token
    assert read(app) == SECRET


def test_equal_secrets_do_not_look_equal():
    assert stored(factories.reddit_app(client_secret=SECRET)) != stored(
        factories.reddit_app(client_secret=SECRET)
    )


def test_no_secret_stays_empty_and_can_be_searched():
    app = factories.reddit_app(client_secret="")
    factories.reddit_app(client_secret=SECRET)

    assert stored(app) == ""
    assert read(app) == ""
    assert list(RedditApp.objects.filter(client_secret="")) == [app]


def test_a_key_is_replaced_by_putting_a_new_one_in_front_and_saving_again(settings):
    settings.FIELD_ENCRYPTION_KEY = ["old"]
    app = factories.reddit_app(client_secret=SECRET)

    settings.FIELD_ENCRYPTION_KEY = ["new", "old"]
    assert read(app) == SECRET
    RedditApp.objects.get(pk=app.pk).save()

    settings.FIELD_ENCRYPTION_KEY = ["new"]
    assert read(app) == SECRET


def test_a_lost_key_is_an_error_that_says_what_to_do(settings):
    settings.FIELD_ENCRYPTION_KEY = ["lost"]
    app = factories.reddit_app(client_secret=SECRET)

    settings.FIELD_ENCRYPTION_KEY = ["other"]

    with pytest.raises(ImproperlyConfigured, match=r"RedditApp\.client_secret.*put that key back"):
        read(app)
    assert RedditApp.objects.get(pk=app.pk).name == app.name


def test_a_changed_token_is_not_decrypted():
    app = factories.reddit_app(client_secret=SECRET)
    token = stored(app)
    with connection.cursor() as cursor:
        changed = token[:-10] + ("A" if token[-10] != "A" else "B") + token[-9:]
        cursor.execute("UPDATE scraping_redditapp SET client_secret = %s WHERE id = %s", [changed, app.pk])

    with pytest.raises(SecretUnreadable):
        read(app)


@given(text=st.text())
def test_any_text_comes_back(text):
    field = EncryptedTextField()

    stored = field.from_db_value(field.get_prep_value(text), None, connection)
    assert (stored.open() if text else stored) == text
