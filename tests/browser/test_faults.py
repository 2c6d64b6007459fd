"""What is wrong with a field is said beside it, in every form; other problems stand at the form's head."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.window import SMALL, Window, somebody
from tests.support import axe
from tests.support.client import Client

Windows = Callable[..., Window]

STEPS = (
    ("Email", "Enter a mail address", "メールアドレスの形式が正しくありません"),
    ("Password", "among the most common", "よく使われているパスワードです"),
    ("Username", "This username is taken", "このユーザー名は既に使われています"),
    ("Email", "This mail address is registered", "このメールアドレスは既に登録されています"),
)


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_a_registration_is_mended_field_by_field(open_window: Windows, client: Client, locale: str) -> None:
    """What was mended is no longer complained of, a hint stays beside the complaint, and axe finds nothing."""
    taken, person = client.register(), somebody()
    window = open_window(locale=locale, viewport=SMALL)
    mended = (taken.email, person.password, person.username, person.email)
    window.page.goto("/registration/")
    window.fill({"Username": taken.username, "Email": "nobody", "Password": "password"})
    for (label, english, japanese), value in zip(STEPS, mended, strict=True):
        window.button("Create account").click()
        window.is_refused(label, english if locale == "en-GB" else japanese)
        expect(window.page.locator("[aria-invalid]")).to_have_count(1)
        expect(window.page.get_by_role("alert")).to_have_count(0)
        if label == "Password":
            window.is_refused(label, "At least 8" if locale == "en-GB" else "8文字以上")
            assert axe.violations(window.page) == []
            assert window.page.evaluate("document.documentElement.scrollWidth") == SMALL["width"]
        window.fill({label: value})
    window.button("Create account").click()
    window.registered()


def test_a_login_does_not_say_which_was_wrong(window: Window, client: Client) -> None:
    """Name or password: at the head, as before; a pasted fingerprint has its complaint where it is pasted."""
    account = client.register()
    page = window.page
    page.goto("/login")
    page.get_by_text("Advanced", exact=True).click()
    for password, fingerprint in (("a guess of somebody", "0" * 64), (account.password, "no digits"), (None, "0" * 64)):
        window.fill({"Username": account.username, "Password": password or account.password})
        window.fill({"Certificate fingerprint": fingerprint})
        window.button("Log in").click()
        if password == "a guess of somebody":
            expect(page.get_by_role("alert")).to_have_text("Wrong username or password.")
            expect(page.locator("[aria-invalid]")).to_have_count(0)
        else:
            window.is_refused("Certificate fingerprint", "64 hex" if fingerprint == "no digits" else "mismatch")
            expect(page.get_by_role("alert")).to_have_count(0)
