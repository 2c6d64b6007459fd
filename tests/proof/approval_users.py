"""People whose active devices are asked before another one takes a place, or a browser joins without the password."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from common.account.approval import MOST_WRONG
from tests.proof.callers import Caller, Reply
from tests.proof.recording import Call, Operation
from tests.proof.timeline import Story, Violation, place, was_lost
from tests.proof.users import Actor, Person

AGREES, REFUSES, WRONG = "agree", "refuse", "wrong"
"""How an approval is answered: by the digits of the other screen, by refusing, by other digits."""

MOST_ASKED = 3
"""How often an account's devices are asked within ten minutes for a takeover, and as often for joining."""

_PLACES = 2

_ANSWERS = {AGREES: 10, REFUSES: 1, WRONG: 2}
_MEANWHILE = {"verify": 6, "refresh": 2, "password": 1, "logout": 1}


@dataclass(slots=True)
class ApprovalUser:
    """An account, two of whose devices may be active: those that are, those that are not, and who asks for a place.

    `asking`: the device that wants one's place; None: nobody, or a browser that joins, which has a `join_token`.
    `succeeded`: what took place at least once of taking over, joining and answering.
    """

    caller: Caller
    rng: Random
    person: Person
    out: list[Actor]
    inside: list[Actor] = field(default_factory=list)
    asked: int = 0
    joins: int = 0
    asking: Actor | None = None
    succeeded: set[Operation] = field(default_factory=set)
    _token: str = ""
    _join_token: str = ""
    _waiting: Mapping[str, Any] | None = None

    @property
    def has_asked_enough(self) -> bool:
        """Whether nobody may be asked any more, and nothing is under way."""
        return self.asked >= MOST_ASKED and self.joins >= MOST_ASKED and self._waiting is None

    def act(self) -> Reply:
        """Do one thing."""
        if not self.inside:
            return self._log_in(self.rng.choice(self.out))
        if self._waiting is not None:
            return self._go_on(self._waiting)
        if len(self.inside) == 1 and self.joins < MOST_ASKED:
            return self._join()
        if len(self.inside) == 1 or self.asked >= MOST_ASKED:
            return self._leave() if len(self.inside) > 1 else self._log_in(self.rng.choice(self.out))
        return self._ask(self.rng.choice(self.out))

    def _go_on(self, waiting: Mapping[str, Any]) -> Reply:
        """Answer on an active device, do something else on it, or ask how it stands."""
        match self.rng.random():
            case chance if chance < 0.6:
                return self._answer(waiting, self.rng.choice(self.inside))
            case chance if chance < 0.7:
                (deed,) = self.rng.choices(list(_MEANWHILE), list(_MEANWHILE.values()))
                actor = self.rng.choice(self.inside)
                actor.act({deed: 1})
                if deed in ("password", "logout"):
                    self._keep_inside(actor, alone=deed == "password")
                return Reply(200)
        return self._look() if self.asking is not None else self._join_again()

    def _keep_inside(self, actor: Actor, *, alone: bool) -> None:
        """Note that a device alone is in still, or that it is not."""
        gone = [each for each in self.inside if (each is not actor) is alone]
        self.inside = [each for each in self.inside if each not in gone]
        self.out += gone

    def _log_in(self, actor: Actor) -> Reply:
        reply = actor.login()
        if reply.ok:
            self._is_in(actor)
        elif "approval" in reply.body:  # it was in by an answer that was lost: the same device takes its own place
            others = [each for each in self.out if each is not actor]
            reply = self.rng.choice(others).login()
        return reply

    def _ask(self, actor: Actor) -> Reply:
        """Log in where both places are taken, and have their users asked."""
        reply = actor.login()
        if "approval" not in reply.body:
            if reply.ok:
                self._is_in(actor)
            return reply
        self.asked, self.asking, self._token = self.asked + 1, actor, reply.body["approval"]["token"]
        return self._look()

    def _look(self) -> Reply:
        """Have the users asked, or ask how it stands; take over when all have agreed."""
        assert self.asking is not None
        known: dict[str, Any] = {"user": self.person.uuid, "device_id": self.asking.device_id}
        reply = self.caller.call(Operation.APPROVAL, {"approval_token": self._token}, **known)
        if reply.status == 202:
            self._waiting = reply.body
        elif reply.ok:
            reply = self._take_over(self.asking, reply.body["takeover"]["token"])
        elif reply.status is not None and reply.status < 500:
            self._give_up()
        else:
            self._waiting = self._waiting or {}
        return reply

    def _take_over(self, actor: Actor, token: str) -> Reply:
        actor.consents = [token]
        reply = actor.take_over_what_was_shown()
        if reply.ok:
            self.succeeded.add(Operation.TAKEOVER)
            self.out += self.inside
            self.inside = []
            self._is_in(actor)
        if reply.status is not None and reply.status < 500:
            self._give_up()
        return reply

    def _join(self) -> Reply:
        """Ask that a browser may join."""
        self.joins += 1
        self._join_token = ""
        return self._join_again()

    def _join_again(self) -> Reply:
        """Ask how that stands, and be let in when all have agreed."""
        form = {"username": self.person.username, "device_name": "Browser"}
        form |= {"join_token": self._join_token} if self._join_token else {}
        reply = self.caller.call(Operation.JOIN, form, user=self.person.uuid)
        if reply.status == 202:
            self._waiting, self._join_token = reply.body, reply.body["join_token"]
        elif reply.ok:
            found = Actor(self.caller, self.rng, self.person, reply.body["device_id"], reply.body["client_cert_fp"])
            found.access, found.refreshes = reply.body["access_token"], [reply.body["refresh_token"]]
            self.succeeded.add(Operation.JOIN)
            self._is_in(found)
            self._give_up()
        elif not self._join_token or (reply.status is not None and reply.status < 500):
            self._give_up()
        return reply

    def _answer(self, waiting: Mapping[str, Any], actor: Actor) -> Reply:
        """Answer on an active device. Without the digits, because no answer told them, nobody can."""
        if "digits" not in waiting:
            return self._look() if self.asking is not None else self._join_again()
        (how,) = self.rng.choices(list(_ANSWERS), list(_ANSWERS.values()))
        digits = waiting["digits"] if how == AGREES else f"{waiting['digits']}0"
        said: dict[str, Any] = {"refuse": True} if how == REFUSES else {"digits": digits}
        body = {"approval_id": waiting["approval_id"], **said}
        facts = {"answer": how, "late": False}
        known: dict[str, Any] = {"user": self.person.uuid, "device_id": actor.device_id}
        reply = self.caller.call(Operation.APPROVAL_ANSWER, body, token=actor.access, facts=facts, **known)
        if reply.ok:
            self.succeeded.add(Operation.APPROVAL_ANSWER)
        if reply.status == 401:
            self._keep_inside(actor, alone=False)
        return reply

    def _leave(self) -> Reply:
        actor = self.rng.choice(self.inside)
        reply = actor.signed_in(Operation.LOGOUT)
        self._keep_inside(actor, alone=False)
        return reply

    def _is_in(self, actor: Actor) -> None:
        """Note that a device is in; of three that seemed to be, the first has left by an answer that was lost."""
        everybody = [*(each for each in (*self.out, *self.inside) if each is not actor), actor]
        self.inside = [*(each for each in self.inside if each is not actor), actor][-_PLACES:]
        self.out = [each for each in everybody if each not in self.inside]

    def _give_up(self) -> None:
        self.asking, self._waiting, self._join_token = None, None, ""


