"""The pages under other settings of the suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.window import Person, Window, somebody
from tests.client import granted
from tests.servers import Suite, four_entrances

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
    expect(one.heading("Signed out elsewhere")).to_be_visible(timeout=10_000)


def test_each_app_alone(open_window: Windows, started: Callable[[Suite], Suite], tmp_path: Path) -> None:
    """The registration app registers, the login app says that one is logged in; each in a window of its own."""
    apps = started(four_entrances(tmp_path / "four"))
    person = somebody()
    bases = {server.part: server.base for server in apps.servers}
    registering = open_window(bases["registration"])
    registering.register(person)
    fingerprint = registering.page.evaluate("localStorage.getItem('currentlyLoggedinFingerprint')")
    assert len(fingerprint) == 64
    expect(registering.button("Log in")).to_be_hidden()
    account = apps.client.register()
    entering = open_window(bases["login"])
    entering.page.goto("/login")
    entering.page.get_by_text("Another certificate").click()
    entering.fill({"Username": account.username, "Password": account.password})
    entering.fill({"Certificate fingerprint": account.phone.fingerprint})
    entering.button("Log in").click()
    expect(entering.heading("You are logged in")).to_be_visible()
    expect(entering.page.get_by_text(account.username)).to_be_visible()
