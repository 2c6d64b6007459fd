"""Recovery codes for every account, and the way back in without a device."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from werkzeug.test import TestResponse

from common.account.history import EventKind, Reason
from common.storage.tables import FACTORS, USERS
from tests.support.signing import enrolling, p256_keys, requesting
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    DAY,
    HOUR,
    SECOND,
    Device,
    InProcessSuite,
    Login,
    Person,
    account,
    as_enrolled,
    as_login,
    code_of,
)
from tests.usecases.signers import Signer
from tests.usecases.test_changing_password import changed
from tests.usecases.test_own_keys import enrolled as enrolled_with_keys
from tests.usecases.test_second_factor import begun, confirm, enrolled, status
from tests.usecases.watched_store import StoreCall, once

pytestmark = pytest.mark.requirement("R72")

NEW = "an altogether new phrase of mine"
WRONG_PASSWORD, WRONG_CODE = (401, "bad-credentials"), (401, "recovery-code-invalid")


def make(suite: InProcessSuite, session: Login, person: Person, **more: Any) -> TestResponse:
    """Ask for recovery codes."""
    return suite.post("/registration/recovery-codes", {"password": person.password, **more}, session.access)


def codes_of(suite: InProcessSuite, session: Login, person: Person, **more: Any) -> list[str]:
    """Make recovery codes, which must succeed."""
    answer = make(suite, session, person, **more)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    codes: list[str] = answer.get_json()["recovery_codes"]
    return codes


def recover(suite: InProcessSuite, person: Person, code: str, **more: Any) -> TestResponse:
    """Come back with a recovery code, in an empty browser."""
    body = {"username": person.username, "password": person.password, "recovery_code": code, "new_password": NEW}
    return suite.post("/registration/recover", {**body, "device_name": "New phone", **more})


def recovered(suite: InProcessSuite, person: Person, code: str, **more: Any) -> tuple[Person, Device]:
    """Come back, which must succeed; return the person with the new password, and the new device."""
    return as_enrolled(person, recover(suite, person, code, **more), NEW)


# --- The account --------------------------------------------------------------------------------------------------


def test_the_account_is_told_to_its_owner(suite: InProcessSuite, anna: Person) -> None:
    """Names, since when, how it is secured, how many devices; no secret."""
    session = suite.log_in(anna)
    told = account(suite, session)
    assert told == {
        "success": True,
        "uuid": anna.uuid,
        "username": "anna",
        "email": "anna@example.test",
        "email_confirmed": False,
        "created_at": told["created_at"],
        "otp": False,
        "passkeys": 0,
        "recovery_codes_left": 0,
        "devices": 1,
    }
    suite.pair(anna)
    codes_of(suite, session, anna)
    assert {name: account(suite, session)[name] for name in ("devices", "recovery_codes_left", "otp")} == {
        "devices": 2,
        "recovery_codes_left": 10,
        "otp": False,
    }


def test_all_that_is_kept_is_told_to_its_owner(suite: InProcessSuite, anna: Person) -> None:
    """Names, devices, history and failed logins; nothing that opens the account, and nothing of another one."""
    suite.register("bert")
    session = suite.log_in(anna)
    codes = codes_of(suite, session, anna)
    asked = begun(suite, anna, session)
    guess = {"username": anna.username, "password": "not the password", "client_cert_fp": anna.first.fingerprint}
    assert suite.post("/login", guess, User_Agent="A guesser").status_code == 401
    told = suite.get("/registration/export", session.access).get_json()["export"]
    assert (told["uuid"], told["username"], told["email"]) == (anna.uuid, "anna", "anna@example.test")
    assert [each["device_id"] for each in told["devices"]] == [anna.first.device_id]
    assert [each["session_id"] for each in told["sessions"]] == [session.session_id]
    kinds = [each["kind"] for each in told["history"]]
    assert kinds == ["recovery-codes-renewed", "login", "device-added", "registered"]
    assert [each["user_agent"] for each in told["failed_logins"]] == ["A guesser"]
    assert told["recovery_codes_left"] == 10
    text = str(told)
    account: Any = suite.store.inner.get(USERS.key(anna.uuid))
    factor: Any = suite.store.inner.get(FACTORS.key(anna.uuid))
    secrets = (*codes, *factor["marks"], account["password"]["digest"], account["password"]["salt"], asked["secret"])
    assert not [secret for secret in secrets if secret in text]
    assert "bert" not in text


# --- Making codes -------------------------------------------------------------------------------------------------


def test_codes_without_a_second_factor(suite: InProcessSuite, anna: Person) -> None:
    """Ten, for the password; a login still asks for none, and the store holds none of them."""
    session = suite.log_in(anna)
    assert code_of(make(suite, session, dataclasses.replace(anna, password="a guess"))) == WRONG_PASSWORD
    codes = codes_of(suite, session, anna)
    assert len(set(codes)) == 10
    assert status(suite, session) == {"success": True, "active": False}
    assert suite.history(anna)[-1].events[-1].kind is EventKind.RECOVERY_CODES_RENEWED
    suite.log_in(anna)
    held = suite.file.read_bytes() + b"".join(path.read_bytes() for path in suite.file.parent.glob("store.db-wal"))
    assert not [code for code in codes if code.encode() in held or code.replace("-", "").encode() in held]


def test_the_set_before_stays_good_for_seven_days(suite: InProcessSuite, anna: Person) -> None:
    """Made by the password alone; to the second. However often it is done, the first codes are not pushed out."""
    session = suite.log_in(anna)
    first = codes_of(suite, session, anna)
    for _ in range(4):
        newest = codes_of(suite, session, anna)
    assert account(suite, session)["recovery_codes_left"] == 10
    suite.clock.move(7 * DAY - SECOND)
    anna, _ = recovered(suite, anna, first[0])
    suite.clock.move(SECOND)
    assert code_of(recover(suite, anna, first[1])) == WRONG_CODE
    assert code_of(recover(suite, anna, newest[0])) == WRONG_CODE  # made after the code that was used


def test_a_code_of_the_set_confirms_a_new_one(suite: InProcessSuite, anna: Person) -> None:
    """Then the set before is void at once; a wrong code changes nothing."""
    session = suite.log_in(anna)
    assert code_of(make(suite, session, anna, recovery_code="AAAA-BBBB-CCCC")) == WRONG_CODE
    first = codes_of(suite, session, anna)
    assert code_of(make(suite, session, anna, recovery_code="AAAA-BBBB-CCCC")) == WRONG_CODE
    second = codes_of(suite, session, anna, recovery_code=first[0])
    assert code_of(recover(suite, anna, first[1])) == WRONG_CODE
    recovered(suite, anna, second[0].lower())


def test_with_a_second_factor_a_code_is_asked_for(suite: InProcessSuite, anna: Person) -> None:
    """As `/registration/otp/recovery_codes`: one set for both."""
    careful = enrolled(suite, anna)
    assert code_of(make(suite, careful.session, anna)) == (401, "otp-required")
    codes = codes_of(suite, careful.session, anna, recovery_code=careful.recovery_codes[0])
    assert code_of(make(suite, careful.session, anna, otp=careful.recovery_codes[1])) == (401, "otp-invalid")
    as_login(careful.log_in(otp=codes[0]))


# --- Coming back --------------------------------------------------------------------------------------------------


def test_an_empty_browser_comes_back(build_suite: Build) -> None:
    """In one commit: a new password, every session ended as `revoked`, and this browser a device that logs in."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="2")
    anna = suite.register()
    phone, laptop = suite.log_in(anna), suite.log_in(anna, suite.pair(anna))
    codes = codes_of(suite, phone, anna)
    after, device = recovered(suite, anna, codes[3])
    entry = suite.history(anna)[-1]
    assert [(event.kind, event.reason) for event in entry.events] == [
        (EventKind.SESSION_ENDED, Reason.REVOKED),
        (EventKind.SESSION_ENDED, Reason.REVOKED),
        (EventKind.RECOVERY_CODE_USED, None),
        (EventKind.PASSWORD_CHANGED, None),
        (EventKind.DEVICE_ADDED, None),
    ]
    assert {event.by for event in entry.events[:4]} == {device.device_id}
    assert [code_of(suite.verify(each)) for each in (phone, laptop)] == [(401, "session-ended")] * 2
    assert code_of(suite.login(anna)) == WRONG_PASSWORD
    session = suite.log_in(after, device)
    assert account(suite, session)["recovery_codes_left"] == 9
    assert account(suite, session)["devices"] == 3
    suite.log_in(after)  # the other devices stay bound
    assert code_of(recover(suite, after, codes[3])) == WRONG_CODE


