"""Proof of work: a puzzle that costs a client about a second of a processor and us next to nothing (ALTCHA, version 2).

The client looks for a counter whose PBKDF2 key begins with a zero byte: 256 tries on average, one to check it. A
challenge is bound to the source that asked for it and to five minutes, and signed, so that nothing is stored for it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

LIFETIME = timedelta(minutes=5)

_ALGORITHM, _ITERATIONS = "PBKDF2/SHA-256", 5_000
_LONGEST = 4_096


class Unproven(Exception):
    """What was sent proves no work that counts here and now."""


class Work(Struct, frozen=True):
    """Work that was done: the challenge's own name, by which it is used up, and until when it would have been good."""

    nonce: str
    until: datetime


class WorkChallenges:
    """Makes challenges and checks what solves them. `secret`: the same at all hosts of a suite."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hmac.digest(secret, b"registration-work", "sha256")

    def new(self, source: str, now: datetime) -> Mapping[str, Any]:
        """Return a challenge for a source, as JSON has it."""
        import altcha  # noqa: PLC0415 - most suites never ask for work, and it imports a HTTP client

        made = altcha.create_challenge(
            algorithm=_ALGORITHM,
            cost=_ITERATIONS,
            expires_at=now + LIFETIME,
            data={"source": self._of(source)},
            hmac_secret=self._secret,
        )
        challenge: Mapping[str, Any] = made.to_dict()
        return challenge

    def check(self, payload: str, source: str, now: datetime) -> Work:
        """Return the work that a payload proves (base64 of JSON: `challenge`, `solution`). Raises Unproven."""
        import altcha  # noqa: PLC0415 - as above

        try:
            if len(payload) > _LONGEST or not altcha.verify_solution(payload, self._secret).verified:
                raise Unproven
            asked = altcha.Payload.from_base64(payload).challenge.parameters
        except Unproven:
            raise
        except Exception as error:
            raise Unproven from error
        until = datetime.fromtimestamp(asked.expires_at or 0, now.tzinfo)
        if until <= now or asked.data != {"source": self._of(source)}:
            raise Unproven
        return Work(asked.nonce, until)

    def _of(self, source: str) -> str:
        return hashlib.blake2s(source.encode(), key=self._secret).hexdigest()
