"""What the rules of the checker look at, and how their sentences name it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from common.account.history import HistoryRecord, Reason
from tests.proof.recording import Call, Operation
from tests.proof.timeline import OBJECTING, Placed, Story, end_of, place, tell, was_lost

RULE_OF_ENDING = {
    Reason.LOGGED_OUT: "I10",
    Reason.REVOKED: "I10",
    Reason.DEVICE_UNBOUND: "I12",
    Reason.PASSWORD_CHANGED: "I14",
    Reason.REFRESH_REUSED: "I9",
}
"""Which invariant forbids the use of a session that ended so; for every other reason it is I2."""

VOIDING = ("set-password", "disable")
"""What an operator does that makes void what was given out before."""

RENEWING = (
    Operation.PASSWORD_CHANGE,
    Operation.RECOVER,
    Operation.RESET,
    *OBJECTING,
)
"""What makes void every password of before."""


@dataclass(frozen=True, slots=True)
class Case:
    """One user's history, and the calls between its states."""

    story: Story
    placed: Sequence[Placed]
    makers: Sequence[tuple[Call, ...]]
    limit: int
    mode: str

    def where(self, *operations: Operation) -> Iterator[Placed]:
        """Yield the calls of some kinds."""
        return (item for item in self.placed if item.call.operation in operations)


def case_of(limit: int, mode: str, calls: Sequence[Call], entries: Sequence[HistoryRecord]) -> Case:
    """Put a user's calls between the states of the history."""
    story = tell(entries, limit)
    placed, makers = place(story, calls)
    return Case(story, placed, makers, limit, mode)


def name(call: Call) -> str:
    """Name a call in a sentence."""
    return f"call {call.number} ({call.operation} by {call.client})"


def listed(names: Iterable[object]) -> str:
    """Name several in a sentence."""
    return ", ".join(map(str, names)) or "nobody"


def is_repetition(case: Case, call: Call) -> bool:
    """Say whether a takeover told of no session that it ended, and the same consent was sent by another call too."""
    consent = call.asked.get("consent", {}).get("consent_id")
    makers = case.makers[case.story.born.get(call.told.get("session_id", ""), 0)]
    others = [
        each for each in makers if each is not call and each.asked.get("consent", {}).get("consent_id") == consent
    ]
    return call.operation is Operation.TAKEOVER and bool(others) and not call.told.get("evicted")


def voidings(case: Case) -> list[Call]:
    """Return the calls that may have made void what was given out before."""
    calls = [item.call for item in case.where(*RENEWING, Operation.CLOSE, Operation.OTP_ON)]
    calls += [item.call for item in case.where(Operation.OPERATE) if item.call.asked["act"].startswith(VOIDING)]
    return [call for call in calls if call.status == 200 or was_lost(call)]


def has_rival(call: Call, tried: Iterable[Call]) -> bool:
    """Say whether another call may have come before this one."""
    return any(other.number != call.number and other.start < end_of(call) for other in tried)
