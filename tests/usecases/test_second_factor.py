"""A second factor, for whoever wants one: switched on and off, asked for at every door that takes a password."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.history import Kind
from tests.authenticator import Authenticator, scanned
from tests.usecases.conftest import Build
from tests.usecases.house import HOUR, MINUTE, SECOND, Device, House, Login, Person, as_login, code_of
from tests.usecases.signers import Signer, first_of
from tests.usecases.test_password_change import after_password_check

pytestmark = pytest.mark.row("R72")

REQUIRED, WRONG = (401, "otp-required"), (401, "otp-invalid")
STEP = 30 * SECOND


@dataclass(frozen=True)
class Enrolled:
    """Somebody with an authenticator app, logged in on the first device."""

    house: House
    person: Person
    app: Authenticator
    recovery_codes: list[str]
    session: Login

    def code(self, steps: int = 0) -> str:
        """Return a code that was not used yet: the clock moves on to the next one, and from there by `steps`."""
        self.house.clock.move(STEP)
        return self.app.code(self.house.clock(), steps)

    def log_in(self, otp: str | None = None, **more: Any) -> TestResponse:
        """Log in on the first device."""
        return self.house.login(self.person, **({} if otp is None else {"otp": otp}), **more)


def begun(house: House, person: Person, session: Login) -> Any:
    """Begin, and return what an app needs."""
    answer = house.post("/registration/otp/begin", {"password": person.password}, session.access)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def confirm(house: House, session: Login, enrolment: str, otp: str) -> TestResponse:
    """Confirm."""
    return house.post("/registration/otp/confirm", {"enrolment": enrolment, "otp": otp}, session.access)


def enrolled(house: House, person: Person) -> Enrolled:
    """Switch the factor on."""
    session = house.log_in(person)
    asked = begun(house, person, session)
    app = scanned(asked["uri"])
    answer = confirm(house, session, asked["enrolment"], app.code(house.clock()))
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return Enrolled(house, person, app, answer.get_json()["recovery_codes"], session)


@pytest.fixture
def careful(house: House, anna: Person) -> Enrolled:
    """Return Anna, who switched it on."""
    return enrolled(house, anna)


def status(house: House, session: Login) -> Any:
    """Return what the suite says of the caller's factor."""
    return house.get("/registration/otp", session.access).get_json()


# --- Switching on and off ----------------------------------------------------------------------------------------


def test_to_begin_changes_nothing(house: House, anna: Person) -> None:
    """Nothing is stored before the app has shown a code; and the app is told who this is."""
    session = house.log_in(anna)
    before = house.content()
    asked = begun(house, anna, session)
    app = scanned(asked["uri"])
    assert (app.label, app.issuer) == ("Ichidai:anna", "Ichidai")
    assert (asked["expires_in"], asked["qr_png"][:22]) == (600, "data:image/png;base64,")
    assert code_of(confirm(house, session, asked["enrolment"], app.code(house.clock(), 5))) == WRONG
    assert house.content() == before
    assert status(house, session) == {"success": True, "active": False}
    house.log_in(anna)


def test_switched_on_it_tells_so_and_gives_ten_codes(careful: Enrolled) -> None:
    """The session lives on, the history tells who did it, and nobody can switch it on once more."""
    house, session = careful.house, careful.session
    told = status(house, session)
    assert (told["active"], told["recovery_codes_left"]) == (True, 10)
    assert len({code.replace("-", "") for code in careful.recovery_codes}) == 10
    event = house.history(careful.person)[-1].events[-1]
    assert (event.kind, event.device_id) == (Kind.OTP_ENABLED, careful.person.first.device_id)
    body = {"password": careful.person.password}
    assert code_of(house.post("/registration/otp/begin", body, session.access)) == (409, "otp-active")


def test_to_begin_takes_the_password(house: House, anna: Person) -> None:
    """A session that somebody left open is not enough."""
    session = house.log_in(anna)
    refused = house.post("/registration/otp/begin", {"password": "a guess of somebody"}, session.access)
    assert code_of(refused) == (401, "bad-credentials")


