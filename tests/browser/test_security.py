"""The account's page: another password, recovery codes, signing out everywhere; the way back in an empty browser."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import Route, expect

from tests.browser.test_second_factor import kept_codes
from tests.browser.window import Person, Window, somebody
from tests.support import axe
from tests.support.client import Client, bearer, granted

Windows = Callable[..., Window]

pytestmark = pytest.mark.requirement("R72")

NEW = "an altogether new phrase"


def at_account(window: Window, person: Person) -> None:
    """Register, log in, and go to the account's page."""
    window.register(person)
    window.log_in(person)
    window.page.get_by_role("link", name=window.said("Account and security")).click()
    expect(window.heading("Account and security")).to_be_visible()
    expect(window.page.get_by_text(person.email)).to_be_visible()


def make_codes(window: Window, person: Person) -> list[str]:
    """Make recovery codes on the account's page, and keep them."""
    card = window.page.get_by_role("region", name=window.said("Recovery codes"))
    card.get_by_label(window.said("Password"), exact=True).fill(person.password)
    window.button("Make recovery codes").click()
    return kept_codes(window)


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_another_password(open_window: Windows, client: Client, locale: str) -> None:
    """This session goes on with new tokens, and only the new password logs in; a wrong one is told."""
    person, window = somebody(), open_window(locale=locale)
    at_account(window, person)
    before = window.tokens["refresh_token"]
    window.fill({"Present password": "a guess of somebody", "New password": NEW})
    window.button("Change the password").click()
    told = "The password is wrong." if locale == "en-GB" else "パスワードが正しくありません。"
    window.is_refused("Present password", told)
    window.fill({"Present password": person.password, "New password": NEW})
    with window.page.expect_response("**/registration/password") as answered:
        window.button("Change the password").click()
    answer = answered.value.json()
    expect(window.page.get_by_role("status")).to_have_text(window.said("The password was changed."))
    assert answer["refresh_token"] != before
    window.page.reload()
    expect(window.heading("Account and security")).to_be_visible()
    granted(client.get("/session/verify", headers=bearer(answer["access_token"])))
    window.button("Log out").click()
    expect(window.heading("Log in")).to_be_visible()
    window.log_in(replace(person, password=NEW))


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_an_empty_browser_comes_back_by_a_recovery_code(open_window: Windows, locale: str) -> None:
    """With codes made on the account's page; the old browser is out at once, and the code works no more."""
    person, lost, window = somebody(), open_window(locale=locale), open_window(locale=locale)
    at_account(lost, person)
    codes = make_codes(lost, person)
    assert len(codes) == 10
    expect(lost.page.get_by_role("status")).to_have_text(lost.said("Recovery codes were made."))
    expect(lost.page.get_by_role("region", name=lost.said("Your account"))).to_contain_text("10")
    window.page.goto("/login")
    window.button("Lost all devices?").click()
    dialog = window.page.get_by_role("dialog", name=window.said("Lost all devices?"))
    fields = {"Username": person.username, "Password": person.password, "New password": NEW}
    for label, value in {**fields, "Recovery code": "AAAA-BBBB-CCCC"}.items():
        dialog.get_by_label(window.said(label), exact=True).fill(value)
    window.button("Back to my account").click()
    window.is_refused("Recovery code", within=dialog)
    dialog.get_by_label(window.said("Recovery code"), exact=True).fill(codes[0])
    window.button("Back to my account").click()
    window.registered()
    window.button("Log in").click()
    window.is_inside(person)
    expect(lost.heading("You've been signed out")).to_be_visible()


def answer_late(route: Route) -> None:
    """Give the answer when the streams have long been told."""
    answer = route.fetch()
    time.sleep(3)
    route.fulfill(response=answer)


@pytest.mark.parametrize("here", [False, True])
def test_signing_out_everywhere(open_window: Windows, *, here: bool) -> None:
    """Every other device, and this one too if asked, also where the stream is told before the answer is there."""
    person, window = somebody(), open_window()
    at_account(window, person)
    card = window.page.get_by_role("region", name="Sign out everywhere")
    card.get_by_label("Password", exact=True).fill(person.password)
    card.get_by_label("This device too").set_checked(here)
    window.page.route("**/session/end-all", answer_late)
    window.button("Sign out everywhere").click()
    if here:
        expect(window.heading("Log in")).to_be_visible()
    else:
        expect(window.page.get_by_role("status")).to_have_text("All other devices are logged out.")


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_it_is_for_everybody(open_window: Windows, locale: str) -> None:
    """No violation that axe-core knows of, and nothing sticks out at 320 px."""
    window = open_window(locale=locale, viewport={"width": 320, "height": 640}, reduced_motion="reduce")
    at_account(window, somebody())
    assert axe.violations(window.page) == []
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 320
    window.page.goto("/#security")
    window.button("Log out").click()
    window.button("Lost all devices?").click()
    expect(window.page.get_by_role("dialog")).to_be_visible()
    assert axe.violations(window.page) == []
    assert window.page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_another_username(open_window: Windows, locale: str) -> None:
    """A taken or a strange one is refused at its field; the page shows the new one, and this browser logs in by it."""
    person, other, window = somebody(), somebody(), open_window(locale=locale)
    taken = open_window(locale=locale)
    taken.register(other)
    at_account(window, person)
    new = f"new-{person.username}"
    for name in (other.username, "no\u2003wide", new):
        window.fill({"New username": name})
        card = window.page.get_by_role("region", name=window.said("Change the username"))
        card.get_by_label(window.said("Password"), exact=True).fill(person.password)
        window.button("Change the username").click()
        if name == new:
            expect(window.page.get_by_role("status")).to_be_visible()
        else:
            window.is_refused("New username")
    expect(window.page.get_by_role("region", name=window.said("Your account"))).to_contain_text(new)
    assert axe.violations(window.page) == []
    window.button("Log out").click()
    expect(window.heading("Log in")).to_be_visible()
    window.log_in(replace(person, username=new))


def test_all_that_is_kept_as_a_file(open_window: Windows) -> None:
    """The browser saves what is kept about the account."""
    person, window = somebody(), open_window()
    at_account(window, person)
    with window.page.expect_download() as saved:
        window.button("Download").click()
    assert json.loads(saved.value.path().read_text(encoding="utf-8"))["email"] == person.email


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_the_account_is_closed_and_reopened(open_window: Windows, locale: str) -> None:
    """With a confirmation of its own; who logs in is asked, and who says no stays out."""
    person, window = somebody(), open_window(locale=locale)
    at_account(window, person)
    window.button("Close the account").click()
    dialog = window.page.get_by_role("dialog")
    dialog.get_by_label(window.said("Password"), exact=True).fill(person.password)
    assert axe.violations(window.page) == []
    dialog.get_by_role("button", name=window.said("Close the account")).click()
    expect(window.page.get_by_role("link", name=window.said("Log in again"))).to_be_visible(timeout=20_000)
    for answer in ("Cancel", "Reopen and log in"):
        window.page.goto("/login")
        window.fill({"Username": person.username, "Password": person.password})
        window.button("Log in").click()
        dialog = window.page.get_by_role("dialog", name=window.said("Reopen the account?"))
        expect(dialog).to_be_visible()
        assert axe.violations(window.page) == []
        dialog.get_by_role("button", name=window.said(answer)).click()
        if answer == "Cancel":
            expect(window.page.get_by_role("alert")).to_be_visible()
    expect(window.page.get_by_role("link", name=window.said("Account and security"))).to_be_visible()
