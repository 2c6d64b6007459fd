"""That was not me: what a thief did is taken back, by a mail, a session or a device; the owner is in, the thief out."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from common.account.history import EventKind, Reason
from common.proof.statements import Purpose, statement
from tests.support.authenticator import scanned
from tests.support.mail_server import html_of, link_in, text_of
from tests.support.passkeys import Passkey
from tests.support.signing import enrolling, given_keys, p256_keys
from tests.usecases.in_process_suite import (
    DAY,
    MILLISECOND,
    MINUTE,
    PASSWORD,
    SECOND,
    Device,
    InProcessSuite,
    Login,
    Person,
    account,
    as_login,
    code_of,
)
from tests.usecases.post import Post
from tests.usecases.signers import Signer
from tests.usecases.test_address import changed, objected
from tests.usecases.test_calls_and_factors import made_passkey, shown
from tests.usecases.test_recovery import codes_of, recovered
from tests.usecases.test_second_factor import begun, confirm

THIEFS = "a phrase that the thief made up"
SPENT = (410, "link-spent")
RESET_REQUIRED = (403, "password-reset-required")


@dataclasses.dataclass(frozen=True)
class Story:
    """Anna with a phone and a confirmed address, and a thief who knows her password and took her place.

    `taken_over`: the token of the notice of that; `laptop`: the fingerprint of the thief's device.
    """

    post: Post
    anna: Person
    phone: Login
    thief: Login
    taken_over: str
    laptop: str = ""

    @property
    def suite(self) -> InProcessSuite:
        """Return the suite."""
        return self.post.suite

    def notice(self, words: str) -> str:
        """Return the token of the newest notice that says something."""
        self.post.settle()
        mail = next(mail for mail in reversed(self.post.mailbox.mails) if words in text_of(mail))
        assert mail["To"] == "anna@example.test"
        return text_of(mail).partition("#object=")[2].split()[0]

    def ends_well(self, token: str, **more: Any) -> tuple[Person, Device]:
        """Let Anna object by a notice and choose a new password; the thief is out, and she is in."""
        answer = objected(self.post, token)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        assert self.suite.verify(self.thief).status_code == 401
        for known in (PASSWORD, THIEFS):
            guess = self.suite.login(dataclasses.replace(self.anna, password=known))
            assert guess.status_code in (401, 403)
        anna, phone = self.post.chosen(self.anna, answer.get_json()["reset_token"], **more)
        session = self.suite.log_in(anna, phone)
        assert account(self.suite, session)["email"] == "anna@example.test"
        assert code_of(objected(self.post, token)) == SPENT
        assert code_of(self.suite.verify(self.thief))[0] == 401
        return anna, phone


@pytest.fixture
def story(post: Post) -> Story:
    """Return the scene: the thief's laptop was paired with the stolen password, and took over."""
    anna = post.confirmed()
    phone = post.suite.log_in(anna)
    post.suite.clock.move(DAY)
    phone = post.suite.log_in(anna)
    laptop = post.suite.pair(anna)
    question = post.suite.login(anna, laptop).get_json()
    body = {"takeover_token": question["takeover"]["token"], "client_cert_fp": laptop.fingerprint}
    answer = post.suite.post("/login/takeover", body).get_json()
    thief = Login(answer["access_token"], answer["refresh_token"], answer["session_id"], answer["device_id"], answer)
    scene = Story(post, anna, phone, thief, "", laptop.fingerprint)
    token = scene.notice("Another device took the place of yours.")
    post.suite.clock.move(MINUTE)
    return dataclasses.replace(scene, taken_over=token)


def thief_posts(story: Story, path: str, **body: Any) -> TestResponse:
    """Let the thief do something, which succeeds."""
    answer = story.suite.post(path, {"password": PASSWORD, **body}, story.thief.access)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer


# --- The thief's stories ------------------------------------------------------------------------------------------


def test_password_stolen_and_taken_over(story: Story) -> None:
    """The link of the notice ends the thief's session at once; without a new password nobody gets in."""
    answer = objected(story.post, story.taken_over)
    assert code_of(story.suite.verify(story.thief)) == (401, "session-ended")
    assert code_of(story.suite.login(story.anna)) == RESET_REQUIRED
    assert code_of(story.suite.login(dataclasses.replace(story.anna, password="no"))) == (401, "bad-credentials")
    anna, phone = story.post.chosen(story.anna, answer.get_json()["reset_token"])
    story.suite.log_in(anna, phone)
    assert code_of(story.suite.login(story.anna)) == (401, "bad-credentials")


