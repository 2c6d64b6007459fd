"""`ichidai check-store` against planted damage of each kind, on both engines: named, and mended where that is safe.

The suite serves the store all the while, and a session that is live before is live after.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from click import Command
from click.testing import CliRunner, Result
from msgspec.structs import replace

from common.account.book import Book
from common.account.claims import Claim
from common.account.decision import Snapshot, TransactionResult
from common.account.history import EventKind, Reason, record_from_item
from common.account.laying_down import LayingDown
from common.account.rows import rows_of
from common.account.tombstone import is_tombstone, tombstone
from common.account.transactions import AccountTransactions
from common.background import at_once
from common.clock import from_millis, system_clock, to_millis
from common.ids import new_id
from common.storage.port import Item, Key, Put, Store, StoreUnavailable
from common.storage.tables import (
    AUDIT,
    DEVICE_KEYS,
    DEVICES,
    FEED,
    LOGIN_HISTORY,
    NAMES,
    SESSIONS,
    USERS,
)
from device_manager import revocation
from device_manager.device_model import Device
from ichidai.checking.finding import MENDABLE, Kind
from ichidai.checking.reading import list_keys
from ichidai.cli.accounts import app as accounts
from ichidai.cli.check_store import app as check_store
from ichidai.cli.check_store import paced
from registration.account_model import name_claim
from tests.support.engines import ENGINES, Engine
from tests.usecases.in_process_suite import PASSWORD, HandClock, InProcessSuite, Person

Run = Callable[..., list[dict[str, Any]]]
Found = set[tuple[str, str]]


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """Return an engine with nothing in it: SQLite where the test names none."""
    return ENGINES[getattr(request, "param", "sqlite")](tmp_path)


@pytest.fixture
def suite(engine: Engine, tmp_path: Path, keys: Path, clock: HandClock) -> Iterator[InProcessSuite]:
    """Return a suite on the engine."""
    store = engine.open(clock)
    with closing(InProcessSuite(tmp_path, keys / engine.name, clock, store, MAX_CONCURRENT_DEVICES="2")) as suite:
        yield suite


@pytest.fixture
def command(engine: Engine, keys: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return what runs a command on the suite's store, a little after the suite's clock."""
    monkeypatch.setenv("ICHIDAI_KEYS_DIR", str(keys / engine.name))
    for name, value in engine.settings.items():
        monkeypatch.setenv(name, value)

    def command(app: Command, *words: str, expect: int = 0) -> Result:
        ahead = clock.now - system_clock() + timedelta(seconds=1)
        monkeypatch.setenv("ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS", str(int(ahead.total_seconds())))
        result = CliRunner().invoke(app, words)
        assert result.exit_code == expect, (result.output, result.exception)
        return result

    return command


@pytest.fixture
def run(command: Callable[..., Result]) -> Run:
    """Return what runs `ichidai check-store`, and gives what it has found."""

    def run(*options: str, expect: int = 0) -> list[dict[str, Any]]:
        said = command(check_store, *options, "--json", expect=expect).stdout
        found = [json.loads(line) for line in said.splitlines()]
        for each in found:
            assert all(each[name] for name in ("weight", "kind", "table", "key", "user_uuid", "text", "remedy")), each
        return found

    return run


@pytest.fixture
def person(suite: InProcessSuite) -> Callable[[], Person]:
    """Return what makes a person with a device, who has unbound another one."""

    def make() -> Person:
        anna = suite.register(f"anna-{uuid4().hex[:8]}")
        tablet = suite.pair(anna, "Tablet")
        login = suite.log_in(anna)
        assert suite.post("/device/unbind", {"device_id": tablet.device_id}, login.access).status_code == 200
        return anna

    return make


@pytest.fixture
def store(suite: InProcessSuite) -> Store:
    """Return the store as the test spoils it."""
    return suite.store.inner


def changed(store: Store, key: Key, **members: Any) -> None:
    """Change some members of an item."""
    store.put(key.table, {**_item(store, key), **members})


def last_number(store: Store, person: Person) -> int:
    """Return the number of the account's newest change that is laid down."""
    page = store.query(LOGIN_HISTORY, person.uuid, limit=1, descending=True)
    return int(str(page.items[0]["change_no"]))


