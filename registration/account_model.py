"""What an account is, how names are compared, and which passwords are refused. Pure."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Container
from datetime import datetime
from typing import Any

from msgspec import Struct

from common.clock import from_millis, to_millis
from common.crypto.passwords import PasswordHash
from common.storage.port import Item

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024

_LONGEST_IN_CLAIM = 1000


class Repeatable(Struct, frozen=True):
    """How a registration whose answer was lost may be repeated.

    `key_hash`: SHA-256 (hex) of the client's idempotency key; until `until`, and only while the book's change number is
    still `change_no`, that is, while nothing has happened since.
    """

    key_hash: str
    until: datetime
    change_no: int

    def to_item(self) -> Item:
        """Write it as an attribute of the account's item."""
        return {"key_hash": self.key_hash, "until": to_millis(self.until), "change_no": self.change_no}

    @staticmethod
    def from_item(item: Any) -> Repeatable:
        """Read what `to_item` wrote."""
        return Repeatable(item["key_hash"], from_millis(item["until"]), item["change_no"])


class Account(Struct, frozen=True):
    """A registered person. `epoch` is the credential epoch that the password's hash belongs to.

    `has_factor`: the password alone proves nothing; FactorsTable has the rest.
    """

    uuid: str
    username: str
    email: str
    password: PasswordHash
    epoch: int
    created_at: datetime
    repeatable: Repeatable | None = None
    has_factor: bool = False

    def to_item(self) -> Item:
        """Write the account as an item of UsersTable."""
        repeatable = self.repeatable
        return {
            "uuid": self.uuid,
            "username": self.username,
            "email": self.email,
            "password": self.password.to_item(),
            "epoch": self.epoch,
            "created_at": to_millis(self.created_at),
            "repeatable": None if repeatable is None else repeatable.to_item(),
            "has_factor": self.has_factor,
        }

    @staticmethod
    def from_item(item: Any) -> Account:
        """Read what `to_item` wrote."""
        fields = item["repeatable"]
        return Account(
            uuid=item["uuid"],
            username=item["username"],
            email=item["email"],
            password=PasswordHash.from_item(item["password"]),
            epoch=item["epoch"],
            created_at=from_millis(item["created_at"]),
            repeatable=None if fields is None else Repeatable.from_item(fields),
            has_factor=item.get("has_factor", False),
        )


def fold(name: str) -> str:
    """Return the form in which names and mails are compared: NFKC(casefold(NFKC(x))) (Unicode 3.13, D147 in spirit)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def name_claim(username: str) -> str:
    """Return the key under which a username is unique."""
    return _claim("name", username)


def mail_claim(email: str) -> str:
    """Return the key under which a mail address is unique."""
    return _claim("mail", email)


def _claim(kind: str, name: str) -> str:
    """Return the folded name as a key, or its hash: folding makes some letters eighteen, and a key has 1,024 bytes."""
    folded = fold(name)
    raw = folded.encode()
    return f"{kind}#{folded}" if len(raw) <= _LONGEST_IN_CLAIM else f"{kind}-sha256#{hashlib.sha256(raw).hexdigest()}"


def normal_password(password: str) -> str:
    """Return a password as it is measured and hashed: NFC, so that two keyboards write the same one."""
    return unicodedata.normalize("NFC", password)


def password_fault(password: str, username: str, email: str, common: Container[str]) -> str | None:
    """Say what is wrong with a new password (`short`, `long`, `common`, `personal`), or None.

    `common` holds folded passwords that everybody tries first. After NIST SP 800-63B, section 5.1.1.2.
    """
    normal = normal_password(password)
    if len(normal) < SHORTEST_PASSWORD:
        return "short"
    if len(normal) > LONGEST_PASSWORD:
        return "long"
    if fold(normal) in common:
        return "common"
    if fold(normal) in (fold(username), fold(email)):
        return "personal"
    return None
