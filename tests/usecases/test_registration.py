"""Registering: names are unique whatever the race, and a refused registration leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from common.retry import deadline
from common.storage.tables import NAMES, USERS
from registration.account_model import Account, name_claim
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import InProcessSuite, as_login, code_of
from tests.usecases.watched_store import StoreCall, once

FORM = {"username": "anna", "email": "anna@example.test", "password": "correct horse battery", "device_name": "Phone"}


def register(suite: InProcessSuite, **fields: Any) -> TestResponse:
    """Try to register."""
    return suite.post("/registration/", {**FORM, **fields})


@pytest.mark.requirement("R09", "R10", "R11", "R16", "R52", "D19", "D37", "R04")
def test_an_account_comes_with_its_first_device_in_one_commit(suite: InProcessSuite) -> None:
    """The put of the book makes the account, its device and its first pairing token.

    The registration is counted, name, look, mail and key are reserved, and the rows put, which mean nothing before the
    book is; after it the record is laid down, and the four are confirmed.
    """
    suite.store.watch()
    answer = register(suite)
    assert answer.status_code == 200
    assert [call.tables[0] for call in suite.store.commits] == [
        "ThrottleTable",
        *["NamesTable"] * 4,
        "UsersTable",
        "DevicesTable",
        "DeviceKeysTable",
        "PairingTokensTable",
        "SessionsTable",
        "LoginHistory",
        *["NamesTable"] * 4,
    ]
    as_login(suite.post("/login", {**FORM, "client_cert_fp": answer.get_json()["client_cert_fp"]}))


@pytest.mark.requirement("R17", "R04")
@pytest.mark.regression("X66", "Y02")
def test_registering_is_no_login(suite: InProcessSuite) -> None:
    """It gives no token of a session."""
    answer = register(suite).get_json()
    assert not answer.keys() & {"access_token", "refresh_token", "session_id"}


@pytest.mark.regression("X33")
@pytest.mark.parametrize(
    ("fields", "code"),
    [
        pytest.param({"username": "ANNA", "email": "b@example.test"}, "username-taken", id="name"),
        pytest.param({"username": "ａｎｎａ", "email": "b@example.test"}, "username-taken", id="wide name"),
        pytest.param({"username": "bert", "email": "Anna@Example.test"}, "email-taken", id="mail"),
        pytest.param({}, "username-taken", id="both"),
        pytest.param(
            {"username": "bert", "email": "b@example.test", "password": "password"}, "weak-password", id="weak"
        ),
        pytest.param({"username": "anna", "password": "password"}, "weak-password", id="weak and taken"),
        pytest.param(
            {"username": "bert@x.test", "email": "BERT@x.test", "password": "bert@X.test"}, "weak-password", id="own"
        ),
        pytest.param({"username": "bert", "email": None}, "missing-fields", id="no mail"),
        pytest.param({"username": "bert", "email": "b@example.test", "csr": "x"}, "csr-invalid", id="own keys"),
    ],
)
def test_a_refused_registration_leaves_nothing_behind(suite: InProcessSuite, fields: dict[str, Any], code: str) -> None:
    """No claim of the name or the mail that was free."""
    assert register(suite).status_code == 200
    before = suite.content(failures=True)
    assert register(suite, **fields).get_json()["code"] == code
    assert suite.content(failures=True) == before
    assert register(suite, username="bert", email="b@example.test").status_code == 200


def at_commit(act: Callable[[], object]) -> Callable[[StoreCall], None]:
    """Act right before the first commit."""
    return once(lambda call: call.is_write, act)


@pytest.mark.regression("X33")
@pytest.mark.parametrize(
    ("rival", "code"),
    [
        ({"email": "b@example.test"}, "username-taken"),
        ({"username": "bert"}, "email-taken"),
        ({}, "username-taken"),
    ],
)
def test_of_two_at_once_one_gets_the_name(
    build_suite: Build, suite: InProcessSuite, rival: dict[str, str], code: str
) -> None:
    """Both saw it free; the one whose commit comes later is refused whole."""
    elsewhere = build_suite()
    suite.store.watch(before=at_commit(lambda: register(elsewhere, **rival)))
    assert code_of(register(suite)) == (409, code)
    content = suite.content()
    assert len(content["UsersTable"]) == len(content["SessionsTable"]) == len(content["DevicesTable"]) == 1
    assert len(content["DeviceKeysTable"]) == 1
    assert len(content["NamesTable"]) == 4


LOOK_ALIKE = "\u0430nna"  # its first letter is Cyrillic


@pytest.mark.requirement("R09")
def test_a_look_alike_in_other_scripts_is_taken(suite: InProcessSuite) -> None:
    """Whoever came first; and nothing of the refused one is left. Nobody logs in by a name that only looks so."""
    answer = register(suite).get_json()
    before = suite.content()
    assert code_of(register(suite, username=LOOK_ALIKE, email="b@example.test")) == (409, "username-taken")
    assert suite.content() == before
    login = {"username": LOOK_ALIKE, "password": FORM["password"], "client_cert_fp": answer["client_cert_fp"]}
    assert code_of(suite.post("/login", login)) == (401, "bad-credentials")


def look_owners(suite: InProcessSuite) -> list[object]:
    """Return the owners of the looks that are claimed."""
    rows = suite.content()["NamesTable"]
    return [json.loads(item)["uuid"] for name, _, item in rows if name.startswith("look#")]


@pytest.mark.parametrize(("name", "rival", "status"), [("anna", LOOK_ALIKE, 409), ("modern", "modem", 200)])
def test_of_two_looks_at_once_one_is_claimed(
    build_suite: Build, suite: InProcessSuite, name: str, rival: str, status: int
) -> None:
    """Of two look-alikes one gets the name; of two in one script both, by the claim of the first."""
    elsewhere = build_suite()

    def reserves_look(call: StoreCall) -> bool:
        return any(str(write.key.partition).startswith("look#") for write in call.writes)

    suite.store.watch(before=once(reserves_look, lambda: register(elsewhere, username=rival, email="b@example.test")))
    assert register(suite, username=name).status_code == status
    (owner,) = look_owners(suite)
    users = [json.loads(item) for _, _, item in suite.content()["UsersTable"]]
    assert [row["username"] for row in users if row["uuid"] == owner] == [rival]


@pytest.mark.parametrize(("name", "rival"), [("anna", LOOK_ALIKE), ("modern", "modem")])
def test_a_reserved_look_is_waited_for(build_suite: Build, suite: InProcessSuite, name: str, rival: str) -> None:
    """While the first has its look reserved only, nobody relies on it, and nobody is told that a name is taken."""
    elsewhere, answers = build_suite(), []

    def come() -> None:
        with deadline(0.1):
            answers.append(code_of(register(elsewhere, username=rival, email="b@example.test")))

    suite.store.watch(before=once(lambda call: call.is_write and "SessionsTable" in call.tables, come))
    assert register(suite, username=name).status_code == 200
    assert answers in ([(503, "busy")], [(503, "store-unavailable")])  # the deadline passed in a wait, or in a call
    assert len(look_owners(suite)) == 1


def test_names_of_one_script_may_look_alike(suite: InProcessSuite) -> None:
    """The second claims no look: the first has it."""
    assert register(suite, username="modem").status_code == 200
    assert register(suite, username="modern", email="b@example.test").status_code == 200
    assert code_of(register(suite, username="m\u043edem", email="c@example.test")) == (409, "username-taken")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "an\u200bna"),
        ("username", "anna\u202e"),
        ("username", "anna  lena"),
        ("email", "an\u200bna@example.test"),
        ("device_name", "Pho\u2066ne"),
    ],
)
def test_what_cannot_be_seen_is_refused(suite: InProcessSuite, field: str, value: str) -> None:
    """In a name, a mail or a device's name; the answer names the field."""
    answer = register(suite, **{field: value})
    assert code_of(answer) == (400, "invalid-request")
    assert answer.get_json()["field"] == field
    assert not suite.content()["UsersTable"]


