"""The suite inside a Python program: what its routes take and give, without HTTP."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography import x509

from common.clock import system_clock
from common.config import SettingsError
from ichidai.apps import app_from
from ichidai.embedded import DeviceActive, EmbeddedSuite, Problem, SessionEnded, open_suite
from ichidai.topology import App
from tests.support.authenticator import scanned
from tests.support.servers import environment, until

PASSWORD = "correct horse battery"
NAME = {"username": "anna", "password": PASSWORD}
ANNA = {**NAME, "email": "anna@example.test", "device_name": "Phone"}

SCRIPT = f"""
from ichidai.embedded import DeviceActive, open_suite
name = {NAME!r}
with open_suite() as suite:
    phone = suite.register_user({ANNA!r})
    laptop = suite.register_second_device_via_qr({{**name, "qr_code": phone["qr_code"], "device_name": "Laptop"}})
    suite.log_in({{**name, "client_cert_fp": phone["client_cert_fp"]}})
    try:
        suite.log_in({{**name, "client_cert_fp": laptop["client_cert_fp"]}})
    except DeviceActive as question:
        consent = {{"takeover_token": question.takeover["token"], "client_cert_fp": laptop["client_cert_fp"]}}
        print(question.active[0].device_name, suite.take_over(consent)["evicted"][0]["device_name"])
