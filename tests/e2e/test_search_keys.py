"""The search and the shortcuts by keyboard alone."""

import pytest
from playwright.sync_api import expect

from tests.kit import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("address", ["/admin/", "/admin/scraping/botconfig/", "/admin/auth/group/"])
def test_a_slash_on_any_page_leads_to_the_search(signed_in, address):
    page = signed_in
    factories.bot_config(name="Garden news")
    page.goto(address)
    page.keyboard.press("/")
    page.keyboard.type("garden")
    page.keyboard.press("Enter")

    expect(page.get_by_role("link", name="Garden news")).to_be_visible()


def test_a_slash_in_a_field_is_a_slash(signed_in):
    page = signed_in
    page.goto("/admin/scraping/botconfig/add/")

    page.locator("#id_name").fill("")
    page.locator("#id_name").press("/")

    expect(page.locator("#id_name")).to_have_value("/")


def test_a_question_mark_lists_the_shortcuts_and_two_keys_open_a_page(signed_in):
    page = signed_in
    page.goto("/admin/")

    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#shortcuts")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("b")

    page.wait_for_url("**/admin/scraping/botconfig/")


def test_shortcuts_can_be_switched_off(signed_in):
    page = signed_in
    page.goto("/admin/")
    page.keyboard.press("?")
    page.locator("#shortcuts-on").uncheck()
    page.goto("/admin/")

    page.keyboard.press("?")
    page.keyboard.press("/")

    expect(page.locator("#shortcuts")).to_be_hidden()
    expect(page.locator("#global-search")).not_to_be_focused()
    page.locator("#shortcuts-open").click()
    expect(page.locator("#shortcuts")).to_be_visible()


def test_without_javascript_the_box_searches(browser, live_server, client, superuser):
    client.force_login(superuser)
    context = browser.new_context(java_script_enabled=False)
    cookie = {"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}
    context.add_cookies([cookie])
    factories.bot_config(name="Garden news")
    page = context.new_page()

    page.goto(f"{live_server.url}/admin/")
    page.locator("#global-search").fill("garden")
    page.locator("#global-search").press("Enter")

    expect(page.get_by_role("link", name="Garden news")).to_be_visible()
    context.close()
