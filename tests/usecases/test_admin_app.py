"""The admin app beside a running suite: keys, roles, what each may see and do, and whom it answers at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from werkzeug.test import TestResponse

from common.account import audit as audit_log
from common.account.audit import read_audit
from common.account.history import OperatorAct
from common.clock import system_clock, to_millis, to_rfc3339
from common.crypto.passwords import CHEAP_FOR_TESTS
from common.ids import new_id
from common.storage.port import Put, Store
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, AUDIT, KEY_RING
from ichidai.admin.keys import WRONG_KEYS, AdminKeys, Role
from ichidai.apps import app_for
from ichidai.cli.admin_keys import app as commands
from ichidai.settings import read_settings
from ichidai.topology import DEV_PORTS, App
from ichidai.wiring.build import build
from tests.usecases.in_process_suite import (
    DAY,
    MINUTE,
    PASSWORD,
    SECOND,
    HandClock,
    InProcessSuite,
    Person,
    code_of,
    ended,
)

WHY = "ticket 4711"
HERE = f"http://127.0.0.1:{DEV_PORTS[App.ADMIN]}"
ACTS = {
    "end-sessions": Role.SUPPORT,
    "unbind": Role.SUPPORT,
    "disable": Role.OWNER,
    "enable": Role.OWNER,
    "close": Role.OWNER,
    "set-password": Role.OWNER,
    "reset-otp": Role.OWNER,
    "export": Role.OWNER,
}


def no_line(now: datetime) -> Put:
    """Return a write in the place of the audit log's."""
    return Put(AUDIT, {"bucket": "1#0", "id": new_id(), "user_uuid": None, "expires_at": to_millis(now)})


MAKES = ("create", "invite")


class Admin:
    """The admin app on a suite's store, and a key of each role."""

    def __init__(self, store: Store, keys: Path, clock: HandClock, witness: Path, **more: str) -> None:
        settings = read_settings({"ICHIDAI_KEYS_DIR": str(keys), "ICHIDAI_WITNESS_FILE": str(witness), **more})
        self.suite = build(settings, App.ADMIN, DEV_PORTS[App.ADMIN], clock=clock, cost=CHEAP_FOR_TESTS, store=store)
        self.client: FlaskClient = app_for(App.ADMIN, self.suite).test_client()
        self.keys = AdminKeys(store, clock)
        self.texts = {role: self.key(f"{role}-key", role) for role in Role}

    def key(self, name: str, role: Role, lifetime: timedelta | None = None) -> str:
        """Make a key."""
        return self.keys.create(name, role, lifetime, "test@host", no_line)[1]

    def get(self, path: str, role: Role = Role.READ, **query: str) -> TestResponse:
        """Ask for something by the key of a role."""
        return self.call("GET", path, self.texts[role], query_string=query)

    def act(self, act: str, person: Person, role: Role = Role.OWNER, **more: str) -> TestResponse:
        """Act on somebody by the key of a role."""
        body = {"uuid": person.uuid, "reason": WHY, **more}
        return self.call("POST", f"/admin/{act}", self.texts[role], json=body)

    def call(self, method: str, path: str, text: str | None, **more: Any) -> TestResponse:
        """Call the app at its own address, with a key."""
        headers = {**({"Authorization": f"Bearer {text}"} if text else {}), **more.pop("headers", {})}
        return self.client.open(path, method=method, base_url=HERE, headers=headers, **more)


@pytest.fixture
def suite(tmp_path: Path, keys: Path, clock: HandClock) -> Iterator[InProcessSuite]:
    """Return a suite that lets two devices be active at once."""
    suite = InProcessSuite(tmp_path, keys, clock, MAX_CONCURRENT_DEVICES="2")
    yield suite
    suite.close()


@pytest.fixture
def anna(suite: InProcessSuite) -> Person:
    """Return a registered person."""
    return suite.register()


