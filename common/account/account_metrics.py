"""What happens to accounts, as metrics and as lines of the log, which the history and the audit log have in full."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from common.account.history import Event, EventKind, Reason
from common.metrics import Kind, counter, gauge
from common.request_context import current_request, note_user

_log = logging.getLogger("ichidai.account")

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
    "Changes that could not be laid down; they are tried again a second later.",
)

ERASURES = counter(
    "ichidai_erasures_total",
    "Closed accounts whose days are over. erased: all that was kept of one is gone; failed: tried again in a minute.",
    outcome=("erased", "failed"),
)

APPROVALS = counter(
    "ichidai_approvals_total",
    "How active devices were asked. asked: once for each device that wants in; unanswered: the half minute was over; "
    "refused: by a user, or by wrong digits.",
    of=("takeover", "joining"),
    outcome=("asked", "agreed", "unanswered", "refused"),
)


def tell_events(user_uuid: str, events: Iterable[Event]) -> None:
    """Count and log what a change of an account recorded, once it is durable; the request's line names the account."""
    note_user(user_uuid)
    for event in events:
        EVENTS.add(event.kind)
        if event.kind is EventKind.SESSION_ENDED:
            SESSIONS_ENDED.add(event.reason or "")
        _tell(
            "account-event",
            user_uuid,
            kind=event.kind,
            reason=event.reason,
            act=event.act,
            device_id=event.device_id,
            session_id=event.session_id,
            by=event.by,
        )


def tell_approval(user_uuid: str, *, joins: bool, outcome: str) -> None:
    """Count and log one step of an approval of a takeover or of joining, once it is durable."""
    of = "joining" if joins else "takeover"
    APPROVALS.add(of, outcome)
    _tell("approval", user_uuid, of=of, outcome=outcome)


def _tell(event: str, user_uuid: str, **facts: str | None) -> None:
    """Write a line, with the name of the request that it came from. No name, address or words of a client are in it."""
    if _log.isEnabledFor(logging.INFO):
        request = current_request()
        known = {"user_uuid": user_uuid, "request_id": request and request.request_id, **facts}
        _log.info(event, extra={name: str(fact) for name, fact in known.items() if fact})
