"""The allow-list of a list's query string, through the pages."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import RequestFactory
from django.urls import reverse

from adminkit.guarded import GuardedAdmin
from adminkit.parameters import Lookups
from database.fields import EncryptedTextField
from scraping.models import RedditApp
from tests.kit import factories

pytestmark = pytest.mark.django_db
HUGE = "9" * 23


@pytest.fixture
def signed_in(client):
    client.force_login(factories.superuser())
    return client


def listed(model):
    return reverse(f"admin:{model.replace('.', '_')}_changelist")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "query", "parameter"),
    [
        ("scraping.redditcomment", "body__regex=^(([A-Za-z ,.'])%2B)%2B%23$", "body__regex"),
        ("scraping.redditapp", "client_secret__regex=^g", "client_secret__regex"),
        ("scraping.redditapp", "client_secret__startswith=g", "client_secret__startswith"),
        ("scraping.botconfig", "app__client_secret__startswith=g", "app__client_secret__startswith"),
        ("auth.user", "password__startswith=m", "password__startswith"),
        ("auth.group", "user__password__startswith=m", "user__password__startswith"),
        ("auth.group", f"permissions={HUGE}", "permissions"),
        ("scraping.redditpost", "title__range=a", "title__range"),
        ("scraping.redditpost", "media__contains=x", "media__contains"),
        ("scraping.redditpost", f"pk__in={HUGE}", "pk__in"),
        ("scraping.redditpost", "created_at__year=99999", "created_at__year"),
        ("scraping.redditpost", "created_at__gte=99999-01-01", "created_at__gte"),
        ("scraping.redditpost", "created_at__gte=9999-12-31 23:59:59-14:00", "created_at__gte"),
        ("scraping.redditpost", f"session__id__exact={HUGE}", "session__id__exact"),
        ("scraping.redditpost", "subreddit=%00", "subreddit"),
        ("scraping.redditcomment", "post__id__exact=a", "post__id__exact"),
        ("auth.user", f"groups__id__exact={HUGE}", "groups__id__exact"),
        ("auth.user", "is_staff__exact=perhaps", "is_staff__exact"),
        ("maintenance.jobrun", "status__exact=odd", "status__exact"),
        ("maintenance.jobrun", "status__in=failed,odd", "status__in"),
        ("auth.user", "p=-1", "p"),
        ("auth.user", f"p={'9' * 5000}", "p"),
        ("maintenance.jobrun", "o=(", "o"),
        ("maintenance.jobrun", "q=%00", "q"),
        ("maintenance.jobrun", f"q={'x' * 201}", "q"),
        ("maintenance.jobrun", f"q=a/{'+a' * 150}", "q"),
        ("maintenance.jobrun", f"q=https://{'x' * 2_000}", "q"),
        ("maintenance.jobrun", "nothing=1", "nothing"),
        ("auth.user", "_to_field=password", "_to_field"),
        ("auth.user", "_popup=(", "_popup"),
        ("django_celery_beat.periodictask", "kwargs__regex=(", "kwargs__regex"),
    ],
)
def test_what_a_list_does_not_offer_is_a_page_that_names_it(signed_in, model, query, parameter):
    answer = signed_in.get(f"{listed(model)}?{query}")

    assert answer.status_code == 400
    page = answer.content.decode()
    assert f"<code>{parameter}</code>" in page
    assert 'id="site-name"' in page  # in the console's frame
    assert f'href="{listed(model)}"' in page


def test_the_page_is_in_the_readers_language_and_also_there_while_debugging(signed_in, settings):
    settings.DEBUG = True

    answer = signed_in.get(f"{listed('auth.user')}?password__regex=a", headers={"Accept-Language": "zh-hans"})

    assert answer.status_code == 400
    assert "参数" in answer.content.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status__exact=failed", [1]),
        ("status__in=failed,partial", [1, 2]),
        ("status=partial", [2]),
        ("queued_at__gte=2020-01-01", [1, 2, 3]),
        ("queued_at__gte=2020-01-01 00:00:00%2B08:00&queued_at__lt=2020-01-02", []),
        ("finished_at__isnull=1", None),
        ("dry_run__exact=1", [3]),
        ("job=cleanup_sessions", [2]),
        ("o=1.-2&p=1&all=&q=&_facets=", [1, 2, 3]),
    ],
)
def test_what_a_list_offers_works(signed_in, query, found):
    runs = [
        factories.job_run(status="failed", error="no"),
        factories.job_run(job="cleanup_sessions", status="partial"),
        factories.job_run(dry_run=True),
    ]

    answer = signed_in.get(f"{listed('maintenance.jobrun')}?{query}")

    if found is None:
        assert answer.status_code == 400  # no filter of this list
        return
    assert answer.status_code == 200
    assert {run.pk for run in answer.context["cl"].result_list} == {runs[number - 1].pk for number in found}


def test_a_page_behind_the_last_one_is_refused(signed_in):
    User.objects.bulk_create(User(username=f"many{number}") for number in range(101))

    assert signed_in.get(f"{listed('auth.user')}?p=2").status_code == 200
    assert signed_in.get(f"{listed('auth.user')}?p=3").status_code == 400


def test_links_of_the_console_lead_into_its_lists(signed_in):
    session = factories.session()
    post = factories.post(session=session)
    comment = factories.comment(post=post)
    factories.comment()

    shown = signed_in.get(f"{listed('scraping.redditcomment')}?post__id__exact={post.pk}")
    sessions = signed_in.get(f"{listed('scraping.scrapesession')}?config__id__exact={session.config_id}")
    posts = signed_in.get(f"{listed('scraping.redditpost')}?session__id__exact={session.pk}")

    assert list(shown.context["cl"].result_list) == [comment]
    assert list(sessions.context["cl"].result_list) == [session]
    assert list(posts.context["cl"].result_list) == [post]


def test_the_export_takes_what_the_list_takes(signed_in):
    answer = signed_in.get(reverse("admin:scraping_redditcomment_export", args=["csv"]) + "?body__regex=(")

    assert answer.status_code == 400


def test_every_admin_is_guarded_and_none_looks_at_a_secret():
    request = RequestFactory().get("/")
    request.user = factories.superuser()
    for model, registered in admin.site._registry.items():
        assert isinstance(registered, GuardedAdmin), model
        for path, column in Lookups(registered, request).columns().items():
            assert not isinstance(column, EncryptedTextField), path
            assert not {"password", "secret", "token", "hash", "key"} & set(column.name.split("_")), path
    assert Group in admin.site._registry


@pytest.mark.parametrize("key", [HUGE, "a", "\0", "9" * 4400])
def test_an_action_on_a_row_that_cannot_be_is_refused(signed_in, key):
    group = Group.objects.create(name="kept")

    answer = signed_in.post(
        listed("auth.group"),
        {"action": "delete_selected", "_selected_action": key, "post": "yes", "index": "99"},
    )

    assert answer.status_code == 400
    assert list(Group.objects.filter(name="kept")) == [group]


def test_a_permission_that_cannot_be_is_an_error_of_the_form(signed_in):
    answer = signed_in.post(reverse("admin:auth_group_add"), {"name": "new", "permissions": [HUGE]})

    assert answer.status_code == 200
    assert HUGE in str(answer.context["adminform"].form.errors["permissions"])
    assert not Group.objects.filter(name="new").exists()


def test_numbers_that_no_column_holds_are_in_no_set():
    app = factories.reddit_app()
    bot = factories.bot_config(app=app)

    assert list(RedditApp.objects.filter(pk__in=[app.pk, int(HUGE)])) == [app]
    assert list(RedditApp.objects.exclude(pk__in=[int(HUGE)])) == [app]
    assert list(type(bot).objects.filter(app__in=[app.pk, -int(HUGE)])) == [bot]
    assert list(type(bot).objects.filter(app__in=[int(HUGE)])) == []
