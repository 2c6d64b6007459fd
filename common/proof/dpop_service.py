"""Who holds the key that a token is bound to (DPoP, RFC 9449): proofs checked, and used up where they are kept.

A proof for a verification is kept nowhere: it names a nonce of ours that is good for one or two minutes, so a proof
that was overheard can be repeated for the same request and token only, and only so long. A proof for a refresh or a
takeover is marked in the account's book by the change that it leads to, and leads to no other.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec import Struct

from common.account.book import Book
from common.account.history import ClientInfo
from common.account.marks import Mark, mark_of, use
from common.clock import Clock, to_millis
from common.crypto.tokens import ForgedToken, SignedTokens
from common.errors import Code, Refusal
from common.proof.dpop import ALGORITHMS, CLOCKS_APART, BadProof, DpopProof, check_request, read_proof, token_hash

MOST_USED = 8
"""How many used proofs a device's session may have before the first of them can be forgotten."""

NONCE_SLICE = timedelta(minutes=1)
"""A nonce is good in the slice of time in which it was given, and in the next one."""


class RequestCredentials(NamedTuple):
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


class DpopProofUse(Struct, frozen=True):
    """A key that signed this request: its thumbprint, and the name under which its proof is used up."""

    thumbprint: str
    proof_name: str
    expires_at: datetime


class DpopClient(ClientInfo, frozen=True):
    """A client, and the DPoP proof of its request where it sent one; the history records the client alone."""

    dpop_proof: DpopProofUse | None = None

    @property
    def thumbprint(self) -> str | None:
        """The thumbprint of the key that signed the request."""
        return None if self.dpop_proof is None else self.dpop_proof.thumbprint


def spend_dpop_proof(dpop_proof: DpopProofUse | None, book: Book, device_id: str, now: datetime) -> tuple[Mark, ...]:
    """Return the mark that uses a proof up, for the session of a device; none without a proof.

    Raises Refusal: INVALID_DPOP_PROOF (used before), TOO_MANY_ATTEMPTS (8 in some minutes).
    """
    if dpop_proof is None:
        return ()
    mark = mark_of("d", dpop_proof.proof_name, dpop_proof.expires_at, owner=device_id)
    return (use(book.marks, mark, MOST_USED, now, Code.INVALID_DPOP_PROOF),)


class DpopVerifier:
    """Checks proofs. `nonces` is the MAC under which nonces are made."""

    def __init__(self, nonces: SignedTokens, clock: Clock) -> None:
        self._nonces = nonces
        self._clock = clock

    def nonce(self) -> str:
        """Return the nonce of this slice of time."""
        return self._nonces.sign([self._slice()])

    def verify_proof(self, proof: str, method: str, url: str) -> DpopProofUse:
        """Return the key that signed a request which carries no access token. Raises Refusal(INVALID_DPOP_PROOF)."""
        found = self._read(proof, method, url)
        said = "\n".join((found.thumbprint, found.proof_id, str(to_millis(found.issued_at))))
        name = f"dpop#{hashlib.sha256(said.encode()).hexdigest()}"
        return DpopProofUse(found.thumbprint, name, found.issued_at + 2 * CLOCKS_APART)

    def check_binding(self, credentials: RequestCredentials, thumbprint: str | None) -> None:
        """Let a request pass whose token is bound to this key and proven with it, or is bound to none and a bearer's.

        Raises Refusal: INVALID_TOKEN (presented in the wrong way), INVALID_DPOP_PROOF, USE_DPOP_NONCE.
        """
        if credentials.is_dpop != (thumbprint is not None):
            raise Refusal(Code.INVALID_TOKEN, reason="presented in the wrong way", dpop_algorithms=_told())
        if thumbprint is None:
            return
        found = self._read(credentials.proof or "", credentials.method, credentials.url)
        if found.thumbprint != thumbprint:
            raise self._refusal("another key")
        if found.ath != token_hash(credentials.token):
            raise self._refusal("ath")
        if not self._is_fresh(found.nonce):
            raise Refusal(Code.USE_DPOP_NONCE, dpop_nonce=self.nonce(), dpop_algorithms=_told())

    def require_key(self, dpop_proof: DpopProofUse | None, thumbprint: str | None) -> None:
        """Raise Refusal(INVALID_DPOP_PROOF) unless what is bound to a key comes with a proof of it."""
        if thumbprint is not None and (dpop_proof is None or dpop_proof.thumbprint != thumbprint):
            raise self._refusal("another key" if dpop_proof else "no proof")

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
            (of_slice,) = self._nonces.verify(nonce or "")
        except ForgedToken:
            return False
        return of_slice in (self._slice(), self._slice() - 1, self._slice() + 1)

    def _slice(self) -> int:
        return to_millis(self._clock()) // (NONCE_SLICE // timedelta(milliseconds=1))


def _told() -> str:
    return " ".join(ALGORITHMS)
