"""What several commands of operators take: why, and how long."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click

from common.account.operator import MOST_WORDS, clean_reason

F = TypeVar("F", bound=Callable[..., Any])

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def reason_option(command: F) -> F:
    """Give a command `--reason`."""
    return click.option("--reason", required=True, callback=_reason, help="Why, for the audit log.")(command)


def age(text: str) -> timedelta | None:
    """Read `30d`, `12h` or `5m`; None for anything else."""
    found = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    return timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None


def words_option(command: F) -> F:
    """Give a command `--reason` where none has to be given."""
    return click.option("--reason", default="", callback=_reason, help="Why, for the audit log.")(command)


def _reason(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    reason = clean_reason(value)
    if reason is None and (value or parameter.required):
        raise click.BadParameter(f"give 1 to {MOST_WORDS} characters")
    return reason or ""
