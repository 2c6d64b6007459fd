"""The passwords that nobody may choose, as registration ships them."""

from __future__ import annotations

from functools import cache
from importlib import resources


@cache
def common_passwords() -> frozenset[str]:
    """Return the passwords that are tried first: folded, one a line."""
    text = resources.files("registration").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.splitlines())
