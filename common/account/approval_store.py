"""Where approvals lie: those of an account in one item of ThrottleTable, changed by single conditional puts.

Those of browsers that want to join, which strangers may ask for, have an item of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from common.account.account_metrics import tell_approval
from common.account.approval import Approval, Approvals, ApprovalState, Asked
from common.account.feed import hints_put
from common.clock import Clock, to_millis
from common.ids import new_id
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.optimistic import write_optimistically
from common.storage.port import Absent, Equals, Item, Key, Put, Store, StoreUnavailable
from common.storage.stored_form import carried
from common.storage.tables import THROTTLE

R = TypeVar("R")

Rule = Callable[[Approvals, datetime], tuple[R, Approvals | None]]
"""Returns what is to be answered, and the approvals as they become (None: as they are). May raise."""

_KNOWN = frozenset(("bucket", "version", "expires_at", "approvals"))


class ApprovalStore:
    """Reads and changes approvals: of takeovers, or of `joining`. Every method raises StoreUnavailable."""

    def __init__(self, store: Store, clock: Clock, *, joining: bool = False) -> None:
        self._store = store
        self._clock = clock
        self._kind = "joins" if joining else "approvals"

    def of(self, user_uuid: str) -> Approvals:
        """Return an account's approvals as of now."""
        return _read(self._store.get(self._key(user_uuid))).kept(self._clock())

    def asking(self, user_uuid: str, session_id: str) -> Sequence[Asked]:
        """Return what a session's user is to answer still."""
        return self.of(user_uuid).asking(session_id, self._clock())

    def change(self, user_uuid: str, rule: Rule[R]) -> R:
        """Change an account's approvals by a rule, and return what it says to answer. Raises Refusal(BUSY).

        What began or was decided by it is counted and logged, once it is durable.
        """
        key = self._key(user_uuid)

        def decide() -> tuple[tuple[R, Sequence[Approval]], Put | None]:
            item, now = self._store.get(key), self._clock()
            before = _read(item).kept(now)
            answer, after = rule(before, now)
            if after is None:
                return (answer, ()), None
            return (answer, after.news_since(before)), _put(key, item, after)

        answer, news = write_optimistically(self._store, decide, contended="this account's approvals")
        for each in news:
            outcome = "asked" if each.state is ApprovalState.WAITING else each.state
            tell_approval(user_uuid, joins=each.joins_under is not None, outcome=outcome)
        return answer

    def announce(self, user_uuid: str, approval_id: str, hints: Sequence[str]) -> None:
        """Hint at the sessions that are shown an approval; where that fails, they find it by asking."""
        with suppress(StoreUnavailable):
            write_known(self._store, hints_put(user_uuid, hints, approval_id[:8], self._clock()), RetryBudget())

    def _key(self, user_uuid: str) -> Key:
        return THROTTLE.key(f"{self._kind}#{user_uuid}")


class AskedApprovals:
    """What the users of active devices are asked: takeovers and, where browsers `may_join`, joining too."""

    def __init__(self, store: Store, clock: Clock, *, may_join: bool) -> None:
        self.takeovers = ApprovalStore(store, clock)
        self._joining = ApprovalStore(store, clock, joining=True) if may_join else None

    def asking(self, user_uuid: str, session_id: str) -> Sequence[Asked]:
        """Return what a session's user is to answer still. Raises StoreUnavailable."""
        joining = self._joining.asking(user_uuid, session_id) if self._joining else ()
        return [*self.takeovers.asking(user_uuid, session_id), *joining]

    def holding(self, user_uuid: str, approval_id: str) -> ApprovalStore:
        """Return where an approval lies, if it is there. Raises StoreUnavailable."""
        if self._joining is not None and self._joining.of(user_uuid).named(approval_id) is not None:
            return self._joining
        return self.takeovers


def _read(item: Any) -> Approvals:
    return Approvals() if item is None else Approvals.from_list(item["approvals"])


def _put(key: Key, before: Item | None, approvals: Approvals) -> Put:
    item = {
        **carried(before or {}, _KNOWN),
        "bucket": key.partition,
        "version": new_id(),
        "approvals": approvals.to_list(),
        "expires_at": max(to_millis(each.kept_until) for each in approvals.each),
    }
    return Put(THROTTLE, item, Absent() if before is None else Equals("version", before["version"]))
