"""Approvals in one process of the interleavings: of takeovers, and of browsers that want to join.

Real are the use cases and the items in which approvals lie; a key's proof is judged by nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from common.account.approval import ANSWERED_WITHIN
from common.account.approval_store import AskedApprovals
from common.account.transactions import AccountTransactions
from common.crypto.tokens import SignedTokens
from common.storage.port import Store
from device_manager.approved_joining import ApprovedJoining
from device_manager.device_service import DeviceDependencies
from login_app.admission import LoginAdmission
from login_app.approval import ApprovalDependencies
from login_app.consent import Consents
from registration.account_db import AccountDb
from registration.joining import JoiningDependencies
from tests.unit.builders import T0

SECRET = b"a" * 32


class ApprovalUseCases:
    """The dependencies of asking the active devices, joined as `ichidai.wiring.apps` joins them.

    `consents` are those of login, of pairing and, the last, of joining by approval.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], Any],
        keeper: AccountTransactions,
        *,
        admission: LoginAdmission,
        devices: DeviceDependencies,
        consents: tuple[Consents, ...],
    ) -> None:
        self._clock = clock
        self.asking = ApprovalDependencies(
            store=store,
            clock=clock,  # type: ignore[arg-type]
            transactions=keeper,
            admission=admission,
            consents=consents,
            names=devices.devices.names,
            secret=SECRET,
            asked=AskedApprovals(store, clock, may_join=True),  # type: ignore[arg-type]
        )
        self.joining = JoiningDependencies(
            is_on=True,
            store=store,
            clock=clock,  # type: ignore[arg-type]
            transactions=keeper,
            accounts=AccountDb(store),
            tokens=SignedTokens(SECRET, "join"),
            secret=SECRET,
            check_key_proof=lambda _keys: None,
            let_in=ApprovedJoining(devices, consents[-1]),
        )

    def is_late(self) -> bool:
        """Say whether the time for an answer is over: every approval is begun by the clock that the starts have."""
        waited: timedelta = self._clock() - T0
        return waited >= ANSWERED_WITHIN
