"""A forgotten password in the browser: from the confirmed address to the first login with the new password."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import CHEAP
from tests.browser.window import Window, somebody
from tests.support import axe
from tests.support.mail_server import Mailbox, serving_mail
from tests.support.ports import free_port
from tests.support.servers import Suite, combined

Windows = Callable[..., Window]

NEW = "an altogether new phrase"


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Suite, Mailbox]]:
    """Return a suite that sends mails, and where they arrive."""
    with serving_mail() as (address, mailbox):
        settings = {**CHEAP, "ICHIDAI_MAIL": address, "ICHIDAI_EVENTS_PORT": str(free_port())}
        suite = combined(tmp_path_factory.mktemp("mail"), **settings)
        suite.start()
        try:
            yield suite, mailbox
        finally:
            suite.stop()


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_a_forgotten_password(open_window: Windows, post: tuple[Suite, Mailbox], locale: str) -> None:
    """Confirmed by a click on the first link, asked for on the login page, chosen in an empty browser, and in."""
    suite, mailbox = post
    base = suite.servers[0].base
    options = {"locale": locale, "viewport": {"width": 320, "height": 640}, "reduced_motion": "reduce"}
    person, old, window = somebody(), open_window(base, locale=locale), open_window(base, **options)
    arrived = len(mailbox.mails)
    old.register(person)
    mailbox.wait(arrived + 1)
    old.page.goto("/#security")
    card = old.page.get_by_role("region", name=old.said("Mail address"))
    expect(old.page.get_by_text(old.said("not confirmed"))).to_be_visible()
    expect(card.get_by_label(old.said("Email"), exact=True)).to_have_value(person.email)
    old.page.goto(f"/registration/#confirm={mailbox.link('confirm')}")
    expect(old.button("Yes, it is mine")).to_be_visible()
    assert "POST /registration/email/confirm" not in old.calls  # programs that scan mails open links
    old.button("Yes, it is mine").click()
    expect(old.page.get_by_role("status")).to_have_text(old.said("The mail address is confirmed."))
    assert "confirm" not in old.page.url
    expect(old.button("Cancel")).to_be_hidden()
    assert "POST /registration/email/confirm" in old.calls
    old.button("Close").click()
    old.is_inside(person)
    old.page.goto("/#security")
    expect(old.page.get_by_text(person.email)).to_be_visible()
    expect(old.page.get_by_text(old.said("not confirmed"))).to_be_hidden()
    expect(card.get_by_label(old.said("Email"), exact=True)).to_have_value("")
    window.page.goto("/login")
    window.button("Forgot your password?").click()
    window.page.get_by_role("dialog").get_by_label(window.said("Email"), exact=True).fill(person.email)
    assert axe.violations(window.page) == []
    window.button("Send the link").click()
    expect(window.page.get_by_role("dialog").get_by_role("status")).to_be_visible()
    mailbox.wait(arrived + 2)
    window.page.goto(f"{window.base}/registration/#reset={mailbox.link('reset')}")
    window.button("Cancel").click()
    expect(window.heading("Log in")).to_be_visible()
    window.page.goto(f"{window.base}/registration/#reset={mailbox.link('reset')}")
    dialog = window.page.get_by_role("dialog", name=window.said("Choose a new password"))
    dialog.get_by_label(window.said("Username"), exact=True).fill(person.username)
    dialog.get_by_label(window.said("New password"), exact=True).fill(NEW)
    assert axe.violations(window.page) == []
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 320
    window.button("Set the password").click()
    window.registered()
    window.log_in(replace(person, password=NEW))


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_that_was_not_me(open_window: Windows, post: tuple[Suite, Mailbox], locale: str) -> None:
    """A thief with the password changes the mail address; the old one's link takes it back, and the thief is out."""
    suite, mailbox = post
    base = suite.servers[0].base
    person, thief = somebody(), open_window(base, locale=locale)
    arrived = len(mailbox.mails)
    thief.register(person)
    mailbox.wait(arrived + 1)
    thief.page.goto(f"/registration/#confirm={mailbox.link('confirm')}")
    thief.button("Yes, it is mine").click()
    expect(thief.page.get_by_role("status")).to_have_text(thief.said("The mail address is confirmed."))
    thief.page.goto("/login")
    thief.log_in(person)
    thief.page.get_by_role("link", name=thief.said("Account and security")).click()
    card = thief.page.get_by_role("region", name=thief.said("Mail address"))
    card.get_by_label(thief.said("Email"), exact=True).fill(f"thief-{person.email}")
    card.get_by_label(thief.said("Password"), exact=True).fill(person.password)
    card.locator("button[type=submit]").click()
    expect(thief.page.get_by_role("status")).to_be_visible()
    assert axe.violations(thief.page) == []
    mailbox.wait(arrived + 2)
    answer = thief.page.request.post(f"{base}/registration/email/confirm", data={"token": mailbox.link("confirm")})
    assert answer.ok
    mails = mailbox.wait(arrived + 3)
    assert mails[-1]["To"] == person.email
    window = open_window(base, locale=locale, viewport={"width": 320, "height": 640}, reduced_motion="reduce")
    window.page.goto(f"{window.base}/registration/#object={mailbox.link('object')}")
    expect(window.page.get_by_role("dialog", name=window.said("That was not me"))).to_be_visible()
    assert "object" not in window.page.url
    assert axe.violations(window.page) == []
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 320
    window.button("Take it back").click()
    dialog = window.page.get_by_role("dialog", name=window.said("Choose a new password"))
    dialog.get_by_label(window.said("Username"), exact=True).fill(person.username)
    dialog.get_by_label(window.said("New password"), exact=True).fill(NEW)
    window.button("Set the password").click()
    window.registered()
    expect(thief.heading("You've been signed out").or_(thief.heading("Signed out"))).to_be_visible(timeout=20_000)
    window.log_in(replace(person, password=NEW))
    window.page.goto("/#history")
    window.page.get_by_role("button", name=window.said("That was not me")).first.click()
    asked = window.page.get_by_role("dialog")
    asked.get_by_label(window.said("Password"), exact=True).fill(NEW)
    assert axe.violations(window.page) == []
    asked.get_by_role("button", name=window.said("Take it back")).click()
    expect(window.page.get_by_role("status")).to_be_visible()