def laid_down(suite: InProcessSuite, person: Person) -> None:
    """Let the book carry nothing, as after a further change."""
    suite.put_book(replace(suite.book(person), outbox=(), rows=()))


# ------------------------------------------------------------------------------------------------ what can be planted


def _device_row_lost(store: Store, anna: Person, _book: Book) -> None:
    store.delete(DEVICES.key(anna.uuid, anna.first.device_id))


def _device_row_of_another_certificate(store: Store, anna: Person, _book: Book) -> None:
    key = DEVICES.key(anna.uuid, anna.first.device_id)
    row: Any = store.get(key)
    changed(store, key, certificate={**row["certificate"], "fingerprint": "0" * 64})


def _unbound_device_good_again(store: Store, anna: Person, book: Book) -> None:
    changed(store, DEVICES.key(anna.uuid, _unbound(store, anna, book)), revoked_at=None)


def _revocation_lost(store: Store, anna: Person, book: Book) -> None:
    row = store.get(DEVICES.key(anna.uuid, _unbound(store, anna, book)))
    store.delete(list_keys(Device.from_item(row))[0])


def _name_unclaimed(store: Store, anna: Person, _book: Book) -> None:
    store.delete(NAMES.key(name_claim(anna.username)))


def _look_unclaimed(store: Store, anna: Person, _book: Book) -> None:
    store.delete(_claims(store, anna, "look#")[0])


def _key_unclaimed(store: Store, anna: Person, _book: Book) -> None:
    (key,) = [k for k in _claims(store, anna, "key#") if _item(store, k)["device_id"] == anna.first.device_id]
    store.delete(key)


def _name_of_nobody(store: Store, _anna: Person, _book: Book) -> str:
    gone = new_id()
    store.put(NAMES, Claim("name#gone", gone).to_item())
    return gone


def _dead_reservation(store: Store, _anna: Person, _book: Book) -> str:
    dead = new_id()
    store.put(NAMES, Claim("name#dead", dead).reserved(new_id(), from_millis(10**12)).to_item())
    return dead


def _dead_registration(store: Store, anna: Person, _book: Book) -> str:
    gone = new_id()
    store.put(USERS, {**_item(store, USERS.key(anna.uuid)), "uuid": gone, "username": gone, "email": f"{gone}@a.test"})
    row = _item(store, DEVICES.key(anna.uuid, anna.first.device_id))
    store.put(DEVICES, {**row, "user_uuid": gone, "uuid": gone})
    return gone


def _dead_keys(store: Store, anna: Person, _book: Book) -> None:
    keys = _item(store, DEVICE_KEYS.key(anna.uuid, anna.first.device_id))
    store.put(DEVICE_KEYS, {**keys, "device_id": new_id()})


def _half_taken_back(store: Store, anna: Person, book: Book) -> None:
    """What an objection to a device's joining leaves if its process dies after its commit."""
    name = _unbound(store, anna, book)
    bound: Any = book.to_item()
    bound["devices"][name] = {**bound["devices"][anna.first.device_id], "bi": book.change_no, "rv": True}
    bound["devices"][name]["fp"] = Device.from_item(_item(store, DEVICES.key(anna.uuid, name))).fingerprint
    store.put(SESSIONS, {**bound, "version": book.version + 1})
    taken_back = [book.change_no, book.change_no, to_millis(from_millis(2 * 10**12))]
    changed(store, USERS.key(anna.uuid), objections=[taken_back])


def _old_tombstone(store: Store, _anna: Person, _book: Book) -> str:
    gone = new_id()
    store.put(SESSIONS, tombstone(gone, from_millis(10**12)))
    return gone


def _book_lost(store: Store, anna: Person, _book: Book) -> None:
    store.delete(SESSIONS.key(anna.uuid))


def _book_unreadable(store: Store, anna: Person, _book: Book) -> None:
    changed(store, SESSIONS.key(anna.uuid), devices="lost")


def _session_without_device(store: Store, anna: Person, book: Book) -> None:
    devices = {name: each for name, each in book.devices.items() if name != anna.first.device_id}
    store.put(SESSIONS, replace(book, devices=devices, version=book.version + 1).to_item())


def _user_lost(store: Store, anna: Person, _book: Book) -> None:
    store.delete(USERS.key(anna.uuid))


def _old_password(store: Store, anna: Person, book: Book) -> None:
    changed(store, USERS.key(anna.uuid), epoch=book.credential_version + 7)


