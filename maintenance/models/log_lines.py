"""The log of a run."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from database import clock
from database.constraints import DatabaseOnDelete
from database.messages import MessageField, PartsField
from maintenance.models.runs import JobRun


class RunLogLine(models.Model):
    """One line of a run's log; at most 2,000 per run (``context.LOG_LINES_MAX``)."""

    class Level(models.TextChoices):
        """Severity."""

        INFO = "info", _("info")
        WARNING = "warning", _("warning")
        ERROR = "error", _("error")

    run = models.ForeignKey(
        JobRun,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,  # runlogline_run
        related_name="log_lines",
        verbose_name=_("run"),
    )
    at = models.DateTimeField(_("time"), default=clock.now)
    level = models.CharField(_("level"), max_length=8, choices=Level, default=Level.INFO)
    text = MessageField(_("text"))
    text_parts = PartsField(of="text")

    class Meta:
        verbose_name = _("log line")
        verbose_name_plural = _("log lines")
        ordering = ["id"]
        constraints = [DatabaseOnDelete(name="runlogline_run_fk", field="run")]
        indexes = [
            # the log lines of a run after a given line; the cascade of a deleted run
            models.Index(fields=["run", "id"], name="runlogline_run"),
        ]

    def __str__(self) -> str:
        return self.text