@pytest.mark.parametrize(
    ("more", "answer"),
    [
        ({"username": "nobody"}, WRONG_PASSWORD),
        ({"password": "a guess of somebody"}, WRONG_PASSWORD),
        ({"recovery_code": "AAAA-BBBB-CCCC"}, WRONG_CODE),
        ({"recovery_code": "AAAA-BBBB-CCCC", "password": "a guess"}, WRONG_PASSWORD),
        ({"recovery_code": "123456"}, WRONG_CODE),
        ({"new_password": "short"}, (400, "weak-password")),
        ({"new_password": "anna@example.test"}, (400, "weak-password")),
        ({"csr": "x"}, (400, "csr-invalid")),
        ({"recovery_code": None}, (400, "missing-fields")),
    ],
)
def test_what_is_refused_changes_nothing(
    suite: InProcessSuite, anna: Person, more: dict[str, Any], answer: tuple[int, str]
) -> None:
    """And a code that was right is still there."""
    (code, *_) = codes_of(suite, suite.log_in(anna), anna)
    before = suite.content()
    assert code_of(recover(suite, anna, code, **more)) == answer
    assert suite.content() == before
    recovered(suite, anna, code)


def test_without_codes_nobody_comes_back(suite: InProcessSuite, anna: Person) -> None:
    """The password alone is not enough in an empty browser."""
    assert code_of(recover(suite, anna, "AAAA-BBBB-CCCC")) == WRONG_CODE


