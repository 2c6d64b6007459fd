"""Revoked certificates in the store: RevocationsTable, spread over shards so that no partition has to bear them all.

Beside an authority's shards lies one mark for each, which every revocation changes: one read of the marks tells whether
anything was revoked since.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from common.clock import from_millis, to_millis
from common.crypto.crl import LIST_LIFETIME, RevocationReason, Revoked
from common.storage.paging import all_items
from common.storage.port import Item, Put, Store
from common.storage.tables import REVOCATIONS

_SHARDS = "0123456789abcdef"
LISTED_BEYOND_END = LIST_LIFETIME + timedelta(days=1)
"""How long past its own end a certificate stays on the list: RFC 5280, 3.3 wants it on one list that begins then."""


class RevocationDb:
    """Reads what is revoked; every method raises StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_issuer(self, issuer: str, now: datetime) -> Iterator[Revoked]:
        """Yield an authority's revoked certificates, those that have long expired by themselves left out."""
        for shard in _SHARDS:
            found = all_items(self._store, REVOCATIONS, f"{issuer}#{shard}")
            yield from (_from_item(issuer, item) for item in found if from_millis(item["expires_at"]) > now)

    def marks(self, issuer: str) -> Mapping[str, str]:
        """Return the marks: other ones than before mean that something was revoked since."""
        page = self._store.query(REVOCATIONS, issuer)
        return {str(item["serial"]): str(item["mark"]) for item in page.items}


def revocation_puts(revoked: Revoked) -> tuple[Put, Put]:
    """Return the writes that put a certificate on its authority's list. They go with the book, so need no condition."""
    shard = revoked.serial[-1]
    item: Item = {
        "issuer_shard": f"{revoked.issuer}#{shard}",
        "serial": revoked.serial,
        "reason": str(revoked.reason),
        "revoked_at": to_millis(revoked.revoked_at),
        "not_after": to_millis(revoked.not_after),
        "expires_at": to_millis(revoked.not_after + LISTED_BEYOND_END),
    }
    hint: Item = {"issuer_shard": revoked.issuer, "serial": shard, "mark": revoked.serial}
    return Put(REVOCATIONS, item), Put(REVOCATIONS, hint)


_OTHER = RevocationReason.CESSATION_OF_OPERATION
"""What is listed where a later release gave a reason that this one does not know: the certificate stays revoked."""


def _from_item(issuer: str, item: Any) -> Revoked:
    return Revoked(
        issuer=issuer,
        serial=item["serial"],
        reason=RevocationReason(reason) if (reason := item["reason"]) in set(RevocationReason) else _OTHER,
        revoked_at=from_millis(item["revoked_at"]),
        not_after=from_millis(item["not_after"]),
    )