"""
"""Ten lines: somebody registers, pairs, logs in, is asked, and takes over."""


def settings_in(folder: Path, **more: str) -> dict[str, str]:
    """Return settings whose data lies in a folder."""
    return {"ICHIDAI_DATA_DIR": str(folder / "data"), "ICHIDAI_TEST_CHEAP_HASH": "true", **more}


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., EmbeddedSuite]]:
    """Return what opens the suite for one test."""
    opened = []

    def opening(**settings: str) -> EmbeddedSuite:
        suite = open_suite(settings_in(tmp_path, **settings))
        opened.append(suite)
        return suite.__enter__()

    yield opening
    for suite in opened:
        suite.__exit__(None, None, None)


@pytest.fixture
def suite(build: Callable[..., EmbeddedSuite]) -> EmbeddedSuite:
    """Return the suite with default settings."""
    return build()


def refused(call: Callable[..., Any], *arguments: Any) -> Problem:
    """Return the refusal of a call."""
    with pytest.raises(Problem) as refusal:
        call(*arguments)
    return refusal.value


def certificate_of(answer: dict[str, Any]) -> dict[str, str]:
    """Return what names a device at its login."""
    return {**NAME, "client_cert_fp": answer["client_cert_fp"]}


# --- The same as over HTTP ---------------------------------------------------------------------------------------


def over_http(settings: dict[str, str]) -> None:
    """Do over HTTP what the script does."""
    client = app_from(settings, App.ALL).test_client()

    def post(path: str, body: dict[str, Any]) -> Any:
        return client.post(path, json=body, headers={"User-Agent": ""}).get_json()

    phone = post("/registration/", ANNA)
    laptop = post("/registration/", {**NAME, "qr_code": phone["qr_code"], "device_name": "Laptop"})
    post("/login", certificate_of(phone))
    question = post("/login", certificate_of(laptop))
    consent = {"takeover_token": question["takeover"]["token"], "client_cert_fp": laptop["client_cert_fp"]}
    assert post("/login/takeover", consent)["evicted"][0]["device_name"] == "Phone"


def rows_of(folder: Path) -> Counter[tuple[str, str]]:
    """Return how often each table holds a row of each shape, beside what counts guesses and names commits."""
    with closing(sqlite3.connect(folder / "data" / "ichidai.sqlite")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return Counter(
            (table, repr(shape(orjson.loads(item))))
            for table in tables
            if table not in ("ThrottleTable", "KeyRingTable") and table.endswith(("Table", "History"))
            for (item,) in connection.execute(f"SELECT item FROM \"{table}\" WHERE partition <> 'processes'")  # noqa: S608
        )


def shape(value: object) -> object:
    """Return what stands there, without what is another each time: ids, secrets, times, addresses, the outbox."""
    if isinstance(value, dict):
        inner = sorted((shape(name) if is_random(name) else name, repr(shape(each))) for name, each in value.items())
        return [pair for pair in inner if pair[0] not in ("ip", "changes", "outbox")]
    if isinstance(value, list):
        return [shape(each) for each in value]
    if isinstance(value, str):
        return "…" if is_random(value) else value
    return "number" if isinstance(value, int) and value > 10_000 else value


def is_random(text: str) -> bool:
    """Say whether a text is one that is made anew each time."""
    return len(text) > 20 or bool(re.search(r"[0-9a-f]{8}-|[0-9]{5,}#", text))


@pytest.mark.requirement("R09", "R49", "D25", "D26")
def test_ten_lines_do_the_whole_job_and_leave_the_rows_that_http_leaves(tmp_path: Path) -> None:
    """A script in a process of its own, in any folder, and a client over HTTP: the same, but for what is random."""
    assert len(SCRIPT.strip().splitlines()) <= 12
    settings = settings_in(tmp_path / "embedded")
    (tmp_path / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "Phone Phone\n", done.stderr
    over_http(settings_in(tmp_path / "http"))
    left = rows_of(tmp_path / "embedded")
    with suppress(AssertionError):  # the history is laid down behind the last answer
        until(lambda: rows_of(tmp_path / "http") == left, "the same rows", 10)
    assert rows_of(tmp_path / "http") == left


def test_a_suite_has_a_heartbeat_while_it_is_open(tmp_path: Path) -> None:
    """As every process that changes accounts: whoever has streams notices its death. A clean end leaves none."""

    def heartbeats() -> int:
        with closing(sqlite3.connect(tmp_path / "data" / "ichidai.sqlite")) as connection:
            found = connection.execute("SELECT count(*) FROM \"FeedTable\" WHERE partition = 'processes'")
            return int(found.fetchone()[0])

    with open_suite(settings_in(tmp_path)) as suite:
        assert heartbeats() == 1
        suite.register_user(ANNA)
    assert heartbeats() == 0


@pytest.mark.requirement("R09")
def test_answers_are_those_of_the_routes(suite: EmbeddedSuite, tmp_path: Path) -> None:
    """Member for member."""
    client = app_from(settings_in(tmp_path / "http"), App.ALL).test_client()
    over = client.post("/registration/", json=ANNA).get_json()
    answer = suite.register_user(ANNA)
    assert answer.keys() == over.keys()
    assert shape(answer) == shape(over)
    session = suite.log_in(certificate_of(answer))
    assert shape(session) == shape(client.post("/login", json=certificate_of(over)).get_json())
    assert suite.about().keys() == client.get("/.well-known/ichidai.json").get_json().keys()
    assert [key["alg"] for key in suite.jwks()["keys"]] == ["ES256"]


# --- Refusals ----------------------------------------------------------------------------------------------------


def test_a_refusal_carries_its_code_and_all_members(suite: EmbeddedSuite) -> None:
    """The problem document that the route would answer, as an exception; nothing is changed."""
    missing = refused(suite.register_user, {"username": "anna"})
    assert (missing.status, missing.code) == (400, "missing-fields")
    assert missing.document["detail"] == str(missing) == "username, email, and password are required"
    assert missing.document["type"].endswith("/problems/missing-fields")
    suite.register_user(ANNA)
    assert refused(suite.register_user, ANNA).code == "username-taken"
    assert (
        refused(suite.register_user, {**ANNA, "username": "bert", "email": "b@c", "csr": ""}).code == "invalid-request"
    )
    assert refused(suite.log_in, {**NAME, "client_cert_fp": "0" * 64}).code == "certificate-mismatch"
    assert refused(suite.log_in, {**NAME, "password": "wrong", "client_cert_fp": "0" * 64}).code == "bad-credentials"
    assert refused(suite.log_in, {"username": "\ud800"}).code == "invalid-request"
    assert refused(suite.log_in, {"username": object()}).code == "invalid-request"
    assert refused(suite.log_in, {"username": "a" * 70_000}).code == "body-too-large"
    assert refused(suite.register_second_device_via_qr, ANNA).code == "missing-fields"
    assert refused(suite.verify, "").code == "token-missing"
    assert refused(suite.verify, "junk").code == "invalid-token"


def test_it_is_answered_in_the_clients_language(suite: EmbeddedSuite) -> None:
    """And login limits count by the client's address."""
    japanese = suite.on_behalf_of("192.0.2.7", "Product/1.0", "ja-JP,en;q=0.5")
    phone = japanese.register_user(ANNA)
    session = japanese.log_in(certificate_of(phone))
    (event, *_) = suite.history(session["access_token"], limit=1)["events"]
    assert (event["kind"], event["ip"], event["user_agent"]) == ("login", "192.0.2.7", "Product/1.0")
    assert "パスワード" in str(refused(japanese.log_in, {**certificate_of(phone), "password": "wrong"}))


def test_guesses_are_counted_by_address(build: Callable[..., EmbeddedSuite]) -> None:
    """One client's wrong passwords are not another's."""
    suite = build(ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE="2")
    phone = suite.register_user(ANNA)
    wrong = {**certificate_of(phone), "password": "wrong"}
    attacker, owner = suite.on_behalf_of("192.0.2.66"), suite.on_behalf_of("192.0.2.1")
    codes = [refused(attacker.log_in, wrong).code for _ in range(3)]
    assert codes == ["bad-credentials", "bad-credentials", "too-many-attempts"]
    assert refused(attacker.log_in, certificate_of(phone)).retry_after
    assert owner.log_in(certificate_of(phone))["success"]


