"""Why a run, slot, schedule, bot or post is as it is: a short chain of causes, the main one first.

All of it is read: from the ledger, the scheduler's lease, events, pauses, budgets and sessions.
"""

from maintenance.explanations.bots import explain_bot
from maintenance.explanations.cause import Cause
from maintenance.explanations.content import explain_item
from maintenance.explanations.runs import explain_run
from maintenance.explanations.schedules import explain_schedule, explain_slot

__all__ = ["Cause", "explain_bot", "explain_item", "explain_run", "explain_schedule", "explain_slot"]
