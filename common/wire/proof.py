"""How a proof is read from the wire, wherever a device may have to prove itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from common.proof.statements import Proof
from common.web.fields import Opaque
from common.web.request_body import Body


class ProofBody(Body, frozen=True, kw_only=True):
    """A signature over the statement of a challenge."""

    example: ClassVar[Mapping[str, object] | None] = {
        "challenge_id": "5f2b0c9e-0000-4000-8000-000000000000",
        "signature": "MEUCIQ…",
    }

    challenge_id: Opaque
    signature: Opaque


def proof_of(body: ProofBody | None) -> Proof | None:
    """Return the proof as use cases take it."""
    return None if body is None else Proof(body.challenge_id, body.signature)
