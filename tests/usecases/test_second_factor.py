"""A second factor, for whoever wants one: switched on and off, asked for on every endpoint that takes a password."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.account.history import EventKind
from registration.factor_model import Factor
from tests.support.authenticator import Authenticator, scanned
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    HOUR,
    MINUTE,
    SECOND,
    Device,
    InProcessSuite,
    Login,
    Person,
    as_login,
    code_of,
)
from tests.usecases.signers import Signer, first_of
from tests.usecases.test_password_change import after_password_check

pytestmark = pytest.mark.requirement("R72")

REQUIRED, WRONG = (401, "otp-required"), (401, "otp-invalid")
STEP = 30 * SECOND


@dataclass(frozen=True)
class Enrolled:
    """Somebody with an authenticator app, logged in on the first device."""

    suite: InProcessSuite
    person: Person
    app: Authenticator
    recovery_codes: list[str]
    session: Login

    def code(self, steps: int = 0) -> str:
        """Return a code that was not used yet: the clock moves on to the next one, and from there by `steps`."""
        self.suite.clock.move(STEP)
        return self.app.code(self.suite.clock(), steps)

    def log_in(self, otp: str | None = None, **more: Any) -> TestResponse:
        """Log in on the first device."""
        return self.suite.login(self.person, **({} if otp is None else {"otp": otp}), **more)


def begun(suite: InProcessSuite, person: Person, session: Login) -> Any:
    """Begin, and return what an app needs."""
    answer = suite.post("/registration/otp/begin", {"password": person.password}, session.access)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def confirm(suite: InProcessSuite, session: Login, enrolment: str, otp: str) -> TestResponse:
    """Confirm."""
    return suite.post("/registration/otp/confirm", {"enrolment": enrolment, "otp": otp}, session.access)


def enrolled(suite: InProcessSuite, person: Person) -> Enrolled:
    """Switch the factor on."""
    session = suite.log_in(person)
    asked = begun(suite, person, session)
    app = scanned(asked["uri"])
    answer = confirm(suite, session, asked["enrolment"], app.code(suite.clock()))
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return Enrolled(suite, person, app, answer.get_json()["recovery_codes"], session)


@pytest.fixture
def careful(suite: InProcessSuite, anna: Person) -> Enrolled:
    """Return Anna, who switched it on."""
    return enrolled(suite, anna)


def status(suite: InProcessSuite, session: Login) -> Any:
    """Return what the suite says of the caller's factor."""
    return suite.get("/registration/otp", session.access).get_json()


# --- Switching on and off ----------------------------------------------------------------------------------------


def test_to_begin_changes_nothing(suite: InProcessSuite, anna: Person) -> None:
    """Nothing is stored before the app has shown a code; and the app is told who this is."""
    session = suite.log_in(anna)
    before = suite.content()
    asked = begun(suite, anna, session)
    app = scanned(asked["uri"])
    assert (app.label, app.issuer) == ("Ichidai:anna", "Ichidai")
    assert (asked["expires_in"], asked["qr_png"][:22]) == (600, "data:image/png;base64,")
    assert code_of(confirm(suite, session, asked["enrolment"], app.code(suite.clock(), 5))) == WRONG
    assert suite.content() == before
    assert status(suite, session) == {"success": True, "active": False}
    suite.log_in(anna)


def test_switched_on_it_tells_so_and_gives_ten_codes(careful: Enrolled) -> None:
    """The session lives on, the history tells who did it, and nobody can switch it on once more."""
    suite, session = careful.suite, careful.session
    told = status(suite, session)
    assert (told["active"], told["recovery_codes_left"]) == (True, 10)
    assert len({code.replace("-", "") for code in careful.recovery_codes}) == 10
    event = suite.history(careful.person)[-1].events[-1]
    assert (event.kind, event.device_id) == (EventKind.OTP_ENABLED, careful.person.first.device_id)
    body = {"password": careful.person.password}
    assert code_of(suite.post("/registration/otp/begin", body, session.access)) == (409, "otp-active")


def test_to_begin_takes_the_password(suite: InProcessSuite, anna: Person) -> None:
    """A session that somebody left open is not enough."""
    session = suite.log_in(anna)
    refused = suite.post("/registration/otp/begin", {"password": "a guess of somebody"}, session.access)
    assert code_of(refused) == (401, "bad-credentials")


