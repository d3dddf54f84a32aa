"""App configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AlertsConfig(AppConfig):
    """Conditions that somebody must be told about."""

    name = "alerts"
    verbose_name = _("Alerts")

    def ready(self) -> None:
        """Let schedulers and workers evaluate the rules, and the clean-up of the history delete old alerts."""
        from alerts import reading, watch
        from alerts.models import Alert, Mute
        from alerts.rules import title_of
        from alerts.schedule_pings.form_part import PingPart
        from audit import subject_names, values
        from audit.visibility import register_owned
        from maintenance import history, schedule_parts

        register_owned(Alert)
        values.register("alerts.Route", {"rules": title_of})
        history.register("alerts", Alert.objects.closed_before, by="closed_at")
        history.register("mutes", Mute.objects.ended_before, by="until")
        schedule_parts.register("pings", PingPart())
        reading.connect()
        subject_names.register(Alert._meta.label, _name_of_alert)
        watch.connect()


def _name_of_alert(stored: str) -> str:
    """Return an alert's name, such as "late: Purge old content", with the title of its rule."""
    from alerts.rules import title_of
    from maintenance.names import name_in_words

    rule, mark, subject = stored.partition(": ")
    return f"{title_of(rule)}{mark}{name_in_words(subject)}"
