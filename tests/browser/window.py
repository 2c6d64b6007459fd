"""A window of a browser, as a person uses it; it notes all that a page of ours must never do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import requests
from playwright.sync_api import Browser, ConsoleMessage, Error, Locator, Page, Request, Response, expect

from ichidai.console.texts import TEXTS
from tests.support.client import PASSWORD, unique

WIDE = {"width": 1280, "height": 800}
SMALL = {"width": 320, "height": 640}

_JAPANESE = {text.en: text.ja for text in TEXTS.values()}
"""Where two texts are alike in English, the later one: that of a button, not of a page's title."""

_REPORT = (
    "addEventListener('securitypolicyviolation', (e) => console.error(`CSP ${e.violatedDirective} ${e.blockedURI}`))"
)
_REFUSED = "Failed to load resource: the server responded with a status of 4"
"""What Chromium writes of an answer that the contract promises, such as a 409."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who sits before a window."""

    username: str
    email: str
    password: str = PASSWORD


def _streams(base: str) -> list[str]:
    known = requests.get(f"{base}/.well-known/ichidai.json", timeout=10)
    return list(filter(None, [known.json().get("events_endpoint")]))


def somebody() -> Person:
    """Return a person whom no other test knows."""
    return Person(unique("alice"), f"{unique('mail')}@b.test")


class Window:
    """A browser context of its own (so, another device) with one tab, or more.

    `hosts`: which addresses a page may ask beside its own; without them, where the streams are said to be, and the
    pages are the combined app's, which by default are at `localhost`.
    """

    def __init__(self, browser: Browser, base: str, hosts: Sequence[str] | None = None, **options: Any) -> None:
        base = base.replace("http://127.0.0.1:", "http://localhost:") if hosts is None else base
        self.base = base
        self._is_japanese = str(options.get("locale", "")).startswith("ja")
        self._hosts = (f"{base}/", *(_streams(base) if hosts is None else hosts))
        self.complaints: list[str] = []
        self.tokens: dict[str, str] = {}
        self.calls: list[str] = []
        self.streams = 0
        self._registered = ""
        self.context = browser.new_context(**{"locale": "en-GB", "viewport": WIDE, "base_url": base} | options)
        self.context.add_init_script(_REPORT)
        self.context.on("console", self._note_console)
        self.context.on("weberror", lambda error: self.complaints.append(f"error: {error.error}"))
        self.context.on("request", self._note_request)
        self.context.on("response", self._note_response)
        self.page = self.context.new_page()

    def tab(self, path: str) -> Page:
        """Open another tab at a path."""
        page = self.context.new_page()
        page.goto(path)
        return page

    def said(self, words: str) -> str:
        """Return words of the pages in the window's language; after a colon a name may follow, which stays."""
        said, colon, name = words.partition(": ")
        return (_JAPANESE.get(said, said) if self._is_japanese else said) + colon + name

    def button(self, name: str) -> Locator:
        """Find a button by its name."""
        return self.page.get_by_role("button", name=self.said(name), exact=True)

    def heading(self, name: str) -> Locator:
        """Find a heading by its name."""
        return self.page.get_by_role("heading", name=self.said(name), exact=True)

    @property
    def question(self) -> Locator:
        """The dialog that asks."""
        return self.page.get_by_role("dialog", name=self.said("Already in use"))

    def fill(self, fields: Mapping[str, str]) -> None:
        """Fill fields by their labels."""
        for label, value in fields.items():
            self.page.get_by_label(self.said(label), exact=True).fill(value)

    def is_refused(self, label: str, words: str = "", within: Locator | None = None) -> None:
        """Check that it is said at a field, by its label, what is wrong with it, and that the user is there."""
        field = (within or self.page).get_by_label(self.said(label), exact=True)
        expect(field).to_have_accessible_description(re.compile(re.escape(words) or "."))
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_focused()

    def register(self, person: Person, device_name: str = "Phone") -> str:
        """Register a person with this browser as the first device; return the text of the QR code."""
        self.page.goto("/registration/")
        fields = {"Username": person.username, "Email": person.email, "Password": person.password}
        self.fill({**fields, "Device name": device_name})
        self.button("Create account").click()
        self._registered = person.username
        expect(self.heading("You are logged in")).to_be_visible()
        return self.registered()

    def join(self, person: Person, qr_code: str, device_name: str = "Laptop") -> str:
        """Let this browser join by the text of a code; return the text of its own code."""
        self.page.goto("/registration/#join")
        self.fill({"QR code text": qr_code, "Username": person.username})
        self.fill({"Password": person.password, "Device name": device_name})
        self.button("Add this device").click()
        return self.registered()

    def registered(self) -> str:
        """Wait until this browser is registered; return the text of the code for the next device."""
        expect(self.heading("This device is registered")).to_be_visible()
        return self.page.get_by_label(self.said("QR code text")).input_value()

    def send_login(self, person: Person) -> None:
        """Fill in the login and send it."""
        self.page.goto("/login")
        self.fill({"Username": person.username, "Password": person.password})
        self.button("Log in").click()

    def log_in(self, person: Person) -> None:
        """Log in where nobody is in the way; who has just registered is in."""
        inside = self.page.get_by_role("link", name=self.said("Go to your account"))
        if inside.is_visible() and self._registered == person.username:
            inside.click()
        else:
            self.send_login(person)
        self.is_inside(person)

    def is_inside(self, person: Person) -> None:
        """Check that the person is logged in here."""
        expect(self.heading(person.username)).to_be_visible()
        expect(self.button("Add a device")).to_be_visible()

    def show_code(self, person: Person) -> str:
        """Let a device that is logged in show a code for another one; return its text."""
        self.button("Add a device").click()
        self.fill({"Password": person.password})
        self.button("Show the code").click()
        picture = self.page.get_by_role("img", name=self.said("QR code that lets another device join"))
        expect(picture).to_be_visible()
        return self.page.get_by_label(self.said("QR code text")).input_value()

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(_REFUSED):
            self.complaints.append(f"console: {message.text}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((*self._hosts, "data:", "blob:")):
            self.complaints.append(f"asked another host: {request.url}")
        self.calls.append(f"{request.method} {request.url.removeprefix(self.base)}")

    def _note_response(self, response: Response) -> None:
        self.streams += response.status == 200 and response.url.endswith("/session/events")
        if response.request.method == "POST" and response.status == 200:
            try:
                answer = response.json()
            except Error:  # the page has gone on to another document meanwhile
                return
            self.tokens |= {name: answer[name] for name in ("access_token", "refresh_token") if name in answer}