def test_what_was_begun_ends(house: House, anna: Person) -> None:
    """After ten minutes, for another user, altered, or when another one was confirmed meanwhile."""
    session, spent = house.log_in(anna), (410, "enrolment-spent")
    first, second = begun(house, anna, session), begun(house, anna, session)
    berta = house.log_in(house.register("berta"))
    now = house.clock
    assert code_of(confirm(house, berta, first["enrolment"], scanned(first["uri"]).code(now()))) == spent
    assert code_of(confirm(house, session, first["enrolment"] + "A", scanned(first["uri"]).code(now()))) == spent
    assert confirm(house, session, second["enrolment"], scanned(second["uri"]).code(now())).status_code == 200
    assert code_of(confirm(house, session, first["enrolment"], scanned(first["uri"]).code(now()))) == (
        409,
        "otp-active",
    )
    body = {"password": anna.password, "otp": scanned(second["uri"]).code(now(), 1)}
    assert house.post("/registration/otp/remove", body, session.access).status_code == 200
    assert code_of(confirm(house, session, first["enrolment"], scanned(first["uri"]).code(now()))) == spent
    third = begun(house, anna, session)
    now.move(10 * MINUTE)
    session = as_login(house.refresh(session.refresh))
    assert code_of(confirm(house, session, third["enrolment"], scanned(third["uri"]).code(now()))) == spent


def test_switched_off_by_password_and_code(careful: Enrolled) -> None:
    """By both, or not at all; then the password is enough again, and nothing of it is left."""
    house, token = careful.house, careful.session.access
    right = {"password": careful.person.password}
    wrong = {"password": "a guess of somebody", "otp": careful.code()}
    assert code_of(house.post("/registration/otp/remove", right, token)) == REQUIRED
    assert code_of(house.post("/registration/otp/remove", {**right, "otp": "000000"}, token)) == WRONG
    assert code_of(house.post("/registration/otp/remove", wrong, token)) == (401, "bad-credentials")
    assert house.post("/registration/otp/remove", {**right, "otp": wrong["otp"]}, token).status_code == 200
    assert house.history(careful.person)[-1].events[-1].kind is Kind.OTP_DISABLED
    assert house.content()["FactorsTable"] == []
    assert code_of(house.post("/registration/otp/remove", right, token)) == (409, "otp-inactive")
    house.log_in(careful.person)


def test_a_recovery_code_switches_it_off_too(careful: Enrolled) -> None:
    """The phone is lost: a code on paper and the password are enough."""
    body = {"password": careful.person.password, "otp": careful.recovery_codes[3]}
    assert careful.house.post("/registration/otp/remove", body, careful.session.access).status_code == 200


# --- Every door --------------------------------------------------------------------------------------------------


def credentials(careful: Enrolled) -> dict[str, str]:
    """Return name, password and what shows the device."""
    person = careful.person
    return {"username": person.username, "password": person.password, "client_cert_fp": person.first.fingerprint}


def shown_code(careful: Enrolled) -> str:
    """Return a QR code that the first device shows."""
    body = {**credentials(careful), "otp": careful.code()}
    return str(careful.house.post("/registration/request_pairing_token", body).get_json()["qr_code"])


def at(path: str) -> Callable[[Enrolled], Callable[..., TestResponse]]:
    """Return the call of a door that takes name, password and device."""
    return lambda careful: lambda **more: careful.house.post(path, {**credentials(careful), **more})


def redeeming(path: str) -> Callable[[Enrolled], Callable[..., TestResponse]]:
    """Return a new device's call."""

    def prepared(careful: Enrolled) -> Callable[..., TestResponse]:
        qr_code = shown_code(careful)
        body = {**credentials(careful), "qr_code": qr_code, "device_name": "Tablet"}
        forced = {"force": True} if path == "/device/register" else {}
        return lambda **more: careful.house.post(path, {**body, **forced, **more})

    return prepared


