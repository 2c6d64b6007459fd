"""What the rules of the checker look at, and how their sentences name it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from common.account.history import HistoryRecord
from tests.proof.recording import Call, Operation
from tests.proof.timeline import Placed, Story, place, tell


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
