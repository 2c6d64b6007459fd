"""One language: the retired words stay out of names, docstrings, pages and texts, and each says which term to use."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("common", "registration", "login_app", "session_manager", "device_manager", "ichidai")

RETIRED_NAMES = {
    "Arrival": "LoginCandidate",
    "Asker": "LoginCandidate",
    "Bookkeeper": "AccountTransactions",
    "Desk": "…Dependencies",
    "Doorkeeper": "SessionAuthenticator",
    "Edge": "HttpContext",
    "Front": "FastPath",
    "Guesses": "LoginRateLimiter",
    "HashingRoom": "HashingPool",
    "HeldCertificate": "TlsClientCertificate",
    "House": "InProcessSuite",
    "HttpLine": "HttpConnection",
    "KeyList": "KeyRegistry",
    "LeanReads": "FastGetItem",
    "LiveKeys": "KeyProvider",
    "MacTokens": "SignedTokens",
    "Memo": "BoundedCache",
    "Newcomer": "LoginCandidate",
    "NotPlain": "UnsupportedResponse",
    "Patience": "RetryBudget",
    "PerThread": "ThreadLocalConnections",
    "Possessions": "DpopVerifier",
    "Proven": "AuthenticatedUser",
    "Repeatable": "IdempotencyRecord",
    "Together": "GroupCommit",
    "Tongue": "Language",
    "Trials": "OverridesForTests",
    "Untrustworthy": "ServerIdentityError",
    "Vault": "StateStore",
    "at_most": "deadline",
    "commit_known": "commit_idempotently",
    "desk": "dependencies",
    "device_mark": "device_hint",
    "is_time_up": "deadline_exceeded",
    "newcomer": "candidate",
    "prove_user": "reauthenticate",
    "recredentialed": "with_new_credentials",
    "told_as": "message_variant",
    "why_dead": "end_reason",
}
RETIRED_WORDS = {
    "bookkeeper": "AccountTransactions",
    "crowd": "many clients",
    "desk": "dependencies",
    "door": "endpoint",
    "doorkeeper": "authenticator",
    "house": "suite",
    "keylist": "key registry",
    "newcomer": "candidate",
    "patience": "retry budget, deadline",
    "ping-pong": "mutual evictions",
    "room": "package; capacity",
    "tongue": "language",
    "vault": "state store",
}
VAGUE_WORDS = {
    "anybody": "any client, any user",
    "everybody": "all clients, all users",
    "somebody": "a user, a client, an attacker",
    "someone": "a user, a client, an attacker",
    "whoever": "the client that, the user who",
}
"""Subjects that a reader does not know; how a test tells its story is its own."""

_NOT_OURS = ("0036-vocabulary-and-layout.md",)  # it tells of the words that went


def pattern(words: dict[str, str], *, inside_names: bool = False) -> re.Pattern[str]:
    """Return what finds words; `inside_names` finds them as parts of `snake_case` and `camelCase`, too."""
    known = "|".join(words)
    if not inside_names:
        return re.compile(rf"\b(?:{known})s?\b(?!-out\b)", re.IGNORECASE)  # `ichidai everybody-out` is a name
    capital = "|".join(word.capitalize() for word in words)
    return re.compile(rf"(?<![A-Za-z])(?:{known})s?(?![a-z])|(?:{capital})s?(?![a-z])")


_ALL = RETIRED_WORDS | VAGUE_WORDS
_PROSE, _METAPHORS, _NAMES = pattern(_ALL), pattern(RETIRED_WORDS), pattern(RETIRED_WORDS, inside_names=True)
_TEST_NAME = re.compile(r"^ *(?:async )?def (test_\w+)|^ *class (Test\w+)", re.MULTILINE)


def retired_in_python(source: str, words: re.Pattern[str] = _PROSE, *, with_texts: bool = False) -> Iterator[str]:
    """Yield a sentence for each retired name, and for each retired word in a docstring or comment.

    `with_texts`: in every other text of the source as well.
    """
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        line = token.start[0]
        if token.type == tokenize.NAME and token.string in RETIRED_NAMES:
            yield f"{line}: {token.string} is called {RETIRED_NAMES[token.string]}"
        is_docstring = token.type == tokenize.STRING and (with_texts or token.string.startswith('"""'))
        if token.type == tokenize.COMMENT or is_docstring:
            yield from (f"{line}: {said}" for said in retired_in_text(token.string, words))


