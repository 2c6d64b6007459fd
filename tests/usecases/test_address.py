"""Another mail address: its holder confirms it, whose it was may have it back, and a stranger takes none."""

from __future__ import annotations

from typing import Any

import pytest

from common.account.history import EventKind
from tests.support.mail_server import html_of, text_of
from tests.usecases.in_process_suite import DAY, PASSWORD, SECOND, Login, Person, account, code_of
from tests.usecases.post import Post

NEW = "new@example.test"


def ask(post: Post, session: Login, email: str = NEW, **more: Any) -> Any:
    """Ask for another address."""
    return post.suite.post("/registration/email", {"email": email, "password": PASSWORD, **more}, session.access)


def changed(post: Post, session: Login, email: str = NEW) -> str:
    """Change the address, which must succeed; return the token that did it."""
    assert ask(post, session, email).status_code == 200
    post.settle()
    assert post.mailbox.mails[-1]["To"] == email
    token = post.mailbox.link("confirm")
    assert confirm(post, token).status_code == 200
    post.settle()
    return token


def confirm(post: Post, token: str) -> Any:
    """Follow the link of a confirmation."""
    return post.suite.post("/registration/email/confirm", {"token": token})


def objected(post: Post, token: str) -> Any:
    """Follow a link that takes something back."""
    return post.suite.post("/registration/objection", {"token": token})


def email_of(post: Post, person: Person) -> Any:
    """Return what a new session is told of the address."""
    told = account(post.suite, post.suite.log_in(person))
    return told["email"], told["email_confirmed"]


def test_another_address_is_the_accounts_once_it_is_confirmed(post: Post) -> None:
    """Not before; then one logs in by it, and the one before is told."""
    anna = post.confirmed()
    session = post.suite.log_in(anna)
    assert code_of(ask(post, session, password="a guess")) == (401, "bad-credentials")
    assert ask(post, session).status_code == 200
    post.settle()
    token = post.mailbox.link("confirm")
    assert account(post.suite, session)["email"] == "anna@example.test"
    for _ in range(2):  # a link that is opened twice is no fault
        assert confirm(post, token).status_code == 200
    post.settle()
    assert (account(post.suite, session)["email"], account(post.suite, session)["email_confirmed"]) == (NEW, True)
    assert [event.kind for event in post.suite.history(anna)[-1].events] == [EventKind.EMAIL_CHANGED]
    notice = post.mailbox.mails[-1]
    assert notice["To"] == "anna@example.test"
    assert "The mail address was changed." in text_of(notice)
    assert post.forgot(email=NEW).status_code == 200
    post.settle()
    assert post.mailbox.mails[-1]["To"] == NEW


def test_a_taken_address_is_no_secret_to_its_owner_alone(post: Post) -> None:
    """The asker is told nothing; the owner is, and nothing has changed."""
    anna, _ = post.confirmed(), post.confirmed("bert")
    session = post.suite.log_in(anna)
    before = len(post.mailbox.mails)
    answers = [ask(post, session, email) for email in ("bert@example.test", "free@example.test")]
    assert [(answer.status_code, answer.get_json()) for answer in answers] == [(200, {"success": True})] * 2
    post.settle()
    sent = {mail["To"]: mail for mail in post.mailbox.mails[before:]}
    assert sent.keys() == {"bert@example.test", "free@example.test"}
    told = sent["bert@example.test"]
    assert "another account wanted to use this mail address" in text_of(told)
    assert "#" not in text_of(told)


def test_an_address_that_was_never_confirmed_is_told_nothing(post: Post) -> None:
    """Neither that another account wanted it, nor by a notice: its own confirmation was its one mail."""
    anna, carl = post.confirmed(), post.suite.register("carl")
    post.settle()
    before = len(post.mailbox.mails)
    assert ask(post, post.suite.log_in(anna), "carl@example.test").status_code == 200
    session = post.suite.log_in(carl)
    body = {"password": PASSWORD, "new_password": "an altogether new phrase of mine"}
    assert post.suite.post("/registration/password", body, session.access).status_code == 200
    assert post.forgot(username="carl").status_code == 200
    post.settle()
    assert post.mailbox.mails[before:] == []


