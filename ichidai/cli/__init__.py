"""The command line: `ichidai …`."""

from __future__ import annotations

from ichidai.cli.commands import main

__all__ = ["main"]
