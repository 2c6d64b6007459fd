"""A walk through all pages and dialogs, for whoever wants to look at each."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from tests.browser.window import Person, Window
from tests.support.authenticator import Authenticator


def walk(
    phone: Window, laptop: Window, person: Person, names: tuple[str, str] = ("Phone", "Laptop")
) -> Iterator[tuple[str, Page]]:
    """Lead through all pages and dialogs, one after another; yield the name of each, and where it is to be seen.

    `names` are those of the two devices.
    """
    page, (first, second) = phone.page, names
    first_pages = {"unknown": "/no/such/page", "landing": "/", "login": "/login", "join": "/registration/#join"}
    for name, path in first_pages.items():
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        yield name, page
    page.goto("/registration/")
    phone.button("Create account").wait_for()
    yield "register", page
    code = phone.register(person, first)
    yield "registered", page
    laptop.join(person, code, second)
    phone.log_in(person)
    yield "home", page
    for name in ("Security", "History", "Devices"):
        page.get_by_role("navigation").get_by_role("link", name=phone.said(name)).click()
        filled = page.get_by_role("definition" if name == "Security" else "listitem")
        expect(filled.first).to_contain_text(re.compile("."))
        yield name.lower(), page
    phone.button(f"Rename: {second}").click()
    yield "rename", page
    page.keyboard.press("Escape")
    phone.button(f"Remove: {second}").click()
    yield "remove", page
    page.keyboard.press("Escape")
    phone.show_code(person)
    yield "add", page
    laptop.send_login(person)
    expect(laptop.question).to_be_visible()
    yield "question", laptop.page
    laptop.button("Continue").click()
    expect(phone.heading("You've been signed out")).to_be_visible()
    yield "ended", page
    yield from _second_factor(laptop, person)


def _second_factor(window: Window, person: Person) -> Iterator[tuple[str, Page]]:
    """Switch a second factor on where the person is logged in, and log in with it."""
    page = window.page
    window.button("Turn on").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(window.said("Password"), exact=True).fill(person.password)
    window.button("Next").click()
    code = dialog.get_by_label(window.said("Code"), exact=True)
    expect(code).to_be_visible()
    yield "factor", page
    secret = dialog.locator("code").inner_text().replace(" ", "")
    code.fill(Authenticator(base64.b32decode(secret), "", "").code(datetime.now(UTC)))
    dialog.get_by_role("button", name=window.said("Turn on")).click()
    expect(dialog.get_by_label(window.said("Recovery codes"))).to_be_visible()
    yield "recovery", page
    window.button("I have kept them").click()
    window.button("New recovery codes").click()
    expect(dialog.get_by_label(window.said("Password"), exact=True)).to_be_visible()
    yield "renew", page
    window.button("Cancel").click()
    window.button("Log out").click()
    expect(window.heading("Log in")).to_be_visible()
    window.send_login(person)
    expect(dialog.get_by_label(window.said("Code"), exact=True)).to_be_visible()
    yield "code", page
