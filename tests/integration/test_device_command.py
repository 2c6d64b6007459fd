"""`ichidai device …` over real HTTP: what a person types, what is answered, and the exit status for scripts."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from ichidai.cli import device as device_commands
from ichidai.cli import device_terminal
from ichidai.cli.device import app
from ichidai.cli.device_terminal import Exit
from ichidai.client import Problem, open_device
from tests.support.client import PASSWORD, unique
from tests.support.ports import free_port
from tests.support.servers import Suite, combined, run_to_its_end

Typed = Callable[..., tuple[int, str]]

TRIES = 3
"""How often a device may ask to join in ten minutes: on a machine that is busy for 30 seconds one try is lost."""


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Return a function that runs a command on a device's file, with lines typed; it gives status and output."""
    monkeypatch.setattr(device_terminal.out, "width", 250)

    def run(device: str, command: str, *arguments: str, lines: tuple[str, ...] = ()) -> tuple[int, str]:
        file = ["--file", str(tmp_path / f"{device}.json")]
        done = CliRunner().invoke(app, [command, *arguments, *file], input="".join(f"{line}\n" for line in lines))
        assert done.exception is None or isinstance(done.exception, SystemExit), done.output
        return done.exit_code, done.output

    return run


def registered(typed: Typed, base: str, kind: str = "p-256") -> tuple[str, str]:
    """Register somebody with a phone; return the name, and the code for another device."""
    name = unique()
    arguments = ["--username", name, "--email", f"{name}@b.test", "--device-name", "Phone", "--keys", kind]
    status, said = typed("phone", "register", *arguments, "--url", base, lines=(PASSWORD,))
    assert status == 0, said
    return name, said.strip().splitlines()[-1]


def joined(typed: Typed, base: str, name: str, code: str) -> None:
    """Join with a laptop."""
    arguments = [code, "--username", name, "--device-name", "Laptop", "--keys", "p-256", "--url", base]
    status, said = typed("laptop", "join", *arguments, lines=(PASSWORD,))
    assert status == 0, said


@pytest.mark.requirement("R61", "R68", "R69", "B08", "B10", "D41", "D55", "D56")
@pytest.mark.parametrize("kind", ["ml-dsa-87", "p-256"])
def test_a_person_at_the_command_line(suite: Suite, typed: Typed, kind: str) -> None:
    """Registers, adds a device, is asked and refuses, is asked and consents, hears it on the other, and tidies up."""
    base = suite.servers[0].base
    name, _ = registered(typed, base, kind)
    assert typed("phone", "login", lines=(PASSWORD,))[0] == 0
    status, shown = typed("phone", "pair", lines=(PASSWORD,))
    assert status == 0
    assert len(re.findall(r"^[ █▀▄\xa0]{20,}$", shown, re.MULTILINE)) > 10
    joined(typed, base, name, shown.strip().splitlines()[-1])

    status, said = typed("laptop", "login", lines=(PASSWORD,))
    assert status == Exit.IN_USE, said
    assert re.search(r"^ +Phone, logged in \d{4}-\S+Z, last seen \d{4}-\S+Z$", said, re.MULTILINE)
    assert "Nothing has changed. `ichidai device takeover` asks" in said
    for answer in ("n", "", "never", "yesterday"):
        status, said = typed("laptop", "takeover", lines=(PASSWORD, answer))
        assert status == Exit.IN_USE
        assert "This account is in use elsewhere." in said
    assert json.loads(typed("phone", "verify")[1])["active"] is True

    status, said = typed("laptop", "takeover", lines=(PASSWORD, "y"))
    assert (status, "Phone is logged out." in said) == (0, True)
    status, said = typed("phone", "status")
    assert status == Exit.NOT_LOGGED_IN
    assert "You were logged out elsewhere." in said
    assert "(taken-over)" in said
    status, said = typed("phone", "verify")
    assert (status, "Nobody is logged in on this device." in said) == (Exit.NOT_LOGGED_IN, True)

    listed = typed("laptop", "list")[1]
    (phone,) = re.findall(r"([0-9a-f-]{36}) .* Phone ", listed)
    assert re.search(r"Laptop .*this one, active", listed)
    assert typed("laptop", "unbind", phone)[0] == 0
    status, said = typed("phone", "login", lines=(PASSWORD,))
    assert status == Exit.REFUSED, said
    assert typed("laptop", "logout")[0] == 0
    assert typed("laptop", "logout")[0] == Exit.NOT_LOGGED_IN


