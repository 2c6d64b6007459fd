"""Mails through a real SMTP server: an address confirmed, a forgotten password, and what a stranger learns: nothing."""

from __future__ import annotations

import smtplib
import threading
from collections.abc import Callable
from datetime import timedelta
from email.message import EmailMessage

import pytest

from common.account.history import EventKind, Reason
from common.errors import Code, Refusal
from registration import later
from registration.config import MailServer
from registration.mail_model import MailKind
from registration.mail_queue import send_by_smtp
from registration.mailing import MailLink, read_link, token_of
from tests.support.mail_server import html_of, serving_mail, text_of
from tests.support.signing import enrolling, p256_keys
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    DAY,
    HOUR,
    MILLISECOND,
    MINUTE,
    SECOND,
    InProcessSuite,
    Person,
    account,
    as_login,
    code_of,
)
from tests.usecases.post import Post
from tests.usecases.signers import Signer
from tests.usecases.test_calls_and_factors import made_passkey
from tests.usecases.test_second_factor import enrolled
from tests.usecases.watched_store import StoreCall

# --- Confirming -------------------------------------------------------------------------------------------------


def test_a_registration_sends_its_link_by_itself(post: Post) -> None:
    """Text and HTML, from and to the right addresses; the link confirms the address once it is posted."""
    anna = post.suite.register()
    session = post.suite.log_in(anna)
    post.settle()
    (mail,) = post.mailbox.mails
    assert (mail["To"], mail["From"]) == ("anna@example.test", "ichidai@localhost")
    assert "http://localhost:8000/registration/#confirm=" in text_of(mail)
    assert post.mailbox.link("confirm") in html_of(mail)
    assert account(post.suite, session)["email_confirmed"] is False
    for _ in range(2):  # a link that is opened twice is no fault
        answer = post.suite.post("/registration/email/confirm", {"token": post.mailbox.link("confirm")})
        assert answer.status_code == 200
    assert account(post.suite, session)["email_confirmed"] is True
    assert [event.kind for event in post.suite.history(anna)[-1].events] == [EventKind.EMAIL_CONFIRMED]


def test_mails_are_in_the_language_of_the_request(post: Post) -> None:
    """Japanese for whoever asked for it."""
    body = {"username": "花子", "email": "hanako@example.test", "password": "correct horse battery"}
    assert post.suite.post("/registration/", body, Accept_Language="ja").status_code == 200
    post.settle()
    (mail,) = post.mailbox.mails
    assert mail["Subject"] == "Ichidai: メールアドレスの確認"
    assert "花子 様" in text_of(mail)
    assert "<p>花子 様</p>" in html_of(mail)


def test_a_name_is_no_markup(post: Post) -> None:
    """In the HTML of a mail it is escaped."""
    body = {"username": "<b>anna", "email": "b@example.test", "password": "correct horse battery"}
    assert post.suite.post("/registration/", body).status_code == 200
    post.settle()
    assert "&lt;b&gt;anna" in html_of(post.mailbox.mails[0])


@pytest.mark.parametrize("address", ["<b>anna@example.test", '"@example.test', "a b@example.test", "a@[", "a..b@x y"])
def test_an_address_that_no_mail_can_have(post: Post, address: str) -> None:
    """Registers as before, gets no mail, and is in nobody's way."""
    body = {"username": "anna", "email": address, "password": "correct horse battery"}
    assert post.suite.post("/registration/", body).status_code == 200
    post.suite.register("bert")
    post.settle()
    assert [mail["To"] for mail in post.mailbox.mails] == ["bert@example.test"]
    assert post.suite.content()["MailsTable"] == []


def test_the_own_address_is_confirmed_later_too(post: Post) -> None:
    """By the password, for accounts that are older than the mails."""
    anna = post.suite.register()
    session, body = post.suite.log_in(anna), {"email": "Anna@example.test", "password": anna.password}
    assert code_of(post.suite.post("/registration/email", {**body, "password": "x"}, session.access))[0] == 401
    assert post.suite.post("/registration/email", body, session.access).status_code == 200
    post.settle()
    assert len(post.mailbox.mails) == 2


