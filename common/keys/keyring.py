"""The suite's own keys: the certificate authority's, those that sign access tokens, and MAC keys.

They lie together in one file, `keyring.json`, mode 0600. It is made whole or not at all, so that several workers may
start at once. The store keeps a registry of the keys that rotate, with their public halves, and the digest
of all others, so that two hosts with two key rings are noticed before they do harm.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from common.clock import from_millis, to_millis
from common.crypto.certificates import CertificateAuthority, KeyKind, new_authority
from common.crypto.jws import Algorithm, SigningKey, name_of, new_signing_key
from common.keys.errors import KeyRingError as KeyRingError  # noqa: PLC0414 - handed on
from common.keys.key_file import (
    KeyFile,
    authority_from_json,
    authority_to_json,
    key_from_pem,
    key_to_pem,
    make_key_file,
    replace_key_file,
)

FILE_NAME = "keyring.json"
ROOT_SECRET = "names"  # noqa: S105 - a name in the file
"""How the file calls the root secret, which never changes. By itself it lets nobody in."""

_FORMAT = 2
_MAC_BYTES = 32
_FIRST = 0  # the keys of a new ring sign from 1970 on


class KeyPurpose(StrEnum):
    """What a key that rotates is for."""

    ACCESS = "access"
    REFRESH = "refresh"
    SHORT_LIVED = "takeover"
    """Signs what lives for minutes: takeover tokens, enrolments of a second factor, nonces. Stored by its first use."""

    DEVICE = "device"


class RingKey(Struct, frozen=True):
    """A key that rotates. `secret` is None once it is retired: then only its name is kept, for ever."""

    purpose: KeyPurpose
    kid: str
    signs_from: datetime
    secret: SigningKey | bytes | None


class KeyRing(Struct, frozen=True):
    """All keys of the suite that a host has. `keys` are those that rotate.

    `root_secret`: 32 bytes from which the MAC of unknown names, challenges and the keys of second factors are derived.
    """

    authority: CertificateAuthority
    root_secret: bytes
    keys: tuple[RingKey, ...]

    def digest(self) -> str:
        """Return a SHA-256 (hex) that rings share only if what never rotates is the same; it tells nothing of it."""
        return _digest([self.authority.private_bytes(), self.root_secret])

    def first_digest(self) -> str:
        """Return the digest that stores of the first format hold: over one key of each purpose and all else."""
        first = [next(key.secret for key in self.keys if key.purpose is purpose) for purpose in KeyPurpose]
        return _digest([self.authority.private_bytes(), *map(_bytes_of, first), self.root_secret])


def _digest(parts: list[bytes]) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def new_ring_key(purpose: KeyPurpose, signs_from: datetime, algorithm: Algorithm) -> RingKey:
    """Make a key; `algorithm` is for one that signs access tokens."""
    secret = new_signing_key(algorithm) if purpose is KeyPurpose.ACCESS else secrets.token_bytes(_MAC_BYTES)
    return RingKey(purpose, _name(secret), signs_from, secret)


def make_ring(path: KeyFile, algorithm: Algorithm, now: datetime) -> None:
    """Write a new ring unless one is there: the first of several makers wins, and all use its ring."""
    root_secret = secrets.token_bytes(_MAC_BYTES)
    keys = tuple(new_ring_key(purpose, from_millis(_FIRST), algorithm) for purpose in KeyPurpose)
    make_key_file(path, _to_json(KeyRing(new_authority(now), root_secret, keys)))


def replace_ring(path: KeyFile, ring: KeyRing) -> None:
    """Put a ring in the place of the one that is there, whole or not at all."""
    replace_key_file(path, _to_json(ring))


def load_ring(path: KeyFile) -> KeyRing:
    """Read the ring. Raises KeyRingError."""
    try:
        content = _upgraded(json.loads(path.read_text(encoding="ascii")))
        return KeyRing(
            _root(authority_from_json(content["authority"])),
            _mac_key(content["macs"][ROOT_SECRET]),
            tuple(_key_from_json(fields) for fields in content["keys"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        msg = f"The key ring {path} cannot be read ({type(error).__name__}). Restore it from a backup."
        raise KeyRingError(msg) from error


def _upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Return a ring as it is written today; the first format had one key for each purpose."""
    if content["format"] == _FORMAT:
        return content
    if content["format"] != 1:
        raise ValueError(content["format"])
    macs = content["macs"]
    first = {purpose: content["signing"] if purpose is KeyPurpose.ACCESS else macs[purpose] for purpose in KeyPurpose}
    keys = [{"purpose": purpose, "signs_from": _FIRST, "secret": secret} for purpose, secret in first.items()]
    return {"authority": content["authority"], "macs": macs, "keys": keys}


def _to_json(ring: KeyRing) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "authority": authority_to_json(ring.authority),
        "macs": {ROOT_SECRET: base64.b64encode(ring.root_secret).decode()},
        "keys": [_key_to_json(key) for key in ring.keys],
    }


def _key_to_json(key: RingKey) -> dict[str, Any]:
    secret = key.secret
    text = key_to_pem(secret.private) if isinstance(secret, SigningKey) else base64.b64encode(secret or b"").decode()
    times = {"signs_from": to_millis(key.signs_from)}
    return {"purpose": str(key.purpose), "kid": key.kid, **times, "secret": None if secret is None else text}


def _key_from_json(fields: Mapping[str, Any]) -> RingKey:
    purpose, text = KeyPurpose(fields["purpose"]), fields["secret"]
    signs_from = from_millis(fields["signs_from"])
    if text is None:
        return RingKey(purpose, str(fields["kid"]), signs_from, None)
    secret = SigningKey(key_from_pem(text)) if purpose is KeyPurpose.ACCESS else _mac_key(text)
    kid = _name(secret)
    if fields.get("kid", kid) != kid:
        raise ValueError("kid")
    return RingKey(purpose, kid, signs_from, secret)


def _bytes_of(secret: SigningKey | bytes | None) -> bytes:
    return secret.private_bytes() if isinstance(secret, SigningKey) else secret or b""


def _name(secret: SigningKey | bytes) -> str:
    return secret.kid if isinstance(secret, SigningKey) else name_of(b"ichidai MAC key" + secret)


def _mac_key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != _MAC_BYTES:
        raise ValueError(len(key))
    return key


def _root(authority: CertificateAuthority) -> CertificateAuthority:
    """Return the ring's own authority, which is of the kind that every suite has."""
    if authority.kind is not KeyKind.POST_QUANTUM:
        raise ValueError(authority.kind)
    return authority