def test_two_who_want_one_address(post: Post) -> None:
    """Whoever confirms first has it; the other's link is spent, and leaves nothing behind."""
    anna, bert = post.confirmed(), post.confirmed("bert")
    tokens = []
    for person in (anna, bert):
        assert ask(post, post.suite.log_in(person)).status_code == 200
        post.settle()
        tokens.append(post.mailbox.link("confirm"))
    assert confirm(post, tokens[0]).status_code == 200
    assert code_of(confirm(post, tokens[1])) == (410, "link-spent")
    assert email_of(post, bert) == ("bert@example.test", True)


def test_an_address_of_before_is_kept_for_seven_days(post: Post) -> None:
    """Nobody else has it until then, to the second; its account may have it back."""
    anna = post.confirmed()
    changed(post, post.suite.log_in(anna))
    body = {"username": "carl", "email": "anna@example.test", "password": PASSWORD}
    post.suite.clock.move(7 * DAY - SECOND)
    assert code_of(post.suite.post("/registration/", body)) == (409, "email-taken")
    changed(post, post.suite.log_in(anna), "anna@example.test")
    assert email_of(post, anna) == ("anna@example.test", True)
    post.suite.clock.move(7 * DAY)
    assert post.suite.post("/registration/", {**body, "email": NEW}).status_code == 200
    assert code_of(post.suite.post("/registration/", body)) == (409, "username-taken")


def test_an_older_link_changes_nothing(post: Post) -> None:
    """Neither one for an address that is no more, nor one from before a new password."""
    anna = post.confirmed()
    session = post.suite.log_in(anna)
    first = changed(post, session, "first@example.test")
    changed(post, session, "second@example.test")
    assert code_of(confirm(post, first)) == (410, "link-spent")
    assert ask(post, session).status_code == 200
    post.settle()
    body = {"password": PASSWORD, "new_password": "an altogether new phrase of mine"}
    assert post.suite.post("/registration/password", body, session.access).status_code == 200
    assert code_of(confirm(post, post.mailbox.link("confirm"))) == (410, "link-spent")


def test_not_my_account(post: Post) -> None:
    """The holder of an address that was never confirmed takes it off a stranger's account, and may use it."""
    mallory = post.suite.register("mallory")
    post.settle()
    (mail,) = post.mailbox.mails
    assert post.mailbox.link("object") in html_of(mail)
    for _ in range(2):
        assert objected(post, post.mailbox.link("object")).get_json() == {"success": True}
    assert email_of(post, mallory) == (None, False)
    body = {"username": "anna", "email": "mallory@example.test", "password": PASSWORD}
    assert post.suite.post("/registration/", body).status_code == 200
    assert code_of(confirm(post, post.mailbox.link("confirm"))) == (410, "link-spent")


def test_a_confirmed_address_is_not_taken_off(post: Post) -> None:
    """By the link that came with its confirmation."""
    anna = post.confirmed()
    assert code_of(objected(post, post.mailbox.link("object"))) == (410, "link-spent")
    assert email_of(post, anna) == ("anna@example.test", True)


@pytest.mark.parametrize("times", [1, 3])
def test_the_old_address_takes_it_back(post: Post, times: int) -> None:
    """Within seven days, however often the thief changed it; the thief's addresses are free again."""
    anna = post.confirmed()
    session = post.suite.log_in(anna)
    thiefs = [f"thief{number}@example.test" for number in range(times)]
    for email in thiefs:
        changed(post, session, email)
    notice = next(mail for mail in post.mailbox.mails if "The mail address was changed." in text_of(mail))
    assert notice["To"] == "anna@example.test"
    token = text_of(notice).partition("#object=")[2].split()[0]
    post.suite.clock.move(7 * DAY - SECOND)
    answer = objected(post, token)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    back, _ = post.chosen(anna, answer.get_json()["reset_token"], keep_devices=True)
    assert email_of(post, back) == ("anna@example.test", True)
    for number, email in enumerate(thiefs):
        body = {"username": f"carl{number}", "email": email, "password": PASSWORD}
        assert post.suite.post("/registration/", body).status_code == 200
    body = {"username": "dora", "email": "anna@example.test", "password": PASSWORD}
    assert code_of(post.suite.post("/registration/", body)) == (409, "email-taken")