def retired_in_text(text: str, words: re.Pattern[str] = _PROSE) -> Iterator[str]:
    """Yield a sentence for each retired word."""
    for found in words.finditer(text):
        word = found[0].lower()
        yield f"{found[0]}: say {_ALL.get(word) or _ALL[word.removesuffix('s')]}"


def found_in(paths: Iterable[Path], retired: Callable[[str], Iterator[str]]) -> list[str]:
    """Return what is retired in some files, each with its place."""
    return [f"{path.relative_to(ROOT)}: {said}" for path in paths for said in retired(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_retired_word_in_the_code(package: str) -> None:
    """The field's term; one meaning a word; one word a meaning."""
    paths = sorted((ROOT / package).rglob("*.py"))
    assert paths
    assert found_in(paths, retired_in_python) == []


def test_no_retired_word_is_shown_to_a_user() -> None:
    """In the texts of the console, of the command line and of the answers."""
    cli = sorted((ROOT / "ichidai" / "cli").rglob("*.py"))
    paths = [ROOT / "ichidai" / "console" / "texts.py", ROOT / "common" / "web" / "messages.py", *cli]
    assert found_in(paths, partial(retired_in_python, with_texts=True)) == []


def test_no_retired_word_in_the_pages_scripts() -> None:
    """Nor in their names, templates and styles; what others wrote is theirs."""
    console = ROOT / "ichidai" / "console"
    paths = [
        path
        for kind in ("*.js", "*.css", "*.html")
        for path in sorted(console.rglob(kind))
        if "vendor" not in path.parts
    ]
    assert len(paths) > 20
    assert found_in(paths, partial(retired_in_text, words=_NAMES)) == []
    assert found_in(paths, retired_in_text) == []
    assert not [path.name for path in paths if _NAMES.search(path.stem)]


def test_no_retired_word_in_the_tests() -> None:
    """Test helpers have the product's names, and tests are called by what they show."""
    paths = [path for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__).resolve()]
    assert found_in(paths, partial(retired_in_python, words=_METAPHORS)) == []
    assert found_in(paths, retired_in_names) == []


def retired_in_names(source: str) -> Iterator[str]:
    """Yield a sentence for each retired word in the name of a test."""
    for found in _TEST_NAME.finditer(source):
        yield from retired_in_text(found[1] or found[2], _NAMES)


def test_no_retired_word_on_the_pages() -> None:
    """Pages for users, operators and maintainers, decisions included."""
    folders = [ROOT, ROOT / "docs", ROOT / "docs" / "decisions", ROOT / "tests"]
    paths = [path for folder in folders for path in sorted(folder.glob("*.md")) if path.name not in _NOT_OURS]
    assert len(paths) > 50
    assert found_in(paths, retired_in_text) == []
    assert not [path.name for path in paths if _PROSE.search(path.stem.replace("-", " "))]


def test_what_is_retired_is_found() -> None:
    """In names, docstrings and comments; words of other meaning pass."""
    source = '"""The desk of this room."""\nclass Newcomer:  # at the door\n    indoors = "a room"\n'
    said = list(retired_in_python(source))
    assert [each.partition(": ")[2] for each in said] == [
        "desk: say dependencies",
        "room: say package; capacity",
        "Newcomer is called LoginCandidate",
        "door: say endpoint",
    ]
    assert len(list(retired_in_python(source, with_texts=True))) == 5


@pytest.mark.parametrize(
    ("name", "is_found"),
    [
        ("test_every_door_asks", True),
        ("_vault", True),
        ("TestRooms", True),
        ("openDoors", True),
        ("indoors", False),
        ("test_rooms_of", True),
        ("roommate", False),
        ("warehouse", False),
    ],
)
def test_what_is_retired_is_found_inside_names(name: str, *, is_found: bool) -> None:
    """As a word of its own."""
    assert bool(list(retired_in_text(name, _NAMES))) is is_found
