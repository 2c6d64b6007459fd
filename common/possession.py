"""Who holds the key that a token is bound to (DPoP, RFC 9449): proofs checked, and used up where they are kept.

A proof for a verification is kept nowhere: it names a nonce of ours that is good for one or two minutes, so a proof
that was overheard can be repeated for the same request and token only, and only so long. A proof for a refresh or a
takeover is written down in the commit that it leads to, and leads to no other.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct

from common.clock import Clock, to_millis
from common.crypto.dpop import ALGORITHMS, CLOCKS_APART, BadProof, DpopProof, check_request, read_proof, token_hash
from common.crypto.tokens import ForgedToken, MacTokens
from common.errors import Code, Refusal
from common.storage.port import Absent, Item, Key, Put
from common.storage.tables import THROTTLE

NONCE_SLICE = timedelta(minutes=1)
"""A nonce is good in the slice of time in which it was given, and in the next one."""


class Presented(NamedTuple):
    """A request's credentials: how the token was presented, and the proofs beside it, for this method and URL.

    `url` is known from the settings, or told by a proxy that is listed; it never comes from the Host header.
    `certificate` is the fingerprint of the client's certificate, as a listed proxy tells.
    """

    token: str
    is_dpop: bool = False
    proof: str | None = None
    method: str = ""
    url: str = ""
    certificate: str | None = None


class Possession(Struct, frozen=True):
    """A key that signed this request: its thumbprint, and the name under which its proof is used up."""

    thumbprint: str
    proof_name: str
    expires_at: datetime

    @property
    def key(self) -> Key:
        """Where it is written that the proof was used."""
        return THROTTLE.key(self.proof_name)

    def used_up(self, found: Item | None) -> Put:
        """Return the write that uses the proof up, given what lies at `key`. Raises Refusal(INVALID_DPOP_PROOF)."""
        if found is not None:
            raise Refusal(Code.INVALID_DPOP_PROOF, reason="used before")
        return Put(THROTTLE, {"bucket": self.proof_name, "expires_at": to_millis(self.expires_at)}, Absent())


def reading(possession: Possession | None) -> tuple[Key, ...]:
    """Return what a decision must read to use a proof up."""
    return () if possession is None else (possession.key,)


def used_up(possession: Possession | None, found: tuple[Item | None, ...]) -> tuple[Put, ...]:
    """Return the writes that use a proof up, given what was read, the proof's own first; none without a proof."""
    return () if possession is None else (possession.used_up(found[0]),)


class Possessions:
    """Checks proofs. `nonces` is the MAC under which nonces are made."""

    def __init__(self, nonces: MacTokens, clock: Clock) -> None:
        self._nonces = nonces
        self._clock = clock

    def nonce(self) -> str:
        """Return the nonce of this slice of time."""
        return self._nonces.seal([self._slice()])

    def prove(self, proof: str, method: str, url: str) -> Possession:
        """Return the key that signed a request which carries no access token. Raises Refusal(INVALID_DPOP_PROOF)."""
        found = self._read(proof, method, url)
        said = "\n".join((found.thumbprint, found.proof_id, str(to_millis(found.issued_at))))
        name = f"dpop#{hashlib.sha256(said.encode()).hexdigest()}"
        return Possession(found.thumbprint, name, found.issued_at + 2 * CLOCKS_APART)

    def check(self, presented: Presented, thumbprint: str | None) -> None:
        """Let a request pass whose token is bound to this key and proven with it, or is bound to none and a bearer's.

        Raises Refusal: INVALID_TOKEN (presented in the wrong way), INVALID_DPOP_PROOF, USE_DPOP_NONCE.
        """
        if presented.is_dpop != (thumbprint is not None):
            raise Refusal(Code.INVALID_TOKEN, reason="presented in the wrong way", dpop_algorithms=_told())
        if thumbprint is None:
            return
        found = self._read(presented.proof or "", presented.method, presented.url)
        if found.thumbprint != thumbprint:
            raise self._refusal("another key")
        if found.ath != token_hash(presented.token):
            raise self._refusal("ath")
        if not self._is_fresh(found.nonce):
            raise Refusal(Code.USE_DPOP_NONCE, dpop_nonce=self.nonce(), dpop_algorithms=_told())

    def demand(self, possession: Possession | None, thumbprint: str | None) -> None:
        """Raise Refusal(INVALID_DPOP_PROOF) unless what is bound to a key comes with a proof of it."""
        if thumbprint is not None and (possession is None or possession.thumbprint != thumbprint):
            raise self._refusal("another key" if possession else "no proof")

    def _read(self, text: str, method: str, url: str) -> DpopProof:
        try:
            proof = read_proof(text)
            check_request(proof, method, url, self._clock())
        except BadProof as error:
            raise self._refusal(str(error)) from None
        return proof

    def _refusal(self, reason: str) -> Refusal:
        return Refusal(Code.INVALID_DPOP_PROOF, reason=reason, dpop_nonce=self.nonce(), dpop_algorithms=_told())

    def _is_fresh(self, nonce: str | None) -> bool:
        try:
            (of_slice,) = self._nonces.open(nonce or "")
        except ForgedToken:
            return False
        return of_slice in (self._slice(), self._slice() - 1, self._slice() + 1)

    def _slice(self) -> int:
        return to_millis(self._clock()) // (NONCE_SLICE // timedelta(milliseconds=1))


def _told() -> str:
    return " ".join(ALGORITHMS)