# --- What a stranger learns ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [{"username": "nobody"}, {"email": "nobody@example.test"}, {"username": "bert"}])
def test_a_stranger_learns_nothing(post: Post, name: dict[str, str]) -> None:
    """Nobody, and somebody whose address is not confirmed: the answer is the same, and no mail leaves."""
    anna = post.confirmed()
    post.suite.register("bert")
    post.settle()
    before = len(post.mailbox.mails)
    for path in ({"username": anna.username}, name):
        answer = post.forgot(**path)
        assert (answer.status_code, answer.get_json()) == (200, {"success": True})
    post.settle()
    assert [mail["To"] for mail in post.mailbox.mails[before:]] == ["anna@example.test"]


def test_the_answer_waits_for_nothing_that_depends_on_the_account(post: Post) -> None:
    """The same calls of the store, with and without an account; what is sent is looked up after the answer."""
    anna = post.confirmed()
    gate = threading.Event()

    def hold() -> None:
        gate.wait(20)

    post.suite.suite.mailing.later.run(hold)
    calls = []
    for name in (anna.username, "nobody"):
        post.suite.store.watch()
        assert post.forgot(username=name).status_code == 200
        calls.append([(call.verb, call.tables) for call in post.suite.store.calls])
    gate.set()
    assert calls[0] == calls[1]
    assert {table for _, tables in calls[0] for table in tables} == {"ThrottleTable"}


