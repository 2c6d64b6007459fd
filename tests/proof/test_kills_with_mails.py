"""F9: kill -9 while addresses are confirmed and forgotten passwords replaced, by the links of a real mail server."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from common.clock import system_clock
from common.storage.port import Store
from common.storage.tables import MAILS
from registration.account_db import AccountDb
from registration.config import MailServer
from registration.mail_model import QUEUE, QueuedMail
from registration.mail_queue import MailQueue
from tests.proof.callers import Caller
from tests.proof.conftest import engine_in
from tests.proof.figures import figure, is_long
from tests.proof.killing import Client, all_wrong, kill_again_and_again
from tests.proof.mail_users import LINKS, MailUser, passwords_wrong
from tests.proof.recording import Call, Operation, Run
from tests.proof.storm import Fleet, caller_of, read
from tests.proof.timeline import was_lost
from tests.proof.users import actors_of, register
from tests.support.mail_server import Mailbox, serving_mail
from tests.support.servers import until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")

KILLS, CLIENTS = 4, 5


class Reader(Client):
    """Somebody who registers, reads the mails to the account, and follows their links."""

    mailbox: Mailbox
    users: list[MailUser]

    def life(self) -> Iterator[int]:
        """Register, and do things until the account is sent no more links."""
        try:
            person = register(self._caller, self._rng, 2)
        except AssertionError:  # killed meanwhile
            return
        actors = actors_of(self._caller, self._rng, [person])
        user = MailUser(self._caller, self._rng, self.mailbox, self.is_interrupted, person, actors)
        self.users.append(user)
        self._caller.source = f"2001:db8:{len(self.users):x}:{self._rng.randrange(1 << 16):x}::1"
        yield 2
        while user.asked < LINKS or user.rng.random() < 0.7:
            user.act()
            yield 1


@pytest.mark.regression("X48")
def test_no_answer_about_a_link_is_lost(tmp_path: Path, chance: Random) -> None:
    """What a link has confirmed or set is there, one password alone is good, and every mail is sent."""
    kills = 60 if is_long() else KILLS
    with serving_mail() as (address, mailbox):
        settings = {"ICHIDAI_MAIL": address, "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1"}
        fleet = Fleet(tmp_path, engine_in(tmp_path, "sqlite"), 2, 1, **settings)
        try:
            run, wrong = _killed_again_and_again(fleet, mailbox, chance, kills)
        finally:
            fleet.suite.kill()
    done = [sum(_is_done(call, kind) for call in run.calls) for kind in (Operation.RESET, Operation.EMAIL_CONFIRM)]
    lost = sum(call.status is None for call in run.calls)
    size = f"{kills} kills, {done[0]:,} passwords set, {done[1]:,} addresses confirmed"
    figure("F9", "kill -9 while links of mails are followed; restart; compare", size, len(wrong), f"{lost} unanswered")
    assert wrong == []
    assert all(done)


def _is_done(call: Call, operation: Operation) -> bool:
    return call.operation is operation and call.status == 200


def _killed_again_and_again(fleet: Fleet, mailbox: Mailbox, chance: Random, kills: int) -> tuple[Run, list[str]]:
    records, up, users = fleet.suite.folder / "records", threading.Event(), list[MailUser]()
    records.mkdir()
    up.set()
    clients = list[Client]()
    for number in range(CLIENTS):
        caller = caller_of(number, fleet.ports, records, Random(chance.random()))
        client = Reader(caller, Random(chance.random()), up)
        client.mailbox, client.users = mailbox, users
        clients.append(client)
    wrong = kill_again_and_again(fleet, clients, up, chance, kills, lambda: any(user.spent for user in users))
    fleet.suite.start()
    end = caller_of(CLIENTS, fleet.ports, records, chance)
    calls = read(fleet, records).calls
    for user in users:
        wrong += _looked_at(user, end, [call for call in calls if call.user == user.person.uuid])
    end.close()
    run = read(fleet, records)
    with closing(fleet.engine.open()) as store:
        until(lambda: all(mail.attempts for mail in _waiting(store)), "every mail that waits was taken by a worker")
        fleet.suite.kill()
        wrong += _never_sent(store)
        for user in users:
            wrong += _addresses_wrong(store, user.person.uuid, run.calls)
    return run, [*wrong, *all_wrong(fleet, run)]


def _looked_at(user: MailUser, caller: Caller, calls: Sequence[Call]) -> Iterator[str]:
    """Yield where another password is good than the answers tell; use the last link by which one was set again."""
    resets = sorted((call for call in calls if call.operation is Operation.RESET), key=lambda call: call.start)
    answered, unanswered = 0, list[int]()
    for call in resets:
        if call.status == 200:
            answered, unanswered = call.asked["new_password_no"], []
        elif was_lost(call):
            unanswered.append(call.asked["new_password_no"])
    user.speak_by(caller)
    if resets:
        yield from passwords_wrong(user, answered, unanswered)
    if user.spent:
        user.use_again(user.spent[-1])


def _waiting(store: Store) -> Iterator[QueuedMail]:
    return filter(None, map(QueuedMail.from_item, store.query(MAILS, QUEUE).items))


def _never_sent(store: Store) -> Iterator[str]:
    """Send what workers have taken that died; yield what waits after it."""
    server = MailServer("127.0.0.1", 25, "", "", "ichidai@localhost", is_loopback=True)
    queue = MailQueue(store, lambda: system_clock() + timedelta(hours=2), server, send=lambda *_: None)
    while queue.send_due():
        pass
    yield from (f"mail {mail.mail_id} ({mail.kind}) is never sent" for mail in _waiting(store))


def _addresses_wrong(store: Store, user: str, calls: Sequence[Call]) -> Iterator[str]:
    """Yield where an account has another address than its owner was answered, or one that is not confirmed."""
    asked = [call for call in calls if call.user == user and call.operation is Operation.EMAIL_CONFIRM]
    account = AccountDb(store).find(user)
    may_be, is_confirmed = {"" if account is None else account.email}, False
    for call in sorted(asked, key=lambda call: call.start):
        if call.status == 200:
            may_be, is_confirmed = {call.asked["email"]}, True
        elif was_lost(call):
            may_be.add(call.asked["email"])
    if account is None or account.email not in may_be or (is_confirmed and not account.email_confirmed):
        yield f"the address of {user} is not {sorted(may_be)}, or not confirmed: {account}"
