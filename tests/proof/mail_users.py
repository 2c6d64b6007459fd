"""People who confirm mail addresses and set new passwords by the links of mails. Each password has a number."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.proof.callers import Caller, Reply
from tests.proof.recording import Operation
from tests.proof.users import Actor, Person, password_of
from tests.support.mail_server import Mailbox, link_in

LINKS = 5
"""How many links an account is sent within an hour; that of its registration is one."""

_PATIENCE_SECONDS = 5.0
"""How long a mail is waited for: of some the worker died. Who waited in vain does something else."""

_DEVICES = 3

_WEIGHTS = {"confirm": 2, "address": 1, "reset": 4, "spent": 1, "device": 5}
_LIFE = {"force": 4, "refresh": 2, "verify": 3, "replay": 1}


@dataclass(slots=True)
class MailUser:
    """An account with its devices, new and old, and the mails to its addresses, which begin with its username.

    `passwords`: the numbers of those that may be in force, the one that was set last at the end; `newest`: the highest
    number that was ever sent. `is_interrupted`: says that no mail can come now.
    """

    caller: Caller
    rng: Random
    mailbox: Mailbox
    is_interrupted: Callable[[], bool]
    person: Person
    actors: list[Actor]
    passwords: list[int] = field(default_factory=lambda: [0])
    newest: int = 0
    asked: int = 1
    is_confirmed: bool = False
    spent: list[str] = field(default_factory=list)
    _read: int = 0
    _links: dict[str, list[str]] = field(default_factory=lambda: {"confirm": [], "reset": [], "object": []})
    _expected: set[str] = field(default_factory=lambda: {"confirm"})

    def act(self) -> Reply:
        """Do one thing."""
        if len(self.passwords) > 1:
            return self._find_out()
        (deed,) = self.rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))
        match deed:
            case "confirm":
                return self._confirm()
            case "address":
                return self._ask_for(f"{self.person.username}-{self.asked}@b.test")
            case "reset":
                return self._reset() if self.is_confirmed else self._confirm()
            case "spent" if self.spent:
                return self.use_again(self.spent[-1])
        self.rng.choice(self.actors).act(_LIFE)
        return Reply(200)

    def speak_by(self, caller: Caller) -> None:
        """Make every call by another client from now on."""
        self.caller = caller
        for actor in self.actors:
            actor.caller = caller

    def use_again(self, token: str) -> Reply:
        """Set a password by a link by which one was set."""
        self.newest += 1
        return self._set_by(token, keep=False)

    def code_for_reset(self) -> Mapping[str, str]:
        """Return what is sent of a second factor with a new password: nothing here."""
        return {}

    def _confirm(self) -> Reply:
        token = self._awaited("confirm")
        if token is None:
            return self._ask_for(f"{self.person.username}@b.test")
        reply = self.caller.call(Operation.EMAIL_CONFIRM, {"token": token}, user=self.person.uuid)
        self.is_confirmed |= reply.ok
        return reply

    def _ask_for(self, email: str) -> Reply:
        """Ask for the link to an address; it is followed when it has come."""
        body = {"email": email, "password": self.person.credentials["password"]}
        self.asked += 1
        reply = self.actors[-1].signed_in(Operation.EMAIL, body)
        self._expected |= {"confirm"} if reply.ok else set()
        return reply

    def _reset(self) -> Reply:
        token = self._awaited("reset")
        if token is None:
            return self._forget()
        self.newest += 1
        return self._set_by(token, keep=self.rng.random() < 0.5)

    def _forget(self) -> Reply:
        """Ask for the link that sets a new password."""
        self.asked += 1
        reply = self.caller.call(Operation.FORGOT, {"username": self.person.username}, user=self.person.uuid)
        self._expected |= {"reset"} if reply.ok else set()
        return reply

    def _set_by(self, token: str, *, keep: bool) -> Reply:
        number = self.newest
        form = {"token": token, "new_password": password_of(number), "device_name": "Found", "keep_devices": keep}
        form |= self.code_for_reset()
        reply = self.caller.call(Operation.RESET, form, user=self.person.uuid, new_password_no=number)
        if reply.ok:
            self.passwords = [number]
            self.spent.append(token)
            found = Actor(self.caller, self.rng, self.person, reply.body["device_id"], reply.body["client_cert_fp"])
            self.actors = [*self.actors, found][-_DEVICES:]
            self._use(number)
        elif reply.status is None or reply.status >= 500:
            self.passwords.append(number)
        return reply

    def _find_out(self) -> Reply:
        """Learn by logging in which password is in force, when no answer told whether one was set."""
        number = self.passwords[-1]
        self._use(number)
        reply = self.actors[-1].login(force=True)
        if reply.body.get("code") == "bad-credentials":
            self.passwords.pop()
        elif reply.status in (200, 401, 403):
            self.passwords = [number]
        self._use(self.passwords[-1])
        return reply

    def _use(self, number: int) -> None:
        self.person = replace(self.person, password_no=number)
        for actor in self.actors:
            actor.person = self.person

    def _awaited(self, kind: str) -> str | None:
        """Return the newest link of a kind that was not followed yet; one that was asked for is waited for, once."""
        end = time.monotonic() + _PATIENCE_SECONDS
        self._read_mails()
        while kind in self._expected and not self._links[kind]:
            if self.is_interrupted() or time.monotonic() >= end:
                break
            time.sleep(0.02)
            self._read_mails()
        self._expected.discard(kind)
        return self._links[kind].pop() if self._links[kind] else None

    def _read_mails(self) -> None:
        new = self.mailbox.mails[self._read :]
        self._read += len(new)
        for mail in new:
            if str(mail["To"]).startswith(self.person.username):
                named = next((kind for kind in self._links if link_in(mail, kind)), None)
                if named is not None:  # beside a link that confirms stands one that takes the address off
                    self._links[named].append(link_in(mail, named))


def passwords_wrong(user: MailUser, answered: int, unanswered: list[int]) -> Iterator[str]:
    """Log in with every password that was ever sent; yield unless one alone is good, and one that may be.

    `answered`: the last one whose setting was answered; `unanswered`: those that were sent after it.
    """
    good = [number for number in range(user.newest + 1) if _is_good(user, number)]
    if len(good) != 1 or good[0] not in (answered, *unanswered):
        may_be = [answered, *unanswered]
        yield f"of {user.person.uuid} the passwords {good} are good, and one of {may_be} had to be"


def _is_good(user: MailUser, number: int) -> bool:
    device = user.actors[-1]
    device.person = replace(user.person, password_no=number)
    for _ in range(20):
        reply: Any = device.login()
        if reply.status in (200, 401, 409):
            return bool(reply.body.get("code") != "bad-credentials")
        time.sleep(0.5)
    raise AssertionError(f"a login is not answered: {reply}")
