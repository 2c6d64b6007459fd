"""The texts that requests bring, each kind a type that knows its bounds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from common.web.names import device_name_fault, unseen_fault, username_fault

LARGEST = 64 * 1024
"""Bytes of a body at most, and so characters of any text in one."""

Opaque = Annotated[str, Meta(min_length=1, max_length=LARGEST)]
"""A text as it was sent."""

_NO_CONTROLS = r"^[^\u0000-\u001f\u007f-\u009f]*$"

Fault = str
"""What is wrong with a text; it quotes nothing, for it may be a secret in the wrong field."""

Faults = Sequence[Callable[[str], Fault | None]]


def _control_characters(text: str) -> Fault | None:
    is_clean = all(unicodedata.category(character) != "Cc" for character in text)
    return None if is_clean else "it holds control characters"


def _no_mail(text: str) -> Fault | None:
    local, at, domain = text.partition("@")
    is_mail = local.strip() and at and domain.strip() and "@" not in domain
    return None if is_mail else "a mail address has one @ with something on both sides"


_DIGEST = "^(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31})$"
"""SHA-256 in hex, as we write it, or with capitals and colons as other programs show fingerprints."""


def _no_digest(text: str) -> Fault | None:
    return None if re.fullmatch(_DIGEST, text) else "a fingerprint is 64 hex digits, with or without colons"


def _plain_digest(text: str) -> str:
    return text.replace(":", "").lower()


class Text(str):
    """A text without the space around it, of one to `longest` characters. `as_sent` has the space.

    `faults` find what else may be wrong with its kind; `kept` returns how it is written from then on; `pattern` tells
    readers of the OpenAPI document.
    """

    __slots__ = ("as_sent",)

    longest: ClassVar[int] = LARGEST
    faults: ClassVar[Faults] = ()
    kept: ClassVar[Callable[[str], str]] = str
    pattern: ClassVar[str | None] = None
    as_sent: str

    @classmethod
    def read(cls, sent: str) -> Text:
        """Return the text. ValueError, which tells what is wrong, for one out of bounds."""
        text = cls(sent.strip())
        if not text:
            raise ValueError("it is empty")
        if len(text) > cls.longest:
            raise ValueError(f"it has more than {cls.longest:,} characters")
        for find in cls.faults:
            if fault := find(text):
                raise ValueError(fault)
        text = cls(cls.kept(text))
        text.as_sent = sent
        return text


class Username(Text):
    """A user's name."""

    __slots__ = ()

    longest = 64
    faults: ClassVar[Faults] = (_control_characters,)
    pattern = _NO_CONTROLS


class NewUsername(Username):
    """A name that a user chooses: judged more strictly than a `Username`, which may be an old one."""

    __slots__ = ()

    faults: ClassVar[Faults] = (_control_characters, username_fault)


class DeviceName(Text):
    """A device's name."""

    __slots__ = ()

    longest = 64
    faults: ClassVar[Faults] = (_control_characters, device_name_fault)
    pattern = _NO_CONTROLS


class Email(Text):
    """A mail address."""

    __slots__ = ()

    longest = 254
    faults: ClassVar[Faults] = (_control_characters, _no_mail)
    pattern = r"^[^@\u0000-\u001f\u007f-\u009f]+@[^@\u0000-\u001f\u007f-\u009f]+$"


class NewEmail(Email):
    """A mail address that a user brings: judged more strictly than an `Email`, which may be an old one."""

    __slots__ = ()

    faults: ClassVar[Faults] = (*Email.faults, unseen_fault)


class Fingerprint(Text):
    """The SHA-256 of a certificate's DER, however it was written; read as 64 lower-case hex digits."""

    __slots__ = ()

    faults = (_no_digest,)
    longest = 95
    pattern = _DIGEST
    kept = _plain_digest


def read_text(kind: type[Any], sent: object) -> Text:
    """Return a field as its kind of text. ValueError for what is no text, or out of its bounds."""
    if not isinstance(sent, str):
        raise ValueError("it is no text")  # noqa: TRY004 - the library passes on a ValueError
    if not issubclass(kind, Text):
        raise NotImplementedError(kind.__name__)
    return kind.read(sent)


def described_text(kind: type[Any]) -> dict[str, object]:
    """Return what JSON Schema says of a kind of text."""
    if not issubclass(kind, Text):
        raise NotImplementedError(kind.__name__)
    pattern = {"pattern": kind.pattern} if kind.pattern else {}
    return {"type": "string", "minLength": 1, "maxLength": kind.longest, **pattern}
