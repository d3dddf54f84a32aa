"""Adds, changes and deletes bots with the checks of the admin's form."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.forms import modelform_factory
from django.forms.models import model_to_dict

from audit import snapshots
from audit.admin_edits import ADDED, CHANGED, record_deletion
from audit.events import record
from database.locks import locked
from scraping import dependents
from scraping.admin.forms import BotConfigForm
from scraping.models import BotConfig

FIELDS = (
    "name", "app", "subreddits", "sort", "time_filter", "query", "post_limit", "comment_policy", "comment_limit",
    "comment_depth", "comment_requests", "comment_min_score", "comment_refresh_hours", "nsfw", "min_score",
    "flairs_wanted", "flairs_unwanted", "domains_wanted", "domains_unwanted", "pattern_wanted", "pattern_unwanted",
    "is_active", "auto_scrape",
)  # fmt: skip
Person = User | AnonymousUser


def add_bot(values: Mapping[str, Any], *, by: Person) -> BotConfig:
    """Add a bot of this person.

    Raises:
        PermissionDenied; ValidationError naming the fields.
    """
    if not by.has_perm("scraping.add_botconfig") or not isinstance(by, User):
        raise PermissionDenied
    with transaction.atomic():
        bot = _saved(BotConfig(owner=by), values, by)
        after = snapshots.without_secrets(BotConfig, snapshots.stored(bot))
        record(ADDED, bot, by=by, after=after)
    return bot


def change_bot(bot: BotConfig, values: Mapping[str, Any], *, by: Person) -> BotConfig:
    """Change a bot; fields that are not named stay.

    Raises:
        PermissionDenied; ValidationError naming the fields.
    """
    _permit(bot, "scraping.change_botconfig", by)
    with transaction.atomic():
        bot = locked(bot)
        kept = snapshots.stored(bot)
        bot = _saved(bot, values, by)
        before, after = snapshots.difference(BotConfig, kept, snapshots.stored(bot))
        if after:
            record(CHANGED, bot, by=by, before=before, after=after)
    return bot


def delete_bot(bot: BotConfig, *, by: Person, with_schedules: bool) -> None:
    """Delete a bot; what it found stays.

    Args:
        bot: the bot.
        by: the person.
        with_schedules: also delete the schedules that name it, if the person may delete schedules.

    Raises:
        PermissionDenied; RowGone.
    """
    _permit(bot, "scraping.delete_botconfig", by)
    schedules = dependents.schedules()
    with transaction.atomic():
        locked(bot)
        if with_schedules and schedules and schedules.may_delete(by):
            schedules.delete([bot], by=by)
        record_deletion(bot, by=by)
        bot.delete()


def _permit(bot: BotConfig, permission: str, by: Person) -> None:
    if not (by.has_perm(permission) and BotConfig.objects.managed_by(by).filter(pk=bot.pk).exists()):
        raise PermissionDenied


def _saved(bot: BotConfig, values: Mapping[str, Any], by: Person) -> BotConfig:
    form_class: Any = modelform_factory(BotConfig, form=BotConfigForm, fields=FIELDS)
    form_class.person = by
    told = {**model_to_dict(bot, FIELDS), **{name: values[name] for name in FIELDS if name in values}}
    # The form reads lists as lines.
    data = {name: "\n".join(value) if isinstance(value, list) else value for name, value in told.items()}
    form = form_class(data, instance=bot)
    if not form.is_valid():
        raise ValidationError([f"{name}: {' '.join(texts)}" for name, texts in form.errors.items()])
    saved: BotConfig = form.save()
    return saved
