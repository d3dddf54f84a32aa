"""Every list on a phone: cards that are small, filters that axe accepts, nothing wider than the window."""

import pytest
from django.contrib import admin
from django.urls import reverse

from tests.e2e.reading import violations
from tests.pages import every_page

pytestmark = pytest.mark.django_db(transaction=True)
HIGHEST = (
    "Math.max(0, ...[...document.querySelectorAll('#result_list tbody tr')].map(row => row.offsetHeight))"
)


@pytest.fixture
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 360, "height": 740}}


def test_lists_are_small_cards_with_an_accessible_menu_of_filters(signed_in, superuser, axe):
    page = signed_in
    every_page(superuser)
    for model in admin.site._registry:
        address = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
        page.goto(address)
        page.evaluate("document.querySelectorAll('.filter-menu').forEach(menu => { menu.open = true; })")
        assert page.evaluate(HIGHEST) <= 160, address
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, address
        assert violations(page, axe) == [], address