def test_one_code_lets_one_in(build_suite: Build, suite: InProcessSuite, anna: Person) -> None:
    """Of two at once the later commit finds it used."""
    (code, *_) = codes_of(suite, suite.log_in(anna), anna)
    elsewhere = build_suite()

    def writes_book(call: StoreCall) -> bool:
        return call.is_write and "SessionsTable" in call.tables

    suite.store.watch(before=once(writes_book, lambda: recovered(elsewhere, anna, code)))
    assert recover(suite, anna, code).status_code == 401
    assert len(suite.book(anna).devices) == 2


def test_guesses_are_counted(build_suite: Build) -> None:
    """Wrong codes as wrong passwords; the owner sees them."""
    suite = build_suite(ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE="3")
    anna = suite.register()
    session = suite.log_in(anna)
    (code, *_) = codes_of(suite, session, anna)
    for _ in range(3):
        assert code_of(recover(suite, anna, "AAAA-BBBB-CCCC")) == WRONG_CODE
    assert code_of(recover(suite, anna, code)) == (429, "too-many-attempts")
    failed = suite.get("/session/history", session.access).get_json()["failed_logins"]
    assert len(failed) == 3


def test_the_cap_on_devices_holds(build_suite: Build) -> None:
    """Told before anything is made; the code stays good."""
    suite = build_suite(ICHIDAI_MAX_DEVICES="1")
    anna = suite.register()
    session = suite.log_in(anna)
    (code, *_) = codes_of(suite, session, anna)
    assert code_of(recover(suite, anna, code)) == (409, "too-many-devices")
    assert account(suite, session)["recovery_codes_left"] == 10