def test_the_device_that_logged_in_is_unbound(story: Story) -> None:
    """Also where it had joined before the login that is objected to, and the owner keeps the other devices."""
    laptop = story.thief.device_id
    anna, phone = story.ends_well(story.taken_over, keep_devices=True)
    assert laptop not in story.suite.book(anna).devices
    assert code_of(story.suite.login(anna, Device(story.laptop, laptop, {}))) == (401, "certificate-revoked")
    assert account(story.suite, story.suite.log_in(anna, phone))["devices"] == 2
    story.suite.log_in(anna, force=True)


def test_the_thiefs_device_is_unbound(story: Story) -> None:
    """Also where the owner keeps the other devices; those that are older stay."""
    token = story.notice("A device was added.")
    anna, phone = story.ends_well(token, keep_devices=True)
    assert code_of(story.suite.login(anna, Device(story.thief.answer["device_id"], "", {})))[0] in (400, 401)
    session = story.suite.log_in(anna, phone, force=True)
    assert account(story.suite, session)["devices"] == 2
    story.suite.log_in(anna, force=True)


def test_factor_switched_on(story: Story) -> None:
    """The thief's app is not asked for, and the owner's codes of before are good again."""
    asked = begun(story.suite, story.anna, story.thief)
    code = scanned(asked["uri"]).code(story.suite.clock())
    assert confirm(story.suite, story.thief, asked["enrolment"], code).status_code == 200
    story.ends_well(story.notice("Two-step login was turned on."))


def test_a_factor_is_taken_back_by_its_own_notice_where_time_passes(story: Story) -> None:
    """The clock goes on between the calls of the store: what a change made is never older than what tells of it."""
    asked = begun(story.suite, story.anna, story.thief)
    code = scanned(asked["uri"]).code(story.suite.clock())
    story.suite.store.before = lambda _call: story.suite.clock.move(MILLISECOND)
    assert confirm(story.suite, story.thief, asked["enrolment"], code).status_code == 200
    story.ends_well(story.notice("Two-step login was turned on."))


def test_a_passkey_is_taken_back_by_its_own_notice_where_time_passes(story: Story) -> None:
    """Likewise."""
    story.suite.store.before = lambda _call: story.suite.clock.move(MILLISECOND)
    theirs = made_passkey(story.suite, story.anna, story.thief)
    assert objected(story.post, story.notice("A passkey was added.")).status_code == 200
    assert code_of(entered(story.suite, theirs)) == (401, "passkey-invalid")


def test_password_changed(story: Story) -> None:
    """The mail's link is good though the credentials have changed since."""
    thief_posts(story, "/registration/password", new_password=THIEFS)
    assert code_of(story.suite.login(story.anna)) == (401, "bad-credentials")
    story.ends_well(story.notice("The password was changed."))


def test_codes_made_anew(story: Story) -> None:
    """The codes of before are the account's again; the thief's are none."""
    first = codes_of(story.suite, story.thief, story.anna)
    story.suite.clock.move(MINUTE)
    thiefs = codes_of(story.suite, story.thief, story.anna)
    token = story.notice("New recovery codes were made.")
    anna, _ = story.ends_well(token)
    body = {"username": anna.username, "password": anna.password, "new_password": PASSWORD}
    refused = story.suite.post("/registration/recover", {**body, "recovery_code": thiefs[0]})
    assert code_of(refused) == (401, "recovery-code-invalid")
    recovered(story.suite, anna, first[0])


def test_passkey_made(story: Story) -> None:
    """The thief's passkey lets nobody in any more; one that was the owner's before the event does."""
    own = made_passkey(story.suite, story.anna, story.suite.log_in(story.anna, force=True))
    story.suite.clock.move(MINUTE)
    thief = story.suite.log_in(story.anna, Device(story.laptop, story.thief.device_id, {}), force=True)
    theirs = made_passkey(story.suite, story.anna, thief)
    answer = objected(story.post, story.notice("A passkey was added."))
    assert answer.status_code == 200
    assert code_of(entered(story.suite, theirs)) == (401, "passkey-invalid")
    assert entered(story.suite, own).status_code == 200
    story.post.chosen(story.anna, answer.get_json()["reset_token"], keep_devices=True)
    assert code_of(entered(story.suite, theirs)) == (401, "passkey-invalid")


def entered(suite: InProcessSuite, passkey: Passkey) -> TestResponse:
    """Log an empty browser in by a passkey, in whoever's place."""
    return suite.post("/login/passkey/finish", {**shown(suite, passkey), "device_name": "Browser", "force": True})


