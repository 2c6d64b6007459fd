"""Several tabs are one session: they renew it one at a time, and they all learn of its end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.window import Person, Window, somebody
from tests.support.client import Client, bearer
from tests.support.servers import Suite

Windows = Callable[..., Window]

STORED = """async () => {
  const found = [];
  for (const { name } of await indexedDB.databases()) {
    const opening = indexedDB.open(name);
    const database = await new Promise((done) => (opening.onsuccess = () => done(opening.result)));
    for (const store of database.objectStoreNames) {
      const reading = database.transaction(store).objectStore(store).getAll();
      const values = await new Promise((done) => (reading.onsuccess = () => done(reading.result)));
      const told = (_, value) =>
        value instanceof CryptoKey ? { extractable: value.extractable, usages: value.usages } : value;
      found.push([store, JSON.stringify(values, told)]);
    }
    database.close();
  }
  return { found, local: { ...localStorage }, session: { ...sessionStorage }, cookies: document.cookie };
}"""


@pytest.fixture
def inside(window: Window) -> tuple[Person, Window]:
    """Return a person with a phone that is logged in."""
    person = somebody()
    window.register(person)
    window.log_in(person)
    return person, window


@pytest.mark.requirement("B20", "B33")
def test_every_tab_learns_that_the_session_has_ended(open_window: Windows) -> None:
    """Taken over elsewhere: all tabs leave for the page that says by which device and why, and none tries to renew."""
    person, phone, laptop = somebody(), open_window(), open_window()
    laptop.join(person, phone.register(person), "Laptop")
    phone.log_in(person)
    second, third = phone.tab("/#devices"), phone.tab("/#history")
    for tab in (second, third):
        expect(tab.get_by_role("listitem").first).to_be_visible()
    before = phone.calls.count("POST /session/refresh")
    laptop.send_login(person)
    laptop.button("Continue").click()
    laptop.is_inside(person)
    for tab in (phone.page, second, third):
        expect(tab.get_by_role("heading", name="You've been signed out")).to_be_visible()
        expect(tab.get_by_text("Another device took its place")).to_be_visible()
        expect(tab.get_by_role("definition").first).to_have_text("Laptop")
    assert phone.calls.count("POST /session/refresh") == before


@pytest.mark.regression("X72")
def test_a_logout_is_one_for_all_tabs(inside: tuple[Person, Window], client: Client) -> None:
    """The server ends the session, the other tab is out as well, and nothing brings it back."""
    _, phone = inside
    access = phone.tokens["access_token"]
    second = phone.tab("/#devices")
    expect(second.get_by_role("heading", name="Phone")).to_be_visible()
    phone.button("Log out").click()
    for tab in (phone.page, second):
        expect(tab.get_by_role("heading", name="Log in")).to_be_visible()
        expect(tab.get_by_text("You are logged out.")).to_be_visible()
    assert client.verify(access).json()["reason"] == "logged-out"
    second.goto("/#devices")
    expect(second.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_new_tab_and_a_reload_are_logged_in(inside: tuple[Person, Window]) -> None:
    """And a login in one tab is one for a tab that was open before."""
    person, phone = inside
    early = phone.context.new_page()
    phone.page.reload()
    phone.is_inside(person)
    phone.button("Log out").click()
    expect(phone.page.get_by_role("heading", name=person.username)).to_have_count(0)
    early.goto("/")
    expect(early.get_by_role("heading", level=1)).to_have_text("One account, one device at a time")
    phone.log_in(person)
    expect(early.get_by_role("heading", level=1)).to_have_text(person.username)


def test_one_tab_at_a_time_renews(open_window: Windows, pool: Callable[..., Suite]) -> None:
    """Three tabs whose access token has run out ask at once: one renewal serves them all."""
    person, phone = somebody(), open_window(pool(ICHIDAI_ACCESS_TOKEN_SECONDS="16").servers[0].base)
    phone.register(person)
    phone.log_in(person)
    tabs = [phone.page, phone.tab("/#devices"), phone.tab("/#devices")]
    for tab in tabs:
        expect(tab.get_by_role("listitem").first).to_be_visible()
    time.sleep(6.5)  # a token counts as expired ten seconds early
    before = phone.calls.count("POST /session/refresh")
    for tab in tabs:
        tab.evaluate("setTimeout(() => document.querySelector('nav a[href$=history]').click(), 100)")
    for tab in tabs:
        expect(tab.get_by_role("listitem").filter(has_text="Account registered")).to_be_visible()
    assert phone.calls.count("POST /session/refresh") == before + 1


@pytest.mark.regression("X22", "Y11")
def test_where_the_tokens_are(inside: tuple[Person, Window]) -> None:
    """In no address, no localStorage, no cookie; in IndexedDB the refresh token is sealed, by a key nobody can read."""
    _, phone = inside
    phone.page.reload()
    expect(phone.button("Add a device")).to_be_visible()
    kept = phone.page.evaluate(STORED)
    assert list(kept["local"]) == ["currentlyLoggedinFingerprint"]
    assert (kept["session"], kept["cookies"]) == ({}, "")
    stores = dict(kept["found"])
    assert set(stores) == {"keys", "sessions", "devices", "tokens"}
    assert json.loads(stores["keys"]) == [{"extractable": False, "usages": ["encrypt", "decrypt"]}]
    everything = json.dumps(kept) + "".join(phone.calls)
    for token in phone.tokens.values():
        assert token not in everything
        assert token[-40:] not in everything
    assert not re.search(r"token=", "".join(phone.calls))


def test_a_stream_that_cannot_be_had_is_replaced_by_questions(open_window: Windows, client: Client) -> None:
    """Where no events can be had the page asks every few seconds, and at once when somebody comes back to it."""
    person, phone = somebody(), open_window()
    phone.context.route("**/session/events", lambda route: route.abort())
    phone.register(person)
    phone.log_in(person)
    access = phone.tokens["access_token"]
    client.post("/session/logout", {}, headers=bearer(access))
    phone.page.evaluate("dispatchEvent(new Event('focus'))")
    expect(phone.button("Log out")).to_be_hidden(timeout=4_000)  # before the next question would come
    phone.complaints = [line for line in phone.complaints if "ERR_FAILED" not in line]


def test_a_refusal_names_the_device_as_the_stream_does(open_window: Windows) -> None:
    """A page that learns of the end by being refused tells which device it was, when and why."""
    person, phone, laptop = somebody(), open_window(), open_window()
    phone.context.route("**/session/events", lambda route: route.abort())
    laptop.join(person, phone.register(person), "Laptop")
    phone.log_in(person)
    laptop.send_login(person)
    laptop.button("Continue").click()
    laptop.is_inside(person)
    phone.page.evaluate("dispatchEvent(new Event('focus'))")
    expect(phone.heading("You've been signed out")).to_be_visible()
    expect(phone.page.get_by_text("Another device took its place")).to_be_visible()
    expect(phone.page.get_by_role("definition").first).to_have_text("Laptop")
    phone.complaints = [line for line in phone.complaints if "ERR_FAILED" not in line]
