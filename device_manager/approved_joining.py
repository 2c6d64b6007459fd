"""An empty browser that the users of the active devices approved: a device of the account, logged in, in one commit.

The account's limit and its question stand behind it as behind every login.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from common.account.admission import AuthenticatedUser
from common.account.decision import Snapshot
from common.account.devices import OwnKeys
from common.account.marks import Mark
from common.proof.dpop_service import DpopClient
from device_manager.device_service import DeviceDependencies, Joining, Permission, RegisteredDevice, join_and_log_in
from device_manager.ports import Consents


class ApprovedJoining(Struct, frozen=True):
    """Lets browsers join. `consents`: those that are asked for here."""

    devices: DeviceDependencies
    consents: Consents

    def __call__(
        self,
        user: AuthenticatedUser,
        approval_id: str,
        redeem: Callable[[Snapshot], tuple[Mark, ...]],
        *,
        device_name: str,
        takeover_token: str | None,
        client: DpopClient,
        keys: OwnKeys | None,
    ) -> RegisteredDevice:
        """Bind a browser and log it in; a consent is good for this approval alone. Raises what `redeem` raises.

        Raises Refusal: TAKEOVER_INVALID, TAKEOVER_SPENT, DEVICE_MISMATCH, BAD_CREDENTIALS, ACCOUNT_DISABLED,
        ACCOUNT_CLOSED, TOO_MANY_DEVICES, KEY_IN_USE, DEVICE_ACTIVE, BUSY; StoreUnavailable.
        """
        joining = Joining(device_name, force=False, takeover_token=takeover_token, client=client, keys=keys)
        return join_and_log_in(self.devices, user, joining, Permission(approval_id, self.consents, (), redeem))