def test_mail_changed(story: Story) -> None:
    """The old address is told, and takes everything back; the thief's own gets no link for a password any more."""
    changed(story.post, story.thief, "thief@example.test")
    token = story.notice("The mail address was changed.")
    thief_posts(story, "/registration/password", new_password=THIEFS)
    story.ends_well(token)
    story.post.settle()
    before = len(story.post.mailbox.mails)
    story.post.forgot(email="thief@example.test")
    story.post.settle()
    assert len(story.post.mailbox.mails) == before


def test_account_closed(story: Story) -> None:
    """The link of the notice opens it again; nothing of it goes when the days are over that the thief began."""
    thief_posts(story, "/registration/close")
    assert code_of(story.suite.login(story.anna)) == (403, "account-closed")
    anna, phone = story.ends_well(story.notice("The account was closed."))
    kinds = [event.kind for entry in story.suite.history(anna) for event in entry.events]
    assert EventKind.ACCOUNT_REOPENED not in kinds  # the objection did, not the new password
    story.suite.clock.move(15 * DAY)
    for _ in range(3):
        assert story.suite.suite.erasure.erase_due() == 0
    story.suite.log_in(anna, phone)


def test_an_account_that_goes_is_not_objected_back(story: Story) -> None:
    """Once its days are over no link opens it, also before anything was erased."""
    until = story.suite.clock.now + DAY
    story.suite.put_book(replace(story.suite.book(story.anna), closed_until=until))
    story.suite.clock.move(DAY)
    assert code_of(objected(story.post, story.taken_over)) == SPENT


def test_what_a_recovery_and_a_stolen_token_tell(post: Post) -> None:
    """That a code was used, and that an old copy of a login was: each with a link that takes it back."""
    anna = post.confirmed()
    phone = post.suite.log_in(anna)
    (code, *_) = codes_of(post.suite, phone, anna)
    post.suite.clock.move(MINUTE)
    later = as_login(post.suite.refresh(as_login(post.suite.refresh(phone.refresh)).refresh))
    assert code_of(post.suite.refresh(phone.refresh)) == (401, "session-ended")
    assert code_of(post.suite.verify(later)) == (401, "session-ended")
    recovered(post.suite, anna, code)
    post.settle()
    told = "".join(map(text_of, post.mailbox.mails))
    for words in ("An old copy of a login was used, and the login was ended.", "A recovery code was used."):
        assert words in told
        assert link_in(next(mail for mail in post.mailbox.mails if words in text_of(mail)), "object")


# --- The other ways to object -------------------------------------------------------------------------------------


def change_of(suite: InProcessSuite, session: Login, kind: str) -> int:
    """Return the number of the newest change of a kind, as the history tells it."""
    events = suite.get("/session/history", session.access).get_json()["events"]
    return next(int(event["change_no"]) for event in events if event["kind"] == kind)


def test_from_a_session(story: Story) -> None:
    """By the password: this session stays, and sets a new password."""
    phone = story.suite.log_in(story.anna, force=True)
    number = change_of(story.suite, phone, "device-added")
    wrong = story.suite.post("/registration/objection", {"change_no": number, "password": "x"}, phone.access)
    assert code_of(wrong) == (401, "bad-credentials")
    answer = story.suite.post("/registration/objection", {"change_no": number, "password": PASSWORD}, phone.access)
    assert answer.get_json() == {"success": True}
    assert code_of(story.suite.login(story.anna)) == RESET_REQUIRED
    body = {"password": PASSWORD, "new_password": THIEFS}
    assert story.suite.post("/registration/password", body, phone.access).status_code == 200
    session = story.suite.log_in(dataclasses.replace(story.anna, password=THIEFS))
    assert account(story.suite, session)["devices"] == 1