@pytest.fixture
def admin(suite: InProcessSuite, keys: Path, clock: HandClock, tmp_path: Path) -> Admin:
    """Return the admin app on the suite's store."""
    return Admin(suite.store.inner, keys, clock, tmp_path / "witness.json")


def lines(suite: InProcessSuite) -> list[tuple[str, str, str | None]]:
    """Return kind, actor and account of each line of the audit log that tells of an account."""
    now = suite.clock()
    return [(e.kind, e.actor, e.user_uuid) for e in read_audit(suite.store.inner, now - DAY, now) if e.user_uuid]


def test_an_account_is_found_and_shown(admin: Admin, suite: InProcessSuite, anna: Person) -> None:
    """By name, mail or uuid; with devices, sessions and history; nothing that lets anybody in is told."""
    login = suite.log_in(anna)
    for who in (anna.username, f"{anna.username}@example.test", anna.uuid):
        (found,) = admin.get("/admin/accounts", who=who).get_json()["accounts"]
        assert found["uuid"] == anna.uuid
    assert admin.get("/admin/accounts", who="nobody").get_json()["accounts"] == []
    shown = admin.get("/admin/account", uuid=anna.uuid).get_json()
    assert [each["device_id"] for each in shown["devices"]] == [anna.first.device_id]
    assert [each["session_id"] for each in shown["sessions"]] == [login.session_id]
    assert [each["kind"] for each in shown["history"]][:1] == ["login"]
    assert code_of(admin.get("/admin/account", uuid="nobody")) == (404, "not-found")
    told = str(shown) + str(admin.act("export", anna).get_json())
    for secret in (login.access, login.refresh, anna.password, "digest"):
        assert secret not in told


def test_each_act_is_done_told_and_written_down(admin: Admin, suite: InProcessSuite, anna: Person) -> None:
    """As by command: the reason of the end, the history's act, and a line that names the key."""
    laptop = suite.pair(anna)
    phone, other = suite.log_in(anna), suite.log_in(anna, laptop)
    assert admin.act("unbind", anna, Role.SUPPORT, device_id=laptop.device_id).get_json()["changed"] is True
    assert ended(suite.verify(other)) == "device-unbound"
    assert code_of(admin.act("unbind", anna, device_id=anna.first.device_id)) == (409, "last-device")
    assert admin.act("end-sessions", anna, Role.SUPPORT).get_json() == {"success": True, "changed": True, "ended": 1}
    assert ended(suite.verify(phone)) == "revoked"
    assert suite.history(anna)[-1].events[-1].act is OperatorAct.END_SESSIONS
    assert admin.act("disable", anna).get_json()["changed"] is True
    assert code_of(suite.login(anna)) == (403, "account-disabled")
    assert admin.act("disable", anna).get_json()["changed"] is False
    assert admin.act("enable", anna).get_json()["changed"] is True
    assert code_of(admin.act("reset-otp", anna)) == (409, "otp-inactive")
    assert code_of(admin.act("set-password", anna, password="password1")) == (400, "weak-password")
    made = admin.act("set-password", anna).get_json()["password"]
    body = {"username": anna.username, "password": made, "client_cert_fp": anna.first.fingerprint}
    assert suite.post("/login", body).status_code == 200
    assert "password" not in admin.act("set-password", anna, password="another long phrase").get_json()
    assert admin.act("close", anna).get_json()["changed"] is True
    assert admin.act("close", anna).get_json()["changed"] is False
    told = [
        ("unbind", "support"),
        ("end-sessions", "support"),
        ("disable", "owner"),
        ("enable", "owner"),
        ("close", "owner"),
    ]
    told += [("set-password", "owner"), ("set-password", "owner")]
    assert sorted(lines(suite)) == sorted((f"operator-{act}", f"{role}-key", anna.uuid) for act, role in told)


