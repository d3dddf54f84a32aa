"""Two periods side by side: the runs of each job, and of each schedule that differs from its job's default."""

from datetime import timedelta
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import path
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from adminkit.forms import MomentField
from adminkit.parameters import FIRST_YEAR, LAST_YEAR, RefusedParameter, require_text
from database import clock
from database.deadlines import TooSlow, within
from database.messages import gettext
from maintenance.admin.comparison_rows import Comparison, as_csv, compare
from maintenance.ledger.comparison import Period
from maintenance.registry import jobs

# What is offered at one press, and what is shown at first.
DAYS_OFFERED: Final = (1, 7, 28)
DAYS: Final = 7
DAYS_MAX: Final = 92
SECONDS_MAX: Final = 10.0
CSV: Final = "csv"
MOMENTS: Final = ("before_from", "before_to", "after_from", "after_to")


class PeriodsForm(forms.Form):
    """The two periods, which may lie anywhere, and perhaps one job."""

    before_from = MomentField(label=_("Before: from"), required=True)
    before_to = MomentField(label=_("Before: to"), required=True)
    after_from = MomentField(label=_("After: from"), required=True)
    after_to = MomentField(label=_("After: to"), required=True)
    job = forms.ChoiceField(label=_("Job"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        job: Any = self.fields["job"]
        job.choices = [("", _("all jobs")), *((one.slug, one.title) for one in jobs())]

    def clean(self) -> dict[str, Any]:
        """Refuse a period that ends before it begins, or that is too long for one page."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in MOMENTS:
            moment = cleaned.get(name)
            if moment is not None and not FIRST_YEAR <= moment.year <= LAST_YEAR:
                years = {"low": FIRST_YEAR, "high": LAST_YEAR}
                self.add_error(name, ValidationError(_("Its year is from %(low)d to %(high)d.") % years))
        for which in ("before", "after"):
            start, end = cleaned.get(f"{which}_from"), cleaned.get(f"{which}_to")
            if start is None or end is None:
                continue
            if end <= start:
                self.add_error(f"{which}_to", _("Choose a moment after the start of this period."))
            elif end - start > timedelta(days=DAYS_MAX):
                text = _("Choose a period of at most %(days)d days.") % {"days": DAYS_MAX}
                self.add_error(f"{which}_to", text)
        return cleaned

    def periods(self) -> tuple[Period, Period] | None:
        """Return the two periods; None: a field cannot be used. Without a query string they are the initial ones."""
        if self.is_bound and not self.is_valid():
            return None
        values = self.cleaned_data if self.is_bound else self.initial
        first, second, third, fourth = (values[name] for name in MOMENTS)
        return Period(first, second), Period(third, fourth)

    def chosen_job(self) -> str:
        """Return the slug of the chosen job; empty: all jobs."""
        values = getattr(self, "cleaned_data", {}) if self.is_bound else self.initial
        return str(values.get("job") or "")

    def refuse(self, text: Any) -> None:
        """Say what is wrong with the periods, beside the last field."""
        if not self.is_bound:
            self.is_bound, self.data = True, {name: self[name].value() for name in self.fields}
            self.full_clean()
        self.add_error("after_to", text)


class RunComparison(admin.ModelAdmin):
    """The page that compares two periods, for the admin of runs."""

    def get_urls(self) -> list[Any]:
        """Add the page."""
        view = self.admin_site.admin_view(require_safe(self.compare_view))
        return [path("compare/", view, name="maintenance_jobrun_compare"), *super().get_urls()]

    def compare_view(self, request: HttpRequest) -> HttpResponse:
        """Compare the periods in the query string; without any, the last seven days with the seven before."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = form_of(request.GET)
        found: Comparison | None = None
        if periods := form.periods():
            try:
                with within(SECONDS_MAX):
                    found = compare(*periods, user=request.user, job=form.chosen_job())
            except TooSlow:
                text = _("So many runs cannot be compared on one page: choose shorter periods, or one job.")
                form.refuse(text)
        if request.GET.get("format") == CSV:
            return _file(form, found)
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Compare two periods"),
            "form": form,
            "comparison": found,
            "presets": _presets(request.GET, form.chosen_job()),
            "file_url": f"?{urlencode({**request.GET.dict(), 'format': CSV})}",
        }
        return render(request, "maintenance/compare.html", context)


def form_of(query: QueryDict) -> PeriodsForm:
    """Return the form with the periods of the query string, or with the last days and as many before.

    Raises:
        RefusedParameter: ``days`` is no number of days, ``format`` no format, or a text is unusable.
    """
    for name, value in query.items():
        require_text(name, str(value))
    if query.get("format", CSV) != CSV:
        raise RefusedParameter("format", _("The only format is csv."))
    if any(name in query for name in MOMENTS):
        return PeriodsForm(query)
    days = query.get("days", str(DAYS))
    if not (days.isascii() and days.isdecimal() and len(days) <= 3 and 1 <= int(days) <= DAYS_MAX):
        limits = {"low": 1, "high": DAYS_MAX}
        raise RefusedParameter("days", _("It is a number from %(low)d to %(high)d.") % limits)
    job = query.get("job", "")
    if job and job not in {one.slug for one in jobs()}:
        raise RefusedParameter("job", _("There is no such job."))
    # Up to the end of this minute, because the fields hold minutes.
    end = clock.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    length = timedelta(days=int(days))
    moments = (end - 2 * length, end - length, end - length, end)
    return PeriodsForm(initial={**dict(zip(MOMENTS, moments, strict=True)), "job": job})


def _presets(query: QueryDict, job: str) -> list[tuple[int, str, bool]]:
    """Return the lengths that are offered: days, address, and whether it is the one that is shown."""
    given = None if any(name in query for name in MOMENTS) else query.get("days", str(DAYS))
    return [
        (days, f"?{urlencode({'days': days, **({'job': job} if job else {})})}", given == str(days))
        for days in DAYS_OFFERED
    ]


def _file(form: PeriodsForm, found: Comparison | None) -> HttpResponse:
    """Return the table as a file for a spreadsheet.

    Raises:
        RefusedParameter: the first field that cannot be used.
    """
    if found is None:
        name, errors = next(iter(form.errors.items()))
        raise RefusedParameter(name, " ".join(str(error) for error in errors))
    stamp = timezone.localtime(found.after.end).strftime("%Y-%m-%d")
    return HttpResponse(
        as_csv(found),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="compared-{stamp}.csv"'},
    )