def test_from_a_device_that_signs_for_it(post: Post) -> None:
    """Without a session and without mail; a device that came later, or another statement, is refused."""
    keys = p256_keys()
    body = {"username": "anna", "email": "anna@example.test", "password": PASSWORD, **enrolling(keys, "anna")}
    fields = post.suite.post("/registration/", body).get_json()
    phone = Device(fields["client_cert_fp"], fields["device_id"], fields)
    anna = Person(fields["uuid"], "anna", phone)
    signer = Signer(post.suite, anna, phone, keys)
    assert signer.login().status_code == 200
    joining = {"username": "anna", "password": PASSWORD, "qr_code": fields["qr_code"]}
    laptop = post.suite.post("/registration/", joining).get_json()
    thief = post.suite.log_in(anna, Device(laptop["client_cert_fp"], laptop["device_id"], laptop), force=True)
    number = change_of(post.suite, thief, "device-added")

    def proof(change: int, device: str = phone.device_id, purpose: Purpose = Purpose.OBJECT) -> dict[str, Any]:
        said = statement(
            purpose, issuer="http://127.0.0.1:8000", user_uuid=anna.uuid, device_id=device, challenge=str(change)
        )
        return {"device_id": device, "signature": keys.sign(said)}

    def send(change: int, proof: dict[str, Any], user_uuid: str = anna.uuid) -> TestResponse:
        body = {"user_uuid": user_uuid, "change_no": change, "proof": proof}
        return post.suite.post("/registration/objection", body)

    invalid = (401, "proof-invalid")
    assert code_of(send(number, proof(number - 1))) == invalid
    assert code_of(send(number, proof(number, purpose=Purpose.LOGIN))) == invalid
    assert code_of(send(number, proof(number, thief.device_id))) == invalid
    assert code_of(send(number, proof(number), "nobody")) == invalid
    theirs = change_of(post.suite, thief, "login")
    assert send(number, proof(number)).get_json() == {"success": True}
    assert code_of(post.suite.verify(thief)) == (401, "session-ended")
    assert code_of(send(number, proof(number))) == SPENT
    assert code_of(send(theirs, proof(theirs))) == SPENT


def signed(suite: InProcessSuite, person: Person, device: Device, change: int) -> TestResponse:
    """Object to a change by a device's signature."""
    issuer, device_id = "http://127.0.0.1:8000", device.device_id
    said = statement(Purpose.OBJECT, issuer=issuer, user_uuid=person.uuid, device_id=device_id, challenge=str(change))
    proof = {"device_id": device_id, "signature": given_keys(device.answer).sign(said)}
    body = {"user_uuid": person.uuid, "change_no": change, "proof": proof}
    return suite.post("/registration/objection", body)


@pytest.mark.parametrize("elder", [True, False])
def test_a_signature_unbinds_no_older_device(suite: InProcessSuite, anna: Person, elder: bool) -> None:  # noqa: FBT001
    """The phone takes the right of the laptop that logged in; the laptop ends the phone's session, and no more."""
    laptop = suite.pair(anna)
    signer, other = (anna.first, laptop) if elder else (laptop, anna.first)
    session = suite.log_in(anna, other)
    number = change_of(suite, session, "login")
    assert signed(suite, anna, signer, number).status_code == 200
    assert code_of(suite.verify(session)) == (401, "session-ended")
    left = {anna.first.device_id} if elder else {anna.first.device_id, laptop.device_id}
    assert suite.book(anna).devices.keys() == left


def test_a_device_that_joined_later_signs_for_nothing(suite: InProcessSuite, anna: Person) -> None:
    """Neither against what was there before it, nor against its own joining."""
    session = suite.log_in(anna)
    number = change_of(suite, session, "login")
    laptop = suite.pair(anna)
    for change in (number, change_of(suite, session, "device-added")):
        assert code_of(signed(suite, anna, laptop, change)) == (401, "proof-invalid")
    assert suite.verify(session).status_code == 200


def test_a_recovery_is_taken_back_by_an_older_device(suite: InProcessSuite, anna: Person) -> None:
    """Who came back by a stolen code and password is out; the password that was set is none, the older device stays."""
    session = suite.log_in(anna)
    (code, *_) = codes_of(suite, session, anna)
    suite.clock.move(MINUTE)
    thief, browser = recovered(suite, anna, code)
    number = suite.history(anna)[-1].change_no
    theirs = suite.log_in(thief, browser)
    assert signed(suite, anna, anna.first, number).status_code == 200
    assert code_of(suite.verify(theirs)) == (401, "session-ended")
    assert code_of(suite.login(thief, browser)) == (401, "bad-credentials")
    assert code_of(suite.login(anna)) == RESET_REQUIRED
    assert suite.book(anna).devices.keys() == {anna.first.device_id}


# --- What is refused ----------------------------------------------------------------------------------------------


def test_seven_days_and_once(story: Story) -> None:
    """To the second; what an objection took back is not objected to again, also not by an older link of the thief."""
    token = story.notice("A device was added.")
    story.suite.clock.move(7 * DAY - MINUTE - SECOND)
    story.ends_well(story.taken_over)
    assert code_of(objected(story.post, story.taken_over)) == SPENT
    story.suite.clock.move(MINUTE)
    assert code_of(objected(story.post, token)) == SPENT


