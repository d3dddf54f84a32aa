"""An operator edits a retention in a browser, with and without JavaScript."""

from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from maintenance.models import RetentionPolicy
from scraping.models import RedditPost
from tests.e2e.reading import violations
from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_all_that_match_are_held_and_one_is_released(signed_in, axe):
    RedditPost.objects.bulk_create(factories.unsaved_post(subreddit="django") for _ in range(60))
    other = factories.post(subreddit="python")
    page = signed_in
    page.goto("/admin/scraping/redditpost/?subreddit=django")

    page.get_by_label("Select all objects on this page for an action").check()
    page.get_by_role("button", name="Select all 60 posts").click()
    page.get_by_label("Action:").select_option(label="Hold against deletion…")
    page.get_by_role("button", name="Go").click()
    expect(page.get_by_role("heading", name="Hold 60 posts?")).to_be_visible()
    assert violations(page, axe) == []
    page.get_by_label("Reason").fill("study")
    page.get_by_role("button", name="Hold", exact=True).click()
    expect(page.get_by_text("60 posts are held.")).to_be_visible()

    page.locator("#result_list tbody tr").first.get_by_role("link").first.click()
    expect(page.get_by_text("study", exact=True)).to_be_visible()
    page.get_by_role("button", name="Release…").click()
    expect(page.get_by_role("heading", name="Release 1 post?")).to_be_visible()
    assert violations(page, axe) == []
    page.get_by_label("Reason").fill("settled")
    page.get_by_role("button", name="Release", exact=True).click()
    expect(page.get_by_text("1 hold has ended.")).to_be_visible()
    expect(page.get_by_role("button", name="Release…")).to_have_count(0)

    assert RedditPost.objects.held().count() == 59
    assert other not in RedditPost.objects.held()


def test_the_form_of_a_retention_says_what_an_edit_deletes(signed_in):
    factories.comment(post=factories.post(created_at=timezone.now() - timedelta(days=70), subreddit="Python"))
    policy = RetentionPolicy.objects.get(job="purge_old_content")
    page = signed_in
    page.goto(f"/admin/maintenance/retentionpolicy/{policy.pk}/change/")
    preview = page.locator(".preview")
    expect(preview).to_contain_text("This changes nothing for the rows that are stored now.")

    page.get_by_label("Days:").fill("60")
    expect(preview).to_contain_text("would delete 2 more rows")
    page.locator("#id_overrides-0-subreddit").fill("r/python")
    page.locator("#id_overrides-0-days").fill("3650")
    expect(preview).to_contain_text("This changes nothing for the rows that are stored now.")
    page.locator("#id_overrides-0-days").fill("0")
    expect(preview).to_contain_text("greater than or equal to 1")
    page.locator("#id_overrides-0-days").fill("65")
    expect(preview).to_contain_text("would delete 2 more rows")

    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("deletes what is older than 60 days")).to_be_visible()
    policy.refresh_from_db()
    assert policy.days == 60
    assert policy.overrides.get().days == 65


def test_who_was_faster_than_the_preview_is_asked(signed_in, axe):
    factories.post(created_at=timezone.now() - timedelta(days=70))
    policy = RetentionPolicy.objects.get(job="purge_old_content")
    page = signed_in
    page.route("**/preview/", lambda route: route.fulfill(body=""))
    page.goto(f"/admin/maintenance/retentionpolicy/{policy.pk}/change/")

    page.get_by_label("Days:").fill("60")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The next run would delete 1 more row.")).to_be_visible()
    assert violations(page, axe) == []
    page.get_by_role("link", name="Cancel").click()

    expect(page.get_by_label("Days:")).to_have_value("90")
    policy.refresh_from_db()
    assert policy.days == 90


class TestWithoutScripts:
    @pytest.fixture
    def browser_context_args(self, browser_context_args):
        return {**browser_context_args, "java_script_enabled": False}

    def test_an_edit_that_deletes_more_is_asked_twice(self, signed_in):
        factories.post(created_at=timezone.now() - timedelta(days=70))
        policy = RetentionPolicy.objects.get(job="purge_old_content")
        page = signed_in
        page.goto(f"/admin/maintenance/retentionpolicy/{policy.pk}/change/")

        page.get_by_label("Days:").fill("60")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("The next run would delete 1 more row.")).to_be_visible()
        policy.refresh_from_db()
        assert policy.days == 90

        page.get_by_role("button", name="Save, and let the next run delete them").click()
        policy.refresh_from_db()
        assert policy.days == 60

    def test_posts_are_held(self, signed_in):
        chosen, other = factories.post(), factories.post()
        page = signed_in
        page.goto("/admin/scraping/redditpost/")

        page.locator(f'input[name="_selected_action"][value="{chosen.pk}"]').check()
        page.get_by_label("Action:").select_option(label="Hold against deletion…")
        page.get_by_role("button", name="Go").click()
        page.get_by_label("Reason").fill("study")
        page.get_by_role("button", name="Hold", exact=True).click()

        assert list(RedditPost.objects.held()) == [chosen]
        assert other not in RedditPost.objects.held()
