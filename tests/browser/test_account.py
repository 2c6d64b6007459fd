"""What a person does with devices and sessions once logged in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import CHEAP
from tests.browser.window import SMALL, Person, Window, somebody
from tests.support.servers import Suite, combined

Windows = Callable[..., Window]

REMOVED = "This device was removed from the account. To use it again, add it by QR code."
LONG_NAME = "会社支給のノートパソコン二号機（東京オフィス七階、窓側の席、青いラベルのもの、二〇二六年導入）"


@pytest.fixture
def two(open_window: Windows, pool: Callable[..., Suite]) -> tuple[Person, Window, Window]:
    """Return a person with a phone and a laptop, both logged in: two may be."""
    base = pool(MAX_CONCURRENT_DEVICES="2").servers[0].base
    person, phone, laptop = somebody(), open_window(base), open_window(base)
    laptop.join(person, phone.register(person))
    phone.log_in(person)
    laptop.log_in(person)
    return person, phone, laptop


def row(window: Window, name: str) -> Locator:
    """Find the card of a device."""
    return window.page.get_by_role("listitem").filter(has=window.page.get_by_role("heading", name=name))


def test_devices(two: tuple[Person, Window, Window]) -> None:
    """Rename one, log the others out, remove one; the removed one is told, and cannot log in again."""
    person, phone, laptop = two
    phone.page.get_by_role("link", name="Devices", exact=True).click()
    for mark, of_phone, of_laptop in (("This device", 1, 0), ("first device", 1, 0), ("active", 1, 1)):
        for name, times in (("Phone", of_phone), ("Laptop", of_laptop)):
            expect(row(phone, name).get_by_text(mark, exact=True).locator("visible=true")).to_have_count(times)
    phone.button("Rename: Laptop").click()
    expect(phone.page.get_by_role("textbox", name="Device name")).to_have_value("Laptop")
    phone.fill({"Device name": "作業用PC"})
    phone.button("Save").click()
    expect(phone.page.get_by_text("The device has a new name.")).to_be_visible()

    phone.button("Log out other devices").click()
    phone.button("Cancel").click()
    expect(row(phone, "作業用PC").get_by_text("active")).to_be_visible()
    phone.button("Log out other devices").click()
    phone.button("Log them out").click()
    expect(phone.page.get_by_text("The other devices are logged out.")).to_be_visible()
    expect(row(phone, "作業用PC").get_by_text("active")).to_be_hidden()
    expect(phone.button("Log out other devices")).to_be_hidden()
    for _ in range(2):
        expect(laptop.heading("You've been signed out")).to_be_visible()
        laptop.page.reload()
    laptop.page.get_by_role("link", name="Log in again").click()
    expect(laptop.button("Log in")).to_be_visible()

    phone.button("Remove: 作業用PC").click()
    expect(phone.button("Cancel")).to_be_focused()
    phone.button("Remove").click()
    expect(phone.page.get_by_text("The device was removed.")).to_be_visible()
    expect(row(phone, "作業用PC")).to_be_hidden()
    laptop.send_login(person)
    expect(laptop.page.get_by_role("alert")).to_have_text(REMOVED)
    phone.button("Remove: Phone").click()
    phone.button("Remove").click()
    expect(phone.page.get_by_role("alert")).to_contain_text("Add another one first.")


def test_removing_the_device_in_use(two: tuple[Person, Window, Window]) -> None:
    """Its own page says in every tab that it was done here, and offers to join again; the other one goes on."""
    person, phone, laptop = two
    second = laptop.tab("/#devices")
    laptop.page.goto("/#devices")
    laptop.button("Remove: Phone").click()
    expect(laptop.page.get_by_text("the device that you are using")).to_be_hidden()
    laptop.button("Cancel").click()
    laptop.button("Remove: Laptop").click()
    expect(laptop.page.get_by_text("the device that you are using")).to_be_visible()
    laptop.button("Remove").click()
    for tab in (laptop.page, second):
        expect(tab.get_by_role("heading", name="Signed out", exact=True)).to_be_visible()
        expect(tab.get_by_text("You removed this device")).to_be_visible()
        expect(tab.get_by_text("Was it not you?")).to_be_hidden()
        expect(tab.get_by_role("link", name="Log in again")).to_be_hidden()
    laptop.page.get_by_role("link", name="Add this device by QR code").click()
    expect(laptop.heading("Add this device by QR code")).to_be_visible()
    phone.page.reload()
    phone.is_inside(person)


def test_a_device_removed_from_elsewhere(two: tuple[Person, Window, Window]) -> None:
    """Its page says so, by which device, and offers to join again, as to log in would be refused."""
    _, phone, laptop = two
    phone.page.goto("/#devices")
    phone.button("Remove: Laptop").click()
    phone.button("Remove").click()
    expect(laptop.heading("You've been signed out")).to_be_visible()
    expect(laptop.page.get_by_text("Was it not you?")).to_be_visible()
    expect(laptop.page.get_by_role("link", name="Log in again")).to_be_hidden()
    expect(laptop.page.get_by_role("link", name="Add this device by QR code")).to_be_visible()


def test_a_long_name_on_a_small_screen(open_window: Windows, pool: Callable[..., Suite]) -> None:
    """Nothing sticks out of 320 px, wherever the name is shown."""
    base = pool(MAX_CONCURRENT_DEVICES="2").servers[0].base
    person, phone = somebody(), open_window(base, viewport=SMALL)
    phone.register(person, LONG_NAME)
    phone.log_in(person)
    for path in ("/", "/#devices", "/#history"):
        phone.page.goto(path)
        expect(phone.page.get_by_text(LONG_NAME).first).to_be_visible()
        assert phone.page.evaluate("document.documentElement.scrollWidth") == SMALL["width"]


@pytest.mark.parametrize(("locale", "now", "later"), [("en-GB", "now", "2 hours ago"), ("ja-JP", "今", "2 時間前")])
def test_how_long_ago_is_told_in_words(open_window: Windows, locale: str, now: str, later: str) -> None:
    """With the time itself for whoever points at it, and never as something to come."""
    phone = open_window(locale=locale)
    phone.register(somebody(), "Phone")
    for hours, told in ((-1, now), (2.1, later)):
        phone.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(hours=hours))
        phone.page.goto(f"/?{hours}#devices")
        times = row(phone, "Phone").locator("time")
        expect(times).to_have_text([told] * 3)
        exact = str(times.first.get_attribute("datetime"))
        assert abs((datetime.fromisoformat(exact) - datetime.now(UTC)).total_seconds()) < 300
        assert exact[:4] in str(times.first.get_attribute("title"))


def test_sessions_and_history(two: tuple[Person, Window, Window]) -> None:
    """Log a device out by its row, which tells where and when it logged in; the history tells of the end."""
    _, phone, laptop = two
    phone.page.goto("/?from=mail#sessions")  # as earlier releases named it
    expect(phone.heading("Devices")).to_be_visible()
    assert phone.page.url.endswith("/?from=mail#devices")
    for name in ("Phone", "Laptop"):
        expect(row(phone, name)).to_contain_text("Computer")
        expect(row(phone, name)).to_contain_text("Chrome, Linux · 127.0.0.1")
    expect(phone.page.get_by_role("listitem").first).to_contain_text("This device")
    expect(phone.button("Log out: Phone")).to_be_hidden()
    phone.button("Log out: Laptop").click()
    expect(phone.page.get_by_text("The device is logged out.")).to_be_visible()
    expect(row(phone, "Laptop").get_by_text("active", exact=True)).to_be_hidden()
    expect(phone.button("Log out: Laptop")).to_be_hidden()
    expect(laptop.heading("You've been signed out")).to_be_visible()
    phone.page.get_by_role("link", name="History").click()
    events = phone.page.get_by_role("listitem")
    expect(events).to_have_count(6)
    expect(events.first).to_contain_text("Session ended")
    expect(events.first).to_contain_text("Laptop")
    expect(events.first).to_contain_text("Ended from another session.")
    expect(events.last).to_contain_text("Account registered")


def test_the_password_is_asked_for_again(
    open_window: Windows, started: Callable[[Suite], Suite], tmp_path: Path
) -> None:
    """When its last check is more than ten minutes ago, the dialog asks; a wrong one removes nothing."""
    later = started(combined(tmp_path / "later", **CHEAP))
    person, phone, laptop = somebody(), open_window(later.servers[0].base), open_window(later.servers[0].base)
    laptop.join(person, phone.register(person))
    phone.log_in(person)
    phone.page.goto("about:blank")
    later.stop()
    later.start(ICHIDAI_TEST_STORE_CLOCK_OFFSET_SECONDS="700")
    phone.page.goto("/#devices")
    phone.button("Remove: Laptop").click()
    expect(phone.page.get_by_label("Password", exact=True)).to_be_hidden()
    phone.button("Remove").click()
    expect(phone.page.get_by_label("Password", exact=True)).to_be_focused()
    phone.fill({"Password": "not the password"})
    phone.button("Remove").click()
    phone.is_refused("Password", "The password is wrong.")
    phone.fill({"Password": person.password})
    phone.button("Remove").click()
    expect(phone.page.get_by_text("The device was removed.")).to_be_visible()
    expect(row(phone, "Laptop")).to_be_hidden()
