"""Names that look the same in different scripts: skeletons of UTS #39 (Unicode Security Mechanisms), and scripts.

Two names are look-alikes where their skeletons are equal and their scripts are not, as where a Cyrillic letter stands
for a Latin one. Han, kana and Latin count as one script, for Japanese writes them together; so do characters of no
script (digits, signs). Pure; the tables are Unicode's, as `confusable_homoglyphs` ships them.
"""

from __future__ import annotations

import hashlib
import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import orjson
from msgspec import Struct

from common.account.claims import Claim
from registration.account_model import fold

_ANY = frozenset({"COMMON", "INHERITED", "UNKNOWN"})
_JAPANESE = frozenset({"LATIN", "HAN", "HIRAGANA", "KATAKANA"})
_LONGEST_IN_CLAIM = 1000
_MOST_STEPS = 8


class Look(Struct, frozen=True):
    """How a username looks: `claim` is the key that its look-alikes share, `scripts` those that it is written in."""

    claim: str
    scripts: str

    def is_taken(self, found: Claim | None) -> bool:
        """Say whether the claim that lies there is of a name that looks the same and is written in other scripts."""
        return found is not None and found.scripts != self.scripts

    def claim_for(self, user_uuid: str) -> Claim:
        """Return the claim that the first name of a look makes for all of the same scripts."""
        return Claim(self.claim, user_uuid, scripts=self.scripts)


def look_of(username: str) -> Look:
    """Return how a username looks, however its letters' case and width are written."""
    folded = fold(username)
    bare = skeleton(folded)
    raw = bare.encode()
    claim = f"look#{bare}" if len(raw) <= _LONGEST_IN_CLAIM else f"look-sha256#{hashlib.sha256(raw).hexdigest()}"
    return Look(claim, scripts_of(folded))


def skeleton(text: str) -> str:
    """Return the form that texts share which look the same (UTS #39, section 4)."""
    prototypes = _prototypes()
    found = unicodedata.normalize("NFD", text)
    for _ in range(_MOST_STEPS):
        mapped = unicodedata.normalize("NFD", "".join(prototypes.get(character, character) for character in found))
        if mapped == found:
            break
        found = mapped
    return found


def scripts_of(text: str) -> str:
    """Return the scripts of a text, sorted, with `LATIN` for all that Japanese writes together, and for none."""
    found = {_script(character) for character in text} - _ANY
    return " ".join(sorted(found - _JAPANESE | ({"LATIN"} if found & _JAPANESE or not found else set())))


def _script(character: str) -> str:
    starts, ends, names = _script_ranges()
    position = bisect_right(starts, ord(character)) - 1
    return names[position] if position >= 0 and ord(character) <= ends[position] else "UNKNOWN"


@cache
def _script_ranges() -> tuple[Sequence[int], Sequence[int], Sequence[str]]:
    table = _table("categories.json")
    ranges = sorted(table["code_points_ranges"])
    names = [table["iso_15924_aliases"][each[2]] for each in ranges]
    return [each[0] for each in ranges], [each[1] for each in ranges], names


@cache
def _prototypes() -> Mapping[str, str]:
    """Return for each character what it is written as in a skeleton.

    The table tells both directions of each line of confusables.txt; the lines that hang together are one look, whose
    prototype is its text of several characters where it has one, else the least of it.
    """
    neighbours: dict[str, list[str]] = defaultdict(list)
    for character, alike in _table("confusables.json").items():
        neighbours[_bare(character)] += [_bare(each["c"]) for each in alike]
    prototypes: dict[str, str] = {}
    for start in neighbours:
        if start in prototypes:
            continue
        group = _connected(start, neighbours)
        prototypes |= dict.fromkeys(group, min(group, key=lambda each: (-len(each), each)))
    return {character: prototype for character, prototype in prototypes.items() if character != prototype}


def _connected(start: str, neighbours: Mapping[str, Sequence[str]]) -> set[str]:
    group, waiting = {start}, [start]
    while waiting:
        new = set(neighbours[waiting.pop()]) - group
        group |= new
        waiting += new
    return group


def _bare(text: str) -> str:
    """Return a text of the table without the marks that stand around those written from right to left."""
    return text.strip("\u200e\u200f") or text


def _table(name: str) -> Any:
    return orjson.loads(resources.files("confusable_homoglyphs").joinpath(name).read_bytes())
