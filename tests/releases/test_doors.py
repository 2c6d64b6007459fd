"""Every endpoint on the data of every release, on both engines; and on what only a later release knows.

An account in a state, or with a part, that this release does not know is nobody's: 401 or 503, never 200 or 500.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from common.account.book import Book
from common.proof.challenge import Challenge
from common.storage.port import Item, Store, Table
from common.storage.stored_form import UnknownForm
from common.storage.tables import CHALLENGES, DEVICE_KEYS, DEVICES, FACTORS, LOGIN_HISTORY, SESSIONS, USERS
from device_manager.device_model import Device, DeviceKeys
from registration.account_model import Account
from registration.factor_model import Factor
from tests.releases.doors import ask_all
from tests.releases.test_releases import RELEASES, Release, content_of, copy_of
from tests.support.engines import ENGINES, Engine

ACCOUNTS = ("anna", "odd", "ben", "dora", "emil", "fay")
_FOR_ANYBODY = (
    *("get /.well-known", "get /device/c", "get /registration/work", "post /registration/password/forgot"),
    "post /login/passkey/begin",
)
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Release]]:
    """Return what opens a copy of a release's data, on an engine or in its file, as a later release left it or not."""
    with ExitStack() as suites:

        def open_copy(name: str = RELEASES[-1], engine: str = "sqlite", *, later: bool = False) -> Release:
            elsewhere = None if engine == "sqlite" else ENGINES[engine](tmp_path)
            release = Release(name, tmp_path, elsewhere, later=later)
            suites.callback(release.suite.close)
            return release

        yield open_copy


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", RELEASES)
def test_every_endpoint_answers(opened: Callable[..., Release], name: str, engine: str) -> None:
    """Each with an answer of its own, and those that need nothing but the session with what they were asked for."""
    release = opened(name, engine)
    for account in ACCOUNTS:
        told = dict(ask_all(release.suite, release.account(account)))
        assert {asked: status for asked, status in told.items() if status >= 500} == {}
        assert len(told) > 35
        done = {asked for asked, status in told.items() if status == 200}
        assert {"get /session/verify", "get /device/list", "get /session/list", "get /session/history"} <= done
        assert {"post /device/rename", "post /session/refresh"} <= done


def changed(store: Store, table: Table, user_uuid: str, change: Change) -> Item:
    """Change every item of an account's partition as a later release would; return the last one as it was."""
    found: list[Any] = [store.get(table.key(user_uuid))] if table.sort is None else []
    for item in found or list(store.query(table, user_uuid).items):
        new: dict[str, Any] = {**item, "version": item["version"] + 1} if "version" in item else {**item}
        change(new)
        store.put(table, new)
    return item


def in_session(item: dict[str, Any]) -> None:
    """Let a session be of a form that a reader must know."""
    item["sessions"] = {key: {**each, "needs": ["later"]} for key, each in item["sessions"].items()}


def in_device(item: dict[str, Any]) -> None:
    """Let a device be of a form that a reader must know."""
    item["devices"] = {key: {**each, "needs": ["later"]} for key, each in item["devices"].items()}


def in_rows(item: dict[str, Any]) -> None:
    """Let a row be on its way to a table that only a later release has."""
    item["rows"] = [{"v": item["version"], "t": "MoodsTable", "i": {"user_uuid": item["user_uuid"]}, "k": "later"}]


CLOSED: Mapping[str, tuple[Table, Change]] = {
    "state": (SESSIONS, lambda item: item.update(state="frozen")),
    "book": (SESSIONS, lambda item: item.update(needs=["later"])),
    "session": (SESSIONS, in_session),
    "device": (SESSIONS, in_device),
    "row": (SESSIONS, in_rows),
}


@pytest.mark.parametrize("what", CLOSED)
def test_an_account_of_a_form_that_is_not_known_is_closed(opened: Callable[..., Release], what: str) -> None:
    """At every endpoint, and nothing is written into it; other accounts are served, their activity is written."""
    release = opened()
    table, change = CLOSED[what]
    anna, ben, store = release.account("anna"), release.account("ben"), release.suite.store.inner
    as_it_was = changed(store, table, anna["uuid"], change)
    frozen = store.get(table.key(anna["uuid"]))
    release.suite.suite.last_seen._noted[anna["uuid"]] = {anna["session"]["session_id"]: release.clock()}
    told = dict(ask_all(release.suite, anna))
    wrong = {asked: status for asked, status in told.items() if not asked.startswith(_FOR_ANYBODY)}
    assert {asked: status for asked, status in wrong.items() if status == 200 or status in range(500, 503)} == {}
    assert {told["get /session/verify"], told["post /session/refresh"], told["post /login"]} == {503}
    assert release.get("/session/verify", ben["session"]["access_token"])["user_uuid"] == ben["uuid"]
    assert release.suite.suite.last_seen.flush()
    assert store.get(table.key(anna["uuid"])) == frozen
    store.put(table, {**as_it_was, "version": frozen["version"] + 1})  # type: ignore[index, operator]
    assert release.get("/session/verify", anna["session"]["access_token"])["user_uuid"] == anna["uuid"]


