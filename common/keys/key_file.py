"""A file of keys: JSON, mode 0600 or sealed in the store, made whole or not at all, replaced as a whole."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from common.crypto.certificates import CertificateAuthority, kind_of
from common.keys.sealed_files import SealedFile, SealedFolder

KeyFile = Path | SealedFile
"""Where keys lie: on this host, or in the store for all hosts."""

KeyFolder = Path | SealedFolder


def make_key_file(path: KeyFile, content: Mapping[str, Any]) -> None:
    """Write a file beside its place and link it there: the first of several makers wins, and all use its keys."""
    if isinstance(path, SealedFile):
        path.folder.make(path.name, json.dumps(content))
        return
    draft = _draft(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def replace_key_file(path: KeyFile, content: Mapping[str, Any]) -> None:
    """Put a file in the place of the one that is there, whole or not at all. Raises KeyRingError for a sealed one."""
    if isinstance(path, SealedFile):
        path.folder.replace(path.name, json.dumps(content))
        return
    _draft(path, content).replace(path)


def _draft(path: Path, content: Mapping[str, Any]) -> Path:
    """Write a file, synced, beside its place."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return draft


def key_to_pem(key: Any) -> str:
    """Return a private key as PKCS#8 PEM, in the clear."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    text: bytes = key.private_bytes(encoding, form, serialization.NoEncryption())
    return text.decode()


def key_from_pem(text: str) -> Any:
    """Return a private key of PKCS#8 PEM. Raises ValueError for what is none."""
    return serialization.load_pem_private_key(text.encode(), None)


def authority_to_json(authority: CertificateAuthority) -> dict[str, str]:
    """Return an authority's `key` and `certificate`, each as PEM."""
    return {"key": key_to_pem(authority.key), "certificate": authority.pem()}


def authority_from_json(fields: Mapping[str, str]) -> CertificateAuthority:
    """Return the authority. Raises ValueError for keys of no known kind, and for the certificate of another key."""
    key = key_from_pem(fields["key"])
    certificate = x509.load_pem_x509_certificate(fields["certificate"].encode())
    kind_of(key.public_key())
    if certificate.public_key() != key.public_key():
        raise ValueError("a certificate of another key")
    return CertificateAuthority(key, certificate)