def test_what_was_begun_ends(suite: InProcessSuite, anna: Person) -> None:
    """After ten minutes, for another user, altered, or when another one was confirmed meanwhile."""
    session, spent = suite.log_in(anna), (410, "enrolment-spent")
    first, second = begun(suite, anna, session), begun(suite, anna, session)
    berta = suite.log_in(suite.register("berta"))
    now = suite.clock
    assert code_of(confirm(suite, berta, first["enrolment"], scanned(first["uri"]).code(now()))) == spent
    assert code_of(confirm(suite, session, first["enrolment"] + "A", scanned(first["uri"]).code(now()))) == spent
    assert confirm(suite, session, second["enrolment"], scanned(second["uri"]).code(now())).status_code == 200
    assert code_of(confirm(suite, session, first["enrolment"], scanned(first["uri"]).code(now()))) == (
        409,
        "otp-active",
    )
    body = {"password": anna.password, "otp": scanned(second["uri"]).code(now(), 1)}
    assert suite.post("/registration/otp/remove", body, session.access).status_code == 200
    assert code_of(confirm(suite, session, first["enrolment"], scanned(first["uri"]).code(now()))) == spent
    third = begun(suite, anna, session)
    now.move(10 * MINUTE)
    session = as_login(suite.refresh(session.refresh))
    assert code_of(confirm(suite, session, third["enrolment"], scanned(third["uri"]).code(now()))) == spent


def test_new_recovery_codes_by_password_and_code(careful: Enrolled) -> None:
    """By both, or not at all; ten that replace those left, told once in the history; the app goes on as before."""
    suite, token, path = careful.suite, careful.session.access, "/registration/otp/recovery_codes"
    right = {"password": careful.person.password}
    wrong = {"password": "a guess of somebody", "otp": careful.code()}
    before = suite.content()["FactorsTable"]
    assert code_of(suite.post(path, right, token)) == REQUIRED
    assert code_of(suite.post(path, {**right, "otp": "000000"}, token)) == WRONG
    assert code_of(suite.post(path, wrong, token)) == (401, "bad-credentials")
    assert suite.content()["FactorsTable"] == before
    new = suite.post(path, {**right, "otp": wrong["otp"]}, token).get_json()["recovery_codes"]
    assert len(set(new)) == 10
    assert not set(new) & set(careful.recovery_codes)
    (event,) = suite.history(careful.person)[-1].events
    assert (event.kind, event.by) == (EventKind.RECOVERY_CODES_RENEWED, careful.person.first.device_id)
    assert suite.get("/registration/otp", token).get_json()["recovery_codes_left"] == 10
    assert code_of(suite.login(careful.person, otp=careful.recovery_codes[0])) == WRONG
    assert suite.login(careful.person, otp=new[0]).status_code == 200
    assert suite.login(careful.person, otp=careful.code()).status_code == 200


def test_without_a_factor_there_are_no_recovery_codes(suite: InProcessSuite, anna: Person) -> None:
    """Nor with a token that has ended."""
    session, body = suite.log_in(anna), {"password": anna.password}
    assert code_of(suite.post("/registration/otp/recovery_codes", body, session.access)) == (409, "otp-inactive")
    suite.post("/session/logout", {}, session.access)
    assert suite.post("/registration/otp/recovery_codes", body, session.access).status_code == 401


def test_switched_off_by_password_and_code(careful: Enrolled) -> None:
    """By both, or not at all; then the password is enough again, and nothing of it is left."""
    suite, token = careful.suite, careful.session.access
    right = {"password": careful.person.password}
    wrong = {"password": "a guess of somebody", "otp": careful.code()}
    assert code_of(suite.post("/registration/otp/remove", right, token)) == REQUIRED
    assert code_of(suite.post("/registration/otp/remove", {**right, "otp": "000000"}, token)) == WRONG
    assert code_of(suite.post("/registration/otp/remove", wrong, token)) == (401, "bad-credentials")
    assert suite.post("/registration/otp/remove", {**right, "otp": wrong["otp"]}, token).status_code == 200
    assert suite.history(careful.person)[-1].events[-1].kind is EventKind.OTP_DISABLED
    ((_, _, left),) = suite.content()["FactorsTable"]
    factor = Factor.from_item(json.loads(left))
    assert (factor.encrypted_secret, factor.recovery_code_hashes, factor.former) == ("", (), ())
    assert code_of(suite.post("/registration/otp/remove", right, token)) == (409, "otp-inactive")
    suite.log_in(careful.person)


def test_a_recovery_code_switches_it_off_too(careful: Enrolled) -> None:
    """The phone is lost: a code on paper and the password are enough."""
    body = {"password": careful.person.password, "otp": careful.recovery_codes[3]}
    assert careful.suite.post("/registration/otp/remove", body, careful.session.access).status_code == 200


# --- Every endpoint --------------------------------------------------------------------------------------------------


def credentials(careful: Enrolled) -> dict[str, str]:
    """Return name, password and what shows the device."""
    person = careful.person
    return {"username": person.username, "password": person.password, "client_cert_fp": person.first.fingerprint}