def _factor_lost(store: Store, anna: Person, _book: Book) -> None:
    changed(store, USERS.key(anna.uuid), has_factor=True)


def _row_of_another_time(store: Store, anna: Person, book: Book) -> None:
    changed(store, USERS.key(anna.uuid), book_version=book.version + 50)


def _certificate_lost(store: Store, anna: Person, _book: Book) -> None:
    store.delete(DEVICE_KEYS.key(anna.uuid, anna.first.device_id))


def _revoked_device_bound_again(store: Store, anna: Person, _book: Book) -> None:
    changed(store, DEVICES.key(anna.uuid, anna.first.device_id), revoked_at=to_millis(from_millis(2 * 10**12)))


def _name_of_another(store: Store, anna: Person, _book: Book) -> None:
    other = new_id()
    user, book = _item(store, USERS.key(anna.uuid)), _item(store, SESSIONS.key(anna.uuid))
    store.put(USERS, {**user, "uuid": other})
    store.put(SESSIONS, {**book, "user_uuid": other, "devices": {}, "sessions": {}})
    changed(store, NAMES.key(name_claim(anna.username)), uuid=other)


def _change_lost(store: Store, anna: Person, _book: Book) -> None:
    store.delete(LOGIN_HISTORY.key(anna.uuid, last_number(store, anna) - 1))


def _newest_change_lost(store: Store, anna: Person, _book: Book) -> None:
    store.delete(LOGIN_HISTORY.key(anna.uuid, last_number(store, anna)))


def _change_of_another_time(store: Store, anna: Person, book: Book) -> None:
    number = last_number(store, anna)
    record = _item(store, LOGIN_HISTORY.key(anna.uuid, number))
    store.put(LOGIN_HISTORY, {**record, "ip": "203.0.113.9"})
    outbox: list[Any] = [{"c": number, "e": [], "i": "192.0.2.1", "u": ""}]
    store.put(SESSIONS, {**book.to_item(), "version": book.version + 1, "outbox": outbox})


def _history_ahead(store: Store, anna: Person, _book: Book) -> None:
    number = last_number(store, anna)
    record = _item(store, LOGIN_HISTORY.key(anna.uuid, number))
    store.put(LOGIN_HISTORY, {**record, "change_no": number + 1})


def _line_of_nobody(store: Store, _anna: Person, _book: Book) -> str:
    gone = new_id()
    store.put(AUDIT, {"bucket": "1#0", "id": "1#x", "user_uuid": gone, "kind": "operator-disable"})
    return gone


Plant = Callable[[Store, Person, Book], str | None]
PLANTED: Mapping[Plant, Found] = {
    _device_row_lost: {(Kind.DEVICE_MISSING, "DevicesTable")},
    _device_row_of_another_certificate: {(Kind.DEVICE_DIFFERS, "DevicesTable")},
    _unbound_device_good_again: {(Kind.DEVICE_UNBOUND, "DevicesTable")},
    _revocation_lost: {(Kind.REVOCATION_MISSING, "RevocationsTable")},
    _name_unclaimed: {(Kind.CLAIM_MISSING, "NamesTable")},
    _look_unclaimed: {(Kind.CLAIM_MISSING, "NamesTable")},
    _key_unclaimed: {(Kind.CLAIM_MISSING, "NamesTable")},
    _name_of_nobody: {(Kind.CLAIM_UNUSED, "NamesTable")},
    _dead_reservation: {(Kind.LEFTOVER_CLAIM, "NamesTable")},
    _dead_registration: {(Kind.LEFTOVER_ROW, "UsersTable"), (Kind.LEFTOVER_ROW, "DevicesTable")},
    _dead_keys: {(Kind.LEFTOVER_KEYS, "DeviceKeysTable")},
    _half_taken_back: {(Kind.LEFTOVER_DEVICE, "DevicesTable")},
    _old_tombstone: {(Kind.LEFTOVER_TOMBSTONE, "SessionsTable")},
    _book_lost: {(Kind.BOOK_MISSING, "SessionsTable")},
    _book_unreadable: {(Kind.UNREADABLE, "SessionsTable")},
    _session_without_device: {(Kind.BOOK_INCONSISTENT, "SessionsTable"), (Kind.DEVICE_UNBOUND, "DevicesTable")},
    _user_lost: {(Kind.USER_MISSING, "UsersTable")},
    _old_password: {(Kind.CREDENTIALS_DIFFER, "UsersTable")},
    _factor_lost: {(Kind.FACTOR_MISSING, "FactorsTable")},
    _row_of_another_time: {(Kind.ROW_LATER, "UsersTable")},
    _certificate_lost: {(Kind.CERTIFICATE_MISSING, "DeviceKeysTable")},
    _revoked_device_bound_again: {(Kind.REVOKED_IN_USE, "DevicesTable")},
    _name_of_another: {(Kind.CLAIM_TAKEN, "NamesTable")},
    _change_lost: {(Kind.HISTORY_MISSING, "LoginHistory")},
    _newest_change_lost: {(Kind.HISTORY_MISSING, "LoginHistory")},
    _change_of_another_time: {(Kind.HISTORY_DIFFERS, "LoginHistory")},
    _history_ahead: {(Kind.HISTORY_LATER, "LoginHistory")},
    _line_of_nobody: {(Kind.AUDIT_OF_NOBODY, "AuditTable")},
}


