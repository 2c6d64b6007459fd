"""What changes of accounts recorded, as metrics."""

from __future__ import annotations

from collections.abc import Iterable

from common.account.history import Event, EventKind, Reason
from common.metrics import Kind, counter, gauge

EVENTS = counter(
    "ichidai_account_events_total", "What happened to accounts, as their history has it.", kind=tuple(EventKind)
)
SESSIONS_ENDED = counter(
    "ichidai_sessions_ended_total",
    "Sessions that ended. taken-over and forced-out: by another device's login; evicted: the earliest one went.",
    reason=tuple(Reason),
)
OUTBOX_TASKS = gauge(
    "ichidai_outbox_tasks", Kind.SUM, "Changes of accounts that wait to be laid down in the history and the feed."
)
OUTBOX_SECONDS = gauge(
    "ichidai_outbox_oldest_seconds", Kind.MOST, "How long the first of those changes has waited; 0 where none does."
)
OUTBOX_FAILURES = counter(
    "ichidai_outbox_failures_total",
    "Changes that could not be laid down; they are with the next reading of the account.",
)

ERASURES = counter(
    "ichidai_erasures_total",
    "Closed accounts whose days are over. erased: all that was kept of one is gone; failed: tried again in a minute.",
    outcome=("erased", "failed"),
)


def count_events(events: Iterable[Event]) -> None:
    """Count what a change recorded, once it is durable."""
    for event in events:
        EVENTS.add(event.kind)
        if event.kind is EventKind.SESSION_ENDED:
            SESSIONS_ENDED.add(event.reason or "")
