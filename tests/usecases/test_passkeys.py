"""Passkeys: made, used alone, beside the password and in its place, refused. The authenticator is the tests' own."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from common.account.book import AccountState
from common.account.history import EventKind
from common.account.liveness import Reason
from tests.support.passkeys import Passkey, made_for
from tests.support.signing import enrolling, p256_keys
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import MINUTE, SECOND, Device, InProcessSuite, Login, Person, as_login, code_of
from tests.usecases.signers import Signer
from tests.usecases.test_recovery import codes_of, recovered
from tests.usecases.test_second_factor import enrolled

pytestmark = pytest.mark.requirement("R71", "R72")

INVALID = (401, "passkey-invalid")


def begin(suite: InProcessSuite, session: Login, person: Person, **more: Any) -> TestResponse:
    """Ask for what a passkey is made of."""
    body = more if "passkey" in more else {"password": person.password, **more}
    return suite.post("/registration/passkeys/begin", body, session.access)


def finish(suite: InProcessSuite, session: Login, attestation: Any, name: str = "Phone's key") -> TestResponse:
    """Have a passkey kept."""
    return suite.post("/registration/passkeys/finish", {"passkey": attestation, "name": name}, session.access)


def good(answer: TestResponse) -> Any:
    """Return an answer, which must be a success."""
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.get_json()


def passkey_of(suite: InProcessSuite, session: Login, person: Person, *, synced: bool = False, **more: Any) -> Passkey:
    """Make a passkey, which must succeed."""
    options = good(begin(suite, session, person, **more))["options"]
    passkey = made_for(options, synced=synced)
    good(finish(suite, session, passkey.attestation(options)))
    return passkey


def options_of(suite: InProcessSuite) -> Any:
    """Return what a browser asks a passkey with."""
    return good(suite.post("/login/passkey/begin"))["options"]


def enter(suite: InProcessSuite, assertion: Any, device: Device | None = None, **more: Any) -> TestResponse:
    """Log in by a passkey: on a device, or in an empty browser."""
    shown = {} if device is None else {"client_cert_fp": device.fingerprint}
    return suite.post("/login/passkey/finish", {"passkey": assertion, **shown, **more})


def delete(suite: InProcessSuite, session: Login, passkey_id: str, body: Any) -> TestResponse:
    """Remove a passkey."""
    headers = {"Authorization": f"Bearer {session.access}"}
    return suite.client.delete(f"/registration/passkeys/{passkey_id}", json=body, headers=headers)


def kinds(suite: InProcessSuite, person: Person) -> list[EventKind]:
    """Return the kinds of what happened, oldest first."""
    return [event.kind for record in suite.history(person) for event in record.events]


@pytest.fixture
def session(suite: InProcessSuite, anna: Person) -> Login:
    """Return her session."""
    return suite.log_in(anna)


@pytest.fixture
def passkey(suite: InProcessSuite, anna: Person, session: Login) -> Passkey:
    """Return her passkey."""
    return passkey_of(suite, session, anna)


# --- Made and removed ---------------------------------------------------------------------------------------------


def test_a_passkey_is_made_listed_used_and_removed(suite: InProcessSuite, anna: Person, session: Login) -> None:
    """By the password; it is told of, the history has it, and after it is removed it opens nothing."""
    assert code_of(begin(suite, session, dataclasses.replace(anna, password="a guess"))) == (401, "bad-credentials")
    passkey = passkey_of(suite, session, anna, synced=True)
    assert kinds(suite, anna)[-1] is EventKind.PASSKEY_ADDED
    (told,) = good(suite.get("/registration/passkeys", session.access))["passkeys"]
    assert (told["name"], told["last_used_at"], told["backed_up"]) == ("Phone's key", None, True)
    assert good(suite.get("/registration/account", session.access))["passkeys"] == 1
    passkey.backed_up = False
    session = as_login(enter(suite, passkey.assertion(options_of(suite)), anna.first))
    (told,) = good(suite.get("/registration/passkeys", session.access))["passkeys"]
    assert (told["last_used_at"], told["backed_up"]) == ("2036-11-21T09:00:00.000Z", False)
    assert code_of(delete(suite, session, told["id"], {})) == (400, "missing-fields")
    assert code_of(delete(suite, session, told["id"], {"password": "a guess"})) == (401, "bad-credentials")
    right = {"password": anna.password}
    assert code_of(delete(suite, session, anna.uuid, right)) == (404, "not-found")
    assert delete(suite, session, told["id"], right).status_code == 200
    assert kinds(suite, anna)[-1] is EventKind.PASSKEY_REMOVED
    assert code_of(enter(suite, passkey.assertion(options_of(suite)), anna.first)) == INVALID
    suite.log_in(anna)  # the password is what it was


def test_what_was_begun_is_finished_once_by_the_same_user_in_time(
    suite: InProcessSuite, anna: Person, session: Login
) -> None:
    """Not by another user, not for another origin or domain, not after its time, not after a change of credentials."""
    options = good(begin(suite, session, anna))["options"]
    passkey = made_for(options)
    bert = suite.log_in(suite.register("bert"))
    assert code_of(finish(suite, bert, passkey.attestation(options))) == INVALID
    assert code_of(finish(suite, session, passkey.attestation(options, origin="https://evil.test"))) == INVALID
    assert code_of(finish(suite, session, passkey.attestation(options, rp_id="evil.test"))) == INVALID
    requested = {**options, "challenge": options_of(suite)["challenge"]}
    assert code_of(finish(suite, session, passkey.attestation(requested))) == INVALID
    made = passkey.attestation(options)
    good(finish(suite, session, made))
    listed = good(suite.get("/registration/passkeys", session.access))["passkeys"]
    assert delete(suite, session, listed[0]["id"], {"password": anna.password}).status_code == 200
    assert code_of(finish(suite, session, made)) == INVALID  # taken off, it is not put back by what was sent before
    late, stale = (good(begin(suite, session, anna))["options"] for _ in range(2))
    body = {"password": anna.password, "new_password": "another long phrase"}
    session = as_login(suite.post("/registration/password", body, session.access))
    assert code_of(finish(suite, session, made_for(stale).attestation(stale))) == INVALID
    suite.clock.move(5 * MINUTE)
    assert code_of(finish(suite, session, made_for(late).attestation(late))) == INVALID


def test_an_account_has_ten_at_most(suite: InProcessSuite, anna: Person, session: Login) -> None:
    """Told before the password is asked; what was begun meanwhile is refused too. The same one is not kept twice."""
    started = good(begin(suite, session, anna))["options"]
    first = passkey_of(suite, session, anna)
    again = good(begin(suite, session, anna))["options"]
    assert [each["id"] for each in again["excludeCredentials"]] == [first.id]
    assert code_of(finish(suite, session, first.attestation(again))) == INVALID
    for _ in range(9):
        passkey_of(suite, session, anna)
    assert code_of(begin(suite, session, anna)) == (409, "too-many-passkeys")
    assert code_of(finish(suite, session, made_for(started).attestation(started))) == (409, "too-many-passkeys")


# --- Signing in ---------------------------------------------------------------------------------------------------


def test_it_stands_for_password_and_factor(suite: InProcessSuite, anna: Person) -> None:
    """Where a code is asked for beside the password, a passkey alone is enough, and beside the password it is too."""
    careful = enrolled(suite, anna)
    asked = {"otp": careful.recovery_codes[0]}
    passkey = passkey_of(suite, careful.session, anna, **asked)
    session = as_login(enter(suite, passkey.assertion(options_of(suite)), anna.first))
    assert suite.verify(session).status_code == 200
    assert code_of(suite.login(anna)) == (401, "otp-required")
    named = {"username": anna.username, "password": anna.password}
    unverified = passkey.assertion(options_of(suite), verified=False)
    as_login(enter(suite, unverified, anna.first, **named))
    wrong = {**named, "password": "a guess"}
    assert code_of(enter(suite, passkey.assertion(options_of(suite)), anna.first, **wrong)) == (401, "bad-credentials")


def test_the_limit_stands_behind_it(suite: InProcessSuite, anna: Person, laptop: Device, passkey: Passkey) -> None:
    """The question is asked, nobody was ended; the consent needs no second passkey."""
    question = enter(suite, passkey.assertion(options_of(suite)), laptop)
    assert code_of(question) == (409, "device-active")
    assert [each["device_name"] for each in question.get_json()["active"]] == ["Phone"]
    taken = as_login(suite.take_over(question, laptop))
    assert suite.verify(taken).status_code == 200
    assert suite.endings(anna)[-1][1] is Reason.TAKEN_OVER


def test_an_empty_browser_becomes_a_device(
    suite: InProcessSuite, anna: Person, session: Login, passkey: Passkey
) -> None:
    """As after a recovery, but logged in too; at the limit nothing is bound before the consent, which works once."""
    question = enter(suite, passkey.assertion(options_of(suite)), device_name="Library")
    assert code_of(question) == (409, "device-active")
    assert len(suite.book(anna).devices) == 1
    takeover = question.get_json()["takeover"]
    assert takeover["url"].endswith("/login/passkey/finish")
    body = {"takeover_token": takeover["token"], "device_name": "Library"}
    assert code_of(suite.post("/login/takeover", body | {"client_cert_fp": anna.first.fingerprint})) == (
        400,
        "takeover-invalid",
    )
    joined = good(suite.post("/login/passkey/finish", body))
    assert (joined["uuid"], len(suite.book(anna).devices)) == (anna.uuid, 2)
    assert joined["private_keys"]["signing"]
    assert suite.get("/session/verify", joined["access_token"]).status_code == 200
    assert code_of(suite.verify(session))[0] == 401
    assert code_of(suite.post("/login/passkey/finish", body)) == (410, "takeover-spent")
    assert kinds(suite, anna).count(EventKind.DEVICE_ADDED) == 2
    library = Device(joined["client_cert_fp"], joined["device_id"], joined)
    suite.log_in(anna, library)


def test_a_joining_browser_brings_its_own_key(suite: InProcessSuite, anna: Person, passkey: Passkey) -> None:
    """Signed for with the passkey's id, or with the consent's token; then a passkey and the key let it in together."""
    own, shown = p256_keys(), passkey.assertion(options_of(suite))
    assert code_of(enter(suite, shown, **enrolling(own, "somebody else"))) == (401, "proof-invalid")
    question = enter(suite, passkey.assertion(options_of(suite)), **enrolling(own, passkey.id))
    token = question.get_json()["takeover"]["token"]
    joined = good(suite.post("/login/passkey/finish", {"takeover_token": token, **enrolling(own, token)}))
    assert "private_keys" not in joined
    device = Device(joined["client_cert_fp"], joined["device_id"], joined)
    body = {"passkey": passkey.assertion(options_of(suite)), "client_cert_fp": device.fingerprint}
    refused = code_of(enter(suite, body["passkey"], device))
    assert refused == (401, "proof-required")
    body["passkey"] = passkey.assertion(options_of(suite))
    challenge = good(suite.post("/login/challenge", body))
    proof = Signer(suite, anna, device, own).proof(challenge, "login")
    as_login(suite.post("/login/verify", proof))


def test_the_cap_on_devices_holds(build_suite: Build) -> None:
    """For an empty browser, as everywhere."""
    suite = build_suite(ICHIDAI_MAX_DEVICES="1")
    anna = suite.register()
    passkey = passkey_of(suite, suite.log_in(anna), anna)
    assert code_of(enter(suite, passkey.assertion(options_of(suite)))) == (409, "too-many-devices")


# --- What is refused ----------------------------------------------------------------------------------------------


def test_another_place_another_time_another_user(suite: InProcessSuite, anna: Person, passkey: Passkey) -> None:
    """Wrong origin, wrong domain, no verification, somebody else's passkey or name, a challenge of another suite."""
    bert = suite.register("bert")
    theirs = passkey_of(suite, suite.log_in(bert), bert)
    for wrong in (
        {"origin": "https://evil.test"},
        {"origin": "http://127.0.0.1:8000"},
        {"rp_id": "evil.test"},
        {"verified": False},
        {"user_handle": theirs.user_handle},
        {"crossOrigin": True},
        {"challenge": "AAAAAAAAAAAAAAAAAAAAAA"},
    ):
        assert code_of(enter(suite, passkey.assertion(options_of(suite), **wrong), anna.first)) == INVALID, wrong
    named = {"username": anna.username, "password": anna.password}
    assert code_of(enter(suite, theirs.assertion(options_of(suite)), anna.first, **named)) == INVALID
    forged = passkey.assertion(options_of(suite))
    forged["response"]["signature"] = theirs.assertion(options_of(suite))["response"]["signature"]
    assert code_of(enter(suite, forged, anna.first)) == INVALID
    assert code_of(enter(suite, theirs.assertion(options_of(suite)), anna.first)) == (401, "certificate-mismatch")
    creation = good(begin(suite, suite.log_in(anna), anna))["options"]
    assert code_of(enter(suite, passkey.assertion({**creation, "rpId": "localhost"}), anna.first)) == INVALID


