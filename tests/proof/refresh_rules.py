"""Rules of the checker: refresh tokens of a session make one chain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from common.account.history import Reason
from tests.proof.case import Case, name
from tests.proof.recording import Call, Operation
from tests.proof.timeline import Violation, end_of, was_lost

GRACE_SECONDS = 10


def one_refresh_chain(case: Case) -> Iterator[Violation]:
    """I9: each use gives the next generation, an old one is refused, and nobody's token is called old that is not."""
    by_session: dict[str, list[Call]] = defaultdict(list)
    for item in case.where(Operation.REFRESH):
        by_session[item.call.asked.get("session_id", "")].append(item.call)
    for session, calls in by_session.items():
        yield from _successors(session, calls)
        yield from _old_ones(calls)
        yield from _false_alarms(calls)


def _successors(session: str, calls: Sequence[Call]) -> Iterator[Violation]:
    for call in calls:
        asked, told = call.asked, call.told
        if call.status == 200 and (told.get("session_id"), told.get("generation")) != (
            session,
            asked["generation"] + 1,
        ):
            got = f"generation {told.get('generation')} of session {told.get('session_id')}"
            yield Violation("I9", f"{name(call)} gave {got} for generation {asked['generation']} of {session}")


def _old_ones(calls: Sequence[Call]) -> Iterator[Violation]:
    """Go through the uses in time: `first_end[g]` is when generation g had been given out for certain."""
    done = sorted((call for call in calls if call.status == 200), key=end_of)
    first_end: dict[int, tuple[float, Call]] = {}
    newest, place_in_done = 0, 0
    for call in sorted(done, key=lambda call: call.start):
        while end_of(done[place_in_done]) < call.start:
            over = done[place_in_done]
            newest = max(newest, over.told.get("generation", 0))
            first_end.setdefault(over.told.get("generation", 0), (end_of(over), over))
            place_in_done += 1
        generation = call.asked["generation"]
        late = newest == generation + 1 and call.start - first_end[newest][0] > GRACE_SECONDS
        if newest > generation + 1 or late:
            yield Violation("I9", f"{name(call)} used generation {generation} after {name(first_end[newest][1])}")


def _false_alarms(calls: Sequence[Call]) -> Iterator[Violation]:
    """One of the calls that were told of a reuse, or never heard, must have been one; the others only heard of it."""
    alarms = [call for call in calls if call.status == 401 and call.told.get("reason") == Reason.REFRESH_REUSED]
    uses = [call for call in calls if call.status == 200 or was_lost(call)]
    thefts = [*alarms, *(call for call in calls if was_lost(call))]
    if alarms and not any(_was_reuse(theft, use) for theft in thefts for use in uses):
        first = min(alarms, key=lambda call: call.start)
        generation = first.asked["generation"]
        yield Violation("I9", f"{name(first)} used generation {generation} and was taken for a thief; nobody else had")


def _was_reuse(alarm: Call, use: Call) -> bool:
    asked, used = alarm.asked["generation"], use.asked["generation"]
    late = end_of(alarm) - use.start > GRACE_SECONDS
    return use.start < end_of(alarm) and (used > asked or (used == asked and late))


OF_REFRESHES: tuple[Callable[[Case], Iterator[Violation]], ...] = (one_refresh_chain,)
