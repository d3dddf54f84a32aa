"""The pages that try a bot's config as edited in the form, whether it is stored or new."""

from functools import partial
from typing import Any, Final, cast

from django.contrib.admin import ModelAdmin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import path
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from scraping.models import BotConfig
from scraping.sessions import cost, filters, trial

SEE_POSTS: Final = "scraping.view_redditpost"
# A trial does not need these fields: a new bot may have no name yet.
_NOT_TRIED: Final = frozenset({"name", "owner"})


def urls(model_admin: ModelAdmin) -> list[Any]:
    """Return the addresses of both trials, of stored bots and of a new one."""
    found = []
    for view in ("test", "try-filters"):
        call = model_admin.admin_site.admin_view(require_POST(partial(trial_view, model_admin, view=view)))
        name = view.replace("-", "_")
        found.append(path(f"add/{view}/", call, name=f"scraping_botconfig_add_{name}"))
        found.append(path(f"<int:pk>/{view}/", call, name=f"scraping_botconfig_{name}"))
    return found


def trial_view(
    model_admin: ModelAdmin, request: HttpRequest, pk: int | None = None, *, view: str
) -> HttpResponse:
    """Try the config as edited in the form, without saving it."""
    stored = None if pk is None else get_object_or_404(model_admin.get_queryset(request), pk=pk)
    may = (
        model_admin.has_change_permission(request, stored)
        if stored
        else model_admin.has_add_permission(request)
    )
    if not may:
        raise PermissionDenied
    if view == "try-filters" and not request.user.has_perm(SEE_POSTS):
        raise PermissionDenied(_("You may not see stored posts."))
    form_class = model_admin.get_form(request, stored, change=stored is not None)
    form = form_class(request.POST, instance=stored or BotConfig(owner=cast(User, request.user)))
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": stored,
        "title": _("Test this config") if view == "test" else _("Try the filters"),
    }
    if errors := _errors(form):
        context["errors"] = errors
    elif view == "test":
        context |= _test(form.instance, request)
    else:
        context |= {
            "tried": filters.try_on_stored(form.instance, by=request.user),
            "has_filters": filters.has_filters(form.instance),
        }
    return render(request, "scraping/trial.html", context)


def _errors(form: ModelForm) -> list[tuple[Any, Any]]:
    return [
        (form[name].label if name in form.fields else "", error)
        for name, errors in form.errors.items()
        if name not in _NOT_TRIED
        for error in errors
    ]


def _test(config: BotConfig, request: HttpRequest) -> dict[str, Any]:
    tried = trial.try_on_reddit(config, by=request.user)
    return {
        "trial": tried,
        "likely": cost.likely(config, tried.listed),
        "worst": cost.worst_case(config),
        "not_asked": max(len(config.subreddits) - trial.SUBREDDITS_TRIED, 0),
    }
