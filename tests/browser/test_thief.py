"""A thief's stories: each begins with a password and a device, and ends with its owner in and the thief out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from ichidai.console.texts import said_in
from tests.browser.conftest import CHEAP
from tests.browser.test_second_factor import switch_on
from tests.browser.test_security import make_codes
from tests.browser.window import Person, Window, somebody
from tests.support.mail_server import Mailbox, link_in, serving_mail
from tests.support.ports import free_port
from tests.support.servers import Suite, combined

Windows = Callable[..., Window]

OUT_MILLISECONDS = 60_000
NEW, THIEFS = "an altogether new phrase", "a phrase of the thief's"

pytestmark = pytest.mark.requirement("R72")


@pytest.fixture(scope="module")
def post(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Suite, Mailbox]]:
    """Return a suite that sends mails, and where they arrive."""
    with serving_mail() as (address, mailbox):
        settings = {**CHEAP, "ICHIDAI_MAIL": address, "ICHIDAI_EVENTS_PORT": str(free_port())}
        suite = combined(tmp_path_factory.mktemp("thief"), **settings)
        suite.start()
        try:
            yield suite, mailbox
        finally:
            suite.stop()


def takes_over(_thief: Window, _person: Person, _mailbox: Mailbox) -> None:
    """Do nothing more: the phone is out."""


def turns_factor_on(thief: Window, person: Person, _mailbox: Mailbox) -> None:
    """Lock the owner out by a second factor."""
    switch_on(thief, person.password)


def at_account(thief: Window) -> None:
    """Go to the account's page."""
    thief.page.get_by_role("link", name=thief.said("Account and security")).click()
    expect(thief.heading("Account and security")).to_be_visible()


def sees_it_taken_back(owner: Window, said: Mapping[str, str]) -> None:
    """The history tells that the factor is off, and does not offer to take that back; the new device it does."""
    owner.page.goto("/#history")
    rows, ask = owner.page.get_by_role("listitem"), owner.said("That was not me")
    gone = rows.filter(has_text=said["event_otp-disabled"])
    added = rows.filter(has_text=said["event_device-added"])
    expect(gone).to_be_visible()
    expect(gone.get_by_role("button", name=ask)).to_have_count(0)
    expect(added.first.get_by_role("button", name=ask)).to_be_visible()


def changes_password(thief: Window, person: Person, _mailbox: Mailbox) -> None:
    """Lock the owner out by another password."""
    at_account(thief)
    thief.fill({"Present password": person.password, "New password": THIEFS})
    thief.button("Change the password").click()
    expect(thief.page.get_by_role("status")).to_have_text(thief.said("The password was changed."))


def makes_codes(thief: Window, person: Person, _mailbox: Mailbox) -> None:
    """Make recovery codes, to come back with."""
    at_account(thief)
    make_codes(thief, person)


def changes_mail(thief: Window, person: Person, mailbox: Mailbox) -> None:
    """Ask for mails at another address, and confirm it by the link that comes there."""
    at_account(thief)
    card = thief.page.get_by_role("region", name=thief.said("Mail address"))
    card.get_by_label(thief.said("Email"), exact=True).fill(f"thief-{person.email}")
    card.get_by_label(thief.said("Password"), exact=True).fill(person.password)
    card.locator("button[type=submit]").click()
    expect(thief.page.get_by_role("status")).to_be_visible()
    mailbox.wait_for(lambda: any(mail["To"] == f"thief-{person.email}" for mail in mailbox.mails))
    token = next(link_in(mail, "confirm") for mail in mailbox.mails if mail["To"] == f"thief-{person.email}")
    own = thief.tab(f"/registration/#confirm={token}")
    own.get_by_role("button", name=thief.said("Yes, it is mine")).click()
    expect(own.get_by_role("status")).to_have_text(thief.said("The mail address is confirmed."))
    own.close()


