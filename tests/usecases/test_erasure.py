"""A closed account whose days are over: no row of it is left but what must outlive it, and no log line names it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from common.account.audit import AuditKind, read_audit
from common.account.claims import CLOSED
from common.account.laying_down import LayingDown
from common.account.operator import Operator
from common.background import at_once
from common.clock import from_millis
from common.ids import new_id
from common.storage.port import Item, StoreUnavailable
from common.storage.tables import ALL, NAMES, REVOCATIONS, SESSIONS
from device_manager.forgetting import forget_devices
from registration.erasure import Erasure
from registration.operator_acts import OperatorDependencies, disable, enable
from tests.support.engines import ENGINES, Engine
from tests.support.signing import enrolling, p256_keys
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import DAY, PASSWORD, SECOND, Device, HandClock, InProcessSuite, Person, code_of
from tests.usecases.test_closing import CLOSED as ACCOUNT_CLOSED
from tests.usecases.test_closing import WRONG, closed, reopen
from tests.usecases.test_recovery import codes_of
from tests.usecases.watched_store import StoreCall

WHY = "they asked by telephone"


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return each engine in turn; tests tell their accounts apart by name."""
    return ENGINES[request.param](tmp_path_factory.mktemp("engine"))


@pytest.fixture
def suite(new_suite: Build, engine: Engine, tmp_path: Path, keys: Path, clock: HandClock) -> Iterator[InProcessSuite]:
    """Return a suite on the engine."""
    with closing(new_suite(tmp_path, keys / engine.name, clock, store=engine.open(clock))) as suite:
        yield suite


def rows(suite: InProcessSuite) -> dict[str, list[Item]]:
    """Return all that lies in the store and has not expired: what has is there for nobody, and is purged some time."""
    store: Any = suite.store.inner
    return {
        table.name: [
            item
            for page in store.pages(table)
            for item in page
            if "expires_at" not in item or from_millis(item["expires_at"]) > suite.clock()
        ]
        for table in ALL
    }


def erased(suite: InProcessSuite) -> int:
    """Let a minute or two pass, as the thread does; return how many accounts are gone."""
    return sum(suite.suite.erasure.erase_due() for _ in range(2))


def lived(suite: InProcessSuite, name: str) -> tuple[Person, dict[str, Any], list[str]]:
    """Let somebody do all that leaves rows, and close the account; return the first key's body and what names them."""
    keys = p256_keys()
    body = {"username": name, "email": f"{name}@example.test", "password": PASSWORD, "device_name": f"phone of {name}"}
    joining = enrolling(keys, name)
    answer = suite.post("/registration/", {**body, **joining}).get_json()
    phone = Device(answer["client_cert_fp"], answer["device_id"], answer)
    anna = Person(answer["uuid"], name, phone)
    pairing = {"username": name, "password": PASSWORD, "qr_code": answer["qr_code"], "device_name": f"laptop of {name}"}
    joined = suite.post("/registration/", pairing).get_json()
    laptop = Device(joined["client_cert_fp"], joined["device_id"], joined)
    assert code_of(suite.login(anna, password="a guess")) == WRONG
    acts = OperatorDependencies(suite.suite.registration.transactions, suite.suite.registration.claims)
    for act in (disable, enable):
        act(acts, anna.uuid, Operator("kim", f"{WHY}: {name}", new_id(), 400 * DAY))
    session = suite.log_in(anna, laptop)
    codes_of(suite, session, anna)
    second = {"username": f"{name}-later", "password": PASSWORD}
    assert suite.post("/registration/username", second, session.access).status_code == 200
    assert suite.post("/device/unbind", {"device_id": phone.device_id}, session.access).status_code == 200
    closed(suite, session)
    return anna, joining, [name, anna.uuid, phone.device_id, laptop.device_id, session.session_id, laptop.fingerprint]