def answers_lost(calls: Sequence[Call], story: Story) -> Iterator[Violation]:
    """Yield where an answer to an approval was taken and is not there when the asker asks again.

    A refusal lets nobody in, and of a takeover it is told; once all that must have agreed, nobody waits. The digits
    of an approval are the same at every process.
    """
    placed, _ = place(story, calls)
    shown = {call.told["consent"]["consent_id"]: call.told["consent"]["session_ids"] for call in calls if _offers(call)}
    digits: dict[str, set[str]] = {}
    for item in placed:
        call, approval = item.call, item.call.asked.get("approval") or item.call.told.get("approval")
        if call.operation not in (Operation.APPROVAL, Operation.JOIN) or approval is None:
            continue
        digits.setdefault(approval, set()).update(filter(None, [call.told.get("digits")]))
        taken = [each for each in calls if _is_taken(each, approval) and (each.end or 0) < call.start]
        is_join = call.operation is Operation.JOIN
        refused = any(each.asked["answer"] == REFUSES for each in taken)
        if refused and (call.status == 200 or (call.status == 202 and not is_join)):
            yield Violation("approval", f"call {call.number} was told {call.status} of {approval}, which was refused")
        agreed = {each.asked["session_id"] for each in taken if each.asked["answer"] == AGREES}
        must = story.live[item.first : item.last + 1] if is_join else [shown.get(approval, ())]
        waits = call.status == 202 and not _may_be_refused(calls, approval)
        if waits and all(each and agreed.issuperset(each) for each in must):
            yield Violation("approval", f"call {call.number} waits for {approval}, to which all have agreed")
    for approval, each in digits.items():
        if len(each) > 1:
            yield Violation("approval", f"{approval} has several digits: {sorted(each)}")


def _may_be_refused(calls: Sequence[Call], approval: str) -> bool:
    """Say whether an approval may be refused: a refusal was taken, or was lost, or digits were wrong three times."""
    about = [
        each for each in calls if each.operation is Operation.APPROVAL_ANSWER and each.asked.get("approval") == approval
    ]
    refusals = [each for each in about if each.asked["answer"] == REFUSES and (each.status == 200 or was_lost(each))]
    return bool(refusals) or sum(each.asked["answer"] == WRONG for each in about) >= MOST_WRONG


def _offers(call: Call) -> bool:
    return call.operation is Operation.LOGIN and "consent" in call.told


def _is_taken(call: Call, approval: str) -> bool:
    is_answer = call.operation is Operation.APPROVAL_ANSWER and call.asked.get("approval") == approval
    return is_answer and call.status == 200
