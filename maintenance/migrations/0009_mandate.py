"""A run's mandate takes the place of what was expected and what was approved.

The two old columns stay in the database for processes of the release before this one; nothing reads them any more, and
the next release drops them.
"""

from django.db import migrations, models


def give_mandates(apps, schema_editor):
    """Keep who approved or saw what. It allows a run that is still open nothing: that is asked again."""
    JobRun = apps.get_model("maintenance", "JobRun")
    runs = JobRun.objects.filter(models.Q(approval__isnull=False) | models.Q(expected__isnull=False))
    for run in runs.only("pk", "approval", "expected", "finished_at", "queued_at").iterator():
        approval, expected = run.approval or {}, run.expected or {}
        kind = "approval" if approval.get("rows") is not None else "force" if approval else "plan"
        mandate = {
            "kind": kind if run.finished_at else "rule",
            "made_at": approval.get("at") or run.queued_at.isoformat(),
            "by": approval.get("by", ""),
            "reason": approval.get("reason", ""),
            "now": expected.get("at") if run.finished_at else None,
            "rows": expected.get("rows") if run.finished_at else None,
            "plan": expected.get("run"),
        }
        JobRun.objects.filter(pk=run.pk).update(mandate=mandate)


class Migration(migrations.Migration):

    dependencies = [
        ('maintenance', '0008_names_in_one_way'),
    ]

    operations = [
        migrations.AddField(
            model_name='jobrun',
            name='mandate',
            field=models.JSONField(blank=True, null=True, verbose_name='mandate'),
        ),
        migrations.AlterField(
            model_name='jobrun',
            name='reason',
            field=models.CharField(blank=True, choices=[('', 'none'), ('overlap', 'an earlier run was not finished'), ('paused', 'paused'), ('no_scheduler', 'no scheduler was alive'), ('edited', 'the schedule was changed first'), ('unknown_job', 'no worker knows the job'), ('waits', 'it goes on later'), ('worker_stopped', 'the worker was stopped'), ('retention', 'the retention was changed'), ('worker_lost', 'the worker was lost'), ('database', 'the database did not answer'), ('too_many_attempts', 'too many attempts'), ('operator', 'an operator cancelled it')], default='', max_length=20, verbose_name='reason'),
        ),
        migrations.RunPython(give_mandates, migrations.RunPython.noop),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField(model_name='jobrun', name='approval'),
                migrations.RemoveField(model_name='jobrun', name='expected'),
            ],
        ),
    ]
