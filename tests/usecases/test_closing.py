"""A closed account: nothing of it may be used, its name stays taken, and for some days its owner reopens it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from werkzeug.test import TestResponse

from common.account.book import AccountState, Book
from common.account.history import EventKind, Reason
from common.clock import to_rfc3339
from common.storage.tables import SESSIONS
from tests.support.mail_server import text_of
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    DAY,
    PASSWORD,
    SECOND,
    Device,
    InProcessSuite,
    Login,
    Person,
    code_of,
    ended,
)
from tests.usecases.post import Post
from tests.usecases.test_second_factor import enrolled

CLOSED, WRONG = (403, "account-closed"), (401, "bad-credentials")


def close(suite: InProcessSuite, session: Login, password: str = PASSWORD, **more: Any) -> TestResponse:
    """Ask to close the account of a session."""
    return suite.post("/registration/close", {"password": password, **more}, session.access)


def closed(suite: InProcessSuite, session: Login, **more: Any) -> str:
    """Close it, which must succeed; return until when it can be reopened."""
    answer = close(suite, session, **more)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return str(answer.get_json()["reopen_until"])


def reopen(suite: InProcessSuite, person: Person, **more: Any) -> TestResponse:
    """Ask to reopen an account."""
    return suite.post("/registration/reopen", {"username": person.username, "password": person.password, **more})


def test_nothing_of_it_may_be_used(build_suite: Build) -> None:
    """A right password is told until when, at every endpoint; a wrong one is an unknown name's; nothing is changed."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="2")
    anna = suite.register()
    laptop, qr_code = suite.pair(anna, "Laptop"), suite.qr_code(anna)
    phone, other = suite.log_in(anna), suite.log_in(anna, laptop)
    assert code_of(close(suite, phone, "a guess")) == WRONG
    assert code_of(suite.post("/registration/close", {}, phone.access)) == (400, "missing-fields")
    until = closed(suite, phone)
    assert until == to_rfc3339(suite.clock() + 14 * DAY)
    events = [(event.kind, event.reason) for event in suite.history(anna)[-1].events]
    assert events == [(EventKind.SESSION_ENDED, Reason.REVOKED)] * 2 + [(EventKind.ACCOUNT_CLOSED, None)]
    for session in (phone, other):
        assert ended(suite.verify(session)) == ended(suite.refresh(session.refresh)) == "revoked"
    content = suite.content()
    for path in ("/login", "/login/force", "/session/create"):
        for device in (anna.first, laptop):
            answer = suite.login(anna, device, path=path)
            assert code_of(answer) == CLOSED
            assert answer.get_json()["reopen_until"] == until
            assert until in answer.get_json()["detail"]
    named = {"username": "anna", "password": PASSWORD}
    for path in ("/registration/", "/device/register"):
        assert code_of(suite.post(path, {**named, "qr_code": qr_code, "force": True})) == CLOSED
    pairing = {**named, "client_cert_fp": anna.first.fingerprint}
    assert code_of(suite.post("/registration/request_pairing_token", pairing)) == CLOSED
    mallory = {**named, "email": "mallory@example.test", "password": "a long enough phrase"}
    assert code_of(suite.post("/registration/", mallory)) == (409, "username-taken")
    assert suite.content() == content
    wrong = [suite.login(anna, password="wrong"), suite.post("/login", {**pairing, "username": "nobody"})]
    assert [code_of(each) for each in wrong] == [WRONG] * 2
    assert wrong[0].get_json().keys() == wrong[1].get_json().keys()


def test_it_is_reopened_as_it_was(suite: InProcessSuite, anna: Person, laptop: Device) -> None:
    """By the password; what ended stays ended, the devices stay, and once more changes nothing."""
    phone = suite.log_in(anna)
    closed(suite, phone)
    suite.clock.move(14 * DAY - SECOND)
    assert suite.suite.erasure.erase_due() == 0
    assert code_of(suite.post("/registration/reopen", {"username": "anna", "password": "a guess"})) == WRONG
    assert reopen(suite, anna).get_json() == {"success": True}
    assert [event.kind for event in suite.history(anna)[-1].events] == [EventKind.ACCOUNT_REOPENED]
    assert code_of(suite.verify(phone)) == (401, "session-ended")
    book = suite.book(anna)
    assert reopen(suite, anna).status_code == 200
    assert suite.book(anna) == book
    suite.log_in(anna, laptop)
    suite.clock.move(DAY)
    for _ in range(3):  # the row that said when is taken away, and nothing else
        assert suite.suite.erasure.erase_due() == 0
    assert not any("closings" in row[0] for row in suite.content()["FeedTable"])
    assert suite.log_in(anna, force=True)


