"""The file of the authorities' keys, `authorities.json`, mode 0600: made whole or not at all, replaced as a whole."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from common.crypto.certificates import CertificateAuthority, kind_of
from common.crypto.keyring import KeyRingError

FILE_NAME = "authorities.json"
_FORMAT = 1


def make_file(path: Path, authorities: Sequence[CertificateAuthority]) -> None:
    """Write a file beside its place and link it there: the first of several makers wins, and all use its keys."""
    draft = _draft(path, authorities)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def replace_file(path: Path, authorities: Sequence[CertificateAuthority]) -> None:
    """Put a file in the place of the one that is there, whole or not at all."""
    _draft(path, authorities).replace(path)


def _draft(path: Path, authorities: Sequence[CertificateAuthority]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
    content = {"format": _FORMAT, "authorities": [_to_json(authority) for authority in authorities]}
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return draft


def load_file(path: Path) -> tuple[CertificateAuthority, ...]:
    """Read the authorities; () when there is no file. Raises KeyRingError."""
    if not path.exists():
        return ()
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        if content["format"] != _FORMAT:
            raise ValueError(content["format"])
        return tuple(_from_json(fields) for fields in content["authorities"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeyRingError(
            f"The authorities in {path} cannot be read ({type(error).__name__}). Restore the file from a backup."
        ) from error


def _to_json(authority: CertificateAuthority) -> dict[str, str]:
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = authority.key.private_bytes(encoding, form, serialization.NoEncryption())
    return {"key": key.decode(), "certificate": authority.pem()}


def _from_json(fields: Mapping[str, str]) -> CertificateAuthority:
    key: Any = serialization.load_pem_private_key(fields["key"].encode(), None)
    certificate = x509.load_pem_x509_certificate(fields["certificate"].encode())
    kind_of(key.public_key())
    if certificate.public_key() != key.public_key():
        raise ValueError("a certificate of another key")
    return CertificateAuthority(key, certificate)
