"""Every call of a signed-in user that takes the password: with each factor, at each limit, and who is in after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from werkzeug.test import TestResponse

from tests.support.passkeys import Passkey, made_for
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import InProcessSuite, Login, Person, code_of
from tests.usecases.test_second_factor import REQUIRED, WRONG, enrolled

WRONG_PASSWORD = (401, "bad-credentials")


@dataclass(frozen=True)
class Call:
    """What is sent beside the proof, and whether the caller's session and another device's live on after it."""

    own: bool
    other: bool
    body: Mapping[str, str] = field(default_factory=dict)


CALLS = {
    "/registration/password": Call(own=True, other=False, body={"new_password": "an altogether new phrase"}),
    "/registration/username": Call(own=True, other=True, body={"username": "another name"}),
    "/registration/email": Call(own=True, other=True, body={"email": "other@example.test"}),
    "/registration/recovery-codes": Call(own=True, other=True),
    "/registration/passkeys/begin": Call(own=True, other=True),
    "/registration/otp/remove": Call(own=True, other=True),
    "/session/end-all": Call(own=True, other=False),
    "/registration/close": Call(own=False, other=False),
}


def made_passkey(suite: InProcessSuite, person: Person, session: Login) -> Passkey:
    """Make a passkey."""
    begun = suite.post("/registration/passkeys/begin", {"password": person.password}, session.access)
    options = begun.get_json()["options"]
    passkey = made_for(options)
    made = suite.post("/registration/passkeys/finish", {"passkey": passkey.attestation(options)}, session.access)
    assert made.status_code == 200, made.get_data(as_text=True)
    return passkey


def shown(suite: InProcessSuite, passkey: Passkey) -> dict[str, object]:
    """Return what a passkey answers to a question of now, as a call takes it in the place of a password."""
    return {"passkey": passkey.assertion(suite.post("/login/passkey/begin").get_json()["options"])}


ROWS = [
    (path, factor, limit)
    for path in CALLS
    for factor in ("none", "code", "passkey")
    for limit in (1, 2)
    if path != "/registration/otp/remove" or factor == "code"
]


@pytest.mark.parametrize(("path", "factor", "limit"), ROWS)
def test_each_call(build_suite: Build, path: str, factor: str, limit: int) -> None:
    """Nothing changes before all that proves the user is right; then those sessions live that should."""
    suite = build_suite(MAX_CONCURRENT_DEVICES=str(limit), ICHIDAI_MAIL="smtp://127.0.0.1:9")
    person = suite.register()
    laptop = suite.pair(person)
    careful = enrolled(suite, person) if factor == "code" else None
    session = careful.session if careful else suite.log_in(person)
    other = suite.log_in(person, laptop, **({"otp": careful.code()} if careful else {})) if limit > 1 else None
    if factor == "passkey":
        right = shown(suite, made_passkey(suite, person, session))
    else:
        right = {"password": person.password, **({"otp": careful.code()} if careful else {})}

    def send(**more: object) -> TestResponse:
        return suite.post(path, {**CALLS[path].body, **more}, session.access)

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
