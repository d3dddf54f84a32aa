"""Missing schedulers and workers."""

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from adminkit.templatetags.display import duration, number
from console.needs.lines import Action, Line
from console.needs.world import World
from maintenance.ledger.worker_health import WorkersState


def scheduler(world: World) -> list[Line]:
    """Return a line if no scheduler ticks, or if there is no standby."""
    if not world.sees_runs:
        return []
    found = world.scheduler
    if not found.is_alive:
        age = found.tick_age
        figures = (_("last tick %(age)s ago") % {"age": duration(age)},) if age is not None else ()
        text = (
            _("No scheduler holds the lease, although one is alive. Nothing scheduled starts: read its log.")
            if found.has_lost_its_lease
            else _("No scheduler is alive. Nothing scheduled starts: start celery beat.")
        )
        return [Line("failed", text, figures=figures)]
    if lacks_standby(world):
        text = _("No standby scheduler is left: if the leader stops, nothing is ticked.")
        return [Line("warning", text, figures=(_("leader %(name)s") % {"name": found.leader},))]
    return []


def workers(world: World) -> list[Line]:
    """Return a line if no worker takes runs."""
    if not world.sees_runs or world.workers.is_well:
        return []
    texts = {
        WorkersState.NONE: _("No worker is alive. No run starts: start a worker."),
        WorkersState.UNRESPONSIVE: _(
            "No run starts: the workers do not listen to the broker. Look at the broker first; if it answers, the"
            " workers stand still: restart them."
        ),
        WorkersState.UNSERVED: _("No worker takes the queue %(queue)s: start one.")
        % {"queue": ", ".join(world.workers.unserved)},
        WorkersState.STUCK: _(
            "Runs wait and no worker takes them: look at the workers’ logs, or restart them."
        ),
    }
    waiting = world.workers.waiting
    figures: tuple[str, ...] = ()
    if waiting:
        told = {"number": number(waiting), "age": duration(world.workers.queue_age)}
        figures = (_("queue: %(number)s, the oldest waits for %(age)s") % told,)
    queue = Action(_("Open"), reverse("admin:maintenance_jobrun_changelist") + "?status__exact=queued")
    return [Line("failed", texts[world.workers.state], figures=figures, actions=(queue,) if waiting else ())]


def lacks_standby(world: World) -> bool:
    """Whether a second scheduler is missing; the console on one machine (``manage.py up``) has one by design."""
    return world.scheduler.is_alive and not world.scheduler.standbys and not settings.USES_PRIVATE_BROKER