def test_the_active_device_is_asked_first(pool: Callable[..., Suite], typed: Typed, tmp_path: Path) -> None:
    """Its user types the digits that the other terminal shows, or refuses; with nothing to answer it says so."""
    base = pool(ICHIDAI_TAKEOVER_APPROVAL="ask").servers[0].base
    name, code = registered(typed, base)
    joined(typed, base, name, code)
    assert typed("phone", "login", lines=(PASSWORD,))[0] == 0
    assert typed("phone", "approve") == (0, "No device asks.\n")
    status, said = typed("laptop", "login", lines=(PASSWORD,))
    assert (status, "`ichidai device takeover` asks" in said) == (Exit.IN_USE, True)

    def approve(digits: str) -> None:
        status, said = typed("phone", "approve", lines=(digits,))
        assert (status, "Laptop wants this device's place" in said, "It is let in." in said) == (0, True, True)

    with open_device(tmp_path / "laptop.json") as laptop:
        assert laptop.log_in(PASSWORD, ask=lambda _: True, show_digits=approve).ended == ["Phone"]
    with open_device(tmp_path / "phone.json") as phone, pytest.raises(Problem) as refused:
        phone.log_in(PASSWORD, ask=lambda _: True, show_digits=lambda _: typed("laptop", "approve", "--refuse"))
    assert refused.value.code == "approval-refused"