ONE_OF_EACH_WAY = (
    _device_row_lost,
    _revocation_lost,
    _name_unclaimed,
    _name_of_nobody,
    _dead_reservation,
    _dead_registration,
    _old_tombstone,
    _newest_change_lost,
)
"""What is mended in another way than the others, and something that cannot be."""


def _unbound(store: Store, anna: Person, book: Book) -> str:
    rows = store.query(DEVICES, anna.uuid).items
    (device_id,) = (str(row["device_id"]) for row in rows if row["device_id"] not in book.devices)
    return device_id


def _item(store: Store, key: Key) -> dict[str, Any]:
    item = store.get(key)
    assert item is not None
    return dict(item)


def _claims(store: Any, anna: Person, kind: str) -> list[Key]:
    items: list[Item] = [item for page in store.pages(NAMES) for item in page]
    return [NAMES.key_of(item) for item in items if item["uuid"] == anna.uuid and str(item["claim"]).startswith(kind)]


# --------------------------------------------------------------------------------------------------------- the checks


def test_nothing_is_wrong_with_what_the_suite_has_made(
    suite: InProcessSuite, person: Callable[[], Person], run: Run, command: Callable[..., Result]
) -> None:
    """Nor with operators' acts, recovery codes, another name, and what is not laid down yet."""
    anna = person()
    login = suite.log_in(anna)
    assert suite.post("/registration/recovery-codes", {"password": PASSWORD}, login.access).status_code == 200
    renamed = suite.post("/registration/username", {"username": "anna the second", "password": PASSWORD}, login.access)
    assert renamed.status_code == 200, renamed.get_data(as_text=True)
    command(accounts, "disable", anna.uuid, "--yes", "--reason", "a test")
    command(accounts, "enable", anna.uuid, "--reason", "a test")
    suite.pair(anna, "Laptop")
    command(accounts, "unbind", anna.uuid, list(suite.book(anna).devices)[-1], "--yes", "--reason", "a test")
    assert run() == []
    assert run("--mend") == []


def test_what_is_under_way_is_no_damage(
    suite: InProcessSuite, store: Store, person: Callable[[], Person], run: Run
) -> None:
    """A row that only the book carries yet is laid down by the check, as by any reader; a young reservation waits."""
    anna = person()
    key, book = DEVICES.key(anna.uuid, anna.first.device_id), suite.book(anna)
    row = _item(store, key)
    rows = rows_of([Put(DEVICES, row)], book.version + 1, "under way")
    store.delete(key)
    store.put(SESSIONS, replace(book, version=book.version + 1, rows=rows).to_item())
    store.put(NAMES, Claim("name#soon", anna.uuid).reserved(new_id(), suite.clock()).to_item())
    store.put(USERS, {**_item(store, USERS.key(anna.uuid)), "uuid": new_id()})  # a registration before its book
    store.put(SESSIONS, tombstone("of today", suite.clock()))
    assert run("--mend") == []
    assert _item(store, key) == {**row, "book_version": book.version + 1}
    assert is_tombstone(_item(store, SESSIONS.key("of today")))


