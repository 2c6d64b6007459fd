"""Registration over HTTP: the six tests that were asked for by name, against four apps started by their own modules."""

from __future__ import annotations

import base64
import json
import uuid
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.support.client import PASSWORD, Client, all_at_once, granted, refused, unique
from tests.support.engines import ENGINES
from tests.support.servers import Suite


@pytest.fixture(params=ENGINES)
def client(request: pytest.FixtureRequest, entrances_on: Callable[[str], Suite]) -> Client:
    """Return a client of the four apps, each a process of its own, on each engine."""
    return entrances_on(request.param).client


def person(**fields: str) -> dict[str, str]:
    """Return the form of somebody who registers."""
    return {"username": unique(), "email": f"{unique()}@b.test", "password": PASSWORD, **fields}


@pytest.mark.requirement("R40", "R32")
@pytest.mark.regression("X90", "X91")
def test_registration_get(client: Client) -> None:
    """The registration app serves its page, with and without the last slash."""
    for path in ("/registration/", "/registration"):
        reply = client.get(path, headers={"Accept-Language": "ja"})
        assert reply.status_code == 200
        assert reply.headers["Content-Type"].startswith("text/html")
        assert "ユーザー登録" in reply.content.decode()


@pytest.mark.requirement("R41", "R09", "R10", "R12", "R13", "R16", "R19", "R52", "R17", "D19")
@pytest.mark.regression("X38", "X44", "X71")
def test_registration_post_success(client: Client) -> None:
    """Whoever gives name, mail and password gets a UUID, a certificate with its keys, and a QR code; no token."""
    answer = granted(client.post("/registration/", person(device_name="Phone")))
    der = base64.b64decode(answer["client_cert"])
    certificate = x509.load_der_x509_certificate(der)
    assert uuid.UUID(answer["uuid"]).version == 4
    assert answer["client_cert_fp"] == certificate.fingerprint(hashes.SHA256()).hex()
    assert x509.load_pem_x509_certificate(answer["certificate"]["pem"].encode()) == certificate
    assert answer["message"]
    assert not {"access_token", "refresh_token"} & answer.keys()
    shown = json.loads(base64.urlsafe_b64decode(answer["qr_code"] + "=="))
    assert (shown["uuid"], shown["fingerprint"]) == (answer["uuid"], answer["client_cert_fp"])


@pytest.mark.requirement("R42", "R34", "R35")
@pytest.mark.regression("X46")
def test_registration_post_no_data(client: Client) -> None:
    """Without a body it is 400, never 500, with and without the last slash."""
    for path in ("/registration/", "/registration"):
        refused(client.post(path), 400, "invalid-request")


@pytest.mark.requirement("R43", "R09", "R30", "R31")
@pytest.mark.parametrize("missing", ["username", "email", "password"])
@pytest.mark.parametrize("how", ["absent", "empty", "null"])
def test_registration_post_missing_fields(client: Client, missing: str, how: str) -> None:
    """One of the three left out is 400 with the text that was asked for; an empty one counts as left out."""
    form: dict[str, str | None] = {**person()}
    if how == "absent":
        del form[missing]
    else:
        form[missing] = "" if how == "empty" else None
    body = refused(client.post("/registration/", form), 400, "missing-fields")
    assert body["error"] == "username, email, and password are required"


@pytest.mark.requirement(
    "R44", "R53", "R54", "R55", "R57", "R58", "R63", "R64", "R69", "D09", "D11", "D12", "D13", "D14"
)
@pytest.mark.regression("X41", "X40")
def test_qr_secondary_device_registration_success(client: Client) -> None:
    """With the QR code of the first device, name and password, a second one gets a certificate and keys of its own."""
    account = client.register()
    answer = granted(account.try_pair(account.phone.answer["qr_code"], "Laptop"))
    assert answer["uuid"] == account.uuid
    assert answer["client_cert_fp"] != account.phone.fingerprint
    assert answer["client_cert"] != account.phone.answer["client_cert"]
    assert answer["private_keys"] != account.phone.answer["private_keys"]
    assert all(base64.b64decode(key) for key in answer["private_keys"].values())
    session = account.login()
    listed = granted(client.get("/device/list", token=session.access))["devices"]
    assert {device["device_id"] for device in listed} == {account.phone.device_id, answer["device_id"]}
    assert {device["fingerprint"] for device in listed} == {account.phone.fingerprint, answer["client_cert_fp"]}
    assert [device["role"] for device in listed] == ["primary", "secondary"]


@pytest.mark.requirement("R45", "R49", "R50", "R51")
@pytest.mark.regression("X02")
@pytest.mark.parametrize(
    "qr_code",
    [
        "junk",
        "!!!!",
        "e30",
        base64.urlsafe_b64encode(b"[]").decode(),
        base64.urlsafe_b64encode(b'"text"').decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        base64.urlsafe_b64encode(b'{"uuid": "no uuid", "token": "x"}').decode(),
        base64.urlsafe_b64encode(b'{"uuid": 5, "token": ["x"]}').decode(),
        base64.urlsafe_b64encode(b"[" * 100_000)[:40_000].decode(),
    ],
    ids=["junk", "no base64", "empty object", "list", "text", "no UTF-8", "no uuid", "no texts", "deep and long"],
)
def test_qr_secondary_device_registration_invalid_qr(client: Client, qr_code: str) -> None:
    """What is no QR code of ours is 400; with name or password missing the answer speaks of those, not of a mail."""
    account = client.register()
    refused(account.try_pair(qr_code), 400, "qr-invalid")
    body = refused(client.post("/registration/", {"qr_code": qr_code}), 400, "missing-fields")
    assert body["error"] == "2台目端末登録には username と password が必要です"
    assert len(granted(client.get("/device/list", token=account.login().access))["devices"]) == 1


@pytest.mark.requirement("R10")
@pytest.mark.regression("X33", "X48", "X05")
@pytest.mark.parametrize("contested", ["username", "email"])
def test_of_many_that_register_one_name_at_once_one_gets_it(pool: Callable[..., Suite], contested: str) -> None:
    """Sixteen in two processes: one account; what the others brought is free again, and nothing of them is left."""
    suite = pool(workers=2)
    client = suite.client
    same = person()[contested]
    forms = [person(**{contested: same.upper() if number % 2 else same}) for number in range(16)]
    before = suite.rows().keys()
    replies = all_at_once([partial(client.post, "/registration/", form) for form in forms])
    assert Counter(reply.status_code for reply in replies) == {200: 1, 409: 15}
    taken = "username-taken" if contested == "username" else "email-taken"
    for reply in replies:
        assert reply.status_code == 200 or refused(reply, 409, taken)
    (winner,) = [reply.json()["uuid"] for reply in replies if reply.status_code == 200]
    added = Counter(table for table, _, _ in suite.rows().keys() - before)
    assert added == {
        "UsersTable": 1,
        "NamesTable": 4,  # the name, its look, the mail, the key
        "SessionsTable": 1,
        "DevicesTable": 1,
        "DeviceKeysTable": 1,
        "PairingTokensTable": 1,
        "LoginHistory": 1,
    }
    assert ("UsersTable", winner, "") in suite.rows()
    loser = next(form for form, reply in zip(forms, replies, strict=True) if reply.status_code == 409)
    granted(client.post("/registration/", loser | {contested: person()[contested]}))
