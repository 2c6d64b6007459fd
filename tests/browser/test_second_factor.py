"""A second factor in the console: switched on with a phone's app, asked for on every endpoint, switched off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from tests.browser.window import Window, somebody
from tests.integration.test_pairing import scanned as text_in
from tests.support.authenticator import Authenticator, early_in_a_step, scanned
from tests.support.client import Client, bearer, granted

Windows = Callable[..., Window]

pytestmark = pytest.mark.requirement("R72")


def switch_on(window: Window, password: str) -> tuple[Authenticator, list[str]]:
    """Switch it on in a window that is logged in, with a code of the step before; return the app and the codes."""
    page = window.page
    window.button("Turn on").click()
    dialog = page.get_by_role("dialog", name=window.said("Turn on two-step login"))
    dialog.get_by_label(window.said("Password"), exact=True).fill(password)
    window.button("Next").click()
    picture = dialog.get_by_role("img", name=window.said("QR code for the authenticator app"))
    expect(picture).to_be_visible()
    app = scanned(text_in(picture.get_attribute("src") or ""))
    dialog.get_by_label(window.said("Code"), exact=True).fill(app.code(early_in_a_step(), -1))
    dialog.get_by_role("button", name=window.said("Turn on")).click()
    return app, kept_codes(window)


def kept_codes(window: Window) -> list[str]:
    """Return the recovery codes that are shown. Nothing but the word that they are kept closes them."""
    dialog = window.page.get_by_role("dialog", name=window.said("Recovery codes"))
    codes = dialog.get_by_label(window.said("Recovery codes"))
    expect(codes).to_be_visible()
    kept = codes.input_value().split()
    for _ in range(3):  # a browser lets a page hold it back once
        window.page.keyboard.press("Escape")
        expect(codes).to_be_visible()
    expect(codes).to_have_value("\n".join(kept))
    window.button("I have kept them").click()
    expect(dialog).to_be_hidden()
    return kept


def log_out(window: Window) -> None:
    """Log out."""
    window.button("Log out").click()
    expect(window.heading("Log in")).to_be_visible()


def give(window: Window, code: str) -> None:
    """Answer the dialog that asks for a code."""
    dialog = window.page.get_by_role("dialog", name=window.said("One more step"))
    dialog.get_by_label(window.said("Code"), exact=True).fill(code)
    dialog.get_by_role("button", name=window.said("Continue")).click()


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_on_in_and_off(open_window: Windows, locale: str) -> None:
    """A wrong code is told and asked for again, a right one lets in; a no leaves everything as it is."""
    person, window = somebody(), open_window(locale=locale)
    window.register(person)
    window.log_in(person)
    app, codes = switch_on(window, person.password)
    assert len(codes) == 10
    expect(
        window.page.get_by_text("Two-step login is on." if locale == "en-GB" else "2段階認証を有効にしました。")
    ).to_be_visible()
    log_out(window)
    window.send_login(person)
    window.page.get_by_role("dialog").get_by_role("button", name=window.said("Cancel")).click()
    expect(window.page.get_by_role("alert")).to_contain_text("authenticator app" if locale == "en-GB" else "認証アプリ")
    window.send_login(person)
    give(window, "000000")
    window.is_refused("Code")
    give(window, app.code(datetime.now(UTC)))
    window.is_inside(person)
    window.button("Turn off").click()
    dialog = window.page.get_by_role("dialog", name=window.said("Turn off two-step login"))
    dialog.get_by_label(window.said("Password"), exact=True).fill(person.password)
    dialog.get_by_role("button", name=window.said("Turn off")).click()
    give(window, codes[0].lower())
    expect(window.button("Turn on")).to_be_visible()
    log_out(window)
    window.log_in(person)


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_new_recovery_codes(open_window: Windows, locale: str) -> None:
    """By the password and a code; the old ones work no more, a new one does."""
    person, window = somebody(), open_window(locale=locale)
    window.register(person)
    window.log_in(person)
    app, old = switch_on(window, person.password)
    window.button("New recovery codes").click()
    dialog = window.page.get_by_role("dialog", name=window.said("New recovery codes"))
    dialog.get_by_label(window.said("Password"), exact=True).fill(person.password)
    dialog.get_by_role("button", name=window.said("New recovery codes")).click()
    give(window, app.code(datetime.now(UTC)))
    new = kept_codes(window)
    assert len(new) == 10
    assert not set(new) & set(old)
    told = "New recovery codes were made." if locale == "en-GB" else "リカバリーコードを再発行しました。"
    expect(window.page.get_by_text(told)).to_be_visible()
    log_out(window)
    window.send_login(person)
    give(window, old[0])
    window.is_refused("Code")
    give(window, new[0])
    window.is_inside(person)


def test_recovery_codes_outlast_the_session(open_window: Windows, client: Client) -> None:
    """Who is logged out elsewhere just then still sees them: they would be lost."""
    person, window = somebody(), open_window()
    window.register(person)
    window.log_in(person)
    window.button("Turn on").click()
    dialog = window.page.get_by_role("dialog", name="Turn on two-step login")
    dialog.get_by_label("Password", exact=True).fill(person.password)
    window.button("Next").click()
    app = scanned(text_in(dialog.get_by_role("img").get_attribute("src") or ""))
    dialog.get_by_label("Code", exact=True).fill(app.code(early_in_a_step(), -1))
    dialog.get_by_role("button", name="Turn on").click()
    codes = window.page.get_by_role("dialog", name="Recovery codes").get_by_label("Recovery codes")
    expect(codes).to_be_visible()
    granted(client.post("/session/logout", {}, headers=bearer(window.tokens["access_token"])))
    expect(window.page).to_have_title("Log in · Ichidai")
    expect(codes).not_to_have_value("")
    window.button("I have kept them").click()
    expect(codes).to_be_hidden()


def test_a_device_is_added_and_asked_and_let_in(open_window: Windows) -> None:
    """Showing a code, joining and logging in each take one code; the consent takes none."""
    person, phone, laptop = somebody(), open_window(), open_window()
    phone.register(person)
    phone.log_in(person)
    _, codes = switch_on(phone, person.password)
    phone.button("Add a device").click()
    phone.fill({"Password": person.password})
    phone.button("Show the code").click()
    give(phone, codes[0])
    shown = phone.page.get_by_label("QR code text")
    expect(shown).not_to_have_value("")
    laptop.page.goto("/registration/#join")
    laptop.fill({"QR code text": shown.input_value(), "Username": person.username, "Password": person.password})
    laptop.button("Add this device").click()
    give(laptop, codes[1])
    laptop.registered()
    laptop.send_login(person)
    give(laptop, codes[2])
    laptop.question.get_by_role("button", name="Continue").click()
    laptop.is_inside(person)
    expect(phone.heading("You've been signed out")).to_be_visible()
    laptop.page.get_by_role("link", name="History").click()
    expect(laptop.page.get_by_text("Recovery code used")).to_have_count(3)


def test_a_wrong_password_and_a_wrong_first_code_are_told(window: Window) -> None:
    """In the dialog, and nothing is switched on; to close it forgets what was begun."""
    person = somebody()
    window.register(person)
    window.log_in(person)
    window.button("Turn on").click()
    dialog = window.page.get_by_role("dialog")
    dialog.get_by_label("Password", exact=True).fill("a guess of somebody")
    window.button("Next").click()
    window.is_refused("Password", "The password is wrong.", dialog)
    dialog.get_by_label("Password", exact=True).fill(person.password)
    window.button("Next").click()
    dialog.get_by_label("Code", exact=True).fill("000000")
    dialog.get_by_role("button", name="Turn on").click()
    window.is_refused("Code", "The code is wrong", dialog)
    window.page.keyboard.press("Escape")
    expect(window.button("Turn on")).to_be_visible()
    log_out(window)
    window.log_in(person)
