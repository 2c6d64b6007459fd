"""Codes that are guessed by somebody who knows the password: few tries, and the owner still gets in."""

from __future__ import annotations

import pytest

from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import MINUTE, SECOND, InProcessSuite, as_login, code_of
from tests.usecases.test_second_factor import STEP, Enrolled, enrolled

pytestmark = pytest.mark.requirement("R72")

TOO_MANY = (429, "too-many-attempts")


def guess(careful: Enrolled, ip: str, otp: str = "000000", fingerprint: str = "0" * 64) -> tuple[int, str]:
    """Log in with the right password and a code, from an address."""
    person = careful.person
    body = {"username": person.username, "password": person.password, "client_cert_fp": fingerprint, "otp": otp}
    answer = careful.suite.post("/login", body, X_Forwarded_For=ip)
    return (200, "") if answer.status_code == 200 else code_of(answer)


def test_guesses_are_counted(build_suite: Build) -> None:
    """Ten codes from all addresses together, then one every quarter of an hour; each is in the owner's history."""
    suite = build_suite(ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
    careful = enrolled(suite, suite.register())
    assert [guess(careful, f"198.51.100.{number}") for number in range(12)] == [(401, "otp-invalid")] * 10 + [
        TOO_MANY
    ] * 2
    assert len(suite.get("/session/history", careful.session.access).get_json()["failed_logins"]) == 10
    suite.clock.move(15 * MINUTE)
    assert [guess(careful, "198.51.100.99") for _ in range(2)] == [(401, "otp-invalid"), TOO_MANY]


def test_guesses_from_one_address_are_counted_as_passwords_are(build_suite: Build) -> None:
    """In the same bucket: a wrong code is a wrong guess."""
    suite = build_suite(ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE="3", ICHIDAI_LOGIN_ATTEMPTS_OTP="1000")
    careful = enrolled(suite, suite.register())
    stranger = {"client_cert_fp": "0" * 64}
    assert [careful.log_in("000000", **stranger).status_code for _ in range(4)] == [401, 401, 401, 429]


def test_guessers_do_not_lock_the_owner_out(build_suite: Build) -> None:
    """On a device that is known from there, and anywhere by a recovery code, which nobody guesses."""
    suite = build_suite(ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
    careful = enrolled(suite, suite.register())
    fingerprint = careful.person.first.fingerprint
    assert guess(careful, "192.0.2.1", careful.code(), fingerprint)[0] == 200
    for number in range(12):
        guess(careful, f"198.51.100.{number}")
    suite.clock.move(STEP + SECOND)
    assert guess(careful, "198.51.100.50", careful.app.code(suite.clock()), fingerprint) == TOO_MANY
    assert guess(careful, "192.0.2.1", careful.app.code(suite.clock()), fingerprint)[0] == 200
    assert guess(careful, "198.51.100.51", careful.recovery_codes[0], fingerprint)[0] == 200


def test_a_right_code_costs_no_try(build_suite: Build) -> None:
    """However often its owner logs in."""
    suite = build_suite(ICHIDAI_LOGIN_ATTEMPTS_OTP="1")
    careful = enrolled(suite, suite.register())
    for _ in range(3):
        as_login(careful.log_in(careful.code()))


def test_a_wrong_password_costs_no_try_of_a_code(build_suite: Build) -> None:
    """Nobody looked at the code: who does not know the password cannot use up the tries of codes."""
    suite = build_suite(ICHIDAI_LOGIN_ATTEMPTS_OTP="1")
    careful = enrolled(suite, suite.register())
    wrong = {"password": "a guess", "otp": "000000"}
    assert [code_of(suite.login(careful.person, **wrong))[1] for _ in range(3)] == ["bad-credentials"] * 3
    as_login(careful.log_in(careful.code()))


def test_a_code_works_once(suite: InProcessSuite) -> None:
    """Also where it let nobody in: it is used up before it is decided who may be logged in."""
    person = suite.register()
    laptop, careful = suite.pair(person), enrolled(suite, person)
    used = careful.code()
    as_login(careful.log_in(used))
    assert code_of(careful.log_in(used)) == (401, "otp-invalid")
    asked = careful.code()
    assert suite.login(person, laptop, otp=asked).status_code == 409
    assert code_of(suite.login(person, laptop, otp=asked)) == (401, "otp-invalid")
    assert code_of(careful.log_in(asked)) == (401, "otp-invalid")
