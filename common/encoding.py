"""Base64 as the wire contract reads it."""

from __future__ import annotations

import base64
import binascii


def decode_base64(text: str) -> bytes:
    """Decode base64 in either alphabet, padded or not, white space ignored. Raises ValueError for anything else."""
    plain = "".join(text.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
