"""The main story in two browsers: a second device asks to come in, and the person decides."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.window import Person, Window, somebody
from tests.support.client import Client, refused

ENGLISH = (
    "This account is in use elsewhere. If you log in here, the earlier session is logged out automatically. Continue?"
)

Windows = Callable[..., Window]


@pytest.fixture
def pair(open_window: Windows) -> tuple[Person, Window, Window]:
    """Return a person with a phone, which is logged in, and a laptop, which has joined and is not."""
    person, phone, laptop = somebody(), open_window(), open_window()
    laptop.join(person, phone.register(person))
    phone.log_in(person)
    return person, phone, laptop


def test_the_question_names_the_device_and_cancel_comes_first(pair: tuple[Person, Window, Window]) -> None:
    """The dialog of the login has the words that were asked for, who is in the way, and Cancel in focus."""
    person, _, laptop = pair
    laptop.send_login(person)
    expect(laptop.question).to_contain_text(ENGLISH)
    expect(laptop.question.get_by_role("listitem")).to_have_count(1)
    for told in ("Phone", "Logged in:", "Last seen:"):
        expect(laptop.question.get_by_role("listitem")).to_contain_text(told)
    expect(laptop.button("Cancel")).to_be_focused()


@pytest.mark.requirement("B18", "B31", "B35", "B20", "B33", "D41", "D42", "D43", "B08")
def test_continue_logs_the_other_device_out(pair: tuple[Person, Window, Window]) -> None:
    """BlueLamp's first case: B is asked, says continue and is in; A's page notices by itself and says why."""
    person, phone, laptop = pair
    laptop.send_login(person)
    laptop.button("Continue").click()
    laptop.is_inside(person)
    expect(phone.heading("You've been signed out")).to_be_visible()
    expect(phone.page.get_by_text("Another device took its place")).to_be_visible()
    phone.page.get_by_role("link", name="Log in again").click()
    expect(phone.heading("Log in")).to_be_visible()


@pytest.mark.requirement("B19", "B32", "B36", "D44", "B08")
def test_cancel_changes_nothing(pair: tuple[Person, Window, Window], open_window: Windows) -> None:
    """BlueLamp's second case, at the other endpoint too: right after joining, where the password was typed already."""
    person, phone, laptop = pair
    laptop.send_login(person)
    laptop.button("Cancel").click()
    expect(laptop.page.get_by_text("Nothing was changed")).to_be_visible()
    expect(laptop.heading("Log in")).to_be_visible()

    tablet = open_window()
    tablet.join(person, phone.show_code(person), "Tablet")
    tablet.button("Log in").click()
    expect(tablet.question).to_be_visible()
    tablet.page.keyboard.press("Escape")  # is a no as well
    expect(tablet.page.get_by_text("Nothing was changed")).to_be_visible()

    phone.page.goto("/#devices")
    card = phone.page.get_by_role("listitem").filter(has=phone.heading("Phone"))
    expect(card.get_by_text("active", exact=True)).to_be_visible()
    phone.page.reload()
    expect(phone.heading("Devices")).to_be_visible()


@pytest.mark.requirement("B37", "B38", "B09", "B28")
def test_the_tokens_of_the_other_device_are_dead(pair: tuple[Person, Window, Window], client: Client) -> None:
    """BlueLamp's third and fourth case, with the very tokens that the browser got; and it never tries to come back."""
    person, phone, laptop = pair
    expect(phone.button("Add a device")).to_be_visible()
    access, refresh = phone.tokens["access_token"], phone.tokens["refresh_token"]
    assert client.verify(access).status_code == 200
    laptop.send_login(person)
    laptop.button("Continue").click()
    laptop.is_inside(person)
    expect(phone.heading("You've been signed out")).to_be_visible()
    for reply in (client.verify(access), client.refresh(refresh)):
        assert refused(reply, 401, "session-ended")["reason"] == "taken-over"
    phone.page.reload()
    expect(phone.button("Log out")).to_be_hidden()
    assert "POST /session/refresh" not in phone.calls


@pytest.mark.requirement("B04", "D42", "B08")
def test_the_question_in_japanese(open_window: Windows) -> None:
    """With the words as they were given."""
    person, phone, laptop = somebody(), open_window(), open_window(locale="ja-JP")
    code = phone.register(person)
    phone.log_in(person)
    laptop.page.goto("/registration/#join")
    laptop.fill({"QRコードの文字列": code, "ユーザー名": person.username, "パスワード": person.password})
    laptop.button("この端末を追加").click()
    laptop.button("ログイン").click()
    dialog = laptop.page.get_by_role("dialog", name="使用中です")
    expect(dialog).to_contain_text(
        "このアカウントは別の場所で使用中です。こちらにログインすると、以前のセッションは自動的にログアウトされます。続けますか？"
    )
    expect(laptop.button("キャンセル")).to_be_focused()
    laptop.button("続ける").click()
    expect(laptop.button("端末を追加")).to_be_visible()
