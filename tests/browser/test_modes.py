"""The pages under other settings of the suite."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner
from playwright.sync_api import expect

from ichidai.cli.accounts import app as accounts
from tests.browser.window import Person, Window, somebody
from tests.support.client import granted
from tests.support.servers import Suite

Windows = Callable[..., Window]


def test_where_nobody_may_switch(open_window: Windows, pool: Callable[..., Suite]) -> None:
    """In mode reject the dialog says so and offers no switch."""
    base = pool(ICHIDAI_CONCURRENCY_MODE="reject").servers[0].base
    person, phone, laptop = somebody(), open_window(base), open_window(base)
    laptop.join(person, phone.register(person))
    phone.log_in(person)
    laptop.send_login(person)
    expect(laptop.question).to_contain_text("Log out there first.")
    expect(laptop.button("Continue")).to_be_hidden()
    laptop.button("Cancel").click()
    phone.button("Log out").click()
    laptop.log_in(person)


def test_where_no_device_is_demanded(open_window: Windows, pool: Callable[..., Suite]) -> None:
    """With ICHIDAI_DEVICE_PROOF=none any browser is let in; the same browser is the same device, another one asks."""
    suite = pool(ICHIDAI_DEVICE_PROOF="none")
    account = suite.client.register()
    person = Person(account.username, account.email)
    one, other = (open_window(suite.servers[0].base) for _ in range(2))
    one.log_in(person)
    first = granted(suite.client.verify(one.tokens["access_token"]))
    one.page.goto("/login")
    one.log_in(person)
    again = granted(suite.client.verify(one.tokens["access_token"]))
    assert again["session_id"] != first["session_id"]
    assert again["device_id"] == first["device_id"]
    other.send_login(person)
    other.button("Continue").click()
    other.is_inside(person)
    expect(one.heading("You've been signed out")).to_be_visible()


def test_where_work_is_asked_for_it_is_done_unseen(open_window: Windows, pool: Callable[..., Suite]) -> None:
    """The fourth account from this address within an hour: the person sees nothing of it."""
    suite = pool(ICHIDAI_REGISTRATION="work")
    for _ in range(3):
        suite.client.register()
    person, window = somebody(), open_window(suite.servers[0].base)
    with window.page.expect_response(lambda answer: answer.status == 403) as refused:
        window.register(person)
    assert refused.value.json()["code"] == "work-required"
    window.log_in(person)


def test_where_nobody_may_register(open_window: Windows, pool: Callable[..., Suite]) -> None:
    """No form and no way to one; another device may join."""
    window = open_window(pool(ICHIDAI_REGISTRATION="closed").servers[0].base)
    page = window.page
    for path in ("/", "/login", "/registration/#join"):
        page.goto(path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.locator("a[href$='/registration/']")).to_have_count(0)
    page.goto("/registration/")
    expect(page.get_by_text("Accounts cannot be registered here.")).to_be_visible()
    expect(page.get_by_label("Email")).to_be_hidden()
    window.button("Add this device by QR code").click()
    expect(page.get_by_label("Password", exact=True)).to_be_visible()


def test_an_invitation_opens_the_form_once(
    open_window: Windows, pool: Callable[..., Suite], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link's secret leaves the address at once; who registers is asked for nothing more."""
    suite = pool(ICHIDAI_REGISTRATION="closed")
    monkeypatch.setenv("ICHIDAI_DATA_DIR", str(suite.data))
    link = CliRunner().invoke(accounts, ["invite", "--reason", "a new colleague"]).stdout.strip()
    window, person = open_window(suite.servers[0].base), somebody()
    window.page.goto(f"/registration/#{link.partition('#')[2]}")
    expect(window.page.get_by_text("You were invited")).to_be_visible()
    assert "#" not in window.page.url
    window.page.get_by_label("Username").fill(person.username)
    window.page.get_by_label("Email").fill(person.email)
    window.page.get_by_label("Password", exact=True).fill(person.password)
    window.button("Create account").click()
    window.registered()