def test_keys_of_the_new_device_are_its_own(suite: InProcessSuite, anna: Person) -> None:
    """A browser that brings a signing request gets no private keys; a key in use, or none shown, is refused."""
    (code, *_) = codes_of(suite, suite.log_in(anna), anna)
    theirs, own = enrolled_with_keys(suite, p256_keys(), "bert"), p256_keys()
    used = {"csr": requesting(theirs.keys, anna.username)}
    assert code_of(recover(suite, anna, code, **used)) == (409, "key-in-use")
    shown = enrolling(own, "somebody else")
    assert code_of(recover(suite, anna, code, **shown)) == (401, "proof-invalid")
    after, device = recovered(suite, anna, code, **enrolling(own, anna.username))
    assert "private_keys" not in device.answer
    assert Signer(suite, after, device, own).login().status_code == 200


# --- The thief ----------------------------------------------------------------------------------------------------


def test_a_password_that_was_in_force_within_seven_days_will_do(suite: InProcessSuite, anna: Person) -> None:
    """A thief changes the password three times over; the owner's own one and a code let the owner in, to the second."""
    session = suite.log_in(anna)
    codes = codes_of(suite, session, anna)
    thief, stolen = changed(suite, session, anna)
    for number in range(3):
        body = {"password": thief.password, "new_password": f"the thief's phrase {number}"}
        stolen = as_login(suite.post("/registration/password", body, stolen.access))
        thief = dataclasses.replace(thief, password=body["new_password"])
    assert code_of(recover(suite, anna, "AAAA-BBBB-CCCC")) == WRONG_PASSWORD  # no code: nothing is told of it
    suite.clock.move(7 * DAY - SECOND)
    after, device = recovered(suite, anna, codes[0])
    assert code_of(suite.verify(stolen))[0] == 401
    assert code_of(suite.login(thief)) == WRONG_PASSWORD
    suite.log_in(after, device)
    suite.clock.move(SECOND)
    assert code_of(recover(suite, anna, codes[1])) == WRONG_PASSWORD


def test_codes_of_before_take_a_thief_s_factor_off(suite: InProcessSuite, anna: Person) -> None:
    """Switched on by who has the password: the owner's older code is good for seven days, and ends it."""
    session = suite.log_in(anna)
    owners = codes_of(suite, session, anna)
    thief = enrolled(suite, anna)
    assert account(suite, thief.session)["otp"] is True
    after, device = recovered(suite, anna, owners[0])
    (off,) = [event for event in suite.history(anna)[-1].events if event.kind is EventKind.OTP_DISABLED]
    assert (off.device_id, off.by) == (device.device_id, device.device_id)
    again = suite.log_in(after, device)
    assert account(suite, again)["otp"] is False
    assert code_of(recover(suite, after, thief.recovery_codes[0])) == WRONG_CODE


def test_a_code_of_the_factor_s_own_set_leaves_it_on(suite: InProcessSuite, anna: Person) -> None:
    """Who has the factor and lost the devices keeps it: it was the code's turn once."""
    careful = enrolled(suite, anna)
    after, device = recovered(suite, anna, careful.recovery_codes[0])
    assert EventKind.OTP_DISABLED not in {event.kind for event in suite.history(anna)[-1].events}
    assert code_of(suite.login(after, device)) == (401, "otp-required")
    as_login(suite.login(after, device, otp=careful.recovery_codes[1]))


def test_codes_of_before_outlast_the_factor(suite: InProcessSuite, anna: Person) -> None:
    """Switched on and off again by a thief, the owner's codes are there still; they are codes of the factor, too."""
    session = suite.log_in(anna)
    owners = codes_of(suite, session, anna)
    asked = begun(suite, anna, session)
    careful = enrolled(suite, anna)
    assert confirm(suite, session, asked["enrolment"], "000000").status_code == 401
    as_login(careful.log_in(otp=owners[1]))
    session = as_login(careful.log_in(otp=owners[2]))
    body = {"password": anna.password, "otp": careful.recovery_codes[0]}
    assert suite.post("/registration/otp/remove", body, session.access).status_code == 200
    suite.clock.move(HOUR)
    recovered(suite, anna, owners[0])