@pytest.mark.parametrize("synced", [False, True], ids=["with a counter", "without"])
def test_an_answer_works_once(suite: InProcessSuite, anna: Person, session: Login, *, synced: bool) -> None:
    """Also where the authenticator counts nothing, also for another purpose, and only for five minutes."""
    passkey = passkey_of(suite, session, anna, synced=synced)
    shown = passkey.assertion(options_of(suite))
    session = as_login(enter(suite, shown, anna.first))
    assert code_of(enter(suite, shown, anna.first)) == INVALID
    assert code_of(suite.post("/session/end-all", {"passkey": shown}, session.access)) == INVALID
    late = options_of(suite)
    suite.clock.move(5 * MINUTE - SECOND)
    as_login(enter(suite, passkey.assertion(late), anna.first))
    late = options_of(suite)
    suite.clock.move(5 * MINUTE)
    assert code_of(enter(suite, passkey.assertion(late), anna.first)) == INVALID


def test_a_counter_that_goes_back_is_a_copy(suite: InProcessSuite, anna: Person, passkey: Passkey) -> None:
    """Each use must count on; so must one that may not be backed up never become one that may."""
    copy = dataclasses.replace(passkey)
    as_login(enter(suite, passkey.assertion(options_of(suite)), anna.first))
    assert code_of(enter(suite, copy.assertion(options_of(suite)), anna.first)) == INVALID
    passkey.counter = 7
    as_login(enter(suite, passkey.assertion(options_of(suite)), anna.first))
    turned = dataclasses.replace(passkey, counts=False, counter=9)
    assert code_of(enter(suite, turned.assertion(options_of(suite)), anna.first)) == INVALID


