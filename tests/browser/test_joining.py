"""A browser joins without the password: two windows, digits on one and a dialog on the other."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from playwright.sync_api import Route, expect

from tests.browser.looks import faults
from tests.browser.test_approval import Windows, dialog, digits_on, told
from tests.browser.window import Person, Window, somebody
from tests.support import axe
from tests.support.ports import free_port
from tests.support.servers import Suite

ASKED = "A new device wants to join your account"

SHOWN = """(name) => import("/console/pages/approval.js").then((page) => void page[name](
  {approval_id: "none", device_name: "Laptop", digits: "0417", expires_in: 3600, joins: true,
   approve_qr_png: document.querySelector("link[rel=icon]").href}, new AbortController().signal))"""
"""Opens a dialog that waits for nobody."""


@pytest.fixture(scope="module")
def base(pool: Callable[..., Suite]) -> str:
    """Return the address of a suite in which browsers join by approval, with streams."""
    settings = {"ICHIDAI_EVENTS_PORT": str(free_port()), "ICHIDAI_TRUSTED_PROXIES": "127.0.0.0/8"}
    return pool(ICHIDAI_JOIN_BY_APPROVAL="true", **settings).servers[0].base


def ask(person: Person, laptop: Window) -> str:
    """Let a browser ask to join; return the digits that it shows."""
    laptop.page.goto("/registration/#join")
    laptop.fill({"Username": person.username, "Device name": "Laptop"})
    laptop.button("Join without the password").click()
    digits = digits_on(laptop)
    expect(laptop.page.get_by_role("img", name=laptop.said("QR code that opens this site"))).to_be_visible()
    return digits


def two_windows(open_window: Windows, base: str, locale: str = "en-GB") -> tuple[Person, Window, Window]:
    """Return a person whose phone is logged in, and a window that is no device; its address has asked for nothing."""
    person, phone, laptop = somebody(), open_window(base, locale=locale), open_window(base, locale=locale)
    phone.register(person)
    phone.log_in(person)
    source = {"X-Forwarded-For": f"2001:db8:{uuid4().int & 0xFFFF:x}::1"}

    def from_there(route: Route) -> None:
        route.continue_(headers={**route.request.headers, **source})

    laptop.page.route("**/registration/join", from_there)
    return person, phone, laptop


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_a_browser_joins_by_the_digits(open_window: Windows, base: str, locale: str) -> None:
    """In both languages; the limit's question comes then, and the browser is in as a device of the account."""
    person, phone, laptop = two_windows(open_window, base, locale)

    def story() -> None:
        digits, asked = ask(person, laptop), dialog(phone, ASKED)
        expect(asked).to_contain_text("Laptop")
        phone.fill({"Digits on the other screen": digits})
        phone.button("Add it").click()
        expect(laptop.question).to_be_visible()

    told(story)
    laptop.button("Continue").click()
    laptop.is_inside(person)
    expect(phone.heading("You've been signed out")).to_be_visible()


def test_without_a_name_nobody_is_asked(open_window: Windows, base: str) -> None:
    """The field says so."""
    laptop = open_window(base)
    laptop.page.goto("/registration/#join")
    laptop.button("Join without the password").click()
    expect(laptop.page.get_by_label("Username", exact=True)).to_be_focused()
    expect(laptop.page.get_by_role("dialog")).to_be_hidden()


def test_who_would_rather_not_wait_joins_nothing(open_window: Windows, base: str) -> None:
    """The dialog has a way out, and the phone stays."""
    person, phone, laptop = two_windows(open_window, base)
    ask(person, laptop)
    laptop.button("Cancel").click()
    expect(laptop.page.get_by_text("Nothing was changed")).to_be_visible()
    expect(laptop.button("Join without the password")).to_be_visible()
    expect(phone.page.get_by_text(person.username).first).to_be_attached()


def test_where_it_is_off_the_page_does_not_offer_it(open_window: Windows) -> None:
    """As it is unless it is switched on."""
    laptop = open_window()
    laptop.page.goto("/registration/#join")
    expect(laptop.button("Add this device")).to_be_visible()
    expect(laptop.button("Join without the password")).to_be_hidden()


def test_both_dialogs_in_every_look(open_window: Windows, base: str) -> None:
    """No violation that axe-core knows of, and nothing sticks out at 320 px, light and dark, in both languages."""
    axe.require()
    wrong = []
    for locale in ("en-GB", "ja-JP"):
        person, phone = somebody(), open_window(base, locale=locale, reduced_motion="reduce")
        phone.register(person)
        phone.log_in(person)
        for name in ("showDigits", "askToApprove"):
            phone.page.evaluate(SHOWN, name)
            expect(phone.page.get_by_role("dialog")).to_be_visible()
            wrong += faults(phone.page, f"{name}, {locale}")
            phone.page.keyboard.press("Escape")
            expect(phone.page.get_by_role("dialog")).to_be_hidden()
    assert not wrong, "\n".join(wrong)
