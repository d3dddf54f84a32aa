"""The groups that every console starts with.

They are created once and belong to the administrators from then on: a group that exists is never changed, whatever
this list says. The next ``migrate`` creates a deleted or renamed one again; empty it instead.
"""

from functools import reduce
from operator import or_
from typing import Any

from django.apps import apps as installed_apps
from django.db import DEFAULT_DB_ALIAS, router, transaction
from django.db.models import Q

VIEWERS = "Viewers"
OPERATORS = "Operators"
APPROVERS = "Approvers"
BOT_OWNERS = "Bot owners"

_SEE_EVERYTHING = (
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
    # Retime and pause schedules, run and cancel jobs, hold and export posts; edit nobody's bots.
    OPERATORS: (
        *_SEE_EVERYTHING,
        "django_celery_beat.change_periodictask",
        "maintenance.cancel_jobrun",
        "maintenance.change_maintenancemode",
        "maintenance.change_retentionpolicy",
        "maintenance.run_job",
        "scraping.export_redditcomment",
        "scraping.export_redditpost",
        "scraping.hold_redditpost",
    ),
    # Decide about runs that a cap stopped. A group of its own, so that approval can take a second person.
    APPROVERS: (*_SEE_EVERYTHING, "maintenance.approve_run", "scraping.decide_setaside"),
    # Their own bots and what those found; the querysets exclude the rest. The owner of a bot may scrape with it.
    BOT_OWNERS: (
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
    """Make the groups that are missing, with their permissions; return their names.

    A receiver of ``post_migrate``. After a partial ``migrate`` some permissions do not exist yet: the migration that
    completes the tables makes the groups that need them.
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


def _any_of(names: tuple[str, ...]) -> Q:
    pairs = (name.split(".") for name in names)
    return reduce(or_, (Q(content_type__app_label=app, codename=codename) for app, codename in pairs))
