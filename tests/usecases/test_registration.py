"""Registering: names are unique whatever the race, and a refused registration leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.usecases.conftest import Build
from tests.usecases.house import House, as_login, code_of
from tests.usecases.watched_store import StoreCall, once

FORM = {"username": "anna", "email": "anna@example.test", "password": "correct horse battery", "device_name": "Phone"}


def register(house: House, **fields: Any) -> TestResponse:
    """Try to register."""
    return house.post("/registration/", {**FORM, **fields})


@pytest.mark.row("R09", "R10", "R11", "R16", "R52", "D19", "D37")
def test_an_account_comes_with_its_first_device_in_one_commit(house: House) -> None:
    """Three claims, the account, the device, the book, its first history entry and the first pairing token."""
    house.store.watch()
    answer = register(house)
    assert answer.status_code == 200
    (commit,) = house.store.commits
    assert sorted(commit.tables) == [
        "DeviceKeysTable",
        "DevicesTable",
        "LoginHistory",
        "NamesTable",
        "NamesTable",
        "NamesTable",
        "PairingTokensTable",
        "SessionsTable",
        "UsersTable",
    ]
    as_login(house.post("/login", {**FORM, "client_cert_fp": answer.get_json()["client_cert_fp"]}))


@pytest.mark.row("R17")
@pytest.mark.pitfall("X66", "Y02")
def test_registering_is_no_login(house: House) -> None:
    """It gives no token of a session."""
    answer = register(house).get_json()
    assert not answer.keys() & {"access_token", "refresh_token", "session_id"}


@pytest.mark.pitfall("X33")
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
def test_a_refused_registration_leaves_nothing_behind(house: House, fields: dict[str, Any], code: str) -> None:
    """No claim of the name or the mail that was free."""
    assert register(house).status_code == 200
    before = house.content(failures=True)
    assert register(house, **fields).get_json()["code"] == code
    assert house.content(failures=True) == before
    assert register(house, username="bert", email="b@example.test").status_code == 200


def at_commit(act: Callable[[], object]) -> Callable[[StoreCall], None]:
    """Act right before the first commit."""
    return once(lambda call: call.verb == "commit", act)


@pytest.mark.pitfall("X33")
@pytest.mark.parametrize(
    ("rival", "code"),
    [
        ({"email": "b@example.test"}, "username-taken"),
        ({"username": "bert"}, "email-taken"),
        ({}, "username-taken"),
    ],
)
def test_of_two_at_once_one_gets_the_name(build_house: Build, house: House, rival: dict[str, str], code: str) -> None:
    """Both saw it free; the one whose commit comes later is refused whole."""
    elsewhere = build_house()
    house.store.watch(before=at_commit(lambda: register(elsewhere, **rival)))
    assert code_of(register(house)) == (409, code)
    content = house.content()
    assert len(content["UsersTable"]) == len(content["SessionsTable"]) == len(content["DevicesTable"]) == 1
    assert len(content["DeviceKeysTable"]) == 1
    assert len(content["NamesTable"]) == 3


@pytest.mark.parametrize("field", ["username", "email"])
def test_a_name_that_folds_to_very_much_is_a_name_like_any_other(house: House, field: str) -> None:
    """One letter that stands for eighteen, 64 or 240 times: unique by its fold, and never a 500."""
    letter = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}"
    name = letter * 64 if field == "username" else letter * 240 + "@example.test"
    assert register(house, **{field: name}).status_code == 200
    again = register(house, **{"username": "bert", "email": "b@example.test", field: name})
    assert code_of(again) == (409, "username-taken" if field == "username" else "email-taken")
    assert (
        house.post("/login", {field: name, "password": FORM["password"], "client_cert_fp": "0" * 64}).status_code == 401
    )


def test_a_name_with_markup_comes_back_as_it_is(house: House) -> None:
    """As JSON; whoever shows it escapes it."""
    assert register(house, username="<b>anna</b>", device_name="<script>").status_code == 200


def test_no_secret_lies_in_the_store(house: House) -> None:
    """A copied database holds hashes, public parts and names."""
    answer = register(house).get_json()
    login = as_login(house.post("/login", {**FORM, "client_cert_fp": answer["client_cert_fp"]}))
    pairing = house.post("/registration/request_pairing_token", {**FORM, "client_cert_fp": answer["client_cert_fp"]})
    secrets = [
        FORM["password"],
        *answer["private_keys"].values(),
        login.access,
        login.refresh,
        pairing.get_json()["pairing_token"],
        pairing.get_json()["qr_code"],
        answer["qr_code"],
    ]
    whole = house.file.read_bytes() + b"".join(path.read_bytes() for path in house.file.parent.glob("store.db-wal"))
    assert b"UsersTable" in whole
    assert [secret for secret in secrets if secret.encode() in whole] == []
