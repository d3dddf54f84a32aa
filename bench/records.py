"""Fills what the console keeps of people and of itself: events and alerts; ``bench.fill`` calls it."""

from bench.filler import FIRST, PEOPLE, Filler, chance, pick


def fill_records(filler: Filler, events: int, alerts: int) -> None:
    """Create events of people about schedules and posts, and alerts of which every thousandth is open."""
    from alerts.models import Alert
    from audit.models import Event

    day = filler.day_of("i", events, 60)
    filler.insert(
        Event,
        events,
        at=filler.at(day),
        actor_kind="'person'",
        actor_id=f"{FIRST} + 1 + i % {PEOPLE}",
        actor_name=f"'owner' || (1 + i % {PEOPLE})",
        verb="CASE i % 3 WHEN 0 THEN 'row.changed' WHEN 1 THEN 'schedule.paused' ELSE 'run.requested' END",
        subject_type="CASE i % 2 WHEN 0 THEN 'django_celery_beat.PeriodicTask' ELSE 'maintenance.JobRun' END",
        subject_id=f"CAST(CASE i % 2 WHEN 0 THEN {FIRST} + 1 + i % 200 ELSE i END AS varchar(64))",
        subject_name="'subject ' || i",
        reason="'because of ' || (i % 977)",
    )
    day = filler.day_of("i", alerts, 61)
    filler.insert(
        Alert,
        alerts,
        rule=pick((0.4, "failed"), (0.3, "late"), last="silent", of=chance(62)),
        subject_type="'django_celery_beat.PeriodicTask'",
        subject_id=f"CAST({FIRST} + i AS varchar(64))",
        subject_name="'schedule ' || i",
        cause="'Reddit answered 503'",
        opened_at=filler.at(f"{day} + 0.1"),
        last_seen_at=filler.at(day),
        closed_at=f"CASE WHEN i % 1000 <> 0 THEN {filler.at(day)} END",
    )
