"""What the device commands ask and say at a terminal, and how they end: a sentence and an exit status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console

from ichidai.cli.asking import ask_line
from ichidai.client import (
    ClientError,
    Device,
    DeviceActive,
    DeviceExistsError,
    NoDevice,
    NotLoggedIn,
    Problem,
    SessionEnded,
    Unreachable,
    open_device,
)


class Exit(IntEnum):
    """How a command ended, for scripts."""

    REFUSED = 1
    UNUSABLE = 2
    IN_USE = 3
    NOT_LOGGED_IN = 4
    UNREACHABLE = 5


_TRY_LATER = (429, 503)
_OTHERS: Mapping[type[Exception], tuple[str, Exit]] = {
    DeviceExistsError: (" Choose another --file.", Exit.UNUSABLE),
    NoDevice: (" `ichidai device register` or `join` makes one.", Exit.UNUSABLE),
    NotLoggedIn: (" `ichidai device login` logs in.", Exit.NOT_LOGGED_IN),
    Unreachable: ("", Exit.UNREACHABLE),
}

out = Console(soft_wrap=True, highlight=False, markup=False)
_error = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, style="red")


def show_active(question: DeviceActive, where: Console) -> None:
    """Print the sessions that a question shows, a line each."""
    for each in question.active:
        name = each.device_name or "A device"
        where.print(f"  {name}, logged in {each.login_at}, last seen {each.last_seen_at}")


@contextmanager
def opened_device(file: Path, url: str | None = None, otp: str | None = None) -> Iterator[Device]:
    """Open the device of a file; what keeps a command from its end ends it with a sentence and a status."""
    given = iter([otp] if otp else [])
    try:
        with open_device(file, url, language="en", otp=lambda: next(given, "") or ask_line("Code: ")) as device:
            yield device
    except (ClientError, EOFError) as error:
        _fail(*_ending(error))


def _ending(error: ClientError | EOFError) -> tuple[str, Exit]:
    """Return the sentence and the status with which a command ends."""
    match error:
        case DeviceActive():
            show_active(error, _error)
            hint = " `ichidai device takeover` asks and takes over." if error.takeover or error.approval else ""
            return f"{error} Nothing has changed.{hint}", Exit.IN_USE
        case SessionEnded():
            said = "You were logged out elsewhere. " if error.elsewhere else ""
            return f"{said}{error} ({error.reason})", Exit.NOT_LOGGED_IN
        case Problem():
            return f"{error} ({error.code})", Exit.UNREACHABLE if error.status in _TRY_LATER else Exit.REFUSED
        case EOFError():
            return "Standard input has ended.", Exit.UNUSABLE
        case _:
            hint, status = _OTHERS.get(type(error), ("", Exit.UNUSABLE))
            return f"{error}{hint}", status


def _fail(text: str, status: Exit) -> NoReturn:
    _error.print(text)
    raise click.exceptions.Exit(status)
