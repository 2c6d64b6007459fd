"""The OpenAPI document and the answers agree: whatever a route answers, its operation describes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from common.clock import system_clock
from common.crypto.passwords import CHEAP_FOR_TESTS
from common.errors import Code
from common.web.problem_types import PROBLEM_TYPES
from ichidai.apps import app_for
from ichidai.settings import read_settings
from ichidai.topology import App
from ichidai.wiring.build import build
from tests.support.signing import enrolling, p256_keys

PASSWORD = "correct horse 42"
FORM = "application/x-www-form-urlencoded"


class DescribedApp:
    """The combined app; every answer is held against the document."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.offset = timedelta()
        read = read_settings({"ICHIDAI_DATA_DIR": str(folder), "ICHIDAI_MAX_DEVICES": "2", **settings})
        suite = build(read, App.ALL, 8000, cost=CHEAP_FOR_TESTS, clock=lambda: system_clock() + self.offset)
        self.client = app_for(App.ALL, suite).test_client()
        self.document: dict[str, Any] = self.client.get("/openapi.json").get_json()
        self.codes: set[str] = set()

    def call(
        self, method: str, path: str, expected: int | Code, body: Mapping[str, Any] | None = None, token: str = ""
    ) -> dict[str, Any]:
        """Call an operation, hold its answer against the document, and return it."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = self.client.open(path, method=method, headers=headers, json=body)
        described = self.document["paths"][path][method.lower()]["responses"]
        assert str(answer.status_code) in described, (path, answer.status_code)
        content = described[str(answer.status_code)]["content"]
        assert answer.mimetype in content, (path, answer.mimetype)
        for header in described[str(answer.status_code)].get("headers", {}):
            assert header in answer.headers
        if not answer.mimetype.endswith("json"):
            return {}
        told: dict[str, Any] = answer.get_json()
        assert expected == (answer.status_code if isinstance(expected, int) else told.get("code")), told
        self.check(told, content[answer.mimetype]["schema"])
        if answer.mimetype == "application/problem+json":
            self.check_problem(told, described[str(answer.status_code)]["description"])
        return told

    def check(self, told: object, schema: Mapping[str, Any]) -> None:
        """Hold a value against a schema of the document."""
        self.validator(schema).validate(told)

    def validator(self, schema: Mapping[str, Any]) -> Draft202012Validator:
        """Return a validator of one of the document's schemas, formats included."""
        rooted = {**schema, "components": self.document["components"]}
        return Draft202012Validator(rooted, format_checker=FormatChecker())

    def check_problem(self, told: dict[str, Any], codes: str) -> None:
        """See that a problem's code is announced, and all its members are described by the schema of its code."""
        assert told["code"] in codes.split(", ")
        self.codes.add(told["code"])
        schema = PROBLEM_TYPES.get(Code(told["code"]))
        name = "Problem" if schema is None else schema.__name__
        self.check(told, {"$ref": f"#/components/schemas/{name}"})
        assert told.keys() <= self.document["components"]["schemas"][name]["properties"].keys(), told["code"]

    def register(self, name: str, **more: Any) -> dict[str, Any]:
        """Register a user."""
        named = {"username": name, "email": f"{name}@example.test", "password": PASSWORD}
        return self.call("POST", "/registration/", 200, {**named, **more})


@pytest.fixture
def app(tmp_path: Path) -> DescribedApp:
    """Return the app."""
    return DescribedApp(tmp_path)


