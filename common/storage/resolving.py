"""Committing until the outcome is known."""

from __future__ import annotations

from collections.abc import Sequence

from common.ids import new_id
from common.patience import Patience
from common.storage.port import OutcomeUnknown, Store, Write


def commit_known(store: Store, writes: Sequence[Write], patience: Patience) -> None:
    """Commit once. While the answer is lost, send the same content again under the same request id.

    Raises what `Store.commit` raises; OutcomeUnknown only when the patience ends before an answer came.
    """
    request_id = new_id()
    while True:
        try:
            return store.commit(writes, request_id)
        except OutcomeUnknown:
            if not patience.wait():
                raise
