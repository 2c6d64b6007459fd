"""What a command asks at a terminal, or reads from standard input where that is none."""

from __future__ import annotations

import sys

import click


class NothingToRead(click.ClickException):
    """Standard input has ended before what a command must know."""

    exit_code = 2


def ask_unseen(prompt: str, *, twice: bool = False) -> str:
    """Return a secret: typed unseen, and once more if `twice`; or a line of standard input. Raises NothingToRead.

    There is no option for it: an argument could be read by others.
    """
    if sys.stdin.isatty():
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=twice, err=True))
    return _line()


def ask_line(prompt: str) -> str:
    """Return a line that is typed, or of standard input. Raises NothingToRead; EOFError at a terminal."""
    return input(prompt) if sys.stdin.isatty() else _line()


def _line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise NothingToRead("Standard input has ended.")
    return line.rstrip("\r\n")