def test_a_registration_names_the_account_that_it_made(suite: InProcessSuite, caplog: pytest.LogCaptureFixture) -> None:
    """As the lines of its events do."""
    caplog.set_level("INFO")
    anna = suite.register()
    told = [vars(record) for record in caplog.records if record.msg in ("request", "account-event")]
    assert [(each["msg"], each["user_uuid"]) for each in told] == [
        ("account-event", anna.uuid),
        ("account-event", anna.uuid),
        ("request", anna.uuid),
    ]


def test_a_request_and_an_act_have_their_lines_in_the_log(
    admin: Admin, anna: Person, caplog: pytest.LogCaptureFixture
) -> None:
    """Whose account it was about; what became of it under the same name of the request; not the operator's words."""
    caplog.set_level("INFO")
    answer = admin.act("disable", anna)
    told = [vars(record) for record in caplog.records]
    (request,) = [each for each in told if each["msg"] == "request"]
    (event,) = [each for each in told if each["msg"] == "account-event"]
    assert (request["route"], request["user_uuid"]) == ("/admin/disable", anna.uuid)
    assert (event["kind"], event["act"], event["user_uuid"]) == ("account-disabled", "disable", anna.uuid)
    assert event["request_id"] == request["request_id"] == answer.headers["X-Request-Id"]
    assert WHY not in str(told)


@pytest.mark.parametrize("act", ACTS)
def test_a_role_is_good_for_what_it_says(act: str, admin: Admin, suite: InProcessSuite, anna: Person) -> None:
    """Whoever lacks it is 403, and nothing is changed or written down."""
    login = suite.log_in(anna)
    for role in Role:
        if not role.covers(ACTS[act]):
            refused = admin.act(act, anna, role, device_id=anna.first.device_id)
            assert code_of(refused) == (403, "role-too-low")
            assert refused.get_json()["role"] == ACTS[act]
    assert suite.verify(login).status_code == 200
    assert lines(suite) == []
    allowed = admin.act(act, anna, ACTS[act], device_id=anna.first.device_id)
    assert allowed.status_code in (200, 409)


def test_who_shows_no_good_key_learns_and_changes_nothing(admin: Admin, clock: HandClock, anna: Person) -> None:
    """None, a wrong one, one of another name, an expired, a revoked one: before anything else is looked at."""
    good = admin.texts[Role.OWNER]
    brief = admin.key("brief", Role.OWNER, DAY)
    for text, code in (
        (None, "token-missing"),
        (good[:-1], "admin-key-invalid"),
        (good.replace("owner", "read"), "admin-key-invalid"),
        (good.rpartition("_")[2], "admin-key-invalid"),
    ):
        refused = admin.call("POST", "/admin/disable", text, data="{")
        assert code_of(refused) == (401, code), text
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert admin.call("GET", "/admin/key", brief).get_json()["role"] == "owner"
    clock.move(DAY)
    assert code_of(admin.call("GET", "/admin/key", brief)) == (401, "admin-key-invalid")
    admin.keys.revoke("owner-key", no_line)
    assert code_of(admin.act("disable", anna)) == (401, "admin-key-invalid")


def test_tries_are_throttled_by_source(admin: Admin, clock: HandClock) -> None:
    """After ten wrong keys a source is 429 whatever it shows, until one is back; other sources are not."""
    for _ in range(WRONG_KEYS.burst):
        assert admin.call("GET", "/admin/key", "ichidai-admin_owner-key_x").status_code == 401
    for text in ("ichidai-admin_owner-key_x", admin.texts[Role.OWNER]):
        refused = admin.call("GET", "/admin/key", text)
        assert code_of(refused) == (429, "too-many-attempts")
        assert int(refused.headers["Retry-After"]) <= 30
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert admin.call("GET", "/admin/key", admin.texts[Role.READ], environ_overrides=elsewhere).status_code == 200
    clock.move(WRONG_KEYS.interval)
    assert admin.call("GET", "/admin/key", admin.texts[Role.READ]).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "accounts.example.com"},
        {"Host": "127.0.0.1:80"},
        {"Host": "127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:8000"},
    ],
    ids=str,
)
def test_a_foreign_host_or_origin_is_403(headers: dict[str, str], admin: Admin, suite: InProcessSuite) -> None:
    """At every path, with a good key too."""
    for method, path in (("GET", "/"), ("GET", "/health"), ("GET", "/admin/key"), ("POST", "/admin/disable")):
        refused = admin.call(method, path, admin.texts[Role.OWNER], headers=headers)
        assert code_of(refused) == (403, "foreign-request"), path


