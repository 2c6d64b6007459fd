"""The languages in which the command line tells stories."""

from __future__ import annotations

from enum import StrEnum


class Language(StrEnum):
    """A language of the command line's texts."""

    EN = "en"
    JA = "ja"