def test_when_an_account_is_looked_up_nobody_can_foretell(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a random moment of three seconds, or the caller's next request would be slower where there is one."""
    spread: list[float] = []
    monkeypatch.setattr(later, "jitter", lambda seconds: spread.append(seconds) or 0.0)
    assert post.forgot(username="nobody").status_code == 200
    assert spread == [3.0]


def test_many_mails_are_bounded(post: Post) -> None:
    """Five an hour to an account; then none is sent and the last link stays good. A source is told, an account not."""
    anna = post.confirmed()
    token = post.asked(anna)
    for _ in range(6):
        assert post.forgot(email="anna@example.test").status_code == 200
    post.settle()
    assert len(post.mailbox.mails) == 5
    answers = [post.forgot(username="nobody").status_code for _ in range(20)]
    assert set(answers) == {200, 429}
    post.chosen(anna, token)


def test_the_sixth_link_comes_after_twelve_minutes(post: Post) -> None:
    """Five at once, and then five an hour."""
    anna = post.confirmed()
    for _ in range(5):
        post.forgot(username=anna.username)
    for waited, mails in ((12 * MINUTE - SECOND, 5), (SECOND, 6), (SECOND, 6)):
        post.settle()
        post.suite.clock.move(waited)
        post.forgot(username=anna.username)
        post.settle()
        assert len(post.mailbox.mails) == mails


# --- A new password -----------------------------------------------------------------------------------------------


def test_a_forgotten_password(build_post: Callable[..., Post]) -> None:
    """One commit: the new password, all sessions out, this browser a device; the others are unbound after it."""
    post = build_post(MAX_CONCURRENT_DEVICES="2")
    anna = post.confirmed()
    phone, laptop = post.suite.log_in(anna), post.suite.log_in(anna, post.suite.pair(anna))
    after, device = post.chosen(anna, post.asked(anna))
    change, *unbound = post.suite.history(anna)[-3:]
    assert [(event.kind, event.reason) for event in change.events] == [
        (EventKind.SESSION_ENDED, Reason.PASSWORD_CHANGED),
        (EventKind.SESSION_ENDED, Reason.PASSWORD_CHANGED),
        (EventKind.PASSWORD_CHANGED, None),
        (EventKind.DEVICE_ADDED, None),
    ]
    assert [event.kind for entry in unbound for event in entry.events] == [EventKind.DEVICE_REMOVED] * 2
    assert [code_of(post.suite.verify(each)) for each in (phone, laptop)] == [(401, "session-ended")] * 2
    assert code_of(post.suite.login(anna)) == (401, "bad-credentials")
    assert code_of(post.suite.login(after)) == (401, "certificate-revoked")
    session = post.suite.log_in(after, device)
    assert account(post.suite, session)["devices"] == 1


def test_devices_may_be_kept(post: Post) -> None:
    """They log in with the new password."""
    anna = post.confirmed()
    after, _ = post.chosen(anna, post.asked(anna), keep_devices=True)
    post.suite.log_in(after)


@pytest.mark.parametrize("most", [1, 2])
def test_with_as_many_devices_as_there_may_be(build_post: Callable[..., Post], most: int) -> None:
    """Who has lost them all is let in, in their place; if they are kept that is refused, and link and code stay."""
    post = build_post(ICHIDAI_MAX_DEVICES=str(most))
    anna = post.confirmed()
    for _ in range(most - 1):
        post.suite.pair(anna)
    careful = enrolled(post.suite, anna)
    token, code = post.asked(anna), careful.recovery_codes[0]
    before = post.suite.content()
    assert code_of(post.reset(token, keep_devices=True, otp=code)) == (409, "too-many-devices")
    assert post.suite.content() == before
    after, device = post.chosen(anna, token, otp=code)
    session = as_login(post.suite.login(after, device, otp=careful.recovery_codes[1]))
    assert account(post.suite, session)["devices"] == 1


def test_a_link_works_once_and_for_fifteen_minutes(post: Post) -> None:
    """Every link of before is void with the new password; to the second."""
    anna = post.confirmed()
    first, second = post.asked(anna), post.asked(anna)
    post.suite.clock.move(15 * MINUTE - SECOND)
    post.chosen(anna, second)
    assert [code_of(post.reset(each)) for each in (first, second)] == [(410, "link-spent")] * 2
    token = post.asked(anna)
    post.suite.clock.move(15 * MINUTE)
    assert code_of(post.reset(token)) == (410, "link-spent")


@pytest.mark.parametrize(
    ("kind", "lifetime"),
    [
        (MailKind.RESET, 15 * MINUTE),
        (MailKind.CONFIRM, DAY),
        (MailKind.CHANGE, DAY),
        (MailKind.NOTICE, 7 * DAY),
        (MailKind.DISOWN, 30 * DAY),
    ],
)
def test_how_long_a_link_is_good(post: Post, kind: MailKind, lifetime: timedelta) -> None:
    """To the millisecond, for each kind."""
    mailing, link = post.suite.suite.mailing, MailLink(kind, "anna", "anna@example.test", "", 1)
    token = token_of(mailing, link)
    post.suite.clock.move(lifetime - MILLISECOND)
    assert read_link(mailing, token, kind) == link
    post.suite.clock.move(MILLISECOND)
    with pytest.raises(Refusal) as refused:
        read_link(mailing, token, kind)
    assert refused.value.code is Code.LINK_SPENT


@pytest.mark.parametrize("keep", [False, True])
def test_a_reset_voids_the_passkeys_unless_devices_are_kept(post: Post, keep: bool) -> None:  # noqa: FBT001
    """Whoever forced the reset may have made one."""
    anna = post.confirmed()
    made_passkey(post.suite, anna, post.suite.log_in(anna))
    after, phone = post.chosen(anna, post.asked(anna), keep_devices=keep)
    told = [event.kind for entry in post.suite.history(anna) for event in entry.events]
    assert told.count(EventKind.PASSKEY_REMOVED) == int(not keep)
    assert account(post.suite, post.suite.log_in(after, phone))["passkeys"] == int(keep)


def test_what_is_refused_leaves_the_link_good(post: Post) -> None:
    """A weak password, a token that is none of ours, or of another link."""
    anna = post.confirmed()
    confirm, token = post.mailbox.link("confirm"), post.asked(anna)
    before = post.suite.content()
    assert code_of(post.reset(token, new_password="short")) == (400, "weak-password")
    assert code_of(post.reset(token, new_password="anna@example.test")) == (400, "weak-password")
    for other in ("junk", token[:-4] + "AAAA", confirm):
        assert code_of(post.reset(other)) == (400, "invalid-request")
    assert code_of(post.suite.post("/registration/email/confirm", {"token": token})) == (400, "invalid-request")
    assert post.suite.content() == before
    post.chosen(anna, token)


def test_a_second_factor_is_asked_for(post: Post) -> None:
    """A code of the app or a recovery code; a stolen mailbox alone is not enough."""
    anna = post.confirmed()
    careful = enrolled(post.suite, anna)
    token = post.asked(anna)
    assert code_of(post.reset(token)) == (401, "otp-required")
    assert code_of(post.reset(token, otp="AAAA-BBBB-CCCC")) == (401, "otp-invalid")
    after, device = post.chosen(anna, token, recovery_code=careful.recovery_codes[0])
    as_login(post.suite.login(after, device, otp=careful.recovery_codes[1]))


def test_a_browser_brings_its_own_key(post: Post) -> None:
    """Its statement names the token where a registration's names the user."""
    anna = post.confirmed()
    token, keys = post.asked(anna), p256_keys()
    assert code_of(post.reset(token, **enrolling(keys, "anna"))) == (401, "proof-invalid")
    after, device = post.chosen(anna, token, **enrolling(keys, token))
    assert Signer(post.suite, after, device, keys).login().status_code == 200
    body = {"username": "bert", "email": "bert@example.test", "password": "correct horse battery"}
    assert code_of(post.suite.post("/registration/", {**body, **enrolling(keys, "bert")})) == (409, "key-in-use")


# --- The queue ----------------------------------------------------------------------------------------------------


def test_a_mail_is_tried_again_under_the_same_id(post: Post) -> None:
    """With growing pauses; nothing is in the way of the account meanwhile."""
    post.mailbox.refuse = True
    anna = post.suite.register()
    post.settle()
    post.settle()
    assert post.mailbox.tries == 1
    post.suite.clock.move(MINUTE)
    post.settle()
    post.suite.clock.move(MINUTE)
    post.settle()
    assert post.mailbox.tries == 2
    post.suite.log_in(anna)
    post.mailbox.refuse = False
    post.suite.clock.move(MINUTE)
    post.settle()
    post.settle()
    (mail,) = post.mailbox.mails
    assert len(mail["Message-ID"]) > 30
    assert post.mailbox.ids == [mail["Message-ID"]] * 3
    assert post.suite.content()["MailsTable"] == []


@pytest.mark.parametrize(("age", "mails"), [(DAY - SECOND, 1), (DAY, 0)])
def test_after_a_day_it_is_given_up(post: Post, age: timedelta, mails: int) -> None:
    """And nobody is mailed what is a day old."""
    post.mailbox.refuse = True
    post.suite.register()
    post.settle()
    post.mailbox.refuse = False
    post.suite.clock.move(age)
    post.settle()
    assert len(post.mailbox.mails) == mails


def test_a_server_elsewhere_is_spoken_to_over_tls_or_not_at_all() -> None:
    """One that offers none is handed nothing, neither a mail nor a password."""
    message = EmailMessage()
    message["To"] = "anna@example.test"
    with serving_mail() as (address, mailbox):
        port = int(address.rpartition(":")[2])
        server = MailServer("127.0.0.1", port, "user", "secret", "suite@example.test", is_loopback=False)
        with pytest.raises(smtplib.SMTPNotSupportedError, match="STARTTLS"):
            send_by_smtp(server, message)
    assert mailbox.mails == []


def test_two_processes_send_it_once(build_suite: Build, post: Post) -> None:
    """The one that takes it later finds it taken, also while it is being sent."""
    elsewhere = build_suite(ICHIDAI_MAIL="smtp://127.0.0.1:9")
    post.suite.register()
    assert post.suite.suite.mailing.later.finish(20)

    def rival(_call: StoreCall) -> None:
        elsewhere.suite.mail_queue.send_due()

    post.suite.store.watch(before=rival)
    post.suite.suite.mail_queue.send_due()
    assert post.mailbox.tries == 0
    post.suite.store.watch()
    post.suite.clock.move(HOUR)
    post.settle()
    assert post.mailbox.tries == 1


def test_without_mails_there_are_none(suite: InProcessSuite, anna: Person) -> None:
    """The same for everybody, and nothing waits."""
    for name in (anna.username, "nobody"):
        assert code_of(suite.post("/registration/password/forgot", {"username": name})) == (400, "not-supported")
    assert suite.content()["MailsTable"] == []
