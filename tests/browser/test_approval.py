"""Before a takeover the active device's user is asked: two windows, digits on one and a dialog on the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Error, Locator, Page, expect

from tests.browser.looks import faults
from tests.browser.window import Person, Window, somebody
from tests.support import axe
from tests.support.ports import free_port
from tests.support.servers import Suite

Windows = Callable[..., Window]


@pytest.fixture(scope="module")
def base(pool: Callable[..., Suite]) -> str:
    """Return the address of a suite that asks, with streams."""
    suite = pool(ICHIDAI_TAKEOVER_APPROVAL="ask", ICHIDAI_EVENTS_PORT=str(free_port()))
    return suite.servers[0].base


TRIES = 3
"""How often a story is told until it is over within the half minute that users have: a shared machine may be slow."""

SHOWN = """(name) => import("/console/pages/approval.js").then((page) => void page[name](
  {approval_id: "none", device_name: "Laptop", digits: "0417", expires_in: 3600}, new AbortController().signal))"""
"""Opens a dialog that waits for nobody."""


def pair(open_window: Windows, base: str, locale: str = "en-GB") -> tuple[Person, Window, Window]:
    """Return a person whose phone is logged in, and whose laptop has joined and is not."""
    person, phone, laptop = somebody(), open_window(base, locale=locale), open_window(base, locale=locale)
    laptop.join(person, phone.register(person))
    phone.log_in(person)
    return person, phone, laptop


def told(story: Callable[[], None]) -> None:
    """Tell a story, and again where it took longer than half a minute."""
    for left in reversed(range(TRIES)):
        try:
            return story()
        except (AssertionError, Error):
            if not left:
                raise
    return None


def ask(person: Person, laptop: Window) -> None:
    """Let the laptop ask, and go on."""
    laptop.send_login(person)
    expect(laptop.question).to_be_visible()
    laptop.button("Continue").click()


def dialog(window: Window, name: str, page: Page | None = None) -> Locator:
    """Find a dialog by its heading."""
    return (page or window.page).get_by_role("dialog", name=window.said(name))


def digits_on(laptop: Window) -> str:
    """Return the digits that a window shows."""
    shown = dialog(laptop, "Type these digits on the active device")
    expect(shown).to_be_visible()
    return shown.locator("[data-field=digits]").inner_text()


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_the_digits_are_typed_on_the_other_screen(open_window: Windows, base: str, locale: str) -> None:
    """In both languages; other digits are told and may be mended, then the laptop is in and the phone is told why."""
    person, phone, laptop = pair(open_window, base, locale)

    def story() -> None:
        ask(person, laptop)
        digits, asked = digits_on(laptop), dialog(phone, "Another device wants to take over")
        expect(asked).to_contain_text("Laptop")
        expect(asked).not_to_contain_text(digits)
        phone.fill({"Digits on the other screen": f"{(int(digits) + 1) % 10_000:04d}"})
        phone.button("Let it in").click()
        expect(asked.get_by_role("alert")).to_contain_text("2")
        phone.fill({"Digits on the other screen": digits})
        phone.button("Let it in").click()
        laptop.is_inside(person)

    told(story)
    expect(phone.heading("You've been signed out")).to_be_visible()


def test_a_refusal_in_one_tab_is_one_in_all(open_window: Windows, base: str) -> None:
    """The laptop is told so and nothing has changed; the other tab's dialog closes too."""
    person, phone, laptop = pair(open_window, base)
    other, asked = phone.tab("/"), "Another device wants to take over"
    expect(other.get_by_role("heading", name=person.username)).to_be_visible()

    def story() -> None:
        ask(person, laptop)
        digits_on(laptop)
        for page in (phone.page, other):
            expect(dialog(phone, asked, page)).to_be_visible()
        phone.button("Refuse").click()
        expect(laptop.page.get_by_role("alert")).to_contain_text("The active device refused.")

    told(story)
    for page in (phone.page, other):
        expect(dialog(phone, asked, page)).to_be_hidden()
    expect(phone.button("Add a device")).to_be_visible()


def test_who_would_rather_not_wait_changes_nothing(open_window: Windows, base: str) -> None:
    """The laptop's dialog has a way out."""
    person, phone, laptop = pair(open_window, base)
    ask(person, laptop)
    digits_on(laptop)
    laptop.button("Cancel").click()
    expect(laptop.page.get_by_text("Nothing was changed")).to_be_visible()
    expect(phone.button("Add a device")).to_be_visible()


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
