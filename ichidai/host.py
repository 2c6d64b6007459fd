"""The identity of a host: what tells one host's settings from another's in the store's policy."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from pathlib import Path

from common.ids import new_id

FILE_NAME = "host"
"""The file beside the keys. It is no secret, and it is not to be copied to other hosts with them."""

_DIGITS = 12


def host_name(folder: Path, part: str) -> str:
    """Return the name of a part of the suite on this host: the same at every start, another one on any other host.

    Where no file can be kept beside the keys, the machine's own name is taken.
    """
    return f"{_identity(folder / FILE_NAME)}/{part}"


def _identity(path: Path) -> str:
    with suppress(OSError):
        known = _read(path)
        if known is None:
            with suppress(FileExistsError), path.open("x", encoding="ascii") as file:
                file.write(new_id().replace("-", "")[:_DIGITS])
            known = _read(path)
        if known is not None:
            return known
    return socket.gethostname()[:64] or "host"


def _read(path: Path) -> str | None:
    """Return the identity in a file; None where there is none that can be used."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return text if re.fullmatch(rf"[0-9a-f]{{{_DIGITS}}}", text) else None
