"""What lists and the dashboard say of a schedule, written as strings as in ``adminkit.links``: ``{% load schedule_cells %}``."""

from datetime import datetime

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django_celery_beat.models import PeriodicTask

from adminkit.links import badge
from adminkit.templatetags.display import short_moment, until, weekday_moment
from maintenance.models.groups import group_title
from maintenance.scheduling import schedules
from maintenance.scheduling.holds import Hold, Period
from maintenance.scheduling.reading import Reading

register = template.Library()


def schedule_name(task: PeriodicTask) -> str:
    """Return its name, with a mark if it differs from its job's default."""
    title, deviation = schedules.title(task), schedules.deviation(task)
    if not deviation:
        return title
    told = {"former": deviation.former, "default": deviation.default}
    if deviation.is_drift:
        hint, mark = _("The default changed from %(former)s to %(default)s") % told, _("default changed")
    else:
        hint, mark = _("The default is %(default)s") % told, _("not the default")
    return format_html('{} <span class="tag tag-drift" title="{}">{}</span>', title, hint, mark)


@register.simple_tag
def schedule_switch(task: PeriodicTask, reading: Reading, may_change: bool) -> SafeString:
    """Return the switch that pauses or resumes it; its button is in the form around it."""
    page = "admin:maintenance_schedule_pause" if task.enabled else "admin:maintenance_schedule_resume"
    paused = _("Pause over") if reading.pause_ended_at else _("Paused")
    state = _("Ended") if reading.is_over else _("On") if task.enabled else paused
    return format_html(
        '<button type="submit" class="switch" role="switch" aria-checked="{}" aria-label="{}"'
        ' formaction="{}" formnovalidate{}><span aria-hidden="true">{}</span></button>',
        "true" if task.enabled and not reading.is_over else "false",
        _("%(name)s is active") % {"name": schedules.title(task)},
        reverse(page, args=[task.pk]),
        "" if may_change else SafeString(" disabled"),
        state,
    )


@register.simple_tag
def schedule_time(reading: Reading) -> SafeString:
    """Return when it runs, as a sentence and as it is stored, and what is wrong with it."""
    fault = format_html('<span class="error-text">{}</span> ', reading.schedule_error)
    sentence = format_html(
        '<span class="{}">{}</span> ', "quiet-line" if reading.is_broken else "", reading.sentence
    )
    stored = format_html("· <code>{}</code>", reading.crontab or "")
    return format_html(
        '{}{}<span class="quiet-line">{} {}</span>',
        fault if reading.is_broken else "",
        sentence if reading.sentence else "",
        reading.zone,
        stored if reading.crontab else "",
    )


@register.simple_tag
def schedule_next_run(task: PeriodicTask | None, reading: Reading | None) -> str:
    """Return when it runs next, or why it does not; a dash for a job without a schedule."""
    if task is None or reading is None:
        return "–"
    if reading.timing_fault:
        return badge("failed", _("broken"))
    if reading.is_over:
        return badge("cancelled", _("ended"))
    if reading.pause_ended_at:
        return format_html("{} {}", schedule_pause_ended(reading), schedule_after_hold(reading))
    if reading.hold:
        paused = "" if task.enabled else badge("paused", _("paused"))
        return format_html("{} {}", paused, schedule_after_hold(reading))
    if reading.next_run_at is None:
        return _("never")
    return format_html(
        '{} <span class="quiet-line">{} {}</span>',
        _time(reading.next_run_at, "next-run", until(reading.next_run_at)),
        short_moment(reading.next_run_at),
        reading.zone,
    )


@register.simple_tag
def schedule_pause_ended(reading: Reading) -> SafeString:
    """Return that its pause has ended and that no scheduler has resumed it yet, and when it runs then."""
    assert reading.pause_ended_at is not None
    told = {"moment": weekday_moment(reading.pause_ended_at), "zone": reading.zone}
    text = _("the pause ended at %(moment)s %(zone)s, it waits for the scheduler") % told
    ended = format_html('<span class="quiet-line">{}</span>', text)
    if reading.hold or reading.next_run_at is None:
        return ended
    next_at = f"{short_moment(reading.next_run_at)} {reading.zone}"
    return format_html("{} {}", ended, _time(reading.next_run_at, "quiet-line next-run", next_at))


@register.simple_tag
def schedule_after_hold(reading: Reading) -> str:
    """Return when a schedule that something holds runs next, or until when at least it does not."""
    if reading.held is None:
        return ""
    after = _after(reading.held)
    if reading.next_run_at:
        told = {"after": after, "moment": weekday_moment(reading.next_run_at), "zone": reading.zone}
        text = _("%(after)s: %(moment)s %(zone)s") % told
        return _time(reading.next_run_at, "quiet-line next-run", text)
    if reading.hold == Hold.MAINTENANCE and not reading.held_until:
        text = _("after maintenance mode, which has no end yet")
    elif reading.hold == Hold.GROUP and not reading.held_until:
        text = _("%(after)s, which has no end yet") % {"after": after}
    elif reading.held_until:
        told = {"moment": weekday_moment(reading.held_until), "zone": reading.zone}
        text = _("not before %(moment)s %(zone)s") % told
    else:
        return ""
    return format_html('<span class="quiet-line">{}</span>', text)


def _after(period: Period) -> str:
    """Return "after …", which stands before the time of the next run."""
    match period.kind:
        case Hold.MAINTENANCE:
            return _("after maintenance")
        case Hold.GROUP:
            return _("after the pause of %(group)s") % {"group": group_title(period.scope)}
        case Hold.WINDOW:
            return _("after the maintenance window")
        case Hold.DAY_OFF:
            return _("after %(day)s") % {"day": period.reason}
        case _:
            return _("after the pause")


def _time(at: datetime, css_class: str, text: str) -> SafeString:
    return format_html('<time class="{}" datetime="{}">{}</time>', css_class, at.isoformat(), text)
