"""Passkeys in the console, with Chromium's virtual authenticator: made, used, taken to an empty browser, removed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import CDPSession, expect

from tests.browser.test_security import at_account
from tests.browser.window import Window, somebody
from tests.support import axe

Windows = Callable[..., Window]

pytestmark = pytest.mark.requirement("R71", "R72")

_PLATFORM = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
}


_BUTTON_ALONE = "PublicKeyCredential.isConditionalMediationAvailable = async () => false"
"""Keeps a page from offering passkeys in a field: the virtual authenticator would take one before any click."""


class Authenticator:
    """A virtual authenticator of a window's browser, whose user is there and touches it when asked."""

    def __init__(self, window: Window) -> None:
        self._devtools: CDPSession = window.context.new_cdp_session(window.page)
        self._devtools.send("WebAuthn.enable")
        options = {**_PLATFORM, "automaticPresenceSimulation": True}
        made = self._devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self._id = {"authenticatorId": made["authenticatorId"]}

    @property
    def credentials(self) -> list[dict[str, Any]]:
        """The passkeys in it, with their private keys."""
        found: list[dict[str, Any]] = self._devtools.send("WebAuthn.getCredentials", self._id)["credentials"]
        return found

    def take(self, credentials: list[dict[str, Any]]) -> None:
        """Take up passkeys, as a cloud brings them to another device."""
        for each in credentials:
            self._devtools.send("WebAuthn.addCredential", {**self._id, "credential": each})

    def verify(self, *, succeeds: bool) -> None:
        """Set whether its user's finger is known."""
        self._devtools.send("WebAuthn.setUserVerified", {**self._id, "isUserVerified": succeeds})


def make_passkey(window: Window, password: str) -> None:
    """Make a passkey on the account's page."""
    card = window.page.get_by_role("region", name=window.said("Passkeys"))
    card.get_by_label(window.said("Password"), exact=True).fill(password)
    window.button("Make a passkey").click()
    expect(window.page.get_by_role("status")).to_have_text(window.said("The passkey was made."))
    expect(card.get_by_role("listitem")).to_have_count(1)


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_in_by_a_passkey_and_with_it_in_an_empty_browser(open_window: Windows, locale: str) -> None:
    """On its own device without the password; in an empty browser after the question; removed, it opens nothing."""
    person, phone, library = somebody(), open_window(locale=locale), open_window(locale=locale)
    own = Authenticator(phone)
    at_account(phone, person)
    make_passkey(phone, person.password)
    assert axe.violations(phone.page) == []
    phone.button("Log out").click()
    phone.is_inside(person)  # taken from the field of the name, where the browser offers it: its user is there
    library.context.add_init_script(_BUTTON_ALONE)
    library.page.goto("/login")
    Authenticator(library).take(own.credentials)
    library.button("Log in with a passkey").click()
    library.button("Cancel").click()
    phone.page.reload()
    phone.is_inside(person)
    library.button("Log in with a passkey").click()
    library.button("Continue").click()
    library.is_inside(person)
    expect(phone.heading("You've been signed out")).to_be_visible()
    library.button("Log out").click()
    library.log_in(person)  # it is a device now, with a key of its own
    library.page.goto("/#security")
    card = library.page.get_by_role("region", name=library.said("Passkeys"))
    card.get_by_label(library.said("Password"), exact=True).fill(person.password)
    card.get_by_role("button", name=library.said("Remove")).click()
    expect(library.page.get_by_role("status")).to_have_text(library.said("The passkey was removed."))
    library.button("Log out").click()
    library.button("Log in with a passkey").click()
    expect(library.page.get_by_role("alert")).to_be_visible()


def test_without_the_finger_nobody_is_in(open_window: Windows) -> None:
    """A passkey whose user was not verified stands for no password, and a person who gives none is told nothing bad."""
    person, window = somebody(), open_window()
    window.context.add_init_script(_BUTTON_ALONE)
    authenticator = Authenticator(window)
    at_account(window, person)
    make_passkey(window, person.password)
    window.button("Log out").click()
    authenticator.verify(succeeds=False)
    window.button("Log in with a passkey").click()
    expect(window.page.locator("[aria-busy=true]")).to_have_count(0)  # else the finger is known before it is asked for
    expect(window.heading("Log in")).to_be_visible()
    authenticator.verify(succeeds=True)
    window.button("Log in with a passkey").click()
    window.is_inside(person)
