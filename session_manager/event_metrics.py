"""What becomes of security events, as metrics."""

from __future__ import annotations

from common.metrics import WRITTEN_HERE, Kind, counter, gauge

EVENTS = counter(
    "ichidai_security_events_total",
    "Security events by how they go. delivered: pushed, or acknowledged; failed: not taken, tried again; refused: by "
    "the receiver, for good.",
    way=("push", "poll"),
    outcome=("delivered", "failed", "refused"),
)
POLLS = counter("ichidai_security_event_polls_total", "Polls of security events.", outcome=("events", "nothing"))
WAITING = gauge(
    "ichidai_security_events_waiting",
    Kind.MOST,
    "Security events that wait for a receiver; 100 stands for more.",
    receiver=WRITTEN_HERE,
)
OLDEST = gauge(
    "ichidai_security_events_oldest_seconds",
    Kind.MOST,
    "How long the oldest of them has waited; after seven days it is given up.",
    receiver=WRITTEN_HERE,
)