def test_joining_by_digits_alone(
    tmp_path: Path, started: Callable[[Suite], Suite], typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The phone's user types what the laptop's terminal shows; then the laptop's user is asked, and is logged in."""
    base = started(combined(tmp_path / "suite", ICHIDAI_JOIN_BY_APPROVAL="true")).servers[0].base
    name, _ = registered(typed, base)
    assert typed("phone", "login", lines=(PASSWORD,))[0] == 0
    show, approved = device_commands._show_digits, list[str]()

    def approve(digits: str) -> None:
        show(digits)
        approved.append(typed("phone", "approve", lines=(digits,))[1])

    monkeypatch.setattr(device_commands, "_show_digits", approve)
    joining = ["--by-approval", "--username", name, "--device-name", "Laptop", "--keys", "p-256", "--url", base]
    tries = (typed("laptop", "join", *joining, lines=("y",)) for _ in range(TRIES))
    said = next(said for status, said in tries if status == 0)
    assert "Laptop wants to join the account" in approved[-1]
    assert re.search(r"Type \d{4} on the active device", said)
    assert "Phone is logged out." in said
    assert typed("laptop", "verify")[0] == 0
    assert typed("phone", "verify")[0] == Exit.NOT_LOGGED_IN
    assert typed("other", "join", "a-code", *joining)[0] == Exit.UNUSABLE


def test_a_certificate_is_renewed(suite: Suite, typed: Typed) -> None:
    """The file has the new one, by which the device logs in; the session lives on."""
    registered(typed, suite.servers[0].base)
    assert typed("phone", "login", lines=(PASSWORD,))[0] == 0
    before = typed("phone", "status")[1]
    status, said = typed("phone", "renew", lines=(PASSWORD,))
    assert status == 0, said
    after = typed("phone", "status")[1]
    (new,) = re.findall(r"[0-9a-f]{64}", said)
    assert (new in after, new in before) == (True, False)
    assert typed("phone", "login", lines=(PASSWORD,))[0] == 0


def test_the_account_is_closed_and_reopened(suite: Suite, typed: Typed) -> None:
    """It asks back; a login says that it is closed; once reopened the device logs in as before."""
    registered(typed, suite.servers[0].base)
    assert typed("phone", "login", lines=(PASSWORD,))[0] == 0
    assert typed("phone", "close-account", lines=("n",))[0] == Exit.REFUSED
    assert typed("phone", "verify")[0] == 0
    status, said = typed("phone", "close-account", "--yes", lines=(PASSWORD,))
    assert (status, "`ichidai device reopen-account`" in said) == (0, True)
    status, said = typed("phone", "login", lines=(PASSWORD,))
    assert (status, "(account-closed)" in said) == (Exit.REFUSED, True)
    assert typed("phone", "reopen-account", lines=("not the password",))[0] == Exit.REFUSED
    assert typed("phone", "reopen-account", lines=(PASSWORD,))[0] == 0
    assert typed("phone", "login", lines=(PASSWORD,))[0] == 0


class TestWhatCannotBe:
    """A sentence, a status, and nothing lost."""

    def test_before_there_is_a_device(self, typed: Typed) -> None:
        """It says how to get one."""
        status, said = typed("phone", "login", lines=(PASSWORD,))
        assert (status, "`ichidai device register` or `join` makes one" in said) == (Exit.UNUSABLE, True)

    def test_where_there_is_one_already(self, suite: Suite, typed: Typed) -> None:
        """Its keys stay."""
        name, code = registered(typed, suite.servers[0].base)
        status, said = typed("phone", "join", code, "--username", name, lines=(PASSWORD,))
        assert (status, "Choose another --file" in said) == (Exit.UNUSABLE, True)
        assert typed("phone", "login", lines=(PASSWORD,))[0] == 0

    def test_a_wrong_password_a_used_code_and_none(self, suite: Suite, typed: Typed) -> None:
        """Each in the suite's own words."""
        base = suite.servers[0].base
        name, code = registered(typed, base)
        status, said = typed("phone", "login", lines=("not the password",))
        assert (status, "(bad-credentials)" in said) == (Exit.REFUSED, True)
        joined(typed, base, name, code)
        status, said = typed("tablet", "join", code, "--username", name, "--url", base, lines=(PASSWORD,))
        assert (status, "(pairing-token-spent)" in said) == (Exit.REFUSED, True)
        status, said = typed("tablet", "join", "--username", name, "--url", base, lines=("junk", PASSWORD))
        assert (status, "no code of a device" in said) == (Exit.UNUSABLE, True)

    def test_nobody_there(self, typed: Typed) -> None:
        """Another status than a refusal's."""
        base = f"http://127.0.0.1:{free_port()}"
        arguments = ["--username", "anna", "--email", "a@b.test", "--url", base]
        assert typed("phone", "register", *arguments, lines=(PASSWORD,))[0] == Exit.UNREACHABLE

    def test_nothing_typed(self, suite: Suite, typed: Typed) -> None:
        """No password is no empty one, and no consent."""
        registered(typed, suite.servers[0].base)
        assert typed("phone", "login")[0] == Exit.UNUSABLE
        assert typed("phone", "takeover")[0] == Exit.UNUSABLE

    @pytest.mark.skipif(os.name == "nt", reason="only on POSIX: files have modes")
    @pytest.mark.requirement("R56")
    def test_a_file_that_others_may_read(self, suite: Suite, typed: Typed, tmp_path: Path) -> None:
        """It is not used, and the sentence says why."""
        registered(typed, suite.servers[0].base)
        (tmp_path / "phone.json").chmod(0o644)
        status, said = typed("phone", "login", lines=(PASSWORD,))
        assert (status, "may be read by others" in said) == (Exit.UNUSABLE, True)


def test_the_installed_command(tmp_path: Path) -> None:
    """It takes its own options and help, and hands its status on; no password is among its options."""
    command = [sys.executable, "-m", "ichidai", "device"]
    code, said = run_to_its_end([*command, "--help"], {"COLUMNS": "200"}, tmp_path)
    assert code == 0
    assert all(name in said for name in ("register", "join", "login", "takeover", "pair", "renew", "Exit status"))
    code, said = run_to_its_end([*command, "status", "--file", str(tmp_path / "none.json")], {}, tmp_path)
    assert (code, "There is no device here yet" in said) == (Exit.UNUSABLE, True)
    code, said = run_to_its_end([*command, "login", "--help"], {"COLUMNS": "200"}, tmp_path)
    assert (code, "--password" in said) == (0, False)