def test_its_own_origin_in_both_spellings(admin: Admin) -> None:
    """As a page at either sends it; no other app's route is here."""
    for name in ("127.0.0.1", "localhost"):
        base = f"http://{name}:{DEV_PORTS[App.ADMIN]}"
        headers = {"Authorization": f"Bearer {admin.texts[Role.READ]}", "Origin": base}
        assert admin.client.get("/admin/key", base_url=base, headers=headers).status_code == 200
    assert admin.call("GET", "/session/verify", None).status_code == 404
    assert admin.call("POST", "/login", None, json={}).status_code == 404


def test_it_has_an_openapi_document_of_its_own(admin: Admin) -> None:
    """Valid, with its routes alone, each under the admin key."""
    document = admin.call("GET", "/openapi.json", None).get_json()
    validate(document)
    assert set(document["paths"]) == {
        "/admin/key",
        "/admin/accounts",
        "/admin/account",
        *PAGED,
        *(f"/admin/{a}" for a in (*ACTS, *MAKES)),
    }
    operations = [operation for item in document["paths"].values() for operation in item.values()]
    assert all(operation["security"] == [{"adminKey": []}] for operation in operations)
    assert all({"401", "403", "429", "503"} <= operation["responses"].keys() for operation in operations)


def test_an_owner_invites_and_creates(admin: Admin, suite: InProcessSuite) -> None:
    """As by command; other roles may not."""
    key = admin.texts[Role.OWNER]
    link = admin.call("POST", "/admin/invite", key, json={"reason": WHY}).get_json()["link"]
    body = {"username": "ben", "email": "ben@example.test", "password": PASSWORD, "invitation": link}
    assert suite.post("/registration/", body).status_code == 200
    eva = {"username": "eva", "email": "eva@example.test", "reason": WHY}
    assert code_of(admin.call("POST", "/admin/create", admin.texts[Role.SUPPORT], json=eva)) == (403, "role-too-low")
    made = admin.call("POST", "/admin/create", key, json=eva).get_json()
    joining = {"username": "eva", "password": made["password"], "qr_code": made["link"]}
    assert suite.post("/registration/", joining).status_code == 200
    for changed, code in (({}, "username-taken"), ({"username": "a\u200bb"}, "invalid-request")):
        assert code_of(admin.call("POST", "/admin/create", key, json={**eva, **changed}))[1] == code


def test_a_reason_is_asked_for(admin: Admin, suite: InProcessSuite, anna: Person) -> None:
    """Without one, or one of nothing, nothing is done."""
    login = suite.log_in(anna)
    assert code_of(admin.act("end-sessions", anna, reason="\n \u200b")) == (400, "invalid-request")
    missing = admin.call("POST", "/admin/end-sessions", admin.texts[Role.OWNER], json={"uuid": anna.uuid})
    assert code_of(missing) == (400, "missing-fields")
    assert suite.verify(login).status_code == 200


PAGED = ("/admin/list", "/admin/audit", "/admin/history")


def walk(admin: Admin, path: str, of: str, place: str, asks: str, **query: str) -> list[list[Any]]:
    """Return every page of something, by the key of a reader; no page is asked for twice."""
    pages, asked = [], set()
    while True:
        answer = admin.get(path, **query).get_json()
        pages.append(answer[of])
        if place not in answer:
            return pages
        query[asks] = str(answer[place])
        assert query[asks] not in asked
        asked.add(query[asks])