def test_junk_is_refused(suite: InProcessSuite, anna: Person, passkey: Passkey) -> None:
    """Whatever is sent: 400 or 401, never 500."""
    assert code_of(suite.post("/login/passkey/finish", {"client_cert_fp": anna.first.fingerprint})) == (
        400,
        "missing-fields",
    )
    for member in ("clientDataJSON", "authenticatorData", "signature", "userHandle"):
        for junk in ("AAAA", "!", "é", "e30", "bnVsbA", "W10", "_" * 9000):
            shown = passkey.assertion(options_of(suite))
            shown["response"][member] = junk
            assert code_of(enter(suite, shown, anna.first)) in {INVALID, (429, "too-many-attempts")}, (member, junk)
            suite.clock.move(MINUTE)
    shown = passkey.assertion(options_of(suite))
    assert code_of(enter(suite, {**shown, "id": "AAAA"}, anna.first)) == INVALID
    assert code_of(enter(suite, {**shown, "type": "password"}, anna.first)) == (400, "invalid-request")
    assert code_of(enter(suite, {**shown, "response": {}}, anna.first)) == (400, "missing-fields")


def test_wrong_ones_are_counted(build_suite: Build) -> None:
    """As wrong passwords are; the owner sees them."""
    suite = build_suite(ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE="3")
    anna = suite.register()
    session = suite.log_in(anna)
    passkey = passkey_of(suite, session, anna)
    for _ in range(3):
        assert code_of(enter(suite, passkey.assertion(options_of(suite), verified=False))) == INVALID
    assert code_of(enter(suite, passkey.assertion(options_of(suite)))) == (429, "too-many-attempts")
    assert len(suite.get("/session/history", session.access).get_json()["failed_logins"]) == 3


