"""Texts of Django whose Chinese is ours."""

from datetime import UTC, datetime, timedelta

from django import forms
from django.utils import translation
from django.utils.timesince import timesince

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def test_labels_and_durations_are_written_as_in_chinese():
    with translation.override("zh-hans"):
        told = [timesince(NOW - timedelta(days=days), NOW, depth=1) for days in (5, 70)]
        label = forms.Form().label_suffix

    assert [each.replace("\xa0", " ") for each in told] == ["5 天", "2 个月"]
    assert label == "："
