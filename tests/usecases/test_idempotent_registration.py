"""A registration whose answer was lost can be repeated under its idempotency key, and by nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.usecases.in_process_suite import MINUTE, HandClock, InProcessSuite

FORM = {"username": "alice", "email": "alice@example.test", "password": "a long enough phrase"}
KEY = {"Idempotency-Key": "5c0e1c52-7d4f-4c6e-9f0b-1a2b3c4d5e6f"}


@pytest.fixture
def client(suite: InProcessSuite) -> FlaskClient:
    """Return a client of the combined app over a store of its own."""
    return suite.client


@pytest.fixture
def first(client: FlaskClient) -> dict[str, Any]:
    """Register with the key, and return the answer as if it had been lost."""
    answer = client.post("/registration/", json=FORM, headers=KEY)
    assert answer.status_code == 200
    return dict(answer.get_json())


def login(client: FlaskClient, fingerprint: str) -> Any:
    """Log in on a device."""
    body = {"username": "alice", "password": FORM["password"], "client_cert_fp": fingerprint}
    return client.post("/login", json=body)


def test_the_same_key_gives_the_device_anew(client: FlaskClient, first: dict[str, Any]) -> None:
    """The repetition gives the same account another certificate and other keys; the lost certificate is nobody's."""
    again = client.post("/registration/", json=FORM, headers=KEY)
    assert again.status_code == 200
    second = again.get_json()
    assert second["uuid"] == first["uuid"]
    assert second["private_keys"] != first["private_keys"]
    assert login(client, first["client_cert_fp"]).get_json()["code"] == "certificate-mismatch"
    assert login(client, second["client_cert_fp"]).status_code == 200


def test_it_may_be_repeated_more_than_once(client: FlaskClient, first: dict[str, Any]) -> None:
    """An answer may be lost twice; in the end there is one device."""
    for _ in range(3):
        last = client.post("/registration/", json=FORM, headers=KEY)
        assert last.status_code == 200
    signed_in = login(client, last.get_json()["client_cert_fp"]).get_json()
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    devices = client.get("/device/list", headers=headers).get_json()["devices"]
    assert [device["device_id"] for device in devices] == [last.get_json()["device_id"]]
    assert first["device_id"] != last.get_json()["device_id"]


def test_a_repetition_is_in_the_history_without_gaps(client: FlaskClient, first: dict[str, Any]) -> None:
    """The lost device's going and the new one's coming are one recorded change."""
    second = client.post("/registration/", json=FORM, headers=KEY).get_json()
    signed_in = login(client, second["client_cert_fp"]).get_json()
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    events = client.get("/session/history", headers=headers).get_json()["events"]
    assert [(event["change_no"], event["kind"]) for event in reversed(events)] == [
        (1, "registered"),
        (1, "device-added"),
        (2, "device-removed"),
        (2, "device-added"),
        (3, "login"),
    ]


WRONG: dict[str, Callable[[dict[str, str], dict[str, str]], tuple[dict[str, str], dict[str, str]]]] = {
    "no key": lambda form, _: (form, {}),
    "another key": lambda form, _: (form, {"Idempotency-Key": "another"}),
    "another mail": lambda form, key: ({**form, "email": "other@example.test"}, key),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_anything_else_is_a_taken_name(client: FlaskClient, first: dict[str, Any], change: Any) -> None:
    """Without the very key and the very form the name is taken, and the first device still works."""
    form, headers = change(FORM, KEY)
    answer = client.post("/registration/", json=form, headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "username-taken")
    assert login(client, first["client_cert_fp"]).status_code == 200


def test_a_wrong_password_repeats_nothing(client: FlaskClient, first: dict[str, Any]) -> None:
    """Who knows the key but not the password gets nothing, and it counts as a wrong try."""
    answer = client.post("/registration/", json={**FORM, "password": "another long phrase"}, headers=KEY)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "bad-credentials")
    assert login(client, first["client_cert_fp"]).status_code == 200


def test_a_used_device_is_never_replaced(client: FlaskClient, first: dict[str, Any]) -> None:
    """Once somebody logged in, the answer was not lost."""
    assert login(client, first["client_cert_fp"]).status_code == 200
    answer = client.post("/registration/", json=FORM, headers=KEY)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "username-taken")


def test_a_paired_device_ends_the_possibility_too(client: FlaskClient, first: dict[str, Any]) -> None:
    """Once another device joined, something has happened to the account."""
    body = {"qr_code": first["qr_code"], "username": "alice", "password": FORM["password"]}
    assert client.post("/registration/", json=body).status_code == 200
    assert client.post("/registration/", json=FORM, headers=KEY).status_code == 409


def test_after_ten_minutes_it_is_over(client: FlaskClient, first: dict[str, Any], clock: HandClock) -> None:
    """At ten minutes sharp the key is worth nothing."""
    clock.move(10 * MINUTE)
    assert client.post("/registration/", json=FORM, headers=KEY).status_code == 409


def test_the_lost_answers_qr_code_dies_with_its_device(client: FlaskClient, first: dict[str, Any]) -> None:
    """A pairing token of the replaced device is spent."""
    assert client.post("/registration/", json=FORM, headers=KEY).status_code == 200
    body = {"qr_code": first["qr_code"], "username": "alice", "password": FORM["password"]}
    answer = client.post("/registration/", json=body)
    assert (answer.status_code, answer.get_json()["code"]) == (410, "pairing-token-spent")


def test_a_malformed_key_is_told(client: FlaskClient) -> None:
    """A key of more than 255 characters is no key."""
    answer = client.post("/registration/", json=FORM, headers={"Idempotency-Key": "k" * 256})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid-request")
