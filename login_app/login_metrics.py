"""Logins by their outcome, as metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from common.errors import Code, Refusal
from common.metrics import counter
from common.storage.port import StoreUnavailable

T = TypeVar("T")
A = TypeVar("A")

LOGINS = counter(
    "ichidai_logins_total",
    "Logins by their way and outcome: success, or the code of the problem. takeover: after the question was consented "
    "to; signature: by a signed challenge. busy: shed, because too many passwords were in work.",
    way=("password", "force", "takeover", "signature", "passkey"),
    outcome=("success", "fault", *Code),
)


def counted(way: str, handler: Callable[[T], A]) -> Callable[[T], A]:
    """Return a route's handler whose outcomes are counted."""

    @wraps(handler)
    def log_in(request: T) -> A:
        outcome = "fault"
        try:
            answer = handler(request)
            outcome = "success"
        except Refusal as refusal:
            outcome = refusal.code
            raise
        except StoreUnavailable:
            outcome = Code.STORE_UNAVAILABLE
            raise
        else:
            return answer
        finally:
            LOGINS.add(way, outcome)

    return log_in
