"""Proof of work that a registration may cost (ALTCHA, version 2): the smallest counter whose PBKDF2 key has a prefix.

About half a second of one core for what the suite asks. `docs/devices.md` has the rules.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from ichidai.client.errors import Answer, ServerIdentityError

_MOST_TRIES: Final = 1 << 16  # 256 on average, for one byte
_MOST_ITERATIONS: Final = 100_000


def solve(challenge: Answer) -> str:
    """Return what is sent as `work`. Raises ServerIdentityError for a challenge that is not like the suite's."""
    try:
        counter, key = _found(challenge["parameters"])
    except (KeyError, TypeError, ValueError) as error:
        raise ServerIdentityError(f"The server's proof of work cannot be done ({error}).") from None
    payload = {"challenge": dict(challenge), "solution": {"counter": counter, "derivedKey": key.hex()}}
    return base64.b64encode(json.dumps(payload).encode()).decode()


def _found(parameters: Mapping[str, Any]) -> tuple[int, bytes]:
    if parameters["algorithm"] != "PBKDF2/SHA-256" or not 0 < parameters["cost"] <= _MOST_ITERATIONS:
        raise ValueError("of an unknown kind")
    nonce, salt, prefix = (bytes.fromhex(parameters[name]) for name in ("nonce", "salt", "keyPrefix"))
    for counter in range(_MOST_TRIES):
        password = nonce + counter.to_bytes(4, "big")
        key = hashlib.pbkdf2_hmac("sha256", password, salt, parameters["cost"], parameters["keyLength"])
        if key.startswith(prefix):
            return counter, key
    raise ValueError("too hard")
