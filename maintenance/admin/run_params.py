"""The parameters of a run as its page shows them: with words, titles and links instead of slugs and keys."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from adminkit.templatetags.display import number
from maintenance.failed_parts import FAILED_IN
from maintenance.models import JobRun


@dataclass(frozen=True)
class Parameter:
    """One parameter in the reader's language."""

    label: str
    text: str
    url: str = ""


def parameters(run: JobRun) -> Iterator[Parameter]:
    """Yield the parameters of a run whose bot is named (``name_bots``)."""
    for name, value in run.params.items():
        if name == "config":
            text = run.bot.name if run.bot else _("bot %(id)s") % {"id": value}
            url = reverse("admin:scraping_botconfig_change", args=[run.bot.pk]) if run.bot else ""
            yield Parameter(_("Bot"), text, url)
        elif name == "days" and type(value) is int:
            days = ngettext("%(number)s day", "%(number)s days", value) % {"number": number(value)}
            yield Parameter(_("Retention"), days)
        elif name == "subreddits" and isinstance(value, list):
            yield Parameter(_("Only"), ", ".join(f"r/{one}" for one in value))
        elif name == FAILED_IN and type(value) is int:
            url = reverse("admin:maintenance_jobrun_change", args=[value])
            yield Parameter(_("Only what failed in"), f"#{value}", url)
        else:
            yield Parameter(name, str(value))
