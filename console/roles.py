"""The groups of a new console.

They are created once, and then administrators manage them: an existing group is never changed, even if it differs from
this list. The next ``migrate`` creates a deleted or renamed group again; remove its permissions instead.
"""

from functools import reduce
from operator import or_
from typing import Any

from django.apps import apps as installed_apps
from django.db import DEFAULT_DB_ALIAS, router, transaction
from django.db.models import Q

from alerts import default_routes

VIEWERS = "Viewers"
OPERATORS = "Operators"
APPROVERS = "Approvers"
BOT_OWNERS = "Bot owners"

_SEE_EVERYTHING = (
    "alerts.view_alert",
    "alerts.view_delivery",
    "alerts.view_route",
    "audit.view_event",
    "auth.view_group",
    "auth.view_user",
    "django_celery_beat.view_periodictask",
    "maintenance.view_jobrun",
    "maintenance.view_retentionpolicy",
    "scraping.view_botconfig",
    "scraping.view_everybodys_content",
    "scraping.view_redditapp",
    "scraping.view_redditcomment",
    "scraping.view_redditpost",
    "scraping.view_scrapesession",
    "scraping.view_setaside",
)
PERMISSIONS = {
    VIEWERS: _SEE_EVERYTHING,
    # Retime and pause schedules, run and cancel jobs, hold and export posts; but not edit bots of others.
    OPERATORS: (
        *_SEE_EVERYTHING,
        "alerts.decide_alert",
        "django_celery_beat.change_periodictask",
        "maintenance.cancel_jobrun",
        "maintenance.change_maintenancemode",
        "maintenance.change_retentionpolicy",
        "maintenance.run_job",
        "scraping.export_redditcomment",
        "scraping.export_redditpost",
        "scraping.hold_redditpost",
    ),
    # Decide about runs that a cap stopped. A separate group, so that approval can require a second person.
    APPROVERS: (*_SEE_EVERYTHING, "maintenance.approve_run", "scraping.decide_setaside"),
    # Their own bots and the content that these found; querysets exclude other rows. An owner may scrape with their bot.
    BOT_OWNERS: (
        "alerts.view_alert",
        "scraping.add_botconfig",
        "scraping.change_botconfig",
        "scraping.delete_botconfig",
        "scraping.export_redditcomment",
        "scraping.export_redditpost",
        "scraping.view_botconfig",
        "scraping.view_redditcomment",
        "scraping.view_redditpost",
        "scraping.view_scrapesession",
    ),
}


def create_groups(*, using: str = DEFAULT_DB_ALIAS, apps: Any = installed_apps, **_: Any) -> list[str]:
    """Create the missing groups with their permissions; return their names.

    A receiver of ``post_migrate``. After a partial ``migrate`` some permissions do not exist yet: the ``migrate`` that
    completes the tables creates the groups that need them.
    """
    try:
        group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    except LookupError:
        return []
    if not router.allow_migrate_model(using, group_model):
        return []
    created = []
    with transaction.atomic(using=using):
        for name, wanted in PERMISSIONS.items():
            permissions = list(permission_model.objects.using(using).filter(_any_of(wanted)))
            if len(permissions) < len(wanted):
                continue
            group, is_new = group_model.objects.using(using).get_or_create(name=name)
            if is_new:
                group.permissions.set(permissions)
                created.append(name)
    return created


def create_routes(*, using: str = DEFAULT_DB_ALIAS, apps: Any = installed_apps, **_: Any) -> None:
    """Create the default routes of alerts, one of them to the Operators; a receiver of ``post_migrate``."""
    try:
        group_model, route_model = apps.get_model("auth", "Group"), apps.get_model("alerts", "Route")
    except LookupError:
        return
    if router.allow_migrate_model(using, route_model):
        operators = group_model.objects.using(using).filter(name=OPERATORS).first()
        default_routes.create(route_model.objects.using(using), operators=operators)


def _any_of(names: tuple[str, ...]) -> Q:
    pairs = (name.split(".") for name in names)
    return reduce(or_, (Q(content_type__app_label=app, codename=codename) for app, codename in pairs))
