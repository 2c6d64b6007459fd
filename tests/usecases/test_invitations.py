"""Registration is closed, and accounts come to be by an operator's hand: by invitation, or made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from common.account.audit import read_audit
from common.account.history import OperatorAct
from registration import invitation
from tests.support.engines import ENGINES, Engine
from tests.support.servers import until
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import DAY, PASSWORD, HandClock, InProcessSuite, code_of
from tests.usecases.test_accounts_command import WHY
from tests.usecases.test_accounts_command import run as run  # noqa: PLC0414 - a fixture

Run = Callable[..., Result]
OTHER = "another long phrase"


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return each engine in turn."""
    return ENGINES[request.param](tmp_path_factory.mktemp("engine"))


@pytest.fixture
def suite(new_suite: Build, engine: Engine, tmp_path: Path, keys: Path, clock: HandClock) -> Iterator[InProcessSuite]:
    """Return a suite that lets nobody register."""
    settings = {"ICHIDAI_REGISTRATION": "closed"}
    with closing(new_suite(tmp_path, keys / engine.name, clock, store=engine.open(clock), **settings)) as suite:
        yield suite


def form(name: str, **more: str) -> dict[str, str]:
    """Return a registration."""
    return {"username": name, "email": f"{name}@example.test", "password": PASSWORD, "device_name": "Phone", **more}


def invited(run: Run, *more: str) -> str:
    """Return the link of an invitation, made by command."""
    return run("invite", "--reason", WHY, *more).stdout.strip()


def test_an_invitation_lets_one_registration_pass(run: Run, suite: InProcessSuite) -> None:
    """Once, by the link or the token in it; without one, or by a wrong one, nobody."""
    link = invited(run)
    assert link.startswith("http://localhost:8000/registration/#invite=")
    token = link.partition("invite=")[2]
    assert code_of(suite.post("/registration/", form("invited-1"))) == (403, "registration-closed")
    wrong = form("invited-1", invitation=token[:-2])
    assert code_of(suite.post("/registration/", wrong)) == (410, "invitation-spent")
    weak = form("invited-1", invitation=token) | {"password": "short"}
    assert code_of(suite.post("/registration/", weak)) == (400, "weak-password")
    sent = {"Idempotency-Key": "once"}
    first = suite.post("/registration/", form("invited-1", invitation=token), **sent)
    assert first.status_code == 200
    for again in (token, link):
        refused = suite.post("/registration/", form("invited-2", invitation=again))
        assert code_of(refused) == (410, "invitation-spent")
    repeated = suite.post("/registration/", form("invited-1", invitation=token), **sent)
    assert repeated.get_json()["uuid"] == first.get_json()["uuid"]
    taken = form("invited-1", invitation=invited(run))
    assert code_of(suite.post("/registration/", taken)) == (409, "username-taken")
    assert suite.post("/registration/", {**taken, "username": "invited-3", "email": "i3@x.test"}).status_code == 200


def test_an_invitation_expires(run: Run, suite: InProcessSuite, clock: HandClock) -> None:
    """After the time that the operator gave it."""
    link = invited(run, "--expires", "1d")
    clock.move(DAY + timedelta(minutes=1))
    assert code_of(suite.post("/registration/", form("late", invitation=link))) == (410, "invitation-spent")
    run("invite", "--reason", WHY, "--expires", "91d", expect=2)
    run("invite", expect=2)


def test_of_many_at_once_one_registers(run: Run, suite: InProcessSuite, clock: HandClock) -> None:
    """The commit of the account uses the invitation up."""
    link = invited(run)

    def register(number: int) -> Any:
        client = suite.client.application.test_client()
        return client.post("/registration/", json=form(f"racer-{number}", invitation=link)).status_code

    def answered(number: int) -> Any:
        statuses: list[int] = []

        def is_answered() -> bool:
            clock.move(timedelta(seconds=4))  # what a request that was not answered has reserved is free in a while
            statuses.append(register(number))
            return statuses[-1] != 503

        until(is_answered, "the store answers")
        return statuses[-1]

    with ThreadPoolExecutor(6) as threads:
        statuses = list(threads.map(register, range(6)))
    assert set(statuses) <= {200, 410, 503}
    assert statuses.count(200) <= 1
    if 200 not in statuses:  # a busy machine told nobody in time
        assert answered(6) in (200, 410)
    assert answered(7) == 410


def test_an_account_is_made_without_a_device(run: Run, suite: InProcessSuite, clock: HandClock) -> None:
    """Its user joins by the link and the password, once; the history and the audit log tell who made it."""
    asked = ("create", "made-1", "made-1@example.test", "--reason", WHY)
    made = json.loads(run(*asked, "--generate", "--json").stdout)
    assert "username-taken" in run(*asked, "--generate", expect=1).stderr
    for changed, why in (("made\u200b-2", "username"), ("made-2", "weak-password")):
        refused = run("create", changed, "made-2@example.test", "--reason", WHY, typed="password1\n", expect=1)
        assert why in refused.stderr
    login = {"username": "made-1", "password": made["password"], "client_cert_fp": "0" * 64}
    assert code_of(suite.post("/login", login))[0] == 401
    body = {"username": "made-1", "password": made["password"], "qr_code": made["link"], "device_name": "Phone"}
    assert code_of(suite.post("/registration/", {**body, "password": OTHER})) == (401, "bad-credentials")
    joined = suite.post("/registration/", body).get_json()
    assert suite.post("/login", login | {"client_cert_fp": joined["client_cert_fp"]}).status_code == 200
    assert code_of(suite.post("/registration/", body)) == (410, "pairing-token-spent")
    shown = json.loads(run("show", "made-1", "--json").stdout)
    assert [(e["kind"], e.get("act")) for e in shown["history"]][-1] == ("registered", OperatorAct.CREATE)
    now = clock() + timedelta(seconds=5)
    lines = [(e.kind, e.reason, e.user_uuid) for e in read_audit(suite.store.inner, now - DAY, now)]
    assert ("operator-create", WHY, made["uuid"]) in lines
    assert all(made["password"] not in str(line) for line in lines)


def test_a_new_password_voids_the_link(run: Run, suite: InProcessSuite) -> None:
    """As it voids every pairing code."""
    made = json.loads(run("create", "void-1", "v@example.test", "--reason", WHY, "--generate", "--json").stdout)
    set_to = json.loads(run("set-password", "void-1", "--generate", "--yes", "--json", "--reason", WHY).stdout)
    body = {"username": "void-1", "password": set_to["password"], "qr_code": made["link"]}
    assert code_of(suite.post("/registration/", body)) == (410, "pairing-token-spent")


def test_an_invitation_is_stored_as_its_hash(clock: HandClock) -> None:
    """Its item does not hold the token."""
    made = invitation.issue(clock())
    assert made.token not in str(made.row.item)
