"""The first minute: whoever registers is in, and is asked to keep recovery codes; the rest is behind "Advanced"."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.test_second_factor import kept_codes
from tests.browser.window import Window, somebody
from tests.support.axe import violations
from tests.support.servers import Suite

Windows = Callable[..., Window]


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_from_the_form_to_the_account(open_window: Windows, locale: str) -> None:
    """The password may be seen while it is typed; then one is in, keeps the codes, and goes to the account."""
    window, person = open_window(locale=locale), somebody()
    page = window.page
    page.goto("/registration/")
    window.fill({"Username": person.username, "Email": person.email, "Password": person.password})
    password = page.get_by_label(window.said("Password"), exact=True)
    window.button("Show password").click()
    expect(password).to_have_attribute("type", "text")
    window.button("Show password").click()
    expect(password).to_have_attribute("type", "password")
    window.button("Show password").click()
    window.button("Create account").click()
    expect(window.heading("You are logged in")).to_be_visible()
    expect(window.button("Log in")).to_be_hidden()
    expect(window.button("Log out")).to_be_visible()
    fingerprint = window.heading("Certificate fingerprint")
    expect(fingerprint).to_be_hidden()
    page.get_by_text(window.said("Advanced"), exact=True).click()
    expect(fingerprint).to_be_visible()
    assert violations(page) == []
    window.button("Keep recovery codes").click()
    assert len(kept_codes(window)) == 10
    page.get_by_role("link", name=window.said("Go to your account")).click()
    window.is_inside(person)
    expect(window.button("Log out other devices")).to_be_hidden()
    page.goto("/registration/")
    expect(password).to_have_attribute("type", "password")


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_without_mails_recovery_codes_are_insisted_on(open_window: Windows, locale: str) -> None:
    """Nobody is offered a link by mail; who has no codes is reminded at each visit until there are some."""
    window, person = open_window(locale=locale), somebody()
    page = window.page
    page.goto("/login")
    expect(window.button("Lost all devices?")).to_be_visible()
    expect(window.button("Forgot your password?")).to_have_count(0)
    window.register(person)
    window.log_in(person)
    words = "You have no recovery codes. If you lose all your devices, nothing else lets you back in."
    reminder = page.get_by_text(window.said(words))
    for _ in range(2):
        expect(reminder).to_be_visible()
        assert violations(page) == []
        page.reload()
    page.get_by_role("link", name=window.said("Make recovery codes")).click()
    card = page.get_by_role("region", name=window.said("Recovery codes"))
    card.get_by_label(window.said("Password"), exact=True).fill(person.password)
    window.button("Make recovery codes").click()
    assert len(kept_codes(window)) == 10
    page.get_by_role("navigation").get_by_role("link", name=window.said("Home")).click()
    window.is_inside(person)
    expect(reminder).to_be_hidden()


LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" fill="#7a1f5c"/></svg>'


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_are_the_operators_own(
    open_window: Windows, pool: Callable[..., Suite], tmp_path_factory: pytest.TempPathFactory, scheme: str
) -> None:
    """Name, logo, colour and terms; nothing becomes hard to read by them."""
    logo = tmp_path_factory.getbasetemp() / "logo.svg"
    logo.write_text(LOGO, encoding="utf-8")
    brand = {"ICHIDAI_BRAND_NAME": "Hoshi & Video", "ICHIDAI_BRAND_LOGO": str(logo), "ICHIDAI_BRAND_COLOR": "#7a1f5c"}
    server = pool(**brand, ICHIDAI_TERMS_URL="https://hoshi.example/terms").servers[0]
    window = open_window(server.base, color_scheme=scheme)
    page = window.page
    page.goto("/registration/")
    expect(page).to_have_title("Create account · Hoshi & Video")
    expect(page.get_by_role("banner").get_by_text("Hoshi & Video")).to_be_visible()
    expect(page.get_by_text("Ichidai")).to_have_count(0)
    assert page.evaluate("document.querySelector('.brand img').naturalWidth") > 0
    colour = window.button("Create account").evaluate("(button) => getComputedStyle(button).backgroundColor")
    assert (colour == "rgb(122, 31, 92)") == (scheme == "light")
    terms = page.get_by_role("link", name="terms of use")
    expect(terms).to_have_attribute("href", "https://hoshi.example/terms")
    assert violations(page) == []
    page.goto("/no/such/page")
    expect(page.get_by_role("banner").get_by_text("Hoshi & Video")).to_be_visible()