def login(username: str, device: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the body of a login on a device."""
    return {"username": username, "password": PASSWORD, "client_cert_fp": device["client_cert_fp"], **more}


def test_a_login_a_takeover_and_the_end_of_a_session_are_answered_as_described(app: DescribedApp) -> None:
    """The 409 with `message`, `active` and `takeover`; the 401 with `reason`, `event_timestamp` and `by_device`."""
    phone = app.register("anna", device_name="Phone")
    second = {"username": "anna", "password": PASSWORD, "qr_code": phone["qr_code"], "device_name": "Laptop"}
    laptop = app.call("POST", "/registration/", 200, second)
    first = app.call("POST", "/login", 200, login("anna", phone))
    question = app.call("POST", "/login", Code.DEVICE_ACTIVE, login("anna", laptop))
    assert question.keys() >= {"message", "active", "takeover"}
    consent = {"takeover_token": question["takeover"]["token"], "client_cert_fp": laptop["client_cert_fp"]}
    later = app.call("POST", "/login/takeover", 200, consent)
    assert later["evicted"]
    app.call("POST", "/login/takeover", Code.DEVICE_MISMATCH, {**consent, "client_cert_fp": phone["client_cert_fp"]})
    ended = app.call("GET", "/session/verify", Code.SESSION_ENDED, token=first["access_token"])
    assert (ended["reason"], ended["by_device"]) == ("taken-over", "Laptop")
    app.call("POST", "/session/refresh", Code.SESSION_ENDED, {"refresh_token": first["refresh_token"]})
    app.call("GET", "/session/verify", 200, token=later["access_token"])


def approving(tmp_path: Path) -> DescribedApp:
    """Let a laptop be approved, and return the app."""
    app = DescribedApp(tmp_path / "approving", ICHIDAI_TAKEOVER_APPROVAL="ask")
    phone = app.register("anna", device_name="Phone")
    second = {"username": "anna", "password": PASSWORD, "qr_code": phone["qr_code"], "device_name": "Laptop"}
    laptop = app.call("POST", "/registration/", 200, second)
    token = app.call("POST", "/login", 200, login("anna", phone))["access_token"]
    question = app.call("POST", "/login", Code.DEVICE_ACTIVE, login("anna", laptop))
    body = {"approval_token": question["approval"]["token"]}
    waiting = app.call("POST", "/login/approval", 202, body)
    (asked,) = app.call("GET", "/login/approvals", 200, token=token)["approvals"]
    right = {"approval_id": asked["approval_id"], "digits": waiting["digits"]}
    app.call("POST", "/login/approval/answer", Code.DIGITS_WRONG, {**right, "digits": "none"}, token)
    app.call("POST", "/login/approval/answer", 200, right, token)
    assert app.call("POST", "/login/approval", 200, body)["takeover"]["token"]
    app.call("POST", "/login/approval/answer", Code.APPROVAL_SPENT, {**right, "approval_id": "none"}, token)
    return app


def test_an_approval_is_answered_as_described(tmp_path: Path) -> None:
    """202 with the digits, 200 with the takeover, and the list without digits."""
    assert Code.DIGITS_WRONG in approving(tmp_path).codes


def test_joining_by_approval_is_answered_as_described(tmp_path: Path) -> None:
    """202 with the digits and a QR code, then without one, and 200 with device and session."""
    app = DescribedApp(tmp_path / "joining", ICHIDAI_JOIN_BY_APPROVAL="true", MAX_CONCURRENT_DEVICES="2")
    phone = app.register("anna", device_name="Phone")
    token = app.call("POST", "/login", 200, login("anna", phone))["access_token"]
    body = {"username": "anna", "device_name": "Browser"}
    asked = app.call("POST", "/registration/join", 202, body)
    body["join_token"] = asked["join_token"]
    app.call("POST", "/registration/join", 202, body)
    right = {"approval_id": asked["approval_id"], "digits": asked["digits"]}
    app.call("POST", "/login/approval/answer", 200, right, token)
    assert app.call("POST", "/registration/join", 200, body)["access_token"]
    app.call("POST", "/registration/join", Code.APPROVAL_SPENT, body)


def test_a_takeover_that_needs_a_signature_is_described(app: DescribedApp) -> None:
    """A device with a key of its own finds the challenge in the 409."""
    app.register("anna", device_name="Phone")
    keys = p256_keys(kem=True)
    phone = app.register("bob", **enrolling(keys, "bob"))
    pairing = {"username": "bob", "password": PASSWORD, "qr_code": phone["qr_code"]}
    laptop = app.call("POST", "/registration/", 200, pairing)
    app.call("POST", "/login", 200, login("bob", laptop))
    asked = app.call("POST", "/login/challenge", 200, login("bob", phone))
    proof = keys.proof(asked, "login", phone["uuid"], phone["device_id"])
    question = app.call("POST", "/login/verify", Code.DEVICE_ACTIVE, proof)
    assert question["takeover"]["challenge"].keys() >= {"challenge_id", "issuer", "sealed"}


def test_what_a_signed_in_user_is_answered_is_described(app: DescribedApp) -> None:
    """Sessions, history, devices, the second factor, and the lists that everybody may read."""
    phone = app.register("anna")
    token = app.call("POST", "/login", 200, login("anna", phone))["access_token"]
    for path in ("/session/list", "/session/history", "/device/list", "/registration/otp"):
        app.call("GET", path, 200, token=token)
    for path in ("/.well-known/jwks.json", "/.well-known/ichidai.json", "/device/ca", "/device/crl"):
        app.call("GET", path, 200)
    app.call("POST", "/registration/request_pairing_token", 200, login("anna", phone))
    app.call("POST", "/registration/otp/begin", 200, {"password": PASSWORD}, token)
    app.call("POST", "/device/rename", 200, {"device_id": phone["device_id"], "device_name": "Pocket"}, token)
    app.call("POST", "/device/unbind", Code.LAST_DEVICE, {"device_id": phone["device_id"]}, token)
    app.call("POST", "/device/force_logout", 200, token=token)
    app.call("POST", "/session/revoke", Code.NOT_FOUND, {"session_id": "x"}, token)
    app.call("GET", "/session/list", Code.TOKEN_MISSING)
    app.call("GET", "/session/list", Code.INVALID_TOKEN, token="junk")
    app.offset = timedelta(minutes=11)
    app.call("GET", "/session/list", Code.TOKEN_EXPIRED, token=token)
    app.call("POST", "/session/logout", 200, token=token)


def _codes_of_guarded_registrations(tmp_path: Path) -> set[str]:
    """Return the codes that a registration is answered with where registrations are counted, or cost work."""
    counted = DescribedApp(tmp_path / "counted", ICHIDAI_REGISTRATIONS_SOURCE="3")
    working = DescribedApp(tmp_path / "working", ICHIDAI_REGISTRATION="work")
    closed = DescribedApp(tmp_path / "closed", ICHIDAI_REGISTRATION="closed")
    for name in ("anna", "berta", "clara"):
        counted.register(name)
        working.register(name)
    named = {"username": "bob", "email": "bob@example.test", "password": PASSWORD}
    counted.call("POST", "/registration/", Code.TOO_MANY_REGISTRATIONS, named)
    working.call("POST", "/registration/", Code.WORK_REQUIRED, named)
    closed.call("POST", "/registration/", Code.REGISTRATION_CLOSED, named)
    assert working.call("GET", "/registration/work", 200)["challenge"]
    assert "challenge" not in counted.call("GET", "/registration/work", 200)
    return counted.codes | working.codes | closed.codes


def test_every_code_with_members_of_its_own_is_described_with_them(app: DescribedApp, tmp_path: Path) -> None:
    """What a process alone can be made to answer; the others are of stores and queues."""
    phone = app.register("anna")
    named = {"username": "bob", "email": "bob@example.test", "password": PASSWORD}
    app.call("POST", "/registration/", Code.WEAK_PASSWORD, {**named, "password": "short"})
    app.call("POST", "/registration/", Code.MISSING_FIELDS, {"username": "bob"})
    app.call("POST", "/registration/", Code.INVALID_REQUEST, {**named, "username": 5})
    app.call("POST", "/registration/", Code.CSR_INVALID, {**named, "csr": "junk"})
    keys = {"signing": "junk"}
    app.call("POST", "/registration/", Code.KEY_INVALID, {**named, "public_keys": keys, "proof": {"signature": "x"}})
    joining = {"username": "anna", "password": PASSWORD, "qr_code": phone["qr_code"]}
    laptop = app.call("POST", "/registration/", 200, joining)
    third = {**joining, "qr_code": laptop["qr_code"]}
    app.call("POST", "/registration/", Code.TOO_MANY_DEVICES, third)
    session = app.call("POST", "/login", 200, login("anna", phone))
    app.call("GET", "/session/events", Code.SERVED_ELSEWHERE, token=session["access_token"])
    app.call("POST", "/login", Code.DEVICE_ACTIVE, login("anna", laptop))
    app.call("POST", "/session/logout", 200, token=session["access_token"])
    app.call("GET", "/session/list", Code.SESSION_ENDED, token=session["access_token"])
    leaving = app.register("carla")
    token = app.call("POST", "/login", 200, login("carla", leaving))["access_token"]
    app.call("POST", "/registration/close", 200, {"password": PASSWORD}, token)
    app.call("POST", "/login", Code.ACCOUNT_CLOSED, login("carla", leaving))
    app.call("POST", "/registration/reopen", 200, {"username": "carla", "password": PASSWORD})
    wrong = login("anna", phone, password="wrong one")
    for _ in range(10):
        app.call("POST", "/login", Code.BAD_CREDENTIALS, wrong)
    app.call("POST", "/login", Code.TOO_MANY_ATTEMPTS, wrong)
    app.codes |= approving(tmp_path).codes
    app.codes |= _codes_of_guarded_registrations(tmp_path)
    of_stores_and_queues = {Code.TOO_MANY_STREAMS, Code.STORE_UNAVAILABLE, Code.BUSY}
    assert PROBLEM_TYPES.keys() - of_stores_and_queues <= {Code(code) for code in app.codes}


def test_the_document_tells_where_it_is_served_and_what_it_is_of(tmp_path: Path) -> None:
    """By the settings and never by the request's Host header."""
    app = DescribedApp(tmp_path, ICHIDAI_PUBLIC_URL="https://accounts.example.test")
    assert app.document["servers"] == [{"url": "https://accounts.example.test"}]
    assert "takeover" in app.document["info"]["description"]


def test_operations_are_named_by_identifiers(app: DescribedApp) -> None:
    """Generators make functions of these names."""
    for item in app.document["paths"].values():
        for operation in item.values():
            assert re.fullmatch(r"(get|post|delete)(_[a-z0-9]+)+", operation["operationId"])


REGISTRATION = {"username": "bob", "email": "bob@example.test", "password": PASSWORD}
LOGIN = {"username": "bob", "password": PASSWORD, "client_cert_fp": "0" * 64}


@pytest.mark.parametrize(
    ("path", "body", "faults"),
    [
        pytest.param("/registration/", REGISTRATION, (), id="a registration"),
        pytest.param("/registration/", {**REGISTRATION, "unknown": 5}, (), id="an unknown member"),
        pytest.param(
            "/registration/", {**REGISTRATION, "password": "short"}, ("weak-password",), id="a short password"
        ),
        pytest.param("/registration/", {**REGISTRATION, "username": "a\x07b"}, ("invalid-request",), id="a bell"),
        pytest.param("/registration/", {**REGISTRATION, "username": "a" * 65}, ("invalid-request",), id="a long name"),
        pytest.param("/registration/", {**REGISTRATION, "email": "bob"}, ("invalid-request",), id="no mail address"),
        pytest.param("/registration/", {**REGISTRATION, "email": "a@b@c"}, ("invalid-request",), id="two at signs"),
        pytest.param(
            "/registration/",
            {**REGISTRATION, "csr": "x", "public_keys": {"signing": "x"}},
            ("invalid-request",),
            id="two signing keys",
        ),
        pytest.param(
            "/registration/", {**REGISTRATION, "public_keys": {"kem": "x"}}, ("missing-fields",), id="no signing key"
        ),
        pytest.param("/login", LOGIN, ("bad-credentials", "valid"), id="a login"),
        pytest.param(
            "/login", {**LOGIN, "username": "", "email": "bob@x"}, ("bad-credentials", "invalid"), id="an empty name"
        ),
        pytest.param("/login", {"password": "x", "client_cert_fp": "0" * 64}, ("missing-fields",), id="no name"),
        pytest.param("/login", {**LOGIN, "client_cert_fp": "xyz"}, ("invalid-request",), id="no fingerprint"),
        pytest.param("/login", {**LOGIN, "force": "false"}, ("invalid-request",), id="a word for a truth value"),
        pytest.param("/login/challenge", {**LOGIN, "purpose": "fun"}, ("invalid-request",), id="another purpose"),
    ],
)
def test_a_body_that_the_server_takes_for_malformed_is_invalid_by_the_document(
    app: DescribedApp, path: str, body: dict[str, Any], faults: tuple[str, ...]
) -> None:
    """And one that passes the shape is valid; an empty member, which the server takes for absent, nobody need send."""
    answer = app.client.post(path, json=body)
    content = app.document["paths"][path]["post"]["requestBody"]["content"]
    schema = content["application/json"]["schema"]
    options = schema.get("oneOf", [schema])[:1]
    is_valid = all(app.validator(option).is_valid(body) for option in options)
    assert (answer.get_json().get("code", "") in faults) is bool(faults), answer.get_json()
    assert is_valid is (not faults or "valid" in faults)


def test_forms_are_described_without_members_of_members(app: DescribedApp) -> None:
    """A form is flat."""
    schema = app.document["paths"]["/login"]["post"]["requestBody"]["content"][FORM]["schema"]
    form = app.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert "proof" not in form["properties"]
    assert "username" in form["properties"]
