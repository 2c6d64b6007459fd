"""Each act of an operator is told to the account's mail, over real SMTP: by command as by the admin app."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from common.clock import system_clock
from ichidai.cli.accounts import app as accounts
from tests.support.mail_server import text_of
from tests.usecases.in_process_suite import HOUR, MINUTE, HandClock, Person, code_of
from tests.usecases.post import Post
from tests.usecases.test_address import objected
from tests.usecases.test_admin_app import Admin
from tests.usecases.test_notices import CLOSED
from tests.usecases.test_second_factor import enrolled

WHY = "ticket 4711: words that are the operator's own"
Act = Callable[..., None]


@pytest.fixture(params=["command", "admin app"])
def act(
    request: pytest.FixtureRequest,
    post: Post,
    keys: Path,
    clock: HandClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Act:
    """Return what acts on a person: with the keys of the suite, or by a command that finds none."""
    mailbox = f"smtp://127.0.0.1:{post.suite.suite.settings.registration.mail.port}"  # type: ignore[union-attr]
    if request.param == "admin app":
        app = Admin(post.suite.store.inner, keys, clock, tmp_path / "witness.json", ICHIDAI_MAIL=mailbox)

        def through_app(person: Person, name: str, **more: str) -> None:
            answer = app.act(name, person, **more)
            assert answer.status_code == 200, answer.get_data(as_text=True)

        return through_app
    environment = {
        "ICHIDAI_STORE_URL": f"sqlite:///{post.suite.file}",
        "ICHIDAI_KEYS_DIR": str(tmp_path / "no keys"),
        "ICHIDAI_MAIL": mailbox,
        "ICHIDAI_TEST_CHEAP_HASH": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def by_command(person: Person, name: str, device_id: str = "", password: str = "") -> None:
        ahead = clock.now - system_clock() + timedelta(seconds=1)
        monkeypatch.setenv("ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS", str(int(ahead.total_seconds())))
        sure = [] if name == "enable" else ["--yes"]
        words = [name, person.username, *([device_id] if device_id else []), "--reason", WHY, *sure]
        result = CliRunner().invoke(accounts, words, input=f"{password}\n")
        assert result.exit_code == 0, (result.output, result.exception)
        clock.move(MINUTE)  # what the command did a second ahead is past

    return by_command


def test_each_act_is_told_to_the_accounts_mail(post: Post, act: Act, clock: HandClock) -> None:
    """Once each, in its words and not the operator's; what an objection takes back has its link, the rest has none."""
    anna = post.confirmed()
    laptop = post.suite.pair(anna, "Laptop")
    enrolled(post.suite, anna)
    post.settle()
    for name, words, has_link, more in (
        ("end-sessions", "You were signed out everywhere.", False, {}),
        ("unbind", "A device was removed.", False, {"device_id": laptop.device_id}),
        ("reset-otp", "Two-step login was turned off.", True, {}),
        ("disable", "The account was disabled, and you were signed out everywhere.", False, {}),
        ("enable", "The account may be used again.", False, {}),
        ("set-password", "The password was changed.", True, {"password": "a phrase from the operator"}),
        ("close", CLOSED, True, {}),
    ):
        clock.move(HOUR)
        before = len(post.mailbox.mails)
        act(anna, name, **more)
        post.settle()
        (mail,) = post.mailbox.mails[before:]
        text = text_of(mail).replace("\r\n", "\n")
        assert mail["To"] == "anna@example.test"
        assert f"{words}\nAn operator of the service did this." in text, name
        assert ("#object=" in text) is has_link, name
        assert ("· Laptop" in text) is (name == "unbind")
        assert WHY not in text
        act(anna, name, **more) if name in ("disable", "enable") else None
        post.settle()
        assert len(post.mailbox.mails) == before + 1, name


def test_a_password_that_an_operator_was_talked_into_is_taken_back(post: Post, act: Act) -> None:
    """By the link of its notice, once: the owner chooses a new one, and the one that was handed over opens nothing."""
    anna = post.confirmed()
    act(anna, "set-password", password="a phrase for the thief")
    post.settle()
    token = post.mailbox.link("object")
    answer = objected(post, token)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    post.chosen(anna, answer.get_json()["reset_token"])
    body = {"username": "anna", "client_cert_fp": anna.first.fingerprint}
    assert code_of(post.suite.post("/login", {**body, "password": "a phrase for the thief"}))[0] == 401
    assert code_of(objected(post, token)) == (410, "link-spent")
