"""What must hold of approvals after any order: who got in by one, and who agreed to it. Pure.

`approval` is the rule of all: one approval lets in once; only right digits that were typed in time agree, of every
device that was in the way; one refusal and nobody gets in by it; no device joins unless a session that agreed lives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from common.account.history import EventKind
from tests.proof.approval_users import AGREES, REFUSES
from tests.proof.recording import Call, Operation
from tests.proof.timeline import Story, Violation, own_change, was_lost


def approvals_wrong(calls: Sequence[Call], story: Story) -> Iterator[Violation]:
    """Yield what the approvals of an account have done that they may not, where nobody logs in by anything else."""
    yield from answers_wrong(calls, story)
    yield from _opened_twice(calls, story)


def answers_wrong(calls: Sequence[Call], story: Story) -> Iterator[Violation]:
    """Yield where somebody was let in by an approval that was refused, or to which not all had agreed."""
    answers = [call for call in calls if call.operation is Operation.APPROVAL_ANSWER]
    for call in answers:
        if call.status == 200 and (call.asked["answer"] not in (AGREES, REFUSES) or call.asked["late"]):
            told = "too late" if call.asked["late"] else "by wrong digits"
            yield Violation("approval", f"call {call.number} answered {told}, and was taken")
    for approval in {call.asked["approval"] for call in answers}:
        about = [call for call in calls if call.asked.get("approval") == approval]
        yield from _let_in(approval, about, story)
    joined = [call for call in calls if call.operation is Operation.JOIN and call.status == 200]
    for approval in {call.asked["approval"] for call in joined}:
        yield from _joined(approval, [call for call in joined if call.asked["approval"] == approval], calls, story)


def _let_in(approval: str, about: Sequence[Call], story: Story) -> Iterator[Violation]:
    """Yield where an approval that was refused lets in, or one to which not all have agreed."""
    refused = [call for call in about if call.asked.get("answer") == REFUSES and call.status == 200]
    for call in about:
        is_join = call.operation is Operation.JOIN and call.status == 200
        if not is_join and not call.told.get("shown"):  # of a takeover that ends nobody no agreement is needed
            continue
        if refused:
            yield Violation(
                "approval", f"call {call.number} was let in by {approval}, which call {refused[0].number} refused"
            )
        for session in _asked(call, story):
            if not _left(session, approval, story) and not any(_may_agree(each, session, call) for each in about):
                yield Violation("approval", f"call {call.number} was let in by {approval}, and {session} never agreed")


def _asked(call: Call, story: Story) -> Iterable[str]:
    """Return the sessions that had to agree unless they ended: those that were shown, or that live when one joins."""
    if call.operation is not Operation.JOIN:
        return call.told["shown"]  # type: ignore[no-any-return]
    return story.live[(own_change(story, call) or 1) - 1]


def _left(session: str, approval: str, story: Story) -> bool:
    """Say whether a session ended otherwise than by the takeover, whose session has the approval's id."""
    return session in story.died and story.died[session] != story.born.get(approval)


def _may_agree(call: Call, session: str, before: Call) -> bool:
    typed = call.asked.get("answer") == AGREES and call.asked["session_id"] == session
    return typed and (call.status == 200 or was_lost(call)) and (before.end is None or call.start < before.end)


def _joined(approval: str, joined: Sequence[Call], calls: Sequence[Call], story: Story) -> Iterator[Violation]:
    """Yield where an approval binds two devices, or one while no session lives that has agreed."""
    devices = {call.told["device_id"] for call in joined}
    if len(devices) > 1:
        yield Violation("approval", f"{approval} let in the devices {sorted(devices)}")
    agreed = {call.asked["session_id"] for call in calls if _agrees(call, approval)}
    for call in joined:
        number = own_change(story, call)
        if number is not None and agreed.isdisjoint(story.live[number - 1]):
            yield Violation("approval", f"call {call.number} joined in change {number}, and who agreed had left")


def _agrees(call: Call, approval: str) -> bool:
    is_answer = call.asked.get("approval") == approval and call.asked.get("answer") == AGREES
    return is_answer and (call.status == 200 or was_lost(call))


def _opened_twice(calls: Sequence[Call], story: Story) -> Iterator[Violation]:
    """Yield the devices that one approval has let take over more than once."""
    begun: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        if call.operation is Operation.APPROVAL:
            begun[call.asked["device_id"]].add(call.asked["approval"])
    for device, approvals in begun.items():
        logins = [event for events in story.events for event in events if event.kind is EventKind.LOGIN]
        opened = [str(event.session_id) for event in logins if event.device_id == device]
        if len(opened) > len(approvals):
            yield Violation("approval", f"{len(approvals)} approvals opened the sessions {sorted(opened)}")
