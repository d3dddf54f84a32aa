"""What somebody had typed into a form that could not be taken: the page that says why shows it, to be copied.

Pages are not kept by browsers (``no-store``), so going back would show an empty form, or that there is no such page.
"""

from django.http import HttpRequest
from django.http.request import RawPostDataException

from audit.snapshots import SECRET_WORDS

# Fields that no person fills in; all that begin with an underscore are buttons.
OWN_FIELDS = frozenset({"action", "confirmed", "index", "next", "opened", "post", "seen", "select_across"})
# The counts and keys of the rows of a table in a form.
OF_ROWS = ("_FORMS", "-id")
# Beside the words that mark secrets: codes of a second factor, and the fields of ``SecretField``, which no page shows.
SECRET_FIELDS = frozenset({"code", "credential", "new_url", "new_chat", "ping_address"})
VALUES_MAX = 1_000


def typed(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the names and values of the fields of the posted form, without secrets; none of a form of another site."""
    own = f"{request.scheme}://{request.get_host()}"
    if request.method != "POST" or request.headers.get("Origin") != own or request.headers.get("HX-Request"):
        return []
    try:
        fields = list(request.POST.lists())
    except (RawPostDataException, OSError):  # its body was read already, or never arrived
        return []
    found = [
        (name.replace("_", " "), value)
        for name, values in fields
        if not name.startswith("_")
        and name not in OWN_FIELDS
        and not name.endswith(OF_ROWS)
        and not is_secret(name)
        for value in values
        if value.strip()
    ]
    return found[:VALUES_MAX]


def is_secret(name: str) -> bool:
    """Whether a page must not show what was typed into the field of this name."""
    return name.rpartition("-")[2] in SECRET_FIELDS or any(word in name.lower() for word in SECRET_WORDS)
