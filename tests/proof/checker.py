"""The judge of recorded runs: every way in which the answers and the history break the invariants of `proof.md`.

The history, keyed by change number, is the order of what happened. A run is right when the numbers have no gaps, a call
that was over before another began has the smaller one, and every answer fits a state that its call may have seen. The
time it takes is linear in the calls, but for sorting them, and for the states that one question may have seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from common.account.history import HistoryRecord
from tests.proof.case import Case, case_of, name
from tests.proof.consent_rules import OF_CONSENTS
from tests.proof.credential_rules import OF_CREDENTIALS
from tests.proof.device_rules import OF_DEVICES
from tests.proof.factor_rules import OF_FACTORS
from tests.proof.history_rules import OF_HISTORY
from tests.proof.objection_rules import OF_OBJECTIONS
from tests.proof.recording import Call, Run
from tests.proof.refresh_rules import OF_REFRESHES
from tests.proof.session_rules import OF_SESSIONS
from tests.proof.timeline import Violation


def check(run: Run) -> list[Violation]:
    """Return all that a run breaks, user by user. The run must hold every call that was made to its users."""
    calls: dict[str, list[Call]] = defaultdict(list)
    for call in run.calls:
        calls[call.user].append(call)
    found = []
    for user in dict.fromkeys([*run.histories, *calls]):
        found += check_user(run.limit, run.mode, calls[user], run.histories.get(user, ()))
    return found


def check_user(limit: int, mode: str, calls: Sequence[Call], entries: Sequence[HistoryRecord]) -> list[Violation]:
    """Return all that the calls and the history of one user break."""
    case = case_of(limit, mode, calls, entries)
    return [*case.story.faults, *(violation for rule in _RULES for violation in rule(case))]


def nothing_breaks(case: Case) -> Iterator[Violation]:
    """I8: no answer says that we are at fault."""
    for item in case.placed:
        if item.call.status is not None and item.call.status >= 500 and item.call.status != 503:
            yield Violation("I8", f"{name(item.call)} was answered {item.call.status}")


_RULES: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    *OF_HISTORY,
    *OF_SESSIONS,
    *OF_CREDENTIALS,
    *OF_CONSENTS,
    *OF_REFRESHES,
    *OF_DEVICES,
    *OF_OBJECTIONS,
    *OF_FACTORS,
    nothing_breaks,
)
