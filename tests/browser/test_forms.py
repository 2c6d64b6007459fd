"""One scene in every form in which the suite is run: the same person from the first registration to the last logout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.forms import FORMS, Form
from tests.browser.window import Person, Window, somebody
from tests.integration.test_pairing import scanned

Windows = Callable[..., Window]

SOON_MS = 4_500
"""Two seconds are promised; without a stream the page would ask after five."""


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Form]:
    """Return a running suite in one of its forms."""
    with FORMS[request.param](tmp_path_factory.mktemp("form")) as running:
        yield running


@pytest.fixture
def windows(form: Form, open_window: Windows) -> Callable[[], Window]:
    """Return a function that opens a window at the console, in a browser that knows nothing yet."""
    return lambda: open_window(form.console, hosts=form.hosts, ignore_https_errors=True)


def follow(page: Page, name: str, heading: str | None = None) -> None:
    """Go to a view by the navigation, and wait until it shows what is in it."""
    page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=heading or name, level=1)).to_be_visible()
    expect(page.get_by_role("listitem").first).to_be_visible()


@pytest.mark.requirement("R65", "R66", "R68", "B18", "B20", "B31", "B33", "B35", "D37", "D41")
@pytest.mark.regression("Z01")
def test_one_person_from_registration_to_logout(form: Form, windows: Callable[[], Window], tmp_path: Path) -> None:
    """Registered in the page, logged in from the login app's address, joined by the link, asked, taken over, left."""
    person, phone, laptop = somebody(), windows(), windows()
    phone.register(person)
    phone.page.goto(f"{form.apps['login']}/login?from=mail")
    assert phone.page.url == f"{form.console}/login?from=mail"
    phone.fill({"Username": person.username, "Password": person.password})
    phone.button("Log in").click()
    phone.is_inside(person)
    phone.page.reload()
    phone.is_inside(person)

    link = phone.show_code(person)
    picture = phone.page.get_by_role("img", name="QR code that lets another device join")
    assert scanned(picture.get_attribute("src") or "") == link
    opened_by_link(laptop, link, form)
    laptop.fill({"Username": person.username, "Password": person.password, "Device name": "Laptop"})
    laptop.button("Add this device").click()
    laptop.registered()
    expect(phone.page.get_by_text("\u2068Laptop\u2069 has joined")).to_be_visible()

    laptop.button("Log in").click()
    expect(laptop.question.get_by_role("listitem")).to_contain_text("Phone")
    laptop.button("Continue").click()
    laptop.is_inside(person)
    expect(phone.heading("You've been signed out")).to_be_visible(timeout=SOON_MS)
    expect(phone.page.get_by_role("definition").first).to_have_text("Laptop")
    phone.page.reload()
    expect(phone.button("Log out")).to_be_hidden()
    looked_around(laptop, person)


def opened_by_link(window: Window, link: str, form: Form) -> None:
    """Open the join view by a QR code's link; the code is in the form, and no longer in the address or its history."""
    assert link.startswith(f"{form.console}/registration/#join=")
    window.page.goto("/")
    window.page.goto(link)
    expect(window.page.get_by_label("QR code text")).to_have_value(link.partition("#join=")[2])
    expect(window.page.get_by_label("Username")).to_be_focused()
    assert window.page.url == f"{form.console}/registration/#join"
    window.page.go_back()
    window.page.go_forward()
    assert window.page.url == f"{form.console}/registration/#join"
    window.page.goto(link)
    expect(window.page.get_by_label("QR code text")).to_have_value(link.partition("#join=")[2])


def looked_around(window: Window, person: Person) -> None:
    """See devices and history, and log out."""
    page = window.page
    follow(page, "Devices")
    for name, is_first in (("Phone", True), ("Laptop", False)):
        card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name))
        expect(card.get_by_text("first device")).to_be_visible(visible=is_first)
        expect(card.get_by_text("active", exact=True)).to_be_visible(visible=not is_first)
    follow(page, "History")
    for event in ("Account registered", "Device added", "Another device took its place."):
        expect(page.get_by_role("listitem").filter(has_text=event).first).to_be_visible()
    window.button("Log out").click()
    expect(window.heading("Log in")).to_be_visible()
    page.reload()
    expect(window.button("Log out")).to_be_hidden()
    window.log_in(person)


@pytest.mark.regression("Z01")
def test_every_address_leads_to_the_one_console(form: Form, windows: Callable[[], Window]) -> None:
    """From each app's first page; query and fragment come along, and nothing is said to be elsewhere."""
    for base in form.apps.values():
        window = windows()
        window.page.goto(f"{base}/?from=mail#history")
        expect(window.heading("Log in")).to_be_visible()
        assert window.page.url == f"{form.console}/?from=mail#history"


def test_the_other_spelling_of_this_machine_is_left(form: Form, open_window: Windows) -> None:
    """What a browser makes at localhost is not there at 127.0.0.1: the pages settle on one."""
    home, away = ("localhost", "127.0.0.1") if "//localhost" in form.console else ("127.0.0.1", "localhost")
    other = form.console.replace(home, away)
    window = open_window(form.console, hosts=(*form.hosts, other), ignore_https_errors=True)
    window.page.goto(f"{other}/registration/?from=mail#join")
    window.page.wait_for_url(f"{form.console}/registration/?from=mail#join")
    expect(window.heading("Add this device by QR code")).to_be_visible()


def test_a_browser_that_asks_for_an_unknown_address_gets_a_page(form: Form, windows: Callable[[], Window]) -> None:
    """In its language, with a way on; a program gets the problem document."""
    for base in form.apps.values():
        window = windows()
        answer = window.page.goto(f"{base}/no/such/page")
        assert answer is not None
        assert answer.status == 404
        expect(window.heading("There is no such page")).to_be_visible()
        window.page.get_by_role("link", name="To the first page").click()
        expect(window.page).to_have_url(f"{form.console}/")
        assert window.context.request.get(f"{base}/no/such/page").json()["code"] == "not-found"
