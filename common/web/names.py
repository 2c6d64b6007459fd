"""Which new names are accepted: what a reader cannot see, or would read in another order, is refused. Pure.

Usernames are judged by the Nickname profile of PRECIS (RFC 8266), which allows no control, no invisible and no
unassigned character. A name is never rewritten. Names that exist are not judged again.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

_UNSEEN = ("Cc", "Cf", "Zl", "Zp")
"""Categories without a glyph of their own: controls, format controls (the bidirectional ones), separators of lines."""

_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks without a glyph: they are in none of these categories."""

_JOINER, _EMOJI_STYLE = "\u200d", "\ufe0f"
_SYMBOLS = ("So", "Sk")


def username_fault(name: str) -> str | None:
    """Say why a new username is refused, or None."""
    nickname = _nickname()
    if nickname.additional_mapping_rule(name) != name:
        return "it has two spaces together, or a space that is none of ASCII"
    try:
        nickname.enforce(name)
    except UnicodeEncodeError:
        return "it holds characters that are invisible or not allowed (RFC 8266)"
    return _unseen(name, joins_symbols=False)


def unseen_fault(text: str) -> str | None:
    """Say that a text holds what cannot be seen or changes the direction, or None. For mails."""
    return _unseen(text, joins_symbols=False)


def device_name_fault(name: str) -> str | None:
    """Say the same of a device's name, in which emoji may be joined to one."""
    return _unseen(name, joins_symbols=True)


def _unseen(text: str, *, joins_symbols: bool) -> str | None:
    for before, character in zip("\0" + text, text, strict=False):
        if _is_unseen(character) and not (joins_symbols and _is_of_emoji(before, character)):
            return "it holds invisible or bidirectional characters"
    return None


def _is_unseen(character: str) -> bool:
    is_variation = "\ufe00" <= character <= "\ufe0f" or "\U000e0100" <= character <= "\U000e01ef"
    return character in _FILLERS or is_variation or unicodedata.category(character) in _UNSEEN


def _is_of_emoji(before: str, character: str) -> bool:
    follows_symbol = unicodedata.category(before) in _SYMBOLS
    if character == _JOINER:
        return follows_symbol or before == _EMOJI_STYLE
    return character == _EMOJI_STYLE and follows_symbol


@cache
def _nickname() -> Any:
    from precis_i18n import get_profile  # noqa: PLC0415 - for registrations; clients do without

    return get_profile("NicknameCasePreserved")
