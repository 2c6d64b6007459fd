"""Rules of the checker: a second factor is asked for while it is on, and at no other time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from common.account.history import EventKind
from tests.proof.case import Case, name
from tests.proof.objection_rules import may_have_made
from tests.proof.recording import Operation
from tests.proof.timeline import Violation

_ASKING = (Operation.LOGIN, Operation.PAIR, Operation.DEVICE_REGISTER, Operation.OTP_OFF)


def factor_states(case: Case) -> Sequence[bool]:
    """Return for every state whether the second factor is on.

    An objection takes off one that was switched on since what it is against. Where several may have been made, the
    history tells, as it does of a recovery.
    """
    states, since = [False], 0
    for number, events in enumerate(case.story.events[1:], 1):
        on, kinds = states[-1], {event.kind for event in events}
        if EventKind.OTP_ENABLED in kinds:
            on, since = True, number
        elif EventKind.OBJECTED in kinds and on:
            taken_back = {since >= int(call.asked["target"]) for call in may_have_made(case, number)}
            on = not taken_back.pop() if len(taken_back) == 1 else EventKind.OTP_DISABLED not in kinds
        elif EventKind.OTP_DISABLED in kinds:
            on = False
        states.append(on)
    return states


def a_factor_is_asked_for(case: Case) -> Iterator[Violation]:
    """I14: no password alone does anything while it is on; and no code is asked for while it is off."""
    states = factor_states(case)
    for item in case.where(*_ASKING):
        call = item.call
        seen = states[item.first : item.last + 1] if item.own is None else [states[item.own - 1]]
        if call.status == 200 and not call.asked.get("factor") and all(seen):
            yield Violation("I14", f"{name(call)} succeeded without a code, and the second factor was on")
        if call.told.get("code") == "otp-required" and not any(seen):
            yield Violation("I14", f"{name(call)} was asked for a code, and the second factor was off all the while")


OF_FACTORS: tuple[Callable[[Case], Iterator[Violation]], ...] = (a_factor_is_asked_for,)