@pytest.mark.parametrize("engine", ["sqlite", "dynamodb"], indirect=True)
def test_what_a_process_that_died_has_not_laid_down_is_laid_down(
    suite: InProcessSuite, store: Any, person: Callable[[], Person], command: Callable[..., Result]
) -> None:
    """Its history, its ending for the streams and a device's row, whoever comes; and the second run finds nothing."""
    anna = person()
    first, stays = suite.log_in(anna), DEVICES.key(anna.uuid, anna.first.device_id)
    laid_down(suite, anna)
    row, told = _item(store, stays), len([item for page in store.pages(FEED) for item in page])
    book = suite.book(anna)
    dead = AccountTransactions(store, suite.clock, laying=_Killed(store, suite.clock, at_once))
    dead.run(anna.uuid, partial(_end_all_and_rename, row))
    assert suite.book(anna).change_no == book.change_no + 1
    number = book.change_no + 1
    assert store.get(LOGIN_HISTORY.key(anna.uuid, number)) is None

    assert "Changes of 1 accounts were not laid down yet" in command(check_store).stdout
    record = record_from_item(_item(store, LOGIN_HISTORY.key(anna.uuid, number)))
    assert [event.session_id for event in record.events] == [first.session_id]
    assert len([item for page in store.pages(FEED) for item in page]) == told + 1
    assert _item(store, stays)["device_name"] == "renamed by the dead"
    assert "not laid down" not in command(check_store, "--rate", "1000").stdout


@pytest.mark.parametrize("engine", ["sqlite", "dynamodb"], indirect=True)
@pytest.mark.parametrize("is_older", [True, False], ids=["older", "newer"])
def test_a_history_of_another_time_than_its_book_is_said_and_the_account_works(
    suite: InProcessSuite, store: Store, person: Callable[[], Person], run: Run, *, is_older: bool
) -> None:
    """Two tables were restored to different times: logins, refreshes, the history and logouts go on."""
    anna = person()
    early, numbers = suite.book(anna), range(last_number(store, anna) + 1, last_number(store, anna) + 11)
    for _ in numbers:
        suite.log_in(anna)
    laid_down(suite, anna)
    if is_older:
        for number in numbers:
            store.delete(LOGIN_HISTORY.key(anna.uuid, number))
    else:
        store.put(SESSIONS, early.to_item())
    (found,) = run(expect=1)
    assert found["kind"] == (Kind.HISTORY_MISSING if is_older else Kind.HISTORY_LATER)
    if is_older:
        assert f"changes {numbers[0]} to {numbers[-1]} are missing" in found["text"]
    for _ in range(5):
        login = suite.log_in(anna)
        assert suite.verify(login).status_code == 200
        assert suite.refresh(login.refresh).status_code == 200
        assert suite.get("/session/history", login.access).status_code == 200
        assert suite.post("/session/logout", token=login.access).status_code == 200
    kept = [record.change_no for record in suite.history(anna)]
    assert kept == [
        number for number in range(1, suite.book(anna).change_no + 1) if not (is_older and number in numbers)
    ]


class _Killed(LayingDown):
    """Of a process that is killed when its book is put."""

    def lay_down(self, book: Book, own: int = 0) -> bool:  # type: ignore[explicit-override]
        """Do nothing any more."""
        return bool(book) and own >= 0


def _end_all_and_rename(row: Item, snapshot: Snapshot) -> TransactionResult[None]:
    draft = snapshot.draft
    for session in draft.book.in_order():
        draft = draft.ended(session, Reason.REVOKED, snapshot.now, session.device_id)
    return TransactionResult(None, draft, (Put(DEVICES, {**row, "device_name": "renamed by the dead"}),))


