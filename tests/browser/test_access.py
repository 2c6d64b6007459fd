"""The pages are for everybody: with a keyboard, a screen reader, a small screen, in the dark, in both languages."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.looks import faults
from tests.browser.walk import walk
from tests.browser.window import Window, somebody
from tests.support import axe

Windows = Callable[..., Window]

MOVING = "[...document.querySelectorAll('*')].some((e) => parseFloat(getComputedStyle(e).transitionDuration) > 0)"
BLOCKING = """performance.getEntriesByType("resource")
  .filter((entry) => entry.renderBlockingStatus === "blocking").map((entry) => entry.name)"""


def test_every_page_in_every_look(open_window: Windows) -> None:
    """No violation that axe-core knows of (WCAG 2.2 AA), and nothing sticks out at 320 px, light and dark."""
    wrong = []
    axe.require()
    seen = set()
    for name, page in walk(open_window(reduced_motion="reduce"), open_window(reduced_motion="reduce"), somebody()):
        seen.add(name)
        wrong += faults(page, name)
    assert not wrong, "\n".join(wrong)
    assert len(seen) == 19


def test_the_keyboard_is_enough(open_window: Windows) -> None:
    """Register, log in, say no and say yes, without a mouse; the focus is always to be seen."""
    person, phone, laptop = somebody(), open_window(), open_window()
    keys = phone.page.keyboard
    phone.page.goto("/registration/")
    keys.press("Tab")
    expect(phone.page.get_by_role("link", name="Skip to the content")).to_be_focused()
    keys.press("Enter")
    for text in (person.username, person.email, person.password, "Phone"):
        keys.press("Tab")
        keys.type(text)
        style = "(e) => getComputedStyle(e).outlineStyle"
        assert phone.page.locator(":focus").evaluate(style) != "none"
        if text == person.password:
            keys.press("Tab")
            expect(phone.button("Show password")).to_be_focused()
    keys.press("Enter")
    code = phone.registered()
    expect(phone.heading("This device is registered")).to_be_focused()
    for button in (phone.button("Keep recovery codes"), phone.page.get_by_role("link", name="Go to your account")):
        expect(button).to_be_visible()
        keys.press("Tab")
        expect(button).to_be_focused()
    keys.press("Enter")
    phone.is_inside(person)
    expect(phone.heading(person.username)).to_be_focused()

    laptop.join(person, code)
    keys = laptop.page.keyboard
    laptop.page.goto("/login")
    laptop.page.get_by_label("Username").focus()
    keys.type(person.username)
    keys.press("Tab")
    keys.type(person.password)
    keys.press("Enter")
    expect(laptop.button("Cancel")).to_be_focused()
    keys.press("Enter")
    expect(laptop.question).to_be_hidden()
    laptop.page.get_by_label("Password", exact=True).focus()
    keys.type(person.password)
    keys.press("Enter")
    expect(laptop.button("Cancel")).to_be_focused()
    keys.press("Tab")
    expect(laptop.button("Continue")).to_be_focused()
    keys.press("Enter")
    laptop.is_inside(person)


def test_the_language_switch(window: Window) -> None:
    """The browser chooses, the switch overrules it for good; what the server says follows."""
    window.page.goto("/login")
    expect(window.heading("Log in")).to_be_visible()
    window.button("日本語").click()
    expect(window.heading("ログイン")).to_be_visible()
    expect(window.page.locator("html")).to_have_attribute("lang", "ja")
    window.fill({"ユーザー名": "nobody", "パスワード": "something wrong"})
    window.button("ログイン").click()
    expect(window.page.get_by_role("alert")).to_contain_text("このブラウザはまだ端末として登録されていません")
    window.page.goto("/registration/")
    expect(window.heading("ユーザー登録")).to_be_visible()
    window.button("English").click()
    expect(window.heading("Create account")).to_be_visible()


def test_a_refusal_is_in_the_language_of_the_page(open_window: Windows) -> None:
    """Also where the server tells programs in English what is wrong with a field."""
    window = open_window(locale="ja-JP")
    page = window.page
    page.goto("/registration/")
    for label, value in {"ユーザー名": "花子", "メールアドレス": "hanako", "パスワード": "correct horse 42"}.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="アカウントを作成").click()
    window.is_refused("Email", "メールアドレスの形式が正しくありません（例：name@example.com）。")


def test_motion_is_reduced_for_whoever_asks(open_window: Windows) -> None:
    """No animation, no transition."""
    for wish, moves in (("reduce", False), ("no-preference", True)):
        page = open_window(reduced_motion=wish).page
        page.goto("/login")
        assert (page.evaluate(MOVING)) is moves


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
@pytest.mark.parametrize("path", ["/", "/registration/", "/login"])
def test_a_first_page_is_light(open_window: Windows, path: str, locale: str) -> None:
    """Under 120 KB with everything it needs, as it goes over the wire, and no script keeps it from being drawn."""
    sizes, window = [], open_window(locale=locale)
    window.context.on("response", lambda response: sizes.append(len(response.body())))
    window.page.goto(path, wait_until="networkidle")
    assert 30_000 < sum(sizes) < 120_000
    assert all(name.endswith(".css") for name in window.page.evaluate(BLOCKING))