# --- Every endpoint --------------------------------------------------------------------------------------------------


def test_sessions(build: Callable[..., EmbeddedSuite]) -> None:
    """Verified, refreshed, listed, revoked, logged out, told of."""
    suite = build(MAX_CONCURRENT_DEVICES="2")
    phone = suite.register_user(ANNA)
    laptop = suite.register_second_device_via_qr({**NAME, "qr_code": phone["qr_code"], "device_name": "Laptop"})
    first, second = suite.create_session(certificate_of(phone)), suite.log_in(certificate_of(laptop))
    token = suite.refresh({"refresh_token": first["refresh_token"]})["access_token"]
    assert suite.verify(token)["session_id"] == first["session_id"]
    assert [each["device_name"] for each in suite.list_sessions(token)["sessions"]] == ["Phone", "Laptop"]
    suite.revoke_session(token, {"session_id": second["session_id"]})
    with pytest.raises(SessionEnded) as ended:
        suite.verify(second["access_token"])
    assert ended.value.reason == "revoked"
    assert suite.log_out(token)["success"]
    assert suite.log_out(token)["success"]
    with pytest.raises(SessionEnded, match="logged out"):
        suite.verify(token)


def test_devices(suite: EmbeddedSuite) -> None:
    """Paired, registered with a login, listed, renamed, forced out, revoked, unbound; their authorities are public."""
    phone = suite.register_user(ANNA)
    code = suite.request_pairing_token(certificate_of(phone))["qr_code"]
    token = suite.log_in(certificate_of(phone))["access_token"]
    joining = {**NAME, "qr_code": code, "device_name": "Tablet"}
    with pytest.raises(DeviceActive) as asked:
        suite.register_device(joining)
    assert asked.value.takeover is not None
    tablet = suite.register_device({**joining, "takeover_token": asked.value.takeover["token"]})
    with pytest.raises(SessionEnded):
        suite.list_devices(token)
    token = tablet["access_token"]
    suite.rename_device(token, {"device_id": phone["device_id"], "device_name": "Old phone"})
    assert [each["device_name"] for each in suite.list_devices(token)["devices"]] == ["Old phone", "Tablet"]
    assert suite.force_logout(token)["kept"]["device_id"] == tablet["device_id"]
    suite.revoke_certificate(token, {"device_id": phone["device_id"], "password": PASSWORD})
    assert refused(suite.log_in, certificate_of(phone)).code == "certificate-revoked"
    suite.unbind_device(token, {"device_id": phone["device_id"]})
    assert [each["device_name"] for each in suite.list_devices(token)["devices"]] == ["Tablet"]
    assert "BEGIN CERTIFICATE" in suite.authorities()
    assert x509.load_der_x509_crl(suite.revocation_list())
    assert suite.force_log_in(certificate_of(tablet))["evicted"] == []
    assert refused(suite.ask_challenge, certificate_of(phone)).code == "certificate-revoked"
    assert refused(suite.answer_challenge, {"challenge_id": "x", "signature": "y"}).code == "challenge-spent"
    assert refused(suite.renew_certificate, {"client_cert_fp": tablet["client_cert_fp"]}).code == "proof-required"


def test_the_second_factor(suite: EmbeddedSuite) -> None:
    """Switched on, asked for, switched off."""
    phone = suite.register_user(ANNA)
    token = suite.log_in(certificate_of(phone))["access_token"]
    begun = suite.begin_otp(token, {"password": PASSWORD})
    code = scanned(begun["uri"]).code(system_clock())
    recovery = suite.confirm_otp(token, {"enrolment": begun["enrolment"], "otp": code})["recovery_codes"]
    assert suite.otp_status(token)["active"] is True
    assert refused(suite.log_in, certificate_of(phone)).code == "otp-required"
    token = suite.log_in({**certificate_of(phone), "otp": recovery[0]})["access_token"]
    recovery = suite.new_recovery_codes(token, {"password": PASSWORD, "otp": recovery[2]})["recovery_codes"]
    suite.remove_otp(token, {"password": PASSWORD, "otp": recovery[1]})
    assert suite.otp_status(token)["active"] is False


