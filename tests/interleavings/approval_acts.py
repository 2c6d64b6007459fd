"""What is done about approvals, each as an act of a person: asking for one, answering it, and coming in by it."""

from __future__ import annotations

from typing import Any

from common.errors import Refusal
from device_manager.device_service import RegisteredDevice
from login_app import approval
from registration import joining
from tests.interleavings.operations import Act, learn, learn_device, own
from tests.interleavings.person import Person
from tests.interleavings.process import HERE, USERNAME
from tests.proof.approval_users import AGREES, REFUSES, WRONG
from tests.proof.recording import Operation, consent_of


def ask_for_approval(letter: str) -> Act:
    """Have the active devices' users asked whether a device may take over; or ask how that stands."""

    def act(person: Person) -> Any:
        token = person.facts.notes[f"approval of {letter}"]
        consent = consent_of(token)
        assert consent is not None
        asked = {"device_id": person.facts.devices[letter][0], "approval": consent["consent_id"]}
        asking = person.use_cases.approvals.asking
        result = person.ask(Operation.APPROVAL, lambda: approval.ask(asking, token, HERE), **asked)
        if isinstance(result, approval.Waiting):
            person.facts.notes[f"waiting {letter}"] = result
        if isinstance(result, approval.Agreed):
            person.facts.consents[letter] = str(result.takeover["token"])
        return learn(person, letter, result)

    return act


def answer_approval(letter: str, of: str, how: str = AGREES) -> Act:
    """Answer on an active device what another one asks for."""

    def act(person: Person) -> Any:
        waiting, approvals = person.facts.notes[f"waiting {of}"], person.use_cases.approvals
        digits = {AGREES: waiting.digits, REFUSES: None, WRONG: f"{waiting.digits}0"}[how]
        asked = {"approval": waiting.approval_id, "answer": how, "late": approvals.is_late()}

        def answered(caller: Any) -> None:
            approval.answer(approvals.asking, caller, waiting.approval_id, digits)

        call = person.signed_in(letter, answered)
        return person.ask(Operation.APPROVAL_ANSWER, call, **asked, **own(person, letter))

    return act


def join_by_approval(letter: str) -> Act:
    """Ask that a browser may join, without the password; or ask how that stands, and be let in, by its consent too."""

    def act(person: Person) -> Any:
        begun, consent = person.facts.notes.get(f"waiting {letter}"), person.facts.consents.get(letter)
        token = None if begun is None else begun.join_token
        form = joining.JoinForm(USERNAME, letter, HERE, join_token=token, takeover_token=consent)
        asked = {} if begun is None else {"approval": begun.approval_id, "password_no": int(person.password)}
        asked |= {} if consent is None else {"consent": consent_of(consent)}
        dependencies = person.use_cases.approvals.joining
        result = person.ask(Operation.JOIN, lambda: joining.join_by_approval(dependencies, form), **asked)
        if isinstance(result, joining.WaitingToJoin):
            person.facts.notes[f"waiting {letter}"] = result
        if isinstance(result, RegisteredDevice):
            learn_device(person, letter, result.device)
        return learn(person, letter, result)

    return act


def one_after_the_other(*acts: Act) -> Act:
    """Do several acts, as long as none is refused."""

    def act(person: Person) -> Any:
        result: Any = None
        for each in acts:
            result = each(person)
            if isinstance(result, (Refusal, approval.Waiting, joining.WaitingToJoin)):
                break
        return result

    return act
