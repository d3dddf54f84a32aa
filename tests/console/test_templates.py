"""Every template that another one or the code names exists: an include is looked for only when it is reached."""

import re

from django.conf import settings
from django.template import TemplateDoesNotExist
from django.template.loader import get_template

APPS = ("accounts", "adminkit", "alerts", "api", "audit", "console", "maintenance", "scraping")
NAMED = re.compile(r"""["']([a-z]\w*/[\w/-]+\.(?:html|txt))["']""")


def exists(name):
    try:
        get_template(name)
    except TemplateDoesNotExist:
        return False
    return True


def test_every_template_that_is_named_exists():
    root = settings.BASE_DIR
    sources = [*root.glob("templates/**/*.html"), *root.glob("templates/**/*.txt")]
    sources += [file for app in APPS for file in root.glob(f"{app}/**/*.py")]
    named = {name: file.name for file in sources for name in NAMED.findall(file.read_text())}

    assert len(named) > 100
    assert {name: where for name, where in named.items() if not exists(name)} == {}