def closes_account(thief: Window, person: Person, _mailbox: Mailbox) -> None:
    """Close the account."""
    at_account(thief)
    thief.button("Close the account").click()
    dialog = thief.page.get_by_role("dialog")
    dialog.get_by_label(thief.said("Password"), exact=True).fill(person.password)
    dialog.get_by_role("button", name=thief.said("Close the account")).click()
    expect(thief.page.get_by_role("link", name=thief.said("Log in again"))).to_be_visible()


def notices_to(mailbox: Mailbox, person: Person) -> list[str]:
    """Return the tokens of the links by which a person objects to what was done, in the order in which they arrived."""
    mails = [mail for mail in mailbox.mails if mail["To"] == person.email]
    return [link_in(mail, "object") for mail in mails if not link_in(mail, "confirm")]


def robbed(open_window: Windows, base: str, mailbox: Mailbox, person: Person, locale: str) -> Window:
    """Let a person be in on a phone, with a confirmed address, and a thief's laptop take it over; return the laptop."""
    phone, thief = open_window(base, locale=locale), open_window(base, locale=locale)
    phone.register(person)
    mailbox.wait_for(lambda: any(mail["To"] == person.email for mail in mailbox.mails))
    phone.page.goto(f"/registration/#confirm={mailbox.link('confirm')}")
    phone.button("Yes, it is mine").click()
    expect(phone.page.get_by_role("status")).to_have_text(phone.said("The mail address is confirmed."))
    phone.page.goto("/login")
    phone.log_in(person)
    thief.join(person, phone.show_code(person))
    thief.send_login(person)
    thief.question.get_by_role("button", name=thief.said("Continue")).click()
    thief.is_inside(person)
    expect(phone.heading("You've been signed out")).to_be_visible()
    mailbox.wait_for(lambda: len(notices_to(mailbox, person)) >= 2)  # of the device, and of the takeover
    return thief


@pytest.mark.parametrize(
    ("act", "tells", "locale"),
    [
        (takes_over, False, "en-GB"),
        (turns_factor_on, True, "ja-JP"),
        (changes_password, True, "en-GB"),
        (makes_codes, True, "ja-JP"),
        (changes_mail, True, "en-GB"),
        (closes_account, True, "ja-JP"),
    ],
)
def test_the_owner_is_in_and_the_thief_is_out(
    open_window: Windows,
    post: tuple[Suite, Mailbox],
    act: Callable[[Window, Person, Mailbox], None],
    locale: str,
    *,
    tells: bool,
) -> None:
    """By the link of the first notice, in a browser that the account never saw; `tells`: the act is noticed by mail."""
    suite, mailbox = post
    base, person = suite.servers[0].base, somebody()
    thief = robbed(open_window, base, mailbox, person, locale)
    first, *_ = known = notices_to(mailbox, person)
    act(thief, person, mailbox)
    if tells:
        mailbox.wait_for(lambda: len(notices_to(mailbox, person)) > len(known))
    owner = open_window(base, locale=locale)
    owner.page.goto(f"/registration/#object={first}")
    owner.button("Take it back").click()
    dialog = owner.page.get_by_role("dialog", name=owner.said("Choose a new password"))
    dialog.get_by_label(owner.said("Username"), exact=True).fill(person.username)
    dialog.get_by_label(owner.said("New password"), exact=True).fill(NEW)
    owner.button("Set the password").click()
    owner.registered()
    owner.log_in(replace(person, password=NEW))
    if act is not closes_account:
        out = thief.heading("You've been signed out").or_(thief.heading("Signed out"))
        expect(out).to_be_visible(timeout=OUT_MILLISECONDS)
    for password in (person.password, THIEFS, NEW):  # the thief's laptop is no device of the account any more
        thief.send_login(replace(person, password=password))
        expect(thief.page.get_by_role("alert")).to_be_visible()
    owner.page.reload()
    owner.is_inside(person)
    at_account(owner)
    expect(owner.page.get_by_text(person.email, exact=True)).to_be_visible()
    if act is turns_factor_on:
        sees_it_taken_back(owner, said_in(locale[:2]))
