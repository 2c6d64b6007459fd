"""What the store is asked, and what comes of it, as metrics. The engines mark their verbs with `measured`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from common.metrics import counter, histogram
from common.storage.port import Conflict, OutcomeUnknown, StoreUnavailable

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")

_VERBS = ("get", "query", "put", "delete", "batch", "clock")
_OUTCOMES = ("ok", "conflict", "unavailable", "unknown", "fault")

CALLS = counter(
    "ichidai_store_calls_total",
    "Calls of the store. conflict: a condition did not hold, and the change is decided again; unavailable: the store "
    "did not answer or refused; unknown: the answer of a write was lost. The reads of verifications on the event loop "
    "are not among them.",
    verb=_VERBS,
    outcome=_OUTCOMES,
)
DURATION = histogram(
    "ichidai_store_seconds", "How long calls of the store took, repetitions and waiting included.", verb=_VERBS
)
UNITS = counter("ichidai_store_units_total", "Capacity units that DynamoDB counted.", kind=("read", "write"))
THROTTLED = counter(
    "ichidai_store_throttled_total", "Requests that DynamoDB refused for now because there were too many."
)


def measured(verb: str) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """Count and measure an engine's method under a verb."""

    def marked(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        @wraps(method)
        def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            begun, outcome = time.perf_counter(), "fault"
            try:
                result = method(self, *args, **kwargs)
                outcome = "ok"
            except Exception as error:
                outcome = _outcome_of(error)
                raise
            else:
                return result
            finally:
                CALLS.add(verb, outcome)
                DURATION.observe(time.perf_counter() - begun, verb)

        return call

    return marked


def _outcome_of(error: Exception) -> str:
    if isinstance(error, Conflict):
        return "conflict"
    if isinstance(error, OutcomeUnknown):
        return "unknown"
    return "unavailable" if isinstance(error, StoreUnavailable) else "fault"
