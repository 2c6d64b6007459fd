"""Rules of the checker: the history holds what was asked for, once, in its order, and nothing after the end."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from common.account.history import Event, EventKind
from tests.proof.case import RULE_OF_ENDING, Case, is_repetition, name
from tests.proof.recording import Call, Operation
from tests.proof.timeline import GRANTING, JOINING, OBJECTING, SIGNED_IN, TIMELY, Violation, was_lost


def every_change_was_asked_for(case: Case) -> Iterator[Violation]:
    """I4, I5: what no call answered with success, or never answered, can have done was not to happen."""
    for number in range(1, case.story.last + 1):
        events = case.story.events[number]
        if not case.makers[number] and not all(event.reason in TIMELY for event in events):
            told = ", ".join(f"{event.kind} {event.session_id or event.device_id}" for event in events)
            yield Violation("I4", f"no call can have made change {number} ({told})")


def nobody_acts_after_the_end(case: Case) -> Iterator[Violation]:
    """I2, I10, I12: what a signed-in caller changes it changes while its session lives, not only when it asked."""
    for number in range(1, case.story.last + 1):
        callers = [call for call in case.makers[number] if call.operation in SIGNED_IN]
        if {event.kind for event in case.story.events[number]} == {EventKind.DEVICE_REMOVED} and all(
            call.operation is Operation.OBJECT for call in callers
        ):  # the rest of what an objection did before: the device had lost its right by then
            continue
        if not callers or len(callers) < len(case.makers[number]):
            continue
        sessions = {str(call.asked.get("session_id")) for call in callers}
        if not any(case.story.lived(session, number - 1, number - 1) for session in sessions):
            rule = RULE_OF_ENDING.get(next((case.story.why[s] for s in sessions if s in case.story.why), None), "I2")
            told = " or ".join(name(call) for call in callers)
            yield Violation(rule, f"{told} made change {number} after its session had ended")


def every_success_is_recorded(case: Case) -> Iterator[Violation]:
    """I27: what was answered as done is in the history."""
    doing = (*GRANTING, *JOINING, Operation.UNBIND, Operation.REVOKE_CERTIFICATE, Operation.CLOSE)
    acts = (item for item in case.where(Operation.OPERATE) if item.call.told.get("changed"))
    endings = (item for item in case.where(Operation.END_ALL) if item.call.told.get("ended"))
    for item in (*case.where(*doing), *acts, *endings):
        if item.call.status == 200 and item.own is None and not _was_revoked_before(case, item.call):
            yield Violation("I27", f"{name(item.call)} succeeded and no change of the history tells of it")


def _was_revoked_before(case: Case, call: Call) -> bool:
    """Say whether a call revokes a certificate that is revoked: it is answered as done, and there is nothing to do."""
    return call.operation is Operation.REVOKE_CERTIFICATE and call.asked.get("target") in case.story.revoked_at


def the_order_is_that_of_the_calls(case: Case) -> Iterator[Violation]:
    """I27: a call that was over before another began has the smaller change number."""
    for item in case.placed:
        if item.own is not None and item.own <= item.first and not is_repetition(case, item.call):
            yield Violation(
                "I27", f"{name(item.call)} made change {item.own}, but began when change {item.first} had happened"
            )


def renames_are_recorded_once(case: Case) -> Iterator[Violation]:
    """I27: as many events as calls that succeeded, and not more than those that may have."""
    events: dict[str | None, int] = defaultdict(int)
    for happened in case.story.events:
        for event in happened:
            events[event.device_id] += event.kind is EventKind.DEVICE_RENAMED
    done: dict[str | None, int] = defaultdict(int)
    lost: dict[str | None, int] = defaultdict(int)
    for item in case.where(Operation.RENAME):
        done[item.call.asked.get("target")] += item.call.status == 200
        lost[item.call.asked.get("target")] += was_lost(item.call)
    for device in {*events, *done}:
        if not done[device] <= events[device] <= done[device] + lost[device]:
            told = f"{events[device]} times, and {done[device]} calls did it and {lost[device]} may have"
            yield Violation("I27", f"the history has device {device} renamed {told}")


_OWNERS: Sequence[tuple[Operation, frozenset[EventKind]]] = (
    (Operation.RECOVER, frozenset({EventKind.RECOVERY_CODE_USED})),
    (Operation.RECOVERY_CODES, frozenset({EventKind.RECOVERY_CODES_RENEWED})),
    (Operation.USERNAME, frozenset({EventKind.USERNAME_CHANGED})),
    (Operation.PASSKEY_ADD, frozenset({EventKind.PASSKEY_ADDED})),
    (Operation.PASSKEY_REMOVE, frozenset({EventKind.PASSKEY_REMOVED})),
    (Operation.OTP_ON, frozenset({EventKind.OTP_ENABLED})),
    (Operation.OTP_OFF, frozenset({EventKind.OTP_DISABLED})),
)

_TAKEN_OFF = frozenset({EventKind.OTP_DISABLED, EventKind.PASSKEY_REMOVED})
_TAKING_OFF = frozenset({EventKind.OBJECTED, EventKind.PASSWORD_CHANGED})


def owners_changes_are_recorded_once(case: Case) -> Iterator[Violation]:
    """I27: each change that an owner makes of the account stands in the history as often as it was made.

    An address may be confirmed again and an objection made again: then nothing changes, or it is refused.
    """
    for operation, kinds in _OWNERS:
        yield from _counted(case, (operation,), kinds, repeatable=False)
    mails = frozenset({EventKind.EMAIL_CHANGED, EventKind.EMAIL_CONFIRMED})
    yield from _counted(case, (Operation.EMAIL_CONFIRM,), mails, repeatable=True)
    yield from _counted(case, OBJECTING, frozenset({EventKind.OBJECTED}), repeatable=False)


def _is_owners(kinds: frozenset[EventKind], events: Sequence[Event]) -> bool:
    """Say whether a change is one of these alone: an objection and a new password take factors off besides."""
    return kinds.isdisjoint(_TAKEN_OFF) or _TAKING_OFF.isdisjoint(event.kind for event in events)


def _counted(
    case: Case, operations: Sequence[Operation], kinds: frozenset[EventKind], *, repeatable: bool
) -> Iterator[Violation]:
    calls = [item.call for item in case.where(*operations)]
    happened = sum(event.kind in kinds for events in case.story.events if _is_owners(kinds, events) for event in events)
    done, lost = sum(call.status == 200 for call in calls), sum(was_lost(call) for call in calls)
    least = min(done, 1) if repeatable else done
    if calls and not least <= happened <= done + lost:
        told = f"{happened} times, and {done} calls did it and {lost} may have"
        yield Violation("I27", f"the history tells of {operations[0]} {told}")


OF_HISTORY: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    every_change_was_asked_for,
    every_success_is_recorded,
    nobody_acts_after_the_end,
    the_order_is_that_of_the_calls,
    renames_are_recorded_once,
    owners_changes_are_recorded_once,
)
