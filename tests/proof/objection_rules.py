"""Rules of the checker: what "That was not me" must do, by a session, a mailed link or a device's signature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from common.account.history import EventKind
from tests.proof.case import Case, listed, name
from tests.proof.recording import Call, Operation
from tests.proof.timeline import GRANTING, OBJECTING, Placed, Story, Violation, was_lost

_BY_PASSWORD = (Operation.LOGIN, Operation.PAIR, Operation.DEVICE_REGISTER)
"""What takes a password, and gets in by it or binds a device."""


def was_objected_to(case: Case, device: str, last: int, *, surely: bool = False) -> bool:
    """Say whether by a state it was objected to that a device had joined, or to a login of it: it is in no more.

    It is unbound after that. Of several calls that may have made the change `surely` each objects to that.
    """
    each = [
        [_is_against(case.story, number, call, device) for call in may_have_made(case, number)]
        for number in case.story.objected
        if number <= last
    ]
    return any(against and (all(against) if surely else any(against)) for against in each)


def may_have_made(case: Case, number: int) -> Sequence[Call]:
    """Return the objections that may have made a change: those to an earlier one whose time it lies in."""
    return [
        item.call
        for item in case.where(*OBJECTING)
        if item.first < number <= item.last
        and int(item.call.asked.get("target", number)) < number
        and (item.call.status == 200 or was_lost(item.call))
    ]


def _is_against(story: Story, number: int, objection: Call, device: str) -> bool:
    """Say whether an objection, a change's number, takes a device's right.

    Its own session's device stays, and so do later ones. A device that objects takes the right of no older one that
    logged in.
    """
    change, bound_at = int(objection.asked["target"]), story.bound_at.get(device, 0)
    if story.device_of.get(objection.asked.get("session_id", "")) == device:
        return False
    logins = {event.device_id for event in story.events[change] if event.kind is EventKind.LOGIN}
    is_older = (
        objection.operation is Operation.OBJECT_BY_DEVICE and bound_at <= story.bound_at[objection.asked["device_id"]]
    )
    return change <= bound_at < number or (device in logins and not is_older)


def a_device_that_was_objected_to_is_out(case: Case) -> Iterator[Violation]:
    """I12: no login and no joining of it after the objection."""
    for item in case.where(*GRANTING):
        device = item.call.told.get("device_id", "")
        if item.call.status != 200 or item.own is None:
            continue
        if was_objected_to(case, device, item.own - 1, surely=True):
            yield Violation("I12", f"{name(item.call)} succeeded on device {device}, which was objected to before")


def an_objection_ends_every_session(case: Case) -> Iterator[Violation]:
    """I14: none outlives it but the one in which it was made."""
    for number in case.story.objected:
        kept = {call.asked.get("session_id") for call in may_have_made(case, number)}
        left = [session for session in case.story.live[number] if session not in kept]
        if left:
            yield Violation("I14", f"change {number} took something back, and the sessions {listed(left)} live on")


def nobody_gets_in_before_a_new_password(case: Case) -> Iterator[Violation]:
    """I14: after an objection no password alone lets in or binds a device, until one was set."""
    must_be_set = password_must_be_set(case.story)
    for item in case.where(*_BY_PASSWORD):
        by_password = item.call.asked.get("factor") != "passkey"
        if item.call.status == 200 and by_password and item.own is not None and must_be_set[item.own - 1]:
            told = "something was taken back before, and no password was set since"
            yield Violation("I14", f"{name(item.call)}, change {item.own}, succeeded: {told}")


def password_must_be_set(story: Story) -> Sequence[bool]:
    """Return for every state whether something was taken back and no password set since."""
    states = [False]
    for events in story.events[1:]:
        kinds = {event.kind for event in events}
        is_set = EventKind.PASSWORD_CHANGED in kinds
        states.append(EventKind.OBJECTED in kinds or (states[-1] and not is_set))
    return states


def an_objection_is_made_once(case: Case) -> Iterator[Violation]:
    """I27: it is refused as made already only where the history tells of it."""
    for item in case.where(*OBJECTING):
        call = item.call
        if call.told.get("code") == "link-spent" and not _was_made(case, item):
            yield Violation("I27", f"{name(call)} was told that it is taken back, and no change tells of it")


def _was_made(case: Case, item: Placed) -> bool:
    """Say whether a change that an objection may have seen had taken back the same: what was done since another."""
    target = int(item.call.asked.get("target", 0))
    numbers = [number for number in case.story.objected if target <= number <= item.last]
    made = (call for number in numbers for call in may_have_made(case, number) if call is not item.call)
    return any(int(call.asked["target"]) <= target for call in made)


OF_OBJECTIONS: tuple[Callable[[Case], Iterator[Violation]], ...] = (
    a_device_that_was_objected_to_is_out,
    an_objection_ends_every_session,
    nobody_gets_in_before_a_new_password,
    an_objection_is_made_once,
)