def test_accounts_are_listed_page_by_page(admin: Admin, suite: InProcessSuite, clock: HandClock) -> None:
    """Each once, whoever registers or is disabled meanwhile; by state, and by how long nobody has used them."""
    people = [suite.register(f"p{number}") for number in range(5)]
    uuids = {person.uuid for person in people}

    def listed(**query: str) -> set[str]:
        pages = walk(admin, "/admin/list", "accounts", "next_after", "after", **query)
        found = [each["uuid"] for page in pages for each in page]
        assert len(found) == len(set(found))
        assert all(len(page) <= int(query.get("limit", 50)) for page in pages)
        return set(found)

    for limit in ("1", "2", "5", "6"):
        assert listed(limit=limit) == uuids
    first = admin.get("/admin/list", limit="2").get_json()
    late = suite.register("late")
    rest = walk(admin, "/admin/list", "accounts", "next_after", "after", limit="2", after=first["next_after"])
    assert uuids <= {each["uuid"] for page in [first["accounts"], *rest] for each in page} <= uuids | {late.uuid}
    admin.act("disable", people[1])
    admin.act("close", people[3])
    assert listed(state="disabled", limit="1") == {people[1].uuid}
    assert listed(state="closed") == {people[3].uuid}
    assert listed(state="active") == uuids - {people[1].uuid, people[3].uuid} | {late.uuid}
    clock.move(31 * DAY)
    suite.log_in(late)
    assert listed(inactive_days="30", state="active") == uuids - {people[1].uuid, people[3].uuid}
    assert listed(inactive_days="32") == set()


