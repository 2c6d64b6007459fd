"""The devices of an account that goes: their certificates are revoked, and their keys become nobody's for ever."""

from __future__ import annotations

from datetime import datetime

from common.account.claims import CLOSED, Claim
from common.crypto.certificates import certified_key
from common.crypto.crl import RevocationReason
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.paging import all_items
from common.storage.port import Conflict, Delete, Equals, Put, Store, Write
from common.storage.tables import DEVICE_KEYS, NAMES
from device_manager.device_db import DeviceDb, device_key
from device_manager.device_model import DeviceKeys
from device_manager.enrolment import key_claim
from device_manager.revocation import revocation_of
from device_manager.revocation_db import revocation_puts


def forget_devices(store: Store, user_uuid: str, now: datetime) -> None:
    """Revoke and remove every device of a user whose book is gone. It may be done twice, and be broken off anywhere.

    What tells of others goes after them: the rows by which certificates are revoked go last. Raises StoreUnavailable.
    """
    devices = DeviceDb(store).of_user(user_uuid)
    for device in devices:
        if device.revoked_at is None:
            for put in revocation_puts(revocation_of(device, RevocationReason.CESSATION_OF_OPERATION, now)):
                _write(store, put)
    for item in list(all_items(store, DEVICE_KEYS, user_uuid)):
        claim = Claim(key_claim(certified_key(DeviceKeys.from_item(item).certificate)), CLOSED)
        _write(store, Put(NAMES, claim.to_item(), Equals("uuid", user_uuid)))
        _write(store, Delete(DEVICE_KEYS.key_of(item)))
    for device in devices:
        _write(store, Delete(device_key(user_uuid, device.device_id)))


def _write(store: Store, write: Write) -> None:
    """Write; where the condition does not hold another was quicker."""
    try:
        write_known(store, write, RetryBudget())
    except Conflict:
        return