def test_closed_again_its_days_begin_anew(suite: InProcessSuite, anna: Person) -> None:
    """What was written at the first closing says nothing."""
    closed(suite, suite.log_in(anna))
    suite.clock.move(10 * DAY)
    reopen(suite, anna)
    until = closed(suite, suite.log_in(anna))
    suite.clock.move(10 * DAY)
    for _ in range(3):
        assert suite.suite.erasure.erase_due() == 0
    answer = suite.login(anna)
    assert code_of(answer) == CLOSED
    assert answer.get_json()["reopen_until"] == until
    assert reopen(suite, anna).status_code == 200


def test_after_its_days_nobody_reopens_it(build_suite: Build) -> None:
    """To the second, also before anything was erased; the days are a setting."""
    suite = build_suite(ICHIDAI_CLOSE_DAYS="3")
    anna = suite.register()
    closed(suite, suite.log_in(anna))
    suite.clock.move(3 * DAY)
    assert code_of(reopen(suite, anna)) == code_of(suite.login(anna)) == CLOSED


def test_a_second_factor_is_asked_for(suite: InProcessSuite, anna: Person) -> None:
    """At both calls."""
    careful = enrolled(suite, anna)
    codes = iter(careful.recovery_codes)
    phone = suite.log_in(anna, otp=next(codes))
    assert code_of(close(suite, phone)) == (401, "otp-required")
    closed(suite, phone, otp=next(codes))
    assert code_of(reopen(suite, anna)) == (401, "otp-required")
    assert code_of(reopen(suite, anna, otp="AAAA-BBBB-CCCC")) == (401, "otp-invalid")
    assert reopen(suite, anna, otp=next(codes)).status_code == 200
    suite.log_in(anna, otp=next(codes))


def test_a_new_password_by_mail_reopens_it(post: Post) -> None:
    """A user who closed the account and forgot the password has the mail address still."""
    anna = post.confirmed()
    closed(post.suite, post.suite.log_in(anna))
    after, phone = post.chosen(anna, post.asked(anna))
    events = [event.kind for entry in post.suite.history(anna) for event in entry.events]
    assert EventKind.ACCOUNT_REOPENED in events
    post.suite.log_in(after, phone)


def test_its_owner_is_told(build_post: Callable[..., Post]) -> None:
    """By mail, with a link that takes it back; of the reopening too."""
    post = build_post()
    anna = post.confirmed()
    closed(post.suite, post.suite.log_in(anna))
    post.settle()
    assert "The account was closed." in text_of(post.mailbox.mails[-1])
    reopen(post.suite, anna)
    post.settle()
    assert "The account was reopened." in text_of(post.mailbox.mails[-1])


def test_disabled_and_closed(suite: InProcessSuite, anna: Person) -> None:
    """Its owner cannot reopen what an operator disabled; once enabled it is closed still."""
    closed(suite, suite.log_in(anna))
    suite.put_book(replace(suite.book(anna), state=AccountState.DISABLED))
    assert suite.book(anna).standing is AccountState.DISABLED
    assert code_of(suite.login(anna)) == code_of(reopen(suite, anna)) == (403, "account-disabled")
    suite.put_book(replace(suite.book(anna), state=AccountState.ACTIVE))
    assert suite.book(anna).standing is AccountState.CLOSED
    assert code_of(suite.login(anna)) == CLOSED
    assert reopen(suite, anna).status_code == 200


def test_an_earlier_release_sees_a_disabled_account(suite: InProcessSuite, anna: Person) -> None:
    """It lets nobody in, and what it does not know it carries through."""
    closed(suite, suite.log_in(anna))
    item = suite.store.inner.get(SESSIONS.key(anna.uuid))
    assert item is not None
    assert item["state"] == "disabled"
    assert Book.from_item(item).state is AccountState.ACTIVE
    assert Book.from_item(Book.from_item(item).to_item()) == Book.from_item(item)