def test_the_audit_log_is_told_page_by_page(
    admin: Admin, suite: InProcessSuite, clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newest first, each once, though months lie between two; of one account, since a time; however short pages are."""
    anna, ben = suite.register("anna"), suite.register("ben")
    for person, act in ((anna, "disable"), (ben, "disable"), (anna, "enable")):
        admin.act(act, person)
        clock.move(SECOND)
    clock.move(100 * DAY)
    between = clock()
    for person, act in ((ben, "enable"), (anna, "export"), (ben, "close")):
        admin.act(act, person)
        clock.move(MINUTE)
    every = list(read_audit(suite.store.inner, clock() - 300 * DAY, clock()))
    told = [(to_rfc3339(event.at), str(event.kind), event.user_uuid) for event in reversed(every)]
    of_anna = [line for line in told if line[2] == anna.uuid]

    def log(**query: str) -> list[tuple[str, str, str | None]]:
        pages = walk(admin, "/admin/audit", "lines", "next_before", "before", **query)
        assert all(len(page) <= int(query.get("limit", 50)) for page in pages)
        return [(line["at"], line["kind"], line["user_uuid"]) for page in pages for line in page]

    for looked in (audit_log.LINES_OF_A_PAGE, 2):
        monkeypatch.setattr(audit_log, "LINES_OF_A_PAGE", looked)
        for limit in ("1", "2", "50"):
            assert log(limit=limit) == told
            assert log(limit=limit, uuid=anna.uuid) == of_anna
    assert len([line for line in told if line[2]]) == 6
    assert log(since=to_rfc3339(between)) == told[:3]
    assert log(since=between.date().isoformat(), uuid=anna.uuid) == of_anna[:1]
    assert log(since="2099-01-01") == []
    newest = admin.get("/admin/audit", limit="1").get_json()["lines"][0]
    assert newest["username"] == "ben"
    assert (newest["actor"], newest["reason"], newest["facts"]) == ("owner-key", WHY, {})


def test_an_accounts_history_is_told_page_by_page(admin: Admin, suite: InProcessSuite, anna: Person) -> None:
    """All of it, newest first, whatever is laid down yet; the account's first page says where the next begins."""
    for _ in range(12):
        suite.log_in(anna)
    whole = [event.kind for record in reversed(suite.history(anna)) for event in reversed(record.events)]
    shown = admin.get("/admin/account", uuid=anna.uuid).get_json()
    pages = walk(admin, "/admin/history", "history", "next_before", "before", uuid=anna.uuid, limit="5")
    assert [event["kind"] for page in pages for event in page] == whole
    assert shown["history"] == [event for page in pages for event in page][: len(shown["history"])]
    for _ in range(20):
        suite.log_in(anna)
    shown = admin.get("/admin/account", uuid=anna.uuid).get_json()
    rest = admin.get("/admin/history", uuid=anna.uuid, before=str(shown["next_before"])).get_json()
    assert shown["history"][-1]["change_no"] == shown["next_before"] == rest["history"][0]["change_no"] + 1


def test_pages_are_for_operators_and_their_bounds_are_held(admin: Admin, anna: Person) -> None:
    """Without a key nothing is looked at; what cannot be a page is 400, and names its field."""
    for path in PAGED:
        assert code_of(admin.call("GET", path, None)) == (401, "token-missing")
    for path, query in (
        ("/admin/list", {"limit": "101"}),
        ("/admin/list", {"limit": "0"}),
        ("/admin/list", {"after": "nowhere"}),
        ("/admin/list", {"state": "gone"}),
        ("/admin/list", {"inactive_days": "36501"}),
        ("/admin/audit", {"limit": "101"}),
        ("/admin/audit", {"before": "yesterday"}),
        ("/admin/audit", {"since": "7 days"}),
        ("/admin/history", {"uuid": anna.uuid, "before": "0"}),
    ):
        refused = admin.get(path, **query)
        assert code_of(refused) == (400, "invalid-request"), (path, query)
        assert refused.get_json()["field"] in query
    assert admin.get("/admin/audit", since="0001-01-01T00:00:00+14:00").status_code == 200
    assert admin.get("/admin/audit", before="9" * 15).status_code == 200
    assert code_of(admin.get("/admin/history", uuid="nobody")) == (404, "not-found")
    assert code_of(admin.get("/admin/history")) == (400, "missing-fields")


def run(*arguments: str, expect: int = 0) -> Result:
    """Run `ichidai admin-keys …`."""
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == expect, (result.output, result.exception)
    return result


def test_keys_are_made_listed_and_revoked_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is printed once; the store has its hash, and the audit log says who made it and why."""
    monkeypatch.setenv("ICHIDAI_DATA_DIR", str(tmp_path))
    text = run("create", "kim", "--role", "support", "--expires", "90d", "--reason", WHY).stdout.strip()
    assert text.startswith("ichidai-admin_kim_")
    unnamed = run("create", "--role", "read").stdout.strip()
    assert unnamed.startswith("ichidai-admin_read-")
    assert "revoke it first" in run("create", "kim", "--role", "owner", expect=1).stderr
    run("create", "kim@ops", "--role", "owner", expect=2)
    run("create", "kim2", "--role", "owner", "--expires", "soon", expect=2)
    run("create", "kim2", "--role", "boss", expect=2)
    run("create", "kim2", expect=2)
    listed = run("list").stdout
    assert "kim" in listed
    assert text.rpartition("_")[2] not in listed
    run("revoke", "kim")
    run("revoke", "nobody", expect=3)
    assert '"state":"revoked"' in run("list", "--json").stdout
    store = SqliteStore(tmp_path / "ichidai.sqlite", ALL, system_clock)
    now = system_clock()
    told = [(event.kind, event.reason, event.facts) for event in read_audit(store, now - DAY, now)]
    assert ("admin-key-create", WHY, {"key": "kim", "role": "support"}) in told
    assert sorted(kind for kind, _, _ in told) == ["admin-key-create"] * 2 + ["admin-key-revoke"]
    assert text.rpartition("_")[2] not in str(store.get(KEY_RING.key("admin-keys")))
    store.close()
