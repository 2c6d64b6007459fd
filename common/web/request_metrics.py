"""Requests, as metrics."""

from __future__ import annotations

from common.errors import Code
from common.metrics import WRITTEN_HERE, counter, histogram

REQUESTS = counter(
    "ichidai_requests_total",
    "Requests that were answered, by the route that matched (- where none did), the status and the problem's code.",
    route=WRITTEN_HERE,
    status=WRITTEN_HERE,
    code=(*Code, ""),
)
VERIFICATIONS = histogram(
    "ichidai_verification_seconds",
    "How long good verifications took: on the event loop, or in a thread. Others are among the requests alone.",
    where=("loop", "thread"),
)
