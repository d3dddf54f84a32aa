"""The page of a schedule's address: give it one, renew its secret, take it away."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django_celery_beat.models import PeriodicTask

from database.messages import gettext
from maintenance.models import ScheduleHook
from maintenance.scheduling import hooks, schedules

PATH = "/api/v1/hooks/"


@never_cache
def hook_page(request: HttpRequest, task: PeriodicTask, frame: dict[str, object]) -> HttpResponse:
    """Show the address, and do what the button says; a new secret is in this answer only."""
    secret = None
    if request.method == "POST" and "close" in request.POST:
        hooks.close_hook(task, by=request.user)
        messages.success(
            request, gettext("%(name)s has no address any more.") % {"name": schedules.title(task)}
        )
        return HttpResponseRedirect(reverse("admin:maintenance_schedule_hook", args=[task.pk]))
    if request.method == "POST":
        _hook, secret = hooks.open_hook(task, by=request.user)
    hook = ScheduleHook.objects.filter(schedule=task).first()
    context = {
        **frame,
        "title": gettext("Address of “%(name)s”") % {"name": schedules.title(task)},
        "schedule": task,
        "hook": hook,
        "address": request.build_absolute_uri(f"{PATH}{hook.public_id}") if hook else "",
        "secret": secret,
    }
    return render(request, "maintenance/schedule_hook.html", context)
