"""A certificate at login: whose it is, whether it still holds, and what is said when it does not."""

from __future__ import annotations

import base64
from datetime import datetime

import pytest

from common.crypto.certificates import generate_client_certificate, new_authority
from common.crypto.device_keys import new_signing_key
from tests.usecases.in_process_suite import DAY, MILLISECOND, T0, Device, HandClock, InProcessSuite, Person, code_of

PATHS = ["/login", "/login/force", "/session/create"]


@pytest.mark.parametrize("path", PATHS)
def test_at_the_very_instant_of_its_end_a_certificate_has_expired(
    suite: InProcessSuite, clock: HandClock, anna: Person, path: str
) -> None:
    """A millisecond earlier it is good."""
    clock.now = T0 + 365 * DAY - MILLISECOND
    assert suite.login(anna, path=path).status_code == 200
    clock.move(MILLISECOND)
    assert code_of(suite.login(anna, path=path)) == (401, "certificate-expired")


def test_an_expired_device_shows_no_pairing_token(suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
    """It counts as unknown there."""
    clock.now = T0 + 365 * DAY
    body = {"username": "anna", "password": anna.password, "client_cert_fp": anna.first.fingerprint}
    assert code_of(suite.post("/registration/request_pairing_token", body)) == (403, "device-unknown")


@pytest.mark.regression("X42", "X43")
@pytest.mark.parametrize("path", PATHS)
def test_an_unbound_devices_certificate_is_revoked(suite: InProcessSuite, anna: Person, path: str) -> None:
    """Whoever still has it is told so, after the password was right."""
    laptop = suite.pair(anna)
    phone = suite.log_in(anna)
    assert suite.post("/device/unbind", {"device_id": laptop.device_id}, phone.access).status_code == 200
    assert code_of(suite.login(anna, laptop, path=path)) == (401, "certificate-revoked")
    assert code_of(suite.login(anna, laptop, path=path, password="wrong one")) == (401, "bad-credentials")


@pytest.mark.requirement("R26", "R75")
@pytest.mark.regression("X34", "X38", "X60", "X61")
def test_a_certificate_that_is_none_of_this_persons_is_a_mismatch(suite: InProcessSuite, anna: Person) -> None:
    """Another person's, a made-up fingerprint, or one of an authority of the same name."""
    bert = suite.register("bert")
    impostor = generate_client_certificate(
        anna.uuid, anna.first.device_id, new_signing_key().public_key(), new_authority(T0), T0
    )
    for fingerprint in (bert.first.fingerprint, "0" * 64, impostor.fingerprint):
        answer = suite.login(anna, Device(fingerprint, "", {}))
        assert code_of(answer) == (401, "certificate-mismatch")
        assert answer.get_json()["detail"] == "Client certificate fingerprint mismatch"


@pytest.mark.regression("X38", "X60")
def test_a_certificate_is_not_overruled_by_a_fingerprint_beside_it(suite: InProcessSuite, anna: Person) -> None:
    """The fingerprint is computed from it; another one beside it is no request we can read."""
    bert = suite.register("bert")
    body = {"username": "anna", "password": anna.password, "client_cert": bert.first.answer["client_cert"]}
    assert code_of(suite.post("/login", body)) == (401, "certificate-mismatch")
    answer = suite.post("/login", {**body, "client_cert_fp": anna.first.fingerprint})
    assert code_of(answer) == (400, "invalid-request")


@pytest.mark.requirement("R16", "R27")
@pytest.mark.parametrize("form", ["client_cert", "pem", "pem in base64"])
def test_the_certificate_itself_names_the_device_too(suite: InProcessSuite, anna: Person, form: str) -> None:
    """As it was handed out, in either form."""
    pem = anna.first.answer["certificate"]["pem"]
    certificate = {
        "client_cert": anna.first.answer["client_cert"],
        "pem": pem,
        "pem in base64": base64.b64encode(pem.encode()).decode(),
    }[form]
    answer = suite.post("/login", {"username": "anna", "password": anna.password, "client_cert": certificate})
    assert answer.get_json()["device_id"] == anna.first.device_id


@pytest.mark.regression("X34")
def test_without_a_certificate_nobody_logs_in_or_pairs(suite: InProcessSuite, anna: Person) -> None:
    """It is asked for before anything else is looked at."""
    body = {"username": "anna", "password": anna.password}
    for path in (*PATHS, "/registration/request_pairing_token"):
        answer = suite.post(path, body)
        assert code_of(answer) == (400, "missing-fields")
        assert answer.get_json()["fields"] == ["client_cert_fp"]


@pytest.mark.requirement("R55", "R58")
def test_what_registration_tells_of_a_certificate_is_what_is_kept(suite: InProcessSuite, anna: Person) -> None:
    """Book, row and answer agree on fingerprint and validity."""
    told = anna.first.answer["certificate"]
    bound = suite.book(anna).devices[anna.first.device_id]
    assert told["fingerprint"] == anna.first.fingerprint == bound.fingerprint
    assert datetime.fromisoformat(told["not_after"]) == bound.not_after == T0 + 365 * DAY
    listed = suite.get("/device/list", suite.log_in(anna).access).get_json()["devices"]
    assert [device["fingerprint"] for device in listed] == [bound.fingerprint]


@pytest.mark.requirement("R56")
@pytest.mark.regression("X30", "X41")
def test_private_keys_are_handed_out_once_and_lie_nowhere(suite: InProcessSuite, anna: Person) -> None:
    """Neither in the store nor in any later answer."""
    keys = anna.first.answer["private_keys"]
    whole = suite.file.read_bytes() + b"".join(p.read_bytes() for p in suite.file.parent.glob("store.db-wal"))
    for text in keys.values():
        raw = base64.b64decode(text)
        assert text.encode() not in whole
        assert raw not in whole
        assert raw[-32:].hex().encode() not in whole
    login = suite.log_in(anna)
    for answer in (suite.get("/device/list", login.access), suite.login(anna)):
        assert "private" not in answer.get_data(as_text=True)
