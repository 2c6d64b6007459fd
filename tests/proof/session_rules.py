"""Rules of the checker: how many sessions live at once, whom a login and a logout end; the dead are refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from common.account.history import Reason
from tests.proof.case import RULE_OF_ENDING, Case, is_repetition, listed, name
from tests.proof.recording import Call, Operation
from tests.proof.timeline import GRANTING, SIGNED_IN, TIMELY, Violation, end_of


def never_too_many_at_once(case: Case) -> Iterator[Violation]:
    """I1: sessions live for certain from the end of the granting call to the start of what may have ended them."""
    moments: list[tuple[float, int, Call]] = []
    for item in case.where(*GRANTING):
        if item.call.status != 200:
            continue
        granted, ended = end_of(item.call), _may_have_ended_at(case, item.call.told.get("session_id", ""))
        if granted < ended:
            moments += [(granted, 1, item.call), (ended, -1, item.call)]
    live: dict[str, Call] = {}  # by session: a takeover that was repeated grants the same one
    for _, step, call in sorted(moments, key=lambda moment: (moment[0], moment[1])):
        if step < 0:
            live.pop(call.told["session_id"], None)
            continue
        live[call.told["session_id"]] = call
        if case.limit and len(live) > case.limit:
            granting = ", ".join(name(other) for other in live.values())
            yield Violation("I1", f"sessions of {granting} lived at one time, and the limit is {case.limit}")


def _may_have_ended_at(case: Case, session: str) -> float:
    died = case.story.died.get(session)
    return math.inf if died is None else min((call.start for call in case.makers[died]), default=0.0)


def the_dead_are_refused(case: Case) -> Iterator[Violation]:
    """I2, I10, I12, I14: no request with a token of a session that had ended succeeds."""
    story = case.story
    for item in case.where(*SIGNED_IN, Operation.REFRESH):
        session = item.call.asked.get("session_id", "")
        if item.call.status != 200 or session not in story.born:
            continue
        first, last = (item.first, item.last) if item.own is None else (item.own - 1, item.own - 1)
        if not story.lived(session, first, last):
            ended = f"ended by change {story.died.get(session)} ({story.why.get(session)})"
            rule = RULE_OF_ENDING.get(story.why.get(session, Reason.ENDED), "I2")
            window = f"it saw changes {first} to {last}"
            yield Violation(rule, f"{name(item.call)} succeeded with session {session}, {ended}; {window}")


def the_living_are_not_refused(case: Case) -> Iterator[Violation]:
    """I5: a session that is refused as ended had ended, and for the reason given."""
    story = case.story
    for item in case.placed:
        session, reason = item.call.asked.get("session_id", ""), item.call.told.get("reason")
        if item.call.told.get("code") != "session-ended" or reason in TIMELY:
            continue
        died = story.died.get(session)
        if died is None or died > item.last:
            lives = f"session {session} lived until change {died} and it saw none after {item.last}"
            yield Violation("I5", f"{name(item.call)} was refused as ended ({reason}), but {lives}")
        elif reason not in (str(story.why[session]), str(Reason.ENDED)):
            yield Violation("I5", f"{name(item.call)} was told {reason}, and change {died} says {story.why[session]}")


def a_logout_ends_its_own(case: Case) -> Iterator[Violation]:
    """I10: after its 200 the session has ended."""
    for item in case.where(Operation.LOGOUT):
        session = item.call.asked.get("session_id", "")
        died = case.story.died.get(session)
        if item.call.status == 200 and session in case.story.born and (died is None or died > item.last):
            yield Violation("I10", f"{name(item.call)} succeeded and session {session} lived on after it")


def a_login_ends_whom_it_may(case: Case) -> Iterator[Violation]:
    """I1, I3: a login ends nobody else's session, a takeover all of those shown, force all, mode evict the earliest."""
    for item in case.where(*GRANTING):
        if item.call.status == 200 and item.own is not None:
            yield from _endings_are_right(case, item.call, item.own)


def _endings_are_right(case: Case, call: Call, number: int) -> Iterator[Violation]:
    story, device = case.story, case.story.device_of[call.told["session_id"]]
    others = [session for session in story.live[number - 1] if story.device_of[session] != device]
    endings = story.endings(number)
    living = [session for session in others if endings.get(session) not in TIMELY]
    expected = _whom(case, call, living)
    ended = [session for session in living if session in endings]
    consent = call.asked.get("consent")
    unshown = set(living) - set(consent["session_ids"]) if consent and case.mode != "reject" else ()
    if unshown:
        yield Violation("I3", f"{name(call)}, change {number}, ended {', '.join(sorted(unshown))}: never shown")
    elif ended != expected:
        told = f"ended {listed(ended)}, where {listed(living)} lived and {listed(expected)} had to go"
        yield Violation("I3", f"{name(call)}, change {number}, {told}")
    if is_repetition(case, call):
        return
    if set(call.told.get("evicted", ended)) != set(ended):
        yield Violation("I3", f"{name(call)} told of {listed(call.told['evicted'])} and ended {listed(ended)}")


def _whom(case: Case, call: Call, others: Sequence[str]) -> list[str]:
    """Return whose sessions a candidate has to end."""
    limit = case.limit
    if case.mode != "reject" and "consent" in call.asked:
        return list(others)
    if not limit or len(others) < limit:
        return []
    if case.mode == "evict" and not call.asked.get("force"):
        return list(others[: len(others) - limit + 1])
    return list(others) if call.asked.get("force") else []


def a_forced_logout_keeps_the_first(case: Case) -> Iterator[Violation]:
    """I16: after its 200 exactly the earliest login remains."""
    story = case.story
    for item in case.where(Operation.FORCE_LOGOUT):
        call, kept = item.call, item.call.told.get("kept", "")
        if call.status != 200:
            continue
        numbers = range(item.first, item.last + 1) if item.own is None else [item.own]
        if not any(story.live[number] == (kept,) for number in numbers):
            yield Violation(
                "I16", f"{name(call)} kept {kept}, but it alone lived after none of changes {listed(numbers)}"
            )
        elif item.own is not None:
            before = story.live[item.own - 1]
            ended = [session for session in before if story.endings(item.own).get(session) not in (None, *TIMELY)]
            if before[0] != kept or set(ended) != set(call.told.get("logged_out", ())):
                told = (
                    f"ended {listed(ended)} of {listed(before)} and told of {listed(call.told.get('logged_out', ()))}"
                )
                yield Violation("I16", f"{name(call)}, change {item.own}, kept {kept}, {told}")


OF_SESSIONS: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    never_too_many_at_once,
    the_dead_are_refused,
    the_living_are_not_refused,
    a_logout_ends_its_own,
    a_login_ends_whom_it_may,
    a_forced_logout_keeps_the_first,
)
