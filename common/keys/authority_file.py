"""The file of the authorities' keys, `authorities.json`, beside the key ring."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from common.crypto.certificates import CertificateAuthority
from common.keys.key_file import KeyFile, authority_from_json, authority_to_json, make_key_file, replace_key_file
from common.keys.keyring import KeyRingError

FILE_NAME = "authorities.json"
_FORMAT = 1


def make_file(path: KeyFile, authorities: Sequence[CertificateAuthority]) -> None:
    """Write the file unless it is there: the first of several makers wins, and all use its keys."""
    make_key_file(path, _to_json(authorities))


def replace_file(path: KeyFile, authorities: Sequence[CertificateAuthority]) -> None:
    """Put a file in the place of the one that is there, whole or not at all."""
    replace_key_file(path, _to_json(authorities))


def load_file(path: KeyFile) -> tuple[CertificateAuthority, ...]:
    """Read the authorities; () when there is no file. Raises KeyRingError."""
    if not path.exists():
        return ()
    try:
        content = json.loads(path.read_text(encoding="ascii"))
        if content["format"] != _FORMAT:
            raise ValueError(content["format"])
        return tuple(authority_from_json(fields) for fields in content["authorities"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KeyRingError(
            f"The authorities in {path} cannot be read ({type(error).__name__}). Restore the file from a backup."
        ) from error


def _to_json(authorities: Sequence[CertificateAuthority]) -> dict[str, Any]:
    return {"format": _FORMAT, "authorities": [authority_to_json(authority) for authority in authorities]}