def test_an_objection_whose_process_died_is_brought_to_its_end(
    suite: InProcessSuite, run: Run, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device that was taken back is shut out, and is unbound by the mending; what a user revoked stays bound."""
    anna = suite.register(f"anna-{uuid4().hex[:8]}")
    phone, tablet = suite.log_in(anna), suite.pair(anna, "Tablet")
    stolen, password = suite.pair(anna, "Stolen"), {"password": PASSWORD}
    number = last_number(suite.store.inner, anna)
    body = {"device_id": tablet.device_id, **password}
    assert suite.post("/device/revoke_certificate", body, phone.access).status_code == 200

    def dies(*_: object) -> None:
        raise StoreUnavailable("the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr(revocation, "bound_device", dies)  # of the second change
        answer = suite.post("/registration/objection", {"change_no": number, **password}, phone.access)
        assert answer.status_code == 200
    assert suite.book(anna).devices[stolen.device_id].revoked
    assert run() == []  # it may be under way still
    clock.move(timedelta(minutes=2))
    expected = [(Kind.LEFTOVER_DEVICE, stolen.device_id)]
    for options in ((), ("--mend",)):
        assert [(each["kind"], each["key"][1]) for each in run(*options)] == expected
    assert run() == []
    assert suite.book(anna).devices.keys() == {anna.first.device_id, tablet.device_id}
    last = suite.history(anna)[-1].events[-1]
    assert (last.kind, last.device_id) == (EventKind.DEVICE_REMOVED, stolen.device_id)
    assert suite.verify(phone).status_code == 200


def test_the_rate_bounds_how_quickly_a_table_is_read(store: Any) -> None:
    """Pages of no more items than one may see in a second, and a second for each of them."""
    for number in range(25):
        store.put(NAMES, Claim(f"name#{number}", "u").to_item())
    pauses: list[float] = []
    sizes = [len(page) for page in paced(store, NAMES, 10, pauses.append)]
    assert sizes == [10, 10, 5]
    assert all(0 < pause <= 1 for pause in pauses)
    assert sum(pauses) > 2
    pauses.clear()
    assert [len(page) for page in paced(store, NAMES, None, pauses.append)] == [25]
    assert pauses == []


def test_an_operators_act_has_its_line(
    suite: InProcessSuite, store: Any, person: Callable[[], Person], run: Run, command: Callable[..., Result]
) -> None:
    """A line that was lost is told, and cannot be mended; a mending has a line too."""
    anna = person()
    command(accounts, "end-sessions", anna.uuid, "--yes", "--reason", "a test")
    _name_of_nobody(store, anna, suite.book(anna))
    assert [each["kind"] for each in run("--mend")] == ["claim-unused"]
    laid_down(suite, anna)
    lines = {str(item["kind"]): AUDIT.key_of(item) for page in store.pages(AUDIT) for item in page}
    assert "store-mend" in lines
    store.delete(lines["operator-end-sessions"])
    (found,) = run("--mend", expect=1)
    assert (found["kind"], found["mended"]) == ("audit-missing", False)


@pytest.mark.parametrize(
    ("engine", "plants"), [("sqlite", tuple(PLANTED)), ("dynamodb", ONE_OF_EACH_WAY)], indirect=["engine"], ids=ENGINES
)
def test_planted_damage_is_named(
    plants: Sequence[Plant],
    suite: InProcessSuite,
    store: Store,
    person: Callable[[], Person],
    run: Run,
    clock: HandClock,
) -> None:
    """Each kind in an account of its own. Mended what can be is gone, and what cannot stays; nobody is logged out."""
    people = {plant: person() for plant in plants}
    clock.move(timedelta(days=2))  # nothing of them can be under way
    logins = {plant: suite.log_in(anna) for plant, anna in people.items()}
    live = suite.log_in(person())
    assert run() == []
    whose: dict[Plant, str] = {}
    for plant, anna in people.items():
        laid_down(suite, anna)
        whose[plant] = plant(store, anna, suite.book(anna)) or anna.uuid

    found = run(expect=1)
    for plant in plants:
        about = {(each["kind"], each["table"]) for each in found if each["user_uuid"] == whose[plant]}
        assert PLANTED[plant] <= about, plant

    mended = run("--mend", expect=1)
    assert all(each["mended"] == (each["kind"] in MENDABLE) for each in mended), mended
    left = run(expect=1)
    assert {(each["kind"], *each["key"]) for each in left} == {
        (each["kind"], *each["key"]) for each in mended if not each["mended"]
    }
    for plant, anna in people.items():
        if not any(each["user_uuid"] == anna.uuid for each in left):
            assert suite.verify(logins[plant]).status_code == 200, plant
    assert suite.verify(live).status_code == 200


PLANTED_KINDS = {kind for found in PLANTED.values() for kind, _ in found}


def test_every_kind_is_planted() -> None:
    """A kind that nobody plants is a kind that nobody has seen found."""
    assert {*PLANTED_KINDS, Kind.AUDIT_MISSING} == set(Kind)
