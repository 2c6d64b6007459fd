"""An operator at work: who acts, why, and what each act leaves behind. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from common.account.audit import AuditEvent, AuditKind, audit_put
from common.account.history import OperatorAct
from common.storage.port import Put

MOST_WORDS = 500
"""How long a reason may be, in characters: an explanation, not an essay."""


def clean_reason(text: str) -> str | None:
    """Return an operator's words on one line, without what does not print; None where nothing or too much is left."""
    reason = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return reason if 1 <= len(reason) <= MOST_WORDS else None


class Operator(Struct, frozen=True):
    """Who acts on an account, why, in the operator's own words, and how long the audit log keeps that.

    `event_id` makes the line of this one act the same at every try.
    """

    actor: str
    reason: str
    event_id: str
    kept: timedelta

    def audit(self, act: OperatorAct, user_uuid: str, now: datetime, **facts: str) -> Put:
        """Return the line of the audit log, which goes into the act's own commit: no act without it, none twice."""
        return self.line(AuditKind(f"operator-{act}"), now, user_uuid, **facts)

    def line(self, kind: AuditKind, now: datetime, user_uuid: str | None = None, **facts: str) -> Put:
        """Return such a line of any kind; `user_uuid` None: it is about no account."""
        return audit_put(AuditEvent(kind, now, self.actor, self.event_id, user_uuid, self.reason, facts), self.kept)
