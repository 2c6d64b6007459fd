"""The reference client and `ichidai device` run without the libraries of the extra `server`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from ichidai.cli.commands import _SERVER_LIBRARIES

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv = ["ichidai", *{arguments!r}]
{program}
"""


def modules_of(requirements: list[str]) -> set[str]:
    """Return the top-level modules that distributions bring."""
    names = {re.split(r"[<>=\[]", requirement)[0].lower() for requirement in requirements}
    return {
        module
        for module, distributions in metadata.packages_distributions().items()
        if names & {name.lower() for name in distributions}
    }


OF_SERVER = modules_of(PROJECT["optional-dependencies"]["server"]) | {"werkzeug", "botocore"}


def run_without(program: str, *arguments: str) -> tuple[int, str]:
    """Run a program in which the server's libraries are not there; return its exit code and what it said."""
    text = WITHOUT.format(absent=OF_SERVER, arguments=arguments, program=program)
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_client_imports_nothing_of_the_server() -> None:
    """A product that is a client installs ten libraries, not thirty."""
    assert {"flask", "granian", "boto3"} <= OF_SERVER
    assert run_without("import ichidai.client") == (0, "")


COMMAND = "from ichidai.cli import main; main()"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["device", "--help"], 0, "register"),
        (["--help"], 0, "device"),
        (["--version"], 0, f"ichidai {metadata.version('ichidai')}"),
        (["serve"], 2, "pip install 'ichidai[server]'"),
        (["keys", "list"], 2, "pip install 'ichidai[server]'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_the_command_line_says_what_is_missing(arguments: list[str], code: int, says: str) -> None:
    """In a sentence; `device` and the version need nothing more."""
    ended, said = run_without(COMMAND, *arguments)
    assert ended == code, said
    assert says in said
    assert "Traceback" not in said


def test_the_command_line_knows_what_the_extra_installs() -> None:
    """Else a missing library would end in a traceback."""
    imported = OF_SERVER - {"offapi"}  # its files are read
    assert {name for name in imported if not name.startswith("_")} <= _SERVER_LIBRARIES