def test_where_pages_have_no_name_there_are_no_passkeys(build_suite: Build) -> None:
    """A domain that is set serves then."""
    suite = build_suite(ICHIDAI_PUBLIC_URL="https://192.0.2.7")
    anna = suite.register()
    session = suite.log_in(anna)
    assert code_of(suite.post("/login/passkey/begin")) == (400, "not-supported")
    assert code_of(begin(suite, session, anna)) == (400, "not-supported")
    named = build_suite(
        ICHIDAI_PUBLIC_URL="https://192.0.2.7",
        ICHIDAI_PASSKEY_RP_ID="example.com",
        ICHIDAI_PASSKEY_ORIGINS="https://shop.example.com",
    )
    options = good(begin(named, session, anna))["options"]
    assert options["rp"] == {"id": "example.com", "name": "Ichidai"}
    passkey = made_for(options)
    good(finish(named, session, passkey.attestation(options, origin="https://shop.example.com")))


# --- In the place of the password -----------------------------------------------------------------------------------


def test_it_is_taken_wherever_a_password_is_asked_again(
    suite: InProcessSuite, anna: Person, laptop: Device, passkey: Passkey
) -> None:
    """Alone with the user verified; unverified only beside the password."""

    def shown(*, verified: bool = True) -> Any:
        return passkey.assertion(options_of(suite), verified=verified)

    session = as_login(suite.login(anna, force=True))
    calls: list[tuple[str, dict[str, Any]]] = [
        ("/registration/passkeys/begin", {}),
        ("/registration/recovery-codes", {}),
        ("/registration/otp/begin", {}),
        ("/session/end-all", {}),
    ]
    for path, body in calls:
        assert code_of(suite.post(path, {**body, "passkey": shown(verified=False)}, session.access)) == INVALID, path
        good(suite.post(path, {**body, "passkey": shown()}, session.access))
    suite.clock.move(11 * MINUTE)
    session = as_login(suite.post("/session/refresh", {"refresh_token": session.refresh}))
    unbinding = {"device_id": laptop.device_id}
    assert code_of(suite.post("/device/unbind", unbinding, session.access)) == (403, "reauthenticate")
    assert suite.post("/device/unbind", {**unbinding, "passkey": shown()}, session.access).status_code == 200
    changed = {"passkey": shown(), "new_password": "another long phrase"}
    session = as_login(suite.post("/registration/password", changed, session.access))
    passkeys = good(suite.get("/registration/passkeys", session.access))["passkeys"]
    assert delete(suite, session, passkeys[0]["id"], {"passkey": shown()}).status_code == 200


