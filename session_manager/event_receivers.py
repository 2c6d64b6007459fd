"""The machines that are told of sessions' ends: those that events are pushed to, and those that ask for them. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from msgspec import Struct


class Receivers(Struct, frozen=True):
    """The receivers by name. `push`: their URLs; `poll`: the digests (SHA-256, hex) of the keys that each may show.

    A key is 256 random bits: nobody guesses it, and a fast hash is enough.
    """

    push: Mapping[str, str] = {}
    poll: Mapping[str, Sequence[str]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """All names: each has a queue."""
        return (*self.push, *self.poll)

    def holder_of(self, key: str) -> str | None:
        """Return the name of the receiver whose key this is."""
        shown = digest_of(key)
        found = [name for name, digests in self.poll.items() for each in digests if hmac.compare_digest(each, shown)]
        return found[0] if found else None


def digest_of(key: str) -> str:
    """Return what the settings hold of a receiver's key."""
    return hashlib.sha256(key.encode()).hexdigest()
