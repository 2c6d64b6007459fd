"""The suite's own keys: the certificate authority's, the access tokens', and one MAC key for each purpose.

They lie together in one file, `keyring.json`, mode 0600. It is made whole or not at all, so that several workers may
start at once, and the store keeps its digest, so that two hosts with two key rings are noticed before they do harm.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA87PrivateKey

from common.crypto.certificates import CertificateAuthority, new_authority
from common.crypto.tokens import SigningKey
from common.storage.port import Absent, Conflict, Put, Store
from common.storage.tables import KEY_RING

FILE_NAME = "keyring.json"
MAC_PURPOSES = ("refresh", "takeover", "device", "names")
_FORMAT = 1
_MAC_BYTES = 32


class KeyRingError(Exception):
    """The keys cannot be used; the text says what an operator can do."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """All keys of the suite. `macs`: 32 random bytes for each of MAC_PURPOSES."""

    authority: CertificateAuthority
    signing: SigningKey
    macs: Mapping[str, bytes]

    def digest(self) -> str:
        """Return a SHA-256 (hex) that two rings share only if they are the same; it tells nothing of the keys."""
        parts = [self.authority.private_bytes(), self.signing.private_bytes(), *(self.macs[p] for p in MAC_PURPOSES)]
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def open_keyring(folder: Path, store: Store, now: datetime) -> KeyRing:
    """Return the key ring in `folder`, making it only where neither the folder nor the store knows of one.

    Raises KeyRingError when the store was used with other keys, or the file cannot be read; StoreUnavailable.
    """
    path = folder / FILE_NAME
    known = store.get(KEY_RING.key("ring"))
    if not path.exists():
        if known is not None:
            msg = f"This store was used with keys that are not here. Copy {FILE_NAME} from the other host to {path}."
            raise KeyRingError(msg)
        _make(path, now)
    ring = _load(path)
    _agree(ring, store, path)
    return ring


def _agree(ring: KeyRing, store: Store, path: Path) -> None:
    """Record the ring's digest in the store, or raise if the store holds another."""
    try:
        store.commit([Put(KEY_RING, {"id": "ring", "digest": ring.digest()}, Absent())], secrets.token_hex(16))
    except Conflict:
        known = store.get(KEY_RING.key("ring"))
        if known is None or known["digest"] != ring.digest():
            msg = (
                f"The keys in {path} are not those this store was first used with. All hosts of one store need the "
                f"same {FILE_NAME}: copy it from the host that was there first."
            )
            raise KeyRingError(msg) from None


def _make(path: Path, now: datetime) -> None:
    """Write a new ring beside its place and link it there: the first of several makers wins, and all use its ring."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = {
        "format": _FORMAT,
        "authority": _authority_to_json(new_authority(now)),
        "signing": _pem(ec.generate_private_key(ec.SECP256R1())),
        "macs": {purpose: base64.b64encode(secrets.token_bytes(_MAC_BYTES)).decode() for purpose in MAC_PURPOSES},
    }
    draft = path.with_name(f"{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _load(path: Path) -> KeyRing:
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        if content["format"] != _FORMAT:
            raise ValueError(content["format"])
        return KeyRing(
            _authority_from_json(content["authority"]),
            SigningKey(_private_key(content["signing"], ec.EllipticCurvePrivateKey)),
            {purpose: _mac_key(content["macs"][purpose]) for purpose in MAC_PURPOSES},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"The key ring {path} cannot be read ({type(error).__name__}). Restore it from a backup."
        raise KeyRingError(msg) from error


def _mac_key(text: str) -> bytes:
    key = base64.b64decode(text, validate=True)
    if len(key) != _MAC_BYTES:
        raise ValueError(len(key))
    return key


def _authority_to_json(authority: CertificateAuthority) -> dict[str, str]:
    certificate = authority.certificate.public_bytes(serialization.Encoding.PEM).decode()
    return {"key": _pem(authority.key), "certificate": certificate}


def _authority_from_json(fields: Mapping[str, str]) -> CertificateAuthority:
    certificate = x509.load_pem_x509_certificate(fields["certificate"].encode())
    return CertificateAuthority(_private_key(fields["key"], MLDSA87PrivateKey), certificate)


def _pem(key: Any) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    text: bytes = key.private_bytes(encoding, form, serialization.NoEncryption())
    return text.decode()


def _private_key(pem: str, kind: type[Any]) -> Any:
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, kind):
        raise TypeError(type(key).__name__)
    return key
