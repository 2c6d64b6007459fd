"""Every call that takes the password of a signed-in user, or lets an owner back in: with each factor, at each limit.

Nothing changes before all that proves the user is right; then those sessions live that should.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.crypto.jws import to_base64url
from common.ids import new_id
from registration.mail_model import MailKind
from registration.mailing import MailLink, token_of
from tests.support.passkeys import Passkey, made_for
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import HOUR, InProcessSuite, Login, Person, code_of
from tests.usecases.test_second_factor import REQUIRED, WRONG, enrolled

WRONG_PASSWORD = (401, "bad-credentials")


NONE, CODE, PASSKEY = "none", "code", "passkey"


@dataclass(frozen=True)
class Call:
    """What is sent beside the proof, and whether the caller's session and another device's live on after it."""

    own: bool
    other: bool
    body: Mapping[str, object] = field(default_factory=dict)
    factors: Collection[str] = (NONE, CODE, PASSKEY)


CALLS = {
    "/registration/password": Call(own=True, other=False, body={"new_password": "an altogether new phrase"}),
    "/registration/username": Call(own=True, other=True, body={"username": "another name"}),
    "/registration/email": Call(own=True, other=True, body={"email": "other@example.test"}),
    "/registration/recovery-codes": Call(own=True, other=True),
    "/registration/passkeys/begin": Call(own=True, other=True),
    "/registration/passkeys/{passkey_id}": Call(own=True, other=True),
    "/registration/otp/begin": Call(own=True, other=True, factors=(NONE, PASSKEY)),
    "/registration/otp/remove": Call(own=True, other=True, factors=[CODE]),
    "/registration/otp/recovery_codes": Call(own=True, other=True, factors=[CODE]),
    "/registration/objection": Call(own=True, other=False, body={"change_no": 2}),  # by which the laptop joined
    "/session/end-all": Call(own=True, other=False),
    "/registration/close": Call(own=False, other=False),
}


def made_passkey(suite: InProcessSuite, person: Person, session: Login, **more: object) -> Passkey:
    """Make a passkey."""
    begun = suite.post("/registration/passkeys/begin", {"password": person.password, **more}, session.access)
    options = begun.get_json()["options"]
    passkey = made_for(options)
    made = suite.post("/registration/passkeys/finish", {"passkey": passkey.attestation(options)}, session.access)
    assert made.status_code == 200, made.get_data(as_text=True)
    return passkey


def shown(suite: InProcessSuite, passkey: Passkey) -> dict[str, object]:
    """Return what a passkey answers to a question of now, as a call takes it in the place of a password."""
    return {"passkey": passkey.assertion(suite.post("/login/passkey/begin").get_json()["options"])}


ROWS = [(path, factor, limit) for path, call in CALLS.items() for factor in call.factors for limit in (1, 2)]

WHEN_LATE = {"/device/unbind", "/device/revoke_certificate"}
"""These ask for the password only some minutes after the last one: `test_devices`."""


def test_the_table_is_complete(suite: InProcessSuite) -> None:
    """Every call of a signed-in user whose body may have a password stands in it."""
    found = {
        path
        for path, security, properties in _operations(suite)
        if {"bearer": []} in security and "password" in properties
    }
    assert found == {*CALLS, *WHEN_LATE}


def _operations(suite: InProcessSuite) -> Iterator[tuple[str, Sequence[Any], Collection[str]]]:
    """Yield the path of each operation of the OpenAPI document, what secures it, and what its body may have."""
    document = suite.get("/openapi.json").get_json()
    for path, item in document["paths"].items():
        for method, about in item.items():
            if method != "parameters":
                yield path, about.get("security", ()), _properties(document, about)


def _properties(document: Any, about: Any) -> Collection[str]:
    """Return the members that the body of an operation may have, in whichever of its forms."""
    content = about.get("requestBody", {}).get("content", {})
    found, waiting = set[str](), [content.get("application/json", {}).get("schema", {})]
    while waiting:
        schema = waiting.pop()
        found |= {*schema.get("properties", {})}
        waiting += [*schema.get("oneOf", ()), *schema.get("anyOf", ()), *schema.get("allOf", ())]
        if "$ref" in schema:
            waiting.append(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    return found


@pytest.mark.parametrize(("path", "factor", "limit"), ROWS)
def test_each_call(build_suite: Build, path: str, factor: str, limit: int) -> None:
    """A wrong password, none, and a missing or a wrong code are refused; a passkey stands for both."""
    suite = build_suite(MAX_CONCURRENT_DEVICES=str(limit), ICHIDAI_MAIL="smtp://127.0.0.1:9")
    person = suite.register()
    laptop = suite.pair(person)
    careful = enrolled(suite, person) if factor == CODE else None
    session = careful.session if careful else suite.log_in(person)
    other = suite.log_in(person, laptop, **({"otp": careful.code()} if careful else {})) if limit > 1 else None
    if "{" in path:
        made_passkey(suite, person, session, **({"otp": careful.code()} if careful else {}))
    if factor == PASSKEY:
        right = shown(suite, made_passkey(suite, person, session))
    else:
        right = {"password": person.password, **({"otp": careful.code()} if careful else {})}

    def send(**more: object) -> TestResponse:
        body = {**CALLS[path].body, **more}
        if "{" not in path:
            return suite.post(path, body, session.access)
        listed = suite.get("/registration/passkeys", session.access).get_json()["passkeys"]
        bearer = {"Authorization": f"Bearer {session.access}"}
        return suite.client.delete(path.format(passkey_id=listed[0]["id"]), json=body, headers=bearer)

    suite.verify(session)  # it was seen just now: nothing is left to write down
    before = suite.content()
    assert code_of(send()) == (400, "missing-fields")
    assert code_of(send(**{**right, "password": "a guess of somebody"})) == WRONG_PASSWORD
    if careful is not None:
        assert code_of(send(password=person.password)) == REQUIRED
        assert code_of(send(password=person.password, otp=careful.app.code(suite.clock(), 7))) == WRONG
    assert suite.content() == before
    answer = send(**right)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    own = answer.get_json().get("access_token", session.access)
    assert suite.get("/session/verify", own).status_code == (200 if CALLS[path].own else 401)
    if other is not None:
        assert (suite.verify(other).status_code == 200) is CALLS[path].other


def owners(suite: InProcessSuite, person: Person, session: Login, more: Mapping[str, str]) -> dict[str, Any]:
    """Return for each call that lets an owner back in what is right; of `more` what proves a second factor."""
    proof = {"username": person.username, "password": person.password}
    made = suite.post("/registration/recovery-codes", {"password": person.password, **more}, session.access)
    codes = made.get_json()["recovery_codes"]
    version = suite.book(person).credential_version
    link = MailLink(MailKind.RESET, person.uuid, f"{person.username}@example.test", "", version)
    new = {"new_password": "an altogether new phrase", "device_name": "Found"}
    return {
        "/registration/recover": {**proof, **new, "recovery_code": codes[0]},
        "/registration/password/reset": {**new, "token": token_of(suite.suite.mailing, link)},
        "/registration/reopen": proof,
    }


@pytest.mark.parametrize("limit", [1, 2])
@pytest.mark.parametrize("factor", [NONE, CODE])
@pytest.mark.parametrize("path", ["/registration/recover", "/registration/password/reset", "/registration/reopen"])
def test_each_way_back(build_suite: Build, path: str, factor: str, limit: int) -> None:
    """Nobody is in after it, whoever was; a recovery code stands for the second factor, link and password do not."""
    suite = build_suite(MAX_CONCURRENT_DEVICES=str(limit), ICHIDAI_MAIL="smtp://127.0.0.1:9")
    person = suite.register()
    laptop = suite.pair(person)
    careful = enrolled(suite, person) if factor == CODE else None
    session = careful.session if careful else suite.log_in(person)
    right = owners(suite, person, session, {"otp": careful.code()} if careful else {})[path]
    others = [suite.log_in(person, laptop, **({"otp": careful.code()} if careful else {}))] if limit > 1 else []
    if path == "/registration/reopen":
        closing = {"password": person.password, **({"otp": careful.code()} if careful else {})}
        assert suite.post("/registration/close", closing, session.access).status_code == 200
    before = suite.content()
    for field_name in [name for name in right if name not in ("device_name", "username")]:
        refused = suite.post(path, {**right, field_name: "x"})
        assert refused.status_code in (400, 401), (field_name, refused.get_json())
    if careful is not None and path != "/registration/recover":
        assert code_of(suite.post(path, right)) == REQUIRED
        assert code_of(suite.post(path, {**right, "otp": careful.app.code(suite.clock(), 7)})) == WRONG
        right = {**right, "otp": careful.code()}
    assert suite.content() == before
    answer = suite.post(path, right)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    assert [suite.verify(each).status_code for each in (session, *others)] == [401] * (1 + len(others))


WRONG_ONE = {"password": "a guess of somebody", "client_cert_fp": "0" * 64}
OPEN_CALLS: Mapping[str, Mapping[str, object]] = {
    "/login": WRONG_ONE,
    "/login/force": WRONG_ONE,
    "/login/challenge": WRONG_ONE,
    "/session/create": WRONG_ONE,
    "/device/register": {"password": "a guess of somebody", "qr_code": "x"},
    "/registration/request_pairing_token": WRONG_ONE,
    "/registration/password/forgot": {},
    "/registration/recover": {**WRONG_ONE, "recovery_code": "AAAA-BBBB-CCCC", "new_password": "a new phrase of mine"},
    "/registration/reopen": {"password": "a guess of somebody"},
    "/registration/join": {"device_name": "Browser"},
    "/login/passkey/finish": {"password": "a guess of somebody"},
}
"""Calls that anybody may make and that name an account, with what a stranger sends beside the name."""


def test_the_open_calls_are_complete(suite: InProcessSuite) -> None:
    """All but a registration, which says that a name is taken."""
    found = {
        path
        for path, security, properties in _operations(suite)
        if not any(security) and {"username", "email"} & {*properties}
    }
    assert found == {*OPEN_CALLS, "/registration/"}


def test_a_stranger_learns_nothing(build_suite: Build) -> None:
    """Somebody with a second factor, somebody whose account is closed, and nobody: the answers are the same."""
    suite = build_suite(ICHIDAI_MAIL="smtp://127.0.0.1:9", ICHIDAI_JOIN_BY_APPROVAL="true")
    enrolled(suite, suite.register("anna"))
    bert = suite.register("bert")
    closing = {"password": bert.password}
    assert suite.post("/registration/close", closing, suite.log_in(bert).access).status_code == 200
    for path in OPEN_CALLS:
        suite.clock.move(HOUR)
        answers = [suite.post(path, {"username": name, **_sent(suite, path)}) for name in ("anna", "bert", "nobody")]
        told = [(each.status_code, [*each.headers.keys()], _without_chance(each.get_json()), path) for each in answers]
        assert told[0] == told[1] == told[2]


def _sent(suite: InProcessSuite, path: str) -> Mapping[str, object]:
    """Return what goes beside the name; a passkey's signature must have the form of one."""
    if path != "/login/passkey/finish":
        return OPEN_CALLS[path]
    options = suite.post("/login/passkey/begin").get_json()["options"]
    return {**OPEN_CALLS[path], "passkey": Passkey(to_base64url(new_id().encode())).assertion(options)}


def _without_chance(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an answer without what is another one each time."""
    made = ("approval_id", "digits", "join_token", "approve_qr_png")
    return {name: None if name in made else value for name, value in told.items()}
