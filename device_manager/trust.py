"""What others need to judge devices' certificates: the authorities, and their lists of revoked ones.

A list is never older than what is revoked: each time one is asked for, the marks in the store tell whether anything was
revoked since it was signed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from common.clock import Clock
from common.crypto.certificates import CertificateAuthority
from common.crypto.crl import revocation_list
from common.errors import Code, Refusal
from common.storage.port import StoreUnavailable
from device_manager.revocation_db import RevocationDb

OLDEST = timedelta(hours=1)
"""After so long a list is signed anew although nothing was revoked."""


class Authorities(Protocol):
    """The authorities, from the key ring."""

    def refresh(self) -> None:
        """Look whether there are others now. Raises StoreUnavailable."""

    def refresh_if_stale(self) -> None:
        """Do the same, if that was not done a moment ago. Raises StoreUnavailable."""

    def get(self, name: str, now: datetime) -> CertificateAuthority | None:
        """Return the authority of this name, or the one that issues for a kind of key of this name."""

    def active(self, now: datetime) -> tuple[CertificateAuthority, ...]:
        """Return all that verify."""


class SignedList(Struct, frozen=True):
    """A list as DER, when it was signed, and the marks that it was made after."""

    der: bytes
    signed_at: datetime
    marks: Mapping[str, str]


class Trust:
    """Hands out authorities and lists; the newest list of each authority is kept. Safe to use by several threads."""

    def __init__(self, authorities: Authorities, revocations: RevocationDb, clock: Clock) -> None:
        self._authorities = authorities
        self._revocations = revocations
        self._clock = clock
        self._kept: dict[str, SignedList] = {}
        self._signing = threading.Lock()

    def authorities(self) -> tuple[CertificateAuthority, ...]:
        """Return all authorities in force, as they were a minute ago at most, or when the store could last be asked."""
        with suppress(StoreUnavailable):
            self._authorities.refresh_if_stale()
        return self._authorities.active(self._clock())

    def list_of(self, name: str) -> SignedList:
        """Return the list of the authority of this name, or of the one that issues for a kind of key of this name.

        Raises Refusal(NOT_FOUND), StoreUnavailable.
        """
        self._authorities.refresh()
        authority = self._authorities.get(name, self._clock())
        if authority is None:
            raise Refusal(Code.NOT_FOUND, reason="no such authority")
        kept = self._kept.get(authority.name)
        if kept is not None and self._is_current(kept, authority.name):
            return kept
        with self._signing:
            kept = self._kept.get(authority.name)
            if kept is None or not self._is_current(kept, authority.name):
                kept = self._kept[authority.name] = self._sign(authority)
            return kept

    def _is_current(self, kept: SignedList, issuer: str) -> bool:
        return self._clock() < kept.signed_at + OLDEST and self._revocations.marks(issuer) == kept.marks

    def _sign(self, authority: CertificateAuthority) -> SignedList:
        """Sign a new list. The marks are read first: what is revoked after that makes them other ones."""
        marks, now = self._revocations.marks(authority.name), self._clock()
        revoked = tuple(self._revocations.of_issuer(authority.name, now))
        signed_at = max(now, *(entry.revoked_at for entry in revoked)) if revoked else now
        return SignedList(revocation_list(authority, revoked, signed_at), signed_at, marks)