def test_the_password(suite: EmbeddedSuite) -> None:
    """Changed, and then used to sign out everywhere."""
    phone = suite.register_user(ANNA)
    token = suite.log_in(certificate_of(phone))["access_token"]
    new = "another horse battery"
    token = suite.change_password(token, {"password": PASSWORD, "new_password": new})["access_token"]
    assert refused(suite.log_in, certificate_of(phone)).code == "bad-credentials"
    assert suite.end_all_sessions(token, {"password": new, "this_session": True})["success"]
    with pytest.raises(SessionEnded):
        suite.verify(token)


def test_recovery(suite: EmbeddedSuite) -> None:
    """Codes are made by the password, and one lets an empty place back in."""
    phone = suite.register_user(ANNA)
    token = suite.log_in(certificate_of(phone))["access_token"]
    codes = suite.make_recovery_codes(token, {"password": PASSWORD})["recovery_codes"]
    assert suite.account(token)["recovery_codes_left"] == len(codes) == 10
    form = {"username": "anna", "password": PASSWORD, "recovery_code": codes[0], "new_password": "another horse"}
    tablet = suite.recover_account(form)
    token = suite.log_in({**certificate_of(tablet), "password": "another horse"})["access_token"]
    assert suite.account(token)["devices"] == 2


def test_a_route_that_has_no_name_here_is_called_by_its_path(suite: EmbeddedSuite) -> None:
    """So is every other; one that there is not is a fault of the program."""
    phone = suite.post("/registration/", ANNA)
    token = suite.post("/login", certificate_of(phone))["access_token"]
    assert suite.get("/session/history", token, limit=1)["events"][0]["kind"] == "login"
    with pytest.raises(KeyError):
        suite.get("/nowhere")


# --- Trusted as an operator is -----------------------------------------------------------------------------------


@pytest.mark.requirement("D16", "D26", "D34")
def test_a_device_is_registered_by_a_code_without_a_password(suite: EmbeddedSuite) -> None:
    """A valid code of that very user, once; it is not logged in, and whoever has the keys can log in."""
    phone = suite.register_user(ANNA)
    bert = suite.register_user({**ANNA, "username": "bert", "email": "bert@example.test"})
    user_uuid, code = phone["uuid"], phone["qr_code"]
    assert refused(suite.register_device_for_user, bert["uuid"], code, "Tablet").code == "pairing-token-foreign"
    assert refused(suite.register_device_for_user, user_uuid, "junk", "Tablet").code == "qr-invalid"
    assert refused(suite.register_device_for_user, user_uuid, code, "").code == "invalid-request"
    assert refused(suite.register_device_for_user, "nobody", code, "Tablet").code == "not-found"
    tablet = suite.register_device_for_user(user_uuid, code, "Tablet")
    assert tablet.keys() == phone.keys()
    assert tablet["uuid"] == user_uuid
    assert refused(suite.register_device_for_user, user_uuid, code, "Tablet").code == "pairing-token-spent"
    token = suite.log_in(certificate_of(tablet))["access_token"]
    devices = suite.list_devices(token)["devices"]
    assert [(each["device_name"], each["role"]) for each in devices] == [("Phone", "primary"), ("Tablet", "secondary")]
    kinds = [event["kind"] for event in suite.history(token)["events"]]
    assert kinds == ["login", "device-added", "device-added", "registered"]


@pytest.mark.requirement("R12")
def test_a_certificate_is_made_for_a_further_device(build: Callable[..., EmbeddedSuite]) -> None:
    """With keys made here, bound under the cap of devices, and answered as a registration."""
    suite = build(ICHIDAI_MAX_DEVICES="2")
    phone = suite.register_user(ANNA)
    further = suite.generate_client_certificate(phone["uuid"], "Kiosk")
    assert further.keys() == phone.keys()
    assert further["private_keys"].keys() == {"signing", "kem"}
    certificate = x509.load_pem_x509_certificate(further["certificate"]["pem"].encode())
    assert further["device_id"] in str(certificate.extensions)
    token = suite.log_in(certificate_of(further))["access_token"]
    assert [each["device_name"] for each in suite.list_devices(token)["devices"]] == ["Phone", "Kiosk"]
    assert refused(suite.generate_client_certificate, phone["uuid"]).code == "too-many-devices"
    assert refused(suite.generate_client_certificate, "nobody").code == "not-found"


def test_it_is_closed_with_its_block(tmp_path: Path) -> None:
    """And opened again it knows what it knew; what a server would not start with, it does not open."""
    settings = settings_in(tmp_path)
    with open_suite(settings) as suite:
        phone = suite.register_user(ANNA)
    with open_suite(settings) as suite:
        assert suite.log_in(certificate_of(phone))["user_uuid"] == phone["uuid"]
    with pytest.raises(SettingsError, match="MAX_CONCURRENT_DEVICES"), open_suite({"MAX_CONCURRENT_DEVICES": "many"}):
        pass