def taking_away(path: str) -> Callable[[Enrolled], Callable[..., TestResponse]]:
    """Return the call by which a device loses its right, long after the login."""

    def prepared(careful: Enrolled) -> Callable[..., TestResponse]:
        house, person = careful.house, careful.person
        joined = house.post(
            "/registration/", {**credentials(careful), "qr_code": shown_code(careful), "otp": careful.code()}
        )
        house.clock.move(HOUR)
        token = house.refresh(careful.session.refresh).get_json()["access_token"]
        house.get("/session/verify", token)  # it was seen just now: nothing is left to write down
        body = {"device_id": joined.get_json()["device_id"], "password": person.password}
        return lambda **more: house.post(path, {**body, **more}, token)

    return prepared


DOORS = {
    **{path: at(path) for path in ("/login", "/login/force", "/session/create", "/login/challenge")},
    "/registration/request_pairing_token": at("/registration/request_pairing_token"),
    **{path: redeeming(path) for path in ("/registration/", "/device/register")},
    **{path: taking_away(path) for path in ("/device/unbind", "/device/revoke_certificate")},
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_every_door_asks_for_it(careful: Enrolled, door: Callable[[Enrolled], Callable[..., TestResponse]]) -> None:
    """Without a code it is asked for, a wrong one is refused, and nothing has changed; a right one opens."""
    house, call = careful.house, door(careful)
    otp, before = careful.code(), house.content()
    assert code_of(call()) == REQUIRED
    assert code_of(call(otp=careful.app.code(house.clock(), 7))) == WRONG
    assert code_of(call(password="a guess of somebody", otp=otp)) in ((401, "bad-credentials"), (403, "reauthenticate"))
    assert house.content() == before
    assert call(otp=otp).status_code == 200


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_recovery_code_opens_every_door(
    careful: Enrolled, door: Callable[[Enrolled], Callable[..., TestResponse]]
) -> None:
    """As it is written, in small letters, without its hyphens; and only once."""
    call = door(careful)
    code = careful.recovery_codes[0].replace("-", "").lower()
    assert call(otp=code).status_code == 200
    assert code_of(careful.log_in(careful.recovery_codes[0])) == WRONG
    used = [event for entry in careful.house.history(careful.person) for event in entry.events]
    assert [event.kind for event in used].count(Kind.RECOVERY_CODE_USED) == 1


def test_who_has_none_is_asked_for_none(house: House, anna: Person) -> None:
    """A code that comes all the same is not looked at."""
    assert house.login(anna, otp="000000").status_code == 200


def test_a_code_of_a_wrong_type_is_no_code(careful: Enrolled) -> None:
    """It is text: 000123 would not be a number."""
    assert code_of(careful.log_in(otp=123456)) == (400, "invalid-request")  # type: ignore[arg-type]


# --- What a factor once shown stands for -------------------------------------------------------------------------


def second_device(careful: Enrolled) -> Device:
    """Return another device of the person's."""
    body = {**credentials(careful), "qr_code": shown_code(careful), "otp": careful.code()}
    answer = careful.house.post("/registration/", body).get_json()
    return Device(answer["client_cert_fp"], answer["device_id"], answer)


def test_a_consent_needs_no_second_code(careful: Enrolled) -> None:
    """The login that was asked had shown one."""
    laptop = second_device(careful)
    question = careful.house.login(careful.person, laptop, otp=careful.code())
    assert code_of(question) == (409, "device-active")
    assert careful.house.take_over(question, laptop).status_code == 200


def test_the_consent_of_a_device_that_joins_needs_none_either(careful: Enrolled) -> None:
    """The same body again, with the consent; a consent that is none, or another's, is no code."""
    house, berta = careful.house, careful.house.register("berta")
    body = {**credentials(careful), "qr_code": shown_code(careful)}
    question = house.post("/device/register", {**body, "otp": careful.code()})
    token = question.get_json()["takeover"]["token"]
    house.log_in(berta)
    hers = {"username": "berta", "password": berta.password, "qr_code": house.qr_code(berta)}
    foreign = house.post("/device/register", hers).get_json()["takeover"]["token"]
    before = house.content()
    assert code_of(house.post("/device/register", {**body, "takeover_token": token + "x"})) == (400, "takeover-invalid")
    assert code_of(house.post("/device/register", {**body, "takeover_token": foreign})) == (403, "device-mismatch")
    assert house.content() == before
    assert house.post("/device/register", {**body, "takeover_token": token}).status_code == 200
    assert code_of(house.post("/device/register", {**body, "takeover_token": token}))[0] == 410


def test_a_consent_that_has_expired_stands_for_nothing(careful: Enrolled) -> None:
    """Two minutes after the question, the password alone is the password alone."""
    house, body = careful.house, {**credentials(careful), "qr_code": shown_code(careful)}
    token = house.post("/device/register", {**body, "otp": careful.code()}).get_json()["takeover"]["token"]
    house.clock.move(2 * MINUTE)
    before = house.content()
    assert code_of(house.post("/device/register", {**body, "takeover_token": token})) == (410, "takeover-spent")
    assert house.content() == before


def test_a_signature_stands_for_the_code_that_its_challenge_took(build_house: Build) -> None:
    """Asking took a code; what it was asked for takes none. A signature that is not good opens nothing."""
    house = build_house(ICHIDAI_DEVICE_PROOF="signature")
    signer: Signer = first_of(house, "anna")
    session = as_login(signer.login())
    asked = begun(house, signer.person, session)
    app = scanned(asked["uri"])
    early = signer.prove("login")
    assert confirm(house, session, asked["enrolment"], app.code(house.clock())).status_code == 200
    careful = Enrolled(house, signer.person, app, [], session)
    assert code_of(house.login(signer.person, signer.device, proof=early)) == (401, "challenge-spent"), (
        "it was asked for the password alone"
    )
    assert code_of(signer.ask("login")) == REQUIRED
    for purpose, path in (("login", "/login"), ("force", "/login/force")):
        proof = signer.proof(signer.ask(purpose, otp=careful.code()).get_json(), purpose)
        before = house.content()["SessionsTable"]
        assert code_of(
            house.login(signer.person, signer.device, path, proof={**proof, "signature": early["signature"]})
        ) == (401, "proof-invalid")
        assert house.content()["SessionsTable"] == before
        assert house.login(signer.person, signer.device, path, proof=proof).status_code == 200
        assert code_of(house.login(signer.person, signer.device, path, proof=proof)) == (401, "challenge-spent")
    proof = signer.proof(signer.ask("pair-issue", otp=careful.code()).get_json(), "pair-issue")
    assert (
        house.post("/registration/request_pairing_token", {**credentials(careful), "proof": proof}).status_code == 200
    )


# --- What was begun before it was switched on --------------------------------------------------------------------


def test_a_login_in_flight_is_refused(build_house: Build, house: House, anna: Person) -> None:
    """Its password was right while the password was enough; by its commit, another process has changed that."""
    session = house.log_in(anna)
    asked = begun(house, anna, session)
    code = scanned(asked["uri"]).code(house.clock())
    other = build_house()
    after_password_check(house, anna, lambda: confirm(other, session, asked["enrolment"], code))
    assert code_of(house.login(anna)) == (401, "bad-credentials")
    assert house.verify(session).status_code == 200


def test_what_the_password_alone_was_given_is_spent(house: House, anna: Person, laptop: Device) -> None:
    """A question, and a pairing token."""
    qr_code, session = house.qr_code(anna), house.log_in(anna)
    question, asked = house.login(anna, laptop), begun(house, anna, session)
    app = scanned(asked["uri"])
    assert confirm(house, session, asked["enrolment"], app.code(house.clock())).status_code == 200
    assert code_of(house.take_over(question, laptop)) == (410, "takeover-spent")
    body = {"username": "anna", "password": anna.password, "qr_code": qr_code, "otp": app.code(house.clock(), 1)}
    assert code_of(house.post("/registration/", body)) == (410, "pairing-token-spent")
