"""What is entered as a secret is checked, and shown nowhere."""

import pytest
from django import forms

from adminkit.secret_field import SecretField


def check(value):
    if "bad" in value:
        raise ValueError("It is no address.")


class Form(forms.Form):
    url = SecretField(label="url", check=check)
    key = SecretField(label="key", is_masked=True, min_length=8)


@pytest.mark.parametrize("values", [{"url": "bad-1234"}, {"key": "short"}])
def test_what_was_entered_is_not_in_the_page_with_its_errors(values):
    form = Form(values)

    assert not form.is_valid()
    assert not any(value in form.as_p() for value in values.values())


def test_left_empty_it_is_valid_and_not_checked():
    form = Form({"url": "", "key": ""})

    assert form.is_valid()
    assert form.cleaned_data == {"url": "", "key": ""}


def test_a_masked_one_is_typed_as_dots_and_filled_in_by_no_password_manager():
    page = Form().as_p()

    assert 'type="password"' in page
    assert 'autocomplete="new-password"' in page
    assert page.count("Stored encrypted and never shown.") == 2
