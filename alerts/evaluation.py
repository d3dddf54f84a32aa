"""Evaluates the rules: opens alerts for what they find, closes those whose condition is gone, and writes whom to tell.

Any number of processes may do so at once: the unique constraint on open alerts decides who opens one, and closing is a
compare-and-set.
"""

import logging
from datetime import datetime, timedelta
from itertools import islice

from django.db import IntegrityError, InterfaceError, OperationalError, transaction

from alerts.follow_up import follow_up, muted_subjects
from alerts.models import Alert
from alerts.outbox import tell_closed, tell_opened
from alerts.recipients import Directory
from alerts.rules import FOUND_MAX, LEFT_OUT, RULES, Found, Rule
from database import clock
from database.messages import english_of

logger = logging.getLogger(__name__)

# An alert that has opened this often within the time is flapping: it stays open until it was quiet for that time.
FLAPS = 5
FLAPPING_WITHIN = timedelta(hours=1)
# An open alert whose figures have not changed is written again only after this time.
SEEN_EVERY = timedelta(minutes=1)
# A process that has not evaluated a rule for longer than this counts its grace anew.
WATCHED_WITHIN = timedelta(seconds=45)


# Since when a rule has found each subject, by type and id.
Since = dict[tuple[str, str], datetime]


class Evaluator:
    """Remembers when each rule was last evaluated in this process, and since when it has found each subject."""

    def __init__(self) -> None:
        self._last: dict[str, datetime] = {}
        self._since: dict[str, Since] = {}

    def evaluate(self) -> None:
        """Evaluate the rules that are due; a rule that fails is logged, and the others go on."""
        for rule in list(RULES.values()):
            now = clock.database_now()
            last = self._last.get(rule.code)
            if last is not None and last <= now < last + rule.every:
                continue
            if last is None or not last <= now < last + rule.every + WATCHED_WITHIN:
                # This process did not look for a while: a condition may have come, gone, and come again since.
                self._since[rule.code] = {}
            self._last[rule.code] = now
            try:
                apply(rule, now, self._since.setdefault(rule.code, {}))
            except (OperationalError, InterfaceError):
                raise  # the database is not reachable, for the other rules neither
            except Exception:
                logger.exception("The rule %s failed; the others go on.", rule.code)
        follow_up(clock.database_now())


def apply(rule: Rule, now: datetime, since: Since | None = None) -> None:
    """Open, update and close the alerts of one rule.

    ``since`` is kept from one evaluation to the next, for rules with a grace; None: each alert opens at once.
    """
    # A rule that finds this many may have left some out: then an alert that is not among them is not closed.
    answers = list(islice(rule.find(now), FOUND_MAX))
    found = {(one.type, one.id): one for one in answers if one is not LEFT_OUT}
    is_complete = len(answers) < FOUND_MAX and LEFT_OUT not in answers
    directory = Directory()
    alerts = {
        (alert.subject_type, alert.subject_id): alert for alert in Alert.objects.open().filter(rule=rule.code)
    }
    for key, one in found.items():
        if key in alerts:
            _see(alerts[key], one, now)
        elif since is None or now - since.setdefault(key, now) >= rule.grace:
            _open(rule, one, now, directory)
    if since is not None:
        for key in since.keys() - found.keys():
            del since[key]
    missing = {key: alert for key, alert in alerts.items() if key not in found}
    if missing and not is_complete:
        ended = rule.ended(min(alert.last_seen_at for alert in missing.values()))
        missing = {key: alert for key, alert in missing.items() if key in ended}
    for alert in missing.values():
        if not (alert.is_flapping and now < alert.last_seen_at + FLAPPING_WITHIN):
            _close(alert, now)


def _close(alert: Alert, now: datetime) -> None:
    with transaction.atomic():
        if alert.close(now):
            tell_closed(alert, now)


def _open(rule: Rule, one: Found, now: datetime, directory: Directory) -> None:
    opened = Alert.objects.filter(
        rule=rule.code, subject_type=one.type, subject_id=one.id, opened_at__gt=now - FLAPPING_WITHIN
    )
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                rule=rule.code,
                severity=rule.severity,
                subject_type=one.type,
                subject_id=one.id,
                subject_name=str(english_of(one.name))[:200],
                config_id=one.config_id,
                cause=one.cause,
                occurrences=one.occurrences,
                opened_at=now,
                last_seen_at=now,
                is_flapping=opened.count() >= FLAPS - 1,
            )
            if alert.subject_key not in muted_subjects(now):
                tell_opened(alert, directory, now)
    except IntegrityError:
        logger.debug("Another process has opened %s for %s.", rule.code, one.id)  # alert_one_open_per_subject


def _see(alert: Alert, one: Found, now: datetime) -> None:
    cause = english_of(one.cause)
    same = english_of(alert.cause) == cause and alert.occurrences == one.occurrences
    if same and alert.last_seen_at <= now < alert.last_seen_at + SEEN_EVERY:
        return
    alert.cause, alert.occurrences, alert.last_seen_at = one.cause, one.occurrences, now
    alert.save(update_fields=["cause", "cause_parts", "occurrences", "last_seen_at"])
