"""Options and arguments that are one of a few words, each a member of an enumeration."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def enum_option(*names: str, kind: type[StrEnum], default: StrEnum | None = None, help: str) -> Callable[[F], F]:  # noqa: A002 - as click has it
    """Return an option of a command: one of the words of `kind`; without a default it may be left out."""
    return click.option(*names, **_choice(kind, default), show_default=default is not None, help=help)


def enum_argument(name: str, kind: type[StrEnum], default: StrEnum | None = None) -> Callable[[F], F]:
    """Return an argument of a command: one of the words of `kind`; with a default it may be left out."""
    return click.argument(name, **_choice(kind, default), required=default is None)


def _choice(kind: type[StrEnum], default: StrEnum | None) -> dict[str, Any]:
    def member(_context: click.Context, _parameter: click.Parameter, value: str | None) -> StrEnum | None:
        return None if value is None else kind(value)

    choices = click.Choice([str(each) for each in kind])
    return {"type": choices, "default": None if default is None else str(default), "callback": member}
