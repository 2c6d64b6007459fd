"""The languages in which the command line tells stories."""

from __future__ import annotations

from enum import StrEnum


class Tongue(StrEnum):
    """One of them."""

    EN = "en"
    JA = "ja"
