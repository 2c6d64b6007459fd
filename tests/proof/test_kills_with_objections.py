"""F9: kill -9 while people say "That was not me", by mailed links and signatures, and switch a factor on and off."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from common.storage.port import Store
from registration.account_db import AccountDb
from tests.proof.callers import Caller
from tests.proof.case import case_of
from tests.proof.conftest import engine_in
from tests.proof.factor_rules import factor_states
from tests.proof.figures import figure, is_long
from tests.proof.killing import Client, all_wrong, kill_again_and_again
from tests.proof.objecting_users import ObjectingUser
from tests.proof.objection_rules import password_must_be_set
from tests.proof.recording import Operation, Run
from tests.proof.storm import Fleet, caller_of, read
from tests.proof.users import actors_of, register
from tests.support.mail_server import Mailbox, serving_mail
from tests.support.servers import ROOT

pytestmark = pytest.mark.skipif(os.name == "nt", reason="only on systems with signals")

KILLS, CLIENTS = {"sqlite": 4, "dynamodb": 2}, {"sqlite": 5, "dynamodb": 3}
DEEDS = 60
"""How much is done with one account at the most."""

ALL = (Operation.OBJECT_BY_LINK, Operation.OBJECT_BY_DEVICE, Operation.OTP_ON, Operation.OTP_OFF, Operation.RESET)
"""What must have taken place at least once."""

HASTY = """
import threading
from msgspec.structs import replace
from registration import objection, second_factor
class Hasty:
    def __init__(self, transactions):
        self.transactions = transactions
    def run(self, *args, **more):
        threading.Timer(0.3, self.transactions.run, args, more).start()
take_back, confirm = objection._take_back, second_factor.confirm
def take_back_soon(dependencies, event, *args, **more):
    threading.Timer(0.3, take_back, (dependencies, event, *args), more).start()
    return dependencies.mailing.accounts.find(event.user_uuid).credential_version + 1
def confirm_soon(dependencies, *args):
    return confirm(replace(dependencies, transactions=Hasty(dependencies.transactions)), *args)
"""
PLANTED: Mapping[str, tuple[str, tuple[Operation, ...]]] = {
    "objection": ("objection._take_back = take_back_soon", (Operation.OBJECT_BY_LINK, Operation.OBJECT_BY_DEVICE)),
    "otp-on": ("second_factor.confirm = confirm_soon", (Operation.OTP_ON,)),
}
"""By a word that tells of the calls: what makes servers answer before they commit, and the calls answered so."""


class Objector(Client):
    """Somebody who registers three devices, is robbed, and takes back what was done."""

    mailbox: Mailbox
    issuer: str

    def __init__(self, caller: Caller, rng: Random, up: threading.Event) -> None:
        super().__init__(caller, rng, up)
        self.succeeded = set[Operation]()

    def life(self) -> Iterator[int]:
        """Register, and do things until nothing can be done with the account any more."""
        self._caller.source = f"2001:db8:{self._rng.randrange(1 << 16):x}:{self._rng.randrange(1 << 16):x}::1"
        try:
            person = register(self._caller, self._rng, 3)
        except AssertionError:  # killed meanwhile
            return
        actors = actors_of(self._caller, self._rng, [person])
        user = ObjectingUser(self._caller, self._rng, self.mailbox, self.is_interrupted, person, actors)
        user.issuer, user.succeeded = self.issuer, self.succeeded
        yield 3
        for _ in range(DEEDS):
            user.act()
            yield 1
            if user.is_over:
                break


@pytest.mark.regression("X48")
@pytest.mark.parametrize("kind", KILLS)
def test_no_objection_and_no_factor_is_lost(tmp_path: Path, chance: Random, kind: str) -> None:
    """What was taken back stays so and whoever it was against is out; a factor is asked for while it is on."""
    kills = 60 if is_long() else KILLS[kind]
    run, wrong = killed_again_and_again(tmp_path, kind, chance, kills, ALL)
    done = {each: sum(call.operation is each and call.status == 200 for call in run.calls) for each in ALL}
    lost = sum(call.status is None for call in run.calls)
    told = ", ".join(f"{count:,} × {each}" for each, count in done.items())
    what = f"kill -9 while what was done is taken back and factors are switched; restart; compare, {kind}"
    figure("F9", what, f"{kills} kills, {told}", len(wrong), f"{lost} unanswered")
    assert wrong == []
    assert all(done.values())


@pytest.mark.parametrize("planted", PLANTED)
def test_servers_that_answer_before_they_commit_are_found(tmp_path: Path, chance: Random, planted: str) -> None:
    """What they answered is lost with them, if they are killed in the 0.3 s between: they are until it shows."""
    line, answered = PLANTED[planted]
    (tmp_path / "hasty").mkdir()
    (tmp_path / "hasty" / "sitecustomize.py").write_text(HASTY + line, encoding="utf-8")
    hasty = {"PYTHONPATH": os.pathsep.join((str(tmp_path / "hasty"), str(ROOT)))}
    told: list[str] = []
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        told += killed_again_and_again(tmp_path / str(number), "sqlite", chance, 2, answered, hasty)[1]
        if any(planted in sentence for sentence in told):
            return
    pytest.fail(f"what was answered too soon is not found, but {told}")


def killed_again_and_again(
    folder: Path,
    kind: str,
    chance: Random,
    kills: int,
    needed: tuple[Operation, ...],
    environment: Mapping[str, str] | None = None,
) -> tuple[Run, list[str]]:
    """Kill servers of a fleet while clients object; return what these wrote down, and all that is wrong.

    `needed`: what must have taken place before the end; `environment`: what the servers have of their own.
    """
    with serving_mail() as (address, mailbox):
        settings = {"ICHIDAI_MAIL": address, "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1"}
        fleet = Fleet(folder, engine_in(folder, kind), 2, 1, environments=[environment or {}] * 2, **settings)
        records, up = folder / "records", threading.Event()
        records.mkdir()
        up.set()
        clients = list[Objector]()
        for number in range(CLIENTS[kind]):
            caller = caller_of(number, fleet.ports, records, Random(chance.random()))
            client = Objector(caller, Random(chance.random()), up)
            client.mailbox, client.issuer = mailbox, fleet.suite.settings["ICHIDAI_ISSUER"]
            clients.append(client)

        def enough() -> bool:
            return set[Operation]().union(*(client.succeeded for client in clients)).issuperset(needed)

        wrong = kill_again_and_again(fleet, clients, up, chance, kills, enough)
    run = read(fleet, records)
    with closing(fleet.engine.open()) as store:
        wrong += rows_wrong(store, run)
    return run, [*wrong, *all_wrong(fleet, run)]


def rows_wrong(store: Store, run: Run) -> Iterator[str]:
    """Yield where an account's row has a factor, or needs a new password, and its history tells of the contrary."""
    for user, entries in run.histories.items():
        case = case_of(run.limit, run.mode, [call for call in run.calls if call.user == user], entries)
        accounts, is_on = AccountDb(store), factor_states(case)[-1]
        account = accounts.find_pending(user) or accounts.find(user)
        must_set = password_must_be_set(case.story)[-1]
        found = None if account is None else (account.has_factor, account.reset_required)
        if found != (is_on, must_set):
            yield f"the row of {user} has {found}, and (factor, new password needed) has to be {is_on, must_set}"