def test_a_password_kept_in_a_later_way_is_never_right(opened: Callable[..., Release]) -> None:
    """The session goes on; what asks for the password says that it cannot know."""
    release = opened()
    anna = release.account("anna")
    later = {"algorithm": "argon3", "cost": {"all": 1}, "salt": "", "digest": ""}
    changed(release.suite.store.inner, USERS, anna["uuid"], lambda item: item.update(password=later))
    assert release.suite.post("/login", release.credentials("anna")).status_code == 503
    assert release.get("/session/verify", release.token("anna"))["user_uuid"] == anna["uuid"]
    with pytest.raises(UnknownForm, match="argon3"):
        Account.from_item(release.suite.store.inner.get(USERS.key(anna["uuid"])))


def test_a_device_and_a_factor_of_a_later_form(opened: Callable[..., Release]) -> None:
    """A role that is not known is shown as the usual one; a factor that needs a later release lets nobody in."""
    release = opened()
    store, emil, dora = release.suite.store.inner, release.account("emil"), release.account("dora")
    changed(store, DEVICES, emil["uuid"], lambda item: item.update(role="watch"))
    token, tablet = release.token("emil"), emil["devices"]["tablet"]["device_id"]
    assert {each["role"] for each in release.get("/device/list", token)["devices"]} == {"secondary"}
    release.post("/device/unbind", {"device_id": tablet}, token)
    assert {item["role"] for item in store.query(DEVICES, emil["uuid"]).items} == {"watch"}
    changed(store, FACTORS, dora["uuid"], lambda item: item.update(needs=["later"]))
    body = release.credentials("dora", otp=dora["recovery_codes"][3])
    assert release.suite.post("/login", body).status_code == 503


def test_what_a_later_release_recorded_is_passed_on(opened: Callable[..., Release]) -> None:
    """Kinds and reasons are texts for who does not know them: in the history, and where the ended session asks."""
    release = opened()
    store, ben = release.suite.store.inner, release.account("ben")

    def record(item: dict[str, Any]) -> None:
        events = item["events"]
        item["events"] = [{**each, "kind": "moved" if each["kind"] == "login" else each["kind"]} for each in events]
        item["events"] = [{**each, "reason": "moved"} if "reason" in each else each for each in item["events"]]

    changed(store, SESSIONS, ben["uuid"], lambda item: item.update(outbox=[]))
    changed(store, LOGIN_HISTORY, ben["uuid"], record)
    kinds = [each["kind"] for each in release.get("/session/history", release.token("ben"))["events"]]
    assert "moved" in kinds
    assert "login" not in kinds
    refused = release.suite.get("/session/verify", ben["evicted"]["access_token"])
    assert (refused.status_code, refused.get_json()["reason"]) == (401, "moved")


def test_an_outbox_of_a_later_release_is_laid_down_whole(opened: Callable[..., Release]) -> None:
    """With every member and every name that it has."""
    release = opened()
    store, anna = release.suite.store.inner, release.account("anna")
    event = {"k": "moved", "t": 1, "r": "moved", "b": "somebody", "later": "kept"}
    book: Any = store.get(SESSIONS.key(anna["uuid"]))
    record = {"c": book["change_no"] + 1, "e": [event], "i": "", "u": "", "later": "kept"}
    row = {"v": 1, "t": "DevicesTable", "i": {"user_uuid": anna["uuid"]}, "k": "later", "later": "kept"}
    newer = {"outbox": [*book.get("outbox", ()), record], "change_no": record["c"], "version": book["version"] + 1}
    store.put(SESSIONS, {**book, **newer})
    release.get("/session/verify", release.token("anna"))
    lying: Any = store.get(LOGIN_HISTORY.key(anna["uuid"], record["c"]))
    assert (lying["later"], lying["events"][0]["later"], lying["events"][0]["kind"]) == ("kept", "kept", "moved")
    written = Book.from_item({**book, **newer, "rows": [row]}).to_item()
    assert (written["outbox"][-1], written["rows"]) == (record, [row])  # type: ignore[index]


CODECS: Mapping[Table, Any] = {
    SESSIONS: Book,
    USERS: Account,
    FACTORS: Factor,
    DEVICES: Device,
    DEVICE_KEYS: DeviceKeys,
    CHALLENGES: Challenge,
}


@pytest.mark.parametrize("name", RELEASES)
def test_every_item_is_understood_as_it_lies(name: str, tmp_path: Path) -> None:
    """Without any migration: what a release wrote is read, and read again from what this one writes in its place."""
    copy_of(name, tmp_path / "data")
    read = 0
    for (_, key), item in content_of(Engine("sqlite", f"sqlite:///{tmp_path / 'data' / 'ichidai.sqlite'}")).items():
        codec = CODECS.get(key.table)
        if codec is not None:
            value = codec.from_item(item)
            written = value.to_item(key.partition) if codec is Challenge else value.to_item()
            assert codec.from_item(written) == value
            assert value.more == {}, "every member of an earlier release is known"
            read += 1
    assert read > 30