@pytest.mark.parametrize("by", ["session", "signature"])
@pytest.mark.parametrize(("age", "is_late"), [(7 * DAY - SECOND, False), (7 * DAY, True)])
def test_seven_days_without_a_link(
    suite: InProcessSuite,
    anna: Person,
    by: str,
    age: timedelta,
    is_late: bool,  # noqa: FBT001
) -> None:
    """In a session and by a signature, too: to the second."""
    session = suite.log_in(anna, suite.pair(anna))
    number = change_of(suite, session, "login")
    suite.clock.move(age)
    if by == "session":
        own = suite.log_in(anna, force=True)
        answer = suite.post("/registration/objection", {"change_no": number, "password": PASSWORD}, own.access)
    else:
        answer = signed(suite, anna, anna.first, number)
    assert (answer.status_code, answer.get_json().get("code")) == (SPENT if is_late else (200, None))


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({}, (400, "missing-fields")),
        ({"token": "junk"}, (400, "invalid-request")),
        ({"change_no": 3}, (400, "missing-fields")),
        (
            {"change_no": 2**63, "user_uuid": "x", "proof": {"device_id": "x", "signature": "x"}},
            (400, "invalid-request"),
        ),
        ({"change_no": 3, "user_uuid": "x", "proof": {"device_id": "x", "signature": "x"}}, (401, "proof-invalid")),
    ],
)
def test_what_says_nothing(post: Post, body: dict[str, Any], refused: tuple[int, str]) -> None:
    """Is told so, and changes nothing."""
    assert code_of(post.suite.post("/registration/objection", body)) == refused


def test_a_registration_is_no_event_to_object_to(post: Post) -> None:
    """Nor is a change that is not there."""
    anna = post.confirmed()
    session = post.suite.log_in(anna)
    for number in (1, 2, 99):
        body = {"change_no": number, "password": PASSWORD}
        assert code_of(post.suite.post("/registration/objection", body, session.access)) == (404, "not-found")


# --- Notices ------------------------------------------------------------------------------------------------------


def test_a_notice_says_what_when_and_where(story: Story) -> None:
    """In the language in which the address was confirmed, as text and HTML; one for each change."""
    story.post.settle()
    mail = story.post.mailbox.mails[-1]
    text = text_of(mail)
    assert "UTC" in text
    assert "127.0.0.1" in text
    assert "That was not me" in html_of(mail)
    assert len({each["Message-ID"] for each in story.post.mailbox.mails}) == len(story.post.mailbox.mails)


def test_a_login_from_a_new_place_is_told(post: Post) -> None:
    """Not the first one, and not one from where one was before."""
    anna = post.confirmed()
    before = len(post.mailbox.mails)
    for address, told in (("127.0.0.1", 0), ("203.0.113.9", 1), ("203.0.113.9", 1), ("127.0.0.1", 1)):
        body = {"username": "anna", "password": PASSWORD, "client_cert_fp": anna.first.fingerprint}
        environ = {"REMOTE_ADDR": address}
        answer = post.suite.client.post("/login", json=body, environ_overrides=environ)
        assert answer.status_code == 200
        post.settle()
        assert len(post.mailbox.mails) == before + told, address
    assert "There was a login from a new place." in text_of(post.mailbox.mails[-1])


def test_notices_are_bounded(post: Post) -> None:
    """Twenty an hour to an account; an address that is not confirmed gets none."""
    anna, bert = post.confirmed(), post.suite.register("bert")
    post.settle()
    before = len(post.mailbox.mails)
    for person in (anna, bert):
        session = post.suite.log_in(person)
        for _ in range(22):
            codes_of(post.suite, session, person)
    for _ in range(3):
        post.settle()
    assert [mail["To"] for mail in post.mailbox.mails[before:]] == ["anna@example.test"] * 20


def test_the_history_tells_of_it(story: Story) -> None:
    """What ended was revoked, and the change says that it was objected to; the device goes by a change of its own."""
    objected(story.post, story.taken_over)
    *_, back, unbound = story.suite.history(story.anna)
    told = [(event.kind, event.reason) for event in back.events]
    assert told == [(EventKind.SESSION_ENDED, Reason.REVOKED), (EventKind.OBJECTED, None)]
    assert [(event.kind, event.device_id) for event in unbound.events] == [
        (EventKind.DEVICE_REMOVED, story.thief.device_id)
    ]
