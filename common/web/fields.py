"""The texts that requests bring, each kind a type that knows its bounds."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

from msgspec import Meta

LARGEST = 64 * 1024
"""Bytes of a body at most, and so characters of any text in one."""

Opaque = Annotated[str, Meta(min_length=1, max_length=LARGEST)]
"""A text as it was sent."""


Fault = str
"""What is wrong with a text; it quotes nothing, for it may be a secret in the wrong field."""


def _control_characters(text: str) -> Fault | None:
    is_clean = all(unicodedata.category(character) != "Cc" for character in text)
    return None if is_clean else "it holds control characters"


def _no_mail(text: str) -> Fault | None:
    local, at, domain = text.partition("@")
    is_mail = local.strip() and at and domain.strip() and "@" not in domain
    return None if is_mail else "a mail address has one @ with something on both sides"


def _no_digest(text: str) -> Fault | None:
    is_digest = len(text) == 64 and set(text) <= set("0123456789abcdef")  # noqa: PLR2004 - SHA-256 in hex
    return None if is_digest else "a fingerprint is 64 lower-case hex digits"


class Text(str):
    """A text without the space around it, of one to `longest` characters. `as_sent` has the space.

    `faults` find what else may be wrong with its kind; `pattern` tells readers of the OpenAPI document.
    """

    __slots__ = ("as_sent",)

    longest: ClassVar[int] = LARGEST
    faults: ClassVar[Sequence[Callable[[str], Fault | None]]] = ()
    pattern: ClassVar[str | None] = None
    as_sent: str

    @classmethod
    def read(cls, sent: str) -> Text:
        """Return the text. ValueError, which tells what is wrong, for one out of bounds."""
        text = cls(sent.strip())
        text.as_sent = sent
        if not text:
            raise ValueError("it is empty")
        if len(text) > cls.longest:
            raise ValueError(f"it has more than {cls.longest:,} characters")
        for find in cls.faults:
            if fault := find(text):
                raise ValueError(fault)
        return text


class Username(Text):
    """A person's name."""

    __slots__ = ()

    longest = 64
    faults = (_control_characters,)


class DeviceName(Text):
    """A device's name."""

    __slots__ = ()

    longest = 64
    faults = (_control_characters,)


class Email(Text):
    """A mail address."""

    __slots__ = ()

    longest = 254
    faults = (_control_characters, _no_mail)


class Fingerprint(Text):
    """The SHA-256 of a certificate's DER."""

    __slots__ = ()

    faults = (_no_digest,)
    longest = 64
    pattern = "^[0-9a-f]{64}$"


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
