"""Password hashes: Argon2id (RFC 9106) with the parameters kept beside each hash."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from msgspec import Struct

HASH_BYTES = 32
SALT_BYTES = 16


class Argon2Cost(Struct, frozen=True):
    """What one hash costs: `memory` in KiB, `iterations` passes, `lanes`."""

    memory: int
    iterations: int
    lanes: int


OWASP_MINIMUM = Argon2Cost(memory=19 * 1024, iterations=2, lanes=1)
"""OWASP Password Storage Cheat Sheet: 19 MiB, t = 2, p = 1, which it equates with 46 MiB, t = 1."""

CHEAP_FOR_TESTS = Argon2Cost(memory=8, iterations=1, lanes=1)
"""The least that the algorithm allows. Never for people's passwords."""


class PasswordHash(Struct, frozen=True):
    """A hash as it is kept: parameters, `salt` (bytes here, hex at rest), and the digest in hex.

    `more`: what a later release wrote.
    """

    cost: Argon2Cost
    salt: bytes
    digest: str
    more: Mapping[str, Any] = {}

    def matches(self, password: str) -> bool:
        """Say in constant time whether this is the hash of `password`."""
        return hmac.compare_digest(hash_password(password, self.salt, self.cost), self.digest)

    def to_item(self) -> dict[str, Any]:
        """Write the hash as attributes of an item."""
        cost = {"memory": self.cost.memory, "iterations": self.cost.iterations, "lanes": self.cost.lanes}
        return {**self.more, "algorithm": _ALGORITHM, "cost": cost, "salt": self.salt.hex(), "digest": self.digest}

    @staticmethod
    def from_item(item: Any) -> PasswordHash:
        """Read what `to_item` wrote. Raises ValueError for an algorithm that only a later release knows."""
        if item["algorithm"] != _ALGORITHM:
            msg = f"a password is hashed by {item['algorithm']}"
            raise ValueError(msg)
        more = {name: value for name, value in item.items() if name not in _KNOWN}
        cost = Argon2Cost(item["cost"]["memory"], item["cost"]["iterations"], item["cost"]["lanes"])
        return PasswordHash(cost, bytes.fromhex(item["salt"]), item["digest"], more)


_ALGORITHM = "argon2id"
_KNOWN = frozenset(("algorithm", "cost", "salt", "digest"))


def hash_password(password: str, salt_bytes: bytes, cost: Argon2Cost = OWASP_MINIMUM) -> str:
    """Return the Argon2id hash of a password (its UTF-8 bytes, whole) as 64 hex digits."""
    kdf = Argon2id(
        salt=salt_bytes, length=HASH_BYTES, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory
    )
    return kdf.derive(password.encode()).hex()


def new_password_hash(password: str, cost: Argon2Cost) -> PasswordHash:
    """Hash a password under a fresh random salt."""
    salt = secrets.token_bytes(SALT_BYTES)
    return PasswordHash(cost, salt, hash_password(password, salt, cost))


def decoy_hash(cost: Argon2Cost) -> PasswordHash:
    """Return a hash that no password has, for names that nobody has: checking it costs as much as a real one."""
    return PasswordHash(cost, secrets.token_bytes(SALT_BYTES), "0" * HASH_BYTES * 2)
