import pytest

from api import throttle


@pytest.fixture(autouse=True)
def _no_counts():
    """A test knows nothing of the calls before."""
    throttle.forget()
