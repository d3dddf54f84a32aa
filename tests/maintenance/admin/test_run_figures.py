"""The figures of a run in words."""

import pytest
from django.utils import translation

from maintenance.admin.run_figures import COUNT_NAMES, count_name
from scraping.compliance.sweep import COUNTED

pytestmark = pytest.mark.django_db


def test_each_count_of_a_sweep_has_words_in_both_languages():
    assert set(COUNTED) <= set(COUNT_NAMES)
    with translation.override("zh-hans"):
        assert not [name for name in COUNT_NAMES if count_name(name).isascii()]