def shown_code(careful: Enrolled) -> str:
    """Return a QR code that the first device shows."""
    body = {**credentials(careful), "otp": careful.code()}
    return str(careful.suite.post("/registration/request_pairing_token", body).get_json()["qr_code"])


def at(path: str) -> Callable[[Enrolled], Callable[..., TestResponse]]:
    """Return the call of an endpoint that takes name, password and device."""
    return lambda careful: lambda **more: careful.suite.post(path, {**credentials(careful), **more})


def redeeming(path: str) -> Callable[[Enrolled], Callable[..., TestResponse]]:
    """Return a new device's call."""

    def prepared(careful: Enrolled) -> Callable[..., TestResponse]:
        qr_code = shown_code(careful)
        body = {**credentials(careful), "qr_code": qr_code, "device_name": "Tablet"}
        forced = {"force": True} if path == "/device/register" else {}
        return lambda **more: careful.suite.post(path, {**body, **forced, **more})

    return prepared


def taking_away(path: str) -> Callable[[Enrolled], Callable[..., TestResponse]]:
    """Return the call by which a device loses its right, long after the login."""

    def prepared(careful: Enrolled) -> Callable[..., TestResponse]:
        suite, person = careful.suite, careful.person
        joined = suite.post(
            "/registration/", {**credentials(careful), "qr_code": shown_code(careful), "otp": careful.code()}
        )
        suite.clock.move(HOUR)
        token = suite.refresh(careful.session.refresh).get_json()["access_token"]
        suite.get("/session/verify", token)  # it was seen just now: nothing is left to write down
        body = {"device_id": joined.get_json()["device_id"], "password": person.password}
        return lambda **more: suite.post(path, {**body, **more}, token)

    return prepared


ENDPOINTS = {
    **{path: at(path) for path in ("/login", "/login/force", "/session/create", "/login/challenge")},
    "/registration/request_pairing_token": at("/registration/request_pairing_token"),
    **{path: redeeming(path) for path in ("/registration/", "/device/register")},
    **{path: taking_away(path) for path in ("/device/unbind", "/device/revoke_certificate")},
}


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)
def test_every_endpoint_asks_for_it(
    careful: Enrolled, endpoint: Callable[[Enrolled], Callable[..., TestResponse]]
) -> None:
    """Without a code it is asked for, a wrong one is refused, and nothing has changed; a right one opens."""
    suite, call = careful.suite, endpoint(careful)
    otp, before = careful.code(), suite.content()
    assert code_of(call()) == REQUIRED
    assert code_of(call(otp=careful.app.code(suite.clock(), 7))) == WRONG
    assert code_of(call(password="a guess of somebody", otp=otp)) in ((401, "bad-credentials"), (403, "reauthenticate"))
    assert suite.content() == before
    assert call(otp=otp).status_code == 200


@pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=ENDPOINTS)
def test_a_recovery_code_opens_every_endpoint(
    careful: Enrolled, endpoint: Callable[[Enrolled], Callable[..., TestResponse]]
) -> None:
    """As it is written, in small letters, without its hyphens; and only once."""
    call = endpoint(careful)
    code = careful.recovery_codes[0].replace("-", "").lower()
    assert call(otp=code).status_code == 200
    assert code_of(careful.log_in(careful.recovery_codes[0])) == WRONG
    used = [event for entry in careful.suite.history(careful.person) for event in entry.events]
    assert [event.kind for event in used].count(EventKind.RECOVERY_CODE_USED) == 1


def test_who_has_none_is_asked_for_none(suite: InProcessSuite, anna: Person) -> None:
    """A code that comes all the same is not looked at."""
    assert suite.login(anna, otp="000000").status_code == 200


def test_a_code_of_a_wrong_type_is_no_code(careful: Enrolled) -> None:
    """It is text: 000123 would not be a number."""
    assert code_of(careful.log_in(otp=123456)) == (400, "invalid-request")  # type: ignore[arg-type]


# --- What a factor once shown stands for -------------------------------------------------------------------------


def second_device(careful: Enrolled) -> Device:
    """Return another device of the person's."""
    body = {**credentials(careful), "qr_code": shown_code(careful), "otp": careful.code()}
    answer = careful.suite.post("/registration/", body).get_json()
    return Device(answer["client_cert_fp"], answer["device_id"], answer)


def test_a_consent_needs_no_second_code(careful: Enrolled) -> None:
    """The login that was asked had shown one."""
    laptop = second_device(careful)
    question = careful.suite.login(careful.person, laptop, otp=careful.code())
    assert code_of(question) == (409, "device-active")
    assert careful.suite.take_over(question, laptop).status_code == 200


