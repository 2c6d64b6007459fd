"""What a device remembers, as values, and where it may be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol, TypeVar

from ichidai.client.keys import DeviceKeys

FORMAT = 1

V = TypeVar("V", bound="PendingRegistration | Identity | Tokens")


@dataclass(frozen=True, slots=True)
class PendingRegistration:
    """A registration that was sent, while its answer is not there: it is repeated under the same key."""

    username: str
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device is; the certificate as PEM, its fingerprint as 64 hex digits."""

    issuer: str
    username: str
    user_uuid: str
    device_id: str
    device_name: str
    certificate: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A session. `bound_at`: the address that proofs of its tokens name (DPoP); empty for a bearer's."""

    session_id: str
    login_at: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    bound_at: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """All a device remembers: where the suite is, its keys, and how far it has come there."""

    url: str
    keys: DeviceKeys = field(repr=False)
    begun: PendingRegistration | None = None
    identity: Identity | None = None
    session: Tokens | None = None

    def to_json(self) -> dict[str, Any]:
        """Write it."""
        parts = {"begun": self.begun, "identity": self.identity, "session": self.session}
        kept = {name: asdict(part) for name, part in parts.items() if part is not None}
        return {"format": FORMAT, "url": self.url, "keys": self.keys.to_json(), **kept}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> State:
        """Read what `to_json` wrote; other fields are passed over. Raises ValueError, KeyError, TypeError."""
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']}")
        return State(
            url=str(content["url"]),
            keys=DeviceKeys.from_json(content["keys"]),
            begun=_part(PendingRegistration, content.get("begun")),
            identity=_part(Identity, content.get("identity")),
            session=_part(Tokens, content.get("session")),
        )


class StateStore(Protocol):
    """Where a device's state is kept: a file, or a product's own safe place."""

    def read(self) -> State | None:
        """Return what is kept; None where nothing is."""

    def write(self, state: State | None) -> None:
        """Keep this instead (None: nothing), whole or not at all."""


class InMemoryState:
    """A state store that is gone with its process."""

    def __init__(self, state: State | None = None) -> None:
        self._state = state

    def read(self) -> State | None:
        """Return what was written last."""
        return self._state

    def write(self, state: State | None) -> None:
        """Keep it."""
        self._state = state


def _part(kind: type[V], content: Mapping[str, Any] | None) -> V | None:
    if content is None:
        return None
    return kind(**{each.name: str(content[each.name]) for each in fields(kind) if each.name in content})