def test_a_recovery_voids_them_and_a_factor_keeps_them(
    suite: InProcessSuite, anna: Person, session: Login, passkey: Passkey
) -> None:
    """Whoever made one before the account was recovered is out; switching codes on and off changes none."""
    careful = enrolled(suite, anna)
    as_login(enter(suite, passkey.assertion(options_of(suite)), anna.first))
    session = as_login(careful.log_in(otp=careful.recovery_codes[0]))
    body = {"passkey": passkey.assertion(options_of(suite))}
    good(suite.post("/registration/otp/remove", body, session.access))
    as_login(enter(suite, passkey.assertion(options_of(suite)), anna.first))
    codes = codes_of(suite, suite.log_in(anna), anna)
    after, device = recovered(suite, anna, codes[0])
    assert kinds(suite, anna).count(EventKind.PASSKEY_REMOVED) == 1
    assert code_of(enter(suite, passkey.assertion(options_of(suite)), anna.first)) == INVALID
    assert good(suite.get("/registration/account", suite.log_in(after, device).access))["passkeys"] == 0


def test_a_disabled_account_is_told_to_its_owner_alone(suite: InProcessSuite, anna: Person, passkey: Passkey) -> None:
    """The right passkey is told so, a wrong one is not."""
    book = suite.book(anna)

    suite.put_book(replace(book, state=AccountState.DISABLED, sessions={}))
    assert code_of(enter(suite, passkey.assertion(options_of(suite)), anna.first)) == (403, "account-disabled")
    wrong = passkey.assertion(options_of(suite), verified=False)
    assert code_of(enter(suite, wrong, anna.first)) == INVALID
