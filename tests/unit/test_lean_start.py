"""A server imports what its store and its part need, and nothing else: of that its start and its memory are made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

NEVER = {
    "PIL",
    "zxingcpp",
    "requests",
    "rich",
    "ichidai.client",
    "ichidai.cli.keys",
    "ichidai.cli.accounts",
    "ichidai.cli.authorities",
}
"""What pictures are drawn with, and what the other commands and the clients stand on."""

AWS, STREAMS = {"boto3", "botocore"}, {"starlette"}
SQLITE, DYNAMODB = (
    {"sqlite3", "common.storage.sqlite.store", "common.storage.sqlite.statements"},
    {"common.storage.dynamodb.store"},
)

WORKER = "from ichidai.apps import app_from; from ichidai.topology import App; app_from(os.environ, App.ALL)"
STREAMING = """from ichidai.server.event_app import event_app_from
from ichidai.topology import App
event_app_from(os.environ, App.ALL, 8000)"""


def imported(program: str, **settings: str) -> set[str]:
    """Return the names of the modules that are there when a program has run in a process of its own."""
    told = f"import os, sys\n{program}\nprint(*sys.modules, flush=True); os._exit(0)"
    environment = {name: text for name, text in os.environ.items() if not name.startswith("ICHIDAI_")}
    done = subprocess.run(
        [sys.executable, "-c", told], cwd=ROOT, env=environment | settings, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import ichidai.server.serving", NEVER | AWS | STREAMS | SQLITE | DYNAMODB),
        (WORKER, NEVER | AWS | STREAMS | DYNAMODB),
        (STREAMING, NEVER | AWS | DYNAMODB),
    ],
    ids=["main process", "worker", "event streams"],
)
def test_on_sqlite_there_is_nothing_of_aws(program: str, absent: set[str], tmp_path: Path) -> None:
    """Nor of pictures and clients; what serves event streams is in their process alone."""
    assert not imported(program, ICHIDAI_DATA_DIR=str(tmp_path)) & absent


def test_on_dynamodb_there_is_no_sqlite() -> None:
    """And nothing of pictures and event streams either. Opening the store asks nobody anything."""
    program = (
        "from common.clock import system_clock; from common.storage.opening import open_store; import ichidai.apps; "
        "open_store('dynamodb://p?endpoint=http://127.0.0.1:9', system_clock, 'eu-west-1').close()"
    )
    found = imported(program)
    assert found >= AWS | DYNAMODB
    assert not found & (NEVER | STREAMS | SQLITE)


@pytest.mark.parametrize("command", ["keys", "tables", "ca"])
def test_the_other_commands_bring_no_server_along(command: str) -> None:
    """Neither what serves nor what answers."""
    asked = f"import ichidai.cli; sys.argv = ['ichidai', {command!r}, '--help']"
    found = imported(f"{asked}\ntry: ichidai.cli.main()\nexcept SystemExit: pass")
    assert f"ichidai.cli.{'authorities' if command == 'ca' else command}" in found
    assert not found & {"granian", "ichidai.server.serving", "ichidai.wiring.build", "starlette"}
