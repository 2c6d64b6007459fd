"""The Python and the commands that the documents show run as they are printed, but for the address of the suite."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import dev
from tests.support.servers import Suite, environment

ROOT = Path(__file__).parents[2]
PRINTED = "https://accounts.example.com"


def blocks(page: str, language: str = "") -> list[str]:
    """Return the code blocks of a page that are in a language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        code for kind, code in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if kind == language
    ]


def ran(command: list[str], folder: Path, typed: str, **settings: str) -> str:
    """Run a program that reads what somebody types; return what it prints."""
    own = environment({"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), **settings})
    done = subprocess.run(
        command,
        cwd=folder,
        env=own,
        input=typed,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        start_new_session=True,  # without a terminal of its own a program reads passwords from standard input
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


on_posix = pytest.mark.skipif(os.name == "nt", reason="only on POSIX: on Windows passwords come from the console alone")


@on_posix
def test_a_program_with_the_suite_inside(tmp_path: Path) -> None:
    """`docs/embedded.md`: it registers, pairs, is asked, and takes over."""
    (code,) = blocks("docs/embedded.md", "python")
    said = ran([sys.executable, "-c", code], tmp_path, "correct horse 42\ny\n", ICHIDAI_TEST_CHEAP_HASH="true")
    assert "This account is in use elsewhere." in said or "このアカウントは別の場所で使用中です。" in said
    assert re.search(r"[0-9a-f]{8}-[0-9a-f-]{27}$", said.strip())


@on_posix
def test_a_program_that_is_a_device(suite: Suite, tmp_path: Path) -> None:
    """`docs/client.md`: it registers, logs in and lists its devices."""
    (code,) = blocks("docs/client.md", "python")
    said = ran([sys.executable, "-c", code.replace(PRINTED, suite.servers[0].base)], tmp_path, "correct horse 42\n")
    assert "'device_name': 'Laptop'" in said


@on_posix
def test_the_same_on_the_command_line(suite: Suite, tmp_path: Path) -> None:
    """Each line of `docs/client.md` that is a command as it stands; the program above has taken Alice's name."""
    (code,) = (block for block in blocks("docs/client.md") if "ichidai device" in block)
    lines = [line.partition("#")[0].strip() for line in code.replace("alice", "carol").splitlines()]
    whole = [line for line in lines if not re.search(r"[|[]|[A-Z]{2}", line)]
    assert [line.split()[2] for line in whole] == ["register", "login", "takeover"]
    for line in whole:
        command = shlex.split(line.replace(PRINTED, suite.servers[0].base))
        ran([sys.executable, "-m", *command], tmp_path, "correct horse 42\n" * 2)


@pytest.mark.requirement("R33")
def test_the_commands_of_the_readme_are_there() -> None:
    """Each `python3 dev.py …` of the page is a command of it; without one it starts the suite."""
    (code,) = blocks("README.md")
    commands = [line.partition("#")[0].split()[2:] for line in code.splitlines()]
    assert [] in commands
    assert {name for words in commands for name in words} == {"demo", "test"} <= dev.COMMANDS.keys()
