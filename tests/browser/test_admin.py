"""The admin app's page: a key opens it, somebody is found, seen and acted on; fit for everybody, in both languages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from ichidai.cli.admin_keys import app as commands
from tests.browser.looks import LOOKS, faults
from tests.browser.window import Window
from tests.support import axe
from tests.support.client import Client, unique
from tests.support.servers import Suite, serve_command

Windows = Callable[..., Window]


@pytest.fixture(scope="module")
def admin(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return the admin app on the data of `suite`."""
    parts = {"admin": lambda port: serve_command("admin", port)}
    running = Suite(parts, suite.settings | {"ICHIDAI_DATA_DIR": str(suite.data)}, tmp_path_factory.mktemp("admin"))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def key_of(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return what makes a key of a role by command."""
    monkeypatch.setenv("ICHIDAI_DATA_DIR", str(suite.data))

    def key_of(role: str) -> str:
        return CliRunner().invoke(commands, ["create", "--role", role]).stdout.strip()

    return key_of


def opened(page: Page, key: str, label: str = "Admin key", enter: str = "Continue") -> None:
    """Open the page and enter a key."""
    page.goto("/")
    page.get_by_role("textbox", name=label, exact=True).fill(key)
    page.get_by_role("button", name=enter).click()


def found(page: Page, who: str) -> None:
    """Find somebody in the English page."""
    page.get_by_label("Username, mail address or uuid", exact=True).fill(who)
    page.get_by_role("button", name="Find", exact=True).click()


def test_an_owner_finds_sees_and_acts(
    open_window: Windows, admin: Suite, client: Client, key_of: Callable[[str], str], tmp_path: Path
) -> None:
    """A wrong key is told; an act needs a reason, is done, told, and shown in the history. Clean by axe all along."""
    axe.require()
    name = unique("zoe")
    person = client.register(name)
    session = person.login()
    page = open_window(admin.servers[0].base, hosts=(), reduced_motion="reduce").page
    opened(page, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("no such admin key")
    wrong = faults(page, "entrance")
    opened(page, key_of("owner"))
    expect(page.get_by_text("role owner")).to_be_visible()
    found(page, "nobody-of-this-name")
    expect(page.get_by_text("No account has this")).to_be_visible()
    found(page, name)
    expect(page.get_by_role("heading", name=name)).to_be_focused()
    expect(page.locator("[data-part=sessions] tbody tr")).to_have_count(1)
    wrong += faults(page, "account")
    page.screenshot(path=tmp_path / "account.png", full_page=True)
    page.get_by_role("button", name="End all sessions").click()
    wrong += faults(page, "dialog")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="End all sessions").click()
    expect(dialog).to_be_visible()  # there is no reason yet
    dialog.get_by_label("Reason").fill("ticket 4711")
    dialog.get_by_role("button", name="End all sessions").click()
    expect(page.get_by_text("Done. Sessions ended: 1.")).to_be_visible()
    expect(page.locator("[data-part=history] tbody tr").first).to_contain_text("by an operator (end-sessions)")
    assert client.verify(session.access).status_code == 401
    page.get_by_role("button", name="Forget the key").click()
    expect(page.get_by_role("textbox", name="Admin key")).to_be_visible()
    assert not wrong, "\n".join(wrong)


def test_lists_history_and_audit_log_go_on(
    open_window: Windows, admin: Suite, client: Client, key_of: Callable[[str], str], tmp_path: Path
) -> None:
    """Page by page, in a reader's window; an account is opened from a line. Clean by axe all along."""
    axe.require()
    name, owner = unique("lea"), key_of("owner")
    person = client.register(name)
    for _ in range(24):
        person.login()
    body = {"uuid": person.uuid, "reason": "ticket 4712"}
    headers = {"Authorization": f"Bearer {owner}"}
    page = open_window(admin.servers[0].base, hosts=(), reduced_motion="reduce").page
    acted = page.request.post("/admin/disable", data=body, headers=headers)
    assert acted.ok, acted.text()
    opened(page, key_of("read"))
    section = page.locator("[data-part=accounts_section]")
    section.get_by_label("State").select_option("disabled")
    section.get_by_role("button", name="List").click()
    section.get_by_role("button", name=name).click()
    expect(page.get_by_role("heading", name=name)).to_be_focused()
    history = page.locator("[data-part=history] tbody tr")
    shown = history.count()
    page.get_by_role("button", name="Earlier").first.click()
    expect(history.last).to_contain_text("registered")
    assert history.count() > shown
    expect(page.get_by_role("button", name="Earlier").first).to_be_hidden()
    expect(page.get_by_role("region", name="History")).to_be_focused()
    audit = page.locator("[data-part=audit_section]")
    audit.get_by_label("About whom").fill("nobody-of-this-name")
    audit.get_by_role("button", name="Show").click()
    expect(audit.get_by_role("alert")).to_contain_text("No account has this")
    audit.get_by_label("About whom").fill(name)
    audit.get_by_label("From which day on").fill("2026-01-01")
    audit.get_by_role("button", name="Show").click()
    line = audit.locator("tbody tr")
    expect(line).to_have_count(1)
    expect(line).to_contain_text("operator-disable")
    expect(line).to_contain_text("ticket 4712")
    wrong = faults(page, "lists")
    page.set_viewport_size(LOOKS[0][0])
    page.emulate_media(color_scheme="light")
    page.screenshot(path=tmp_path / "lists.png", full_page=True)
    audit.get_by_label("From which day on").fill("2100-01-01")
    audit.get_by_role("button", name="Show").click()
    expect(audit.get_by_text("None")).to_be_visible()
    assert not wrong, "\n".join(wrong)


def test_a_reader_sees_no_acts_in_japanese(
    open_window: Windows, admin: Suite, client: Client, key_of: Callable[[str], str]
) -> None:
    """What a role cannot do is not offered."""
    name = unique("mei")
    client.register(name)
    page = open_window(admin.servers[0].base, hosts=(), locale="ja-JP").page
    opened(page, key_of("read"), "管理キー", "続ける")
    page.get_by_label("ユーザー名、メールアドレス、または uuid", exact=True).fill(name)
    page.get_by_role("button", name="検索").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(page.get_by_role("heading", name="操作")).to_be_hidden()
    page.locator("[data-part=audit_section]").get_by_role("button", name="表示").click()
    expect(page.locator("[data-part=audit] tbody tr").first).to_contain_text("admin-key-create")
    expect(page.get_by_role("button", name="登録解除")).to_have_count(0)