def test_an_old_name_logs_in_as_before(suite: InProcessSuite) -> None:
    """Names that are there are not judged again."""
    anna = suite.register("anna")
    item = suite.store.inner.get(USERS.key(anna.uuid))
    old = replace(Account.from_item(item), username="an\u200bna  x")
    claim = {"claim": name_claim(old.username), "uuid": anna.uuid}
    suite.store.inner.put(USERS, old.to_item())
    suite.store.inner.put(NAMES, claim)
    login = {"username": old.username, "password": FORM["password"], "client_cert_fp": anna.first.fingerprint}
    assert suite.verify(as_login(suite.post("/login", login))).get_json()["username"] == old.username


@pytest.mark.parametrize("field", ["username", "email"])
def test_a_name_that_folds_to_very_much_is_a_name_like_any_other(suite: InProcessSuite, field: str) -> None:
    """One letter that stands for eighteen, 64 or 240 times: unique by its fold, and never a 500."""
    letter = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}"
    name = letter * 64 if field == "username" else letter * 240 + "@example.test"
    assert register(suite, **{field: name}).status_code == 200
    again = register(suite, **{"username": "bert", "email": "b@example.test", field: name})
    assert code_of(again) == (409, "username-taken" if field == "username" else "email-taken")
    assert (
        suite.post("/login", {field: name, "password": FORM["password"], "client_cert_fp": "0" * 64}).status_code == 401
    )


def test_a_name_with_markup_comes_back_as_it_is(suite: InProcessSuite) -> None:
    """As JSON; whoever shows it escapes it."""
    assert register(suite, username="<b>anna</b>", device_name="<script>").status_code == 200


def test_no_secret_lies_in_the_store(suite: InProcessSuite) -> None:
    """A copied database holds hashes, public parts and names."""
    answer = register(suite).get_json()
    login = as_login(suite.post("/login", {**FORM, "client_cert_fp": answer["client_cert_fp"]}))
    pairing = suite.post("/registration/request_pairing_token", {**FORM, "client_cert_fp": answer["client_cert_fp"]})
    secrets = [
        FORM["password"],
        *answer["private_keys"].values(),
        login.access,
        login.refresh,
        pairing.get_json()["pairing_token"],
        pairing.get_json()["qr_code"],
        answer["qr_code"],
    ]
    whole = suite.file.read_bytes() + b"".join(path.read_bytes() for path in suite.file.parent.glob("store.db-wal"))
    assert b"UsersTable" in whole
    assert [secret for secret in secrets if secret.encode() in whole] == []