def test_the_consent_of_a_device_that_joins_needs_none_either(careful: Enrolled) -> None:
    """The same body again, with the consent; a consent that is none, or another's, is no code."""
    suite, berta = careful.suite, careful.suite.register("berta")
    body = {**credentials(careful), "qr_code": shown_code(careful)}
    question = suite.post("/device/register", {**body, "otp": careful.code()})
    token = question.get_json()["takeover"]["token"]
    suite.log_in(berta)
    hers = {"username": "berta", "password": berta.password, "qr_code": suite.qr_code(berta)}
    foreign = suite.post("/device/register", hers).get_json()["takeover"]["token"]
    before = suite.content()
    assert code_of(suite.post("/device/register", {**body, "takeover_token": token + "x"})) == (400, "takeover-invalid")
    assert code_of(suite.post("/device/register", {**body, "takeover_token": foreign})) == (403, "device-mismatch")
    assert suite.content() == before
    assert suite.post("/device/register", {**body, "takeover_token": token}).status_code == 200
    assert code_of(suite.post("/device/register", {**body, "takeover_token": token}))[0] == 410


def test_a_consent_that_has_expired_stands_for_nothing(careful: Enrolled) -> None:
    """Two minutes after the question, the password alone is the password alone."""
    suite, body = careful.suite, {**credentials(careful), "qr_code": shown_code(careful)}
    token = suite.post("/device/register", {**body, "otp": careful.code()}).get_json()["takeover"]["token"]
    suite.clock.move(2 * MINUTE)
    before = suite.content()
    assert code_of(suite.post("/device/register", {**body, "takeover_token": token})) == (410, "takeover-spent")
    assert suite.content() == before


def test_a_signature_stands_for_the_code_that_its_challenge_took(build_suite: Build) -> None:
    """Asking took a code; what it was asked for takes none. A signature that is not good opens nothing."""
    suite = build_suite(ICHIDAI_DEVICE_PROOF="signature")
    signer: Signer = first_of(suite, "anna")
    session = as_login(signer.login())
    asked = begun(suite, signer.person, session)
    app = scanned(asked["uri"])
    early = signer.prove("login")
    assert confirm(suite, session, asked["enrolment"], app.code(suite.clock())).status_code == 200
    careful = Enrolled(suite, signer.person, app, [], session)
    assert code_of(suite.login(signer.person, signer.device, proof=early)) == (401, "challenge-spent"), (
        "it was asked for the password alone"
    )
    assert code_of(signer.ask("login")) == REQUIRED
    for purpose, path in (("login", "/login"), ("force", "/login/force")):
        proof = signer.proof(signer.ask(purpose, otp=careful.code()).get_json(), purpose)
        before = suite.content()["SessionsTable"]
        assert code_of(
            suite.login(signer.person, signer.device, path, proof={**proof, "signature": early["signature"]})
        ) == (401, "proof-invalid")
        assert suite.content()["SessionsTable"] == before
        assert suite.login(signer.person, signer.device, path, proof=proof).status_code == 200
        assert code_of(suite.login(signer.person, signer.device, path, proof=proof)) == (401, "challenge-spent")
    proof = signer.proof(signer.ask("pair-issue", otp=careful.code()).get_json(), "pair-issue")
    assert (
        suite.post("/registration/request_pairing_token", {**credentials(careful), "proof": proof}).status_code == 200
    )


# --- What was begun before it was switched on --------------------------------------------------------------------


def test_a_login_in_flight_is_refused(build_suite: Build, suite: InProcessSuite, anna: Person) -> None:
    """Its password was right while the password was enough; by its commit, another process has changed that."""
    session = suite.log_in(anna)
    asked = begun(suite, anna, session)
    code = scanned(asked["uri"]).code(suite.clock())
    other = build_suite()
    after_password_check(suite, anna, lambda: confirm(other, session, asked["enrolment"], code))
    assert code_of(suite.login(anna)) == (401, "bad-credentials")
    assert suite.verify(session).status_code == 200


def test_what_the_password_alone_was_given_is_spent(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """A question, and a pairing token."""
    qr_code, session = suite.qr_code(anna), suite.log_in(anna)
    question, asked = suite.login(anna, laptop), begun(suite, anna, session)
    app = scanned(asked["uri"])
    assert confirm(suite, session, asked["enrolment"], app.code(suite.clock())).status_code == 200
    assert code_of(suite.take_over(question, laptop)) == (410, "takeover-spent")
    body = {"username": "anna", "password": anna.password, "qr_code": qr_code, "otp": app.code(suite.clock(), 1)}
    assert code_of(suite.post("/registration/", body)) == (410, "pairing-token-spent")