def test_nothing_of_it_is_left(suite: InProcessSuite, caplog: pytest.LogCaptureFixture) -> None:
    """On both engines, in every table: but certificates that are revoked, and keys that are nobody's for ever."""
    caplog.set_level(logging.INFO)
    caplog.clear()
    others = suite.register(f"other-{uuid4().hex[:8]}")
    name = f"anna-{uuid4().hex[:8]}"
    anna, joining, named = lived(suite, name)
    suite.clock.move(14 * DAY - SECOND)
    before = rows(suite)
    assert erased(suite) == 0
    assert rows(suite) == before
    suite.clock.move(SECOND)
    assert erased(suite) == 1
    left = rows(suite)
    for table, items in left.items():
        for item in items:
            assert not [word for word in named if word in json.dumps(item)], (table, item)
    assert [item["uuid"] for item in left[NAMES.name] if str(item["claim"]).startswith("key#")].count(CLOSED) >= 2
    serials = [len(str(item["serial"])) for item in left[REVOCATIONS.name]]
    assert sum(length > 1 for length in serials) >= 2
    assert name not in caplog.text
    assert anna.username not in json.dumps([record.__dict__ for record in caplog.records], default=str)
    lines = list(read_audit(suite.store.inner, suite.clock() - 20 * DAY, suite.clock()))
    ours = [line for line in lines if line.user_uuid == CLOSED]
    assert {(line.kind, line.actor, line.reason) for line in ours} == {
        (AuditKind.ACCOUNT_DISABLED, "kim", ""),
        (AuditKind.ACCOUNT_ENABLED, "kim", ""),
    }
    assert code_of(suite.login(anna)) == code_of(reopen(suite, anna)) == WRONG
    assert erased(suite) == 0
    suite.log_in(others)
    body = {"username": name, "email": f"{name}@example.test", "password": PASSWORD}
    assert code_of(suite.post("/registration/", {**body, **joining})) == (409, "key-in-use")
    assert suite.post("/registration/", body).status_code == 200


class Killed(Exception):
    """The process was killed."""


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_killed_at_any_write_it_is_taken_up_again(suite: InProcessSuite) -> None:
    """By another process, from what lies there; until it is done the account is either whole or not there."""
    number = 0
    while True:
        number += 1
        anna, _, named = lived(suite, f"k{number}-{uuid4().hex[:8]}")
        suite.clock.move(14 * DAY)
        assert erasure_of(suite).erase_due() == 0  # what the book carries is laid down
        writes = 0

        def kill(call: StoreCall, at: int = number) -> None:
            nonlocal writes
            writes += call.is_write
            if call.is_write and writes == at:
                raise Killed

        suite.store.watch(after=kill)
        try:
            done = erasure_of(suite).erase_due()
        except Killed:
            done = 0
        suite.store.watch()
        item = suite.store.inner.get(SESSIONS.key(anna.uuid))
        is_whole = item is not None and "tombstone" not in item
        assert code_of(suite.login(anna)) == (ACCOUNT_CLOSED if is_whole else WRONG)
        if done:
            break
        erasure_of(suite).erase_due()
        for table, items in rows(suite).items():
            for item in items:
                assert not [word for word in named if word in json.dumps(item)], (number, table, item)
    assert number > 15


def erasure_of(suite: InProcessSuite) -> Erasure:
    """Return what another process would erase with."""
    laying = LayingDown(suite.store, suite.clock, at_once)
    return Erasure(suite.store, suite.clock, laying, partial(forget_devices, suite.store), 400 * DAY)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_store_that_is_away_costs_a_minute(suite: InProcessSuite) -> None:
    """One account that cannot be erased holds no other up, and is erased later."""
    people = [suite.register(f"away-{uuid4().hex[:8]}") for _ in range(2)]
    for person in people:
        closed(suite, suite.log_in(person))
    suite.clock.move(14 * DAY)
    assert suite.suite.erasure.erase_due() == 0

    def away(call: StoreCall) -> None:
        if call.partition == people[0].uuid and call.is_write:
            raise StoreUnavailable("away")

    suite.store.watch(before=away)
    assert suite.suite.erasure.erase_due() == 1
    suite.store.watch()
    assert suite.suite.erasure.erase_due() == 1
    assert {person.uuid for person in people}.isdisjoint(json.dumps(rows(suite)).split('"'))
