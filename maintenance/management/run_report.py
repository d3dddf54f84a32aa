"""Prints how a run ended, for a person at the command line."""

from django.core.management.base import BaseCommand
from django.template.defaultfilters import filesizeformat

from maintenance.ledger import decisions, run_json
from maintenance.models import JobRun
from maintenance.purging.plan import TablePlan, differences


def print_run(command: BaseCommand, run: JobRun) -> None:
    """Write how a run ended: status, counts, plan, message, error."""
    good = run.status in (JobRun.Status.SUCCEEDED, JobRun.Status.QUEUED)
    style = command.style.SUCCESS if good else command.style.WARNING
    dry = " (dry run)" if run.dry_run else ""
    command.stdout.write(style(f"{run.job} #{run.pk}{dry}: {run.get_status_display()}"))
    for name, number in run.counts.items():
        command.stdout.write(f"  {name}: {number}")
    if run.retry_of_id:
        for name, number in run_json.totals(run).items():
            command.stdout.write(f"  {name} in all attempts: {number}")
    if run.dry_run or run.status == JobRun.Status.BLOCKED:
        _print_plan(command, run)
    if run.message:
        command.stdout.write(f"  {run.message}")
    planned = None if run.dry_run else (run.mandate or {}).get("rows")
    for difference in differences(planned, decisions.plan_of(run)):
        command.stdout.write(f"  {difference}")
    if run.error:
        command.stderr.write(command.style.ERROR(f"  {run.error}"))


def _print_plan(command: BaseCommand, run: JobRun) -> None:
    for table in decisions.plan_of(run):
        size = "" if table.bytes is None else f", about {filesizeformat(table.bytes)}"
        command.stdout.write(f"  {table.model}: {table.rows} of {table.total} rows{size}")
        if table.oldest:
            command.stdout.write(f"    from {table.oldest} to {table.newest}")
        for month, rows in table.by_month.items():
            command.stdout.write(f"    {month}: {rows}")
        _print_facts(command, table)
        if table.held:
            command.stdout.write(f"    held: {table.held}")
        for held in table.held_reasons:
            command.stdout.write(f"      {held.rows}: {held.reason}")
        if table.holds_ending:
            command.stdout.write(f"    holds that end within a week: {table.holds_ending}")
        keys = [str(row.pk) for row in table.sample if row.pk is not None]
        if keys:
            command.stdout.write(f"    such as {', '.join(keys)}")


def _print_facts(command: BaseCommand, table: TablePlan) -> None:
    if table.usual is not None:
        command.stdout.write(f"    usual: {table.usual}")
    for rule in table.rules:
        command.stdout.write(
            f"    {rule.name or 'everything else'}, {rule.days} days: {rule.rows}"
            f" ({rule.sooner} younger than the cutoff, {rule.kept} kept although older)"
        )
    for name, groups in table.groups.items():
        for group in groups:
            label = "others" if group.name is None else group.name or "–"
            command.stdout.write(f"    {name} {label}: {group.rows}")
