"""Mending what a check of the store has found, where that is safe.

What follows from a book is written anew by a change of that book, so that it is right or is not made. What means
nothing is removed behind a tombstone or a take-over's fence. No session of a book and no line of a history is changed,
and no device of a book but one that an objection has shut out already: it is unbound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from msgspec.structs import replace

from common.account.book import BoundDevice
from common.account.claim_store import ClaimStore, ClaimTaken, check_held
from common.account.claims import Claim
from common.account.decision import DecisionFunction, Snapshot, TransactionResult
from common.account.tombstone import is_tombstone, tombstone
from common.account.transactions import AccountTransactions, NoSuchUser
from common.clock import Clock
from common.crypto.certificates import DeviceCertificate, read_issued
from common.crypto.crl import RevocationReason, Revoked
from common.errors import Code, Refusal
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Absent, Conflict, Delete, Equals, Item, Key, Put, Store, Write
from common.storage.tables import SESSIONS, USERS
from device_manager.device_db import device_key, device_put, keys_key, renewed_key
from device_manager.device_model import Device, DeviceKeys, Role
from device_manager.revocation import unbind_revoked
from device_manager.revocation_db import revocation_puts
from ichidai.checking.finding import Finding, Kind
from ichidai.checking.reading import key_claim
from registration.account_db import names_in
from registration.look_alikes import look_of

NAME_LOST = "(name lost)"
"""What a device is called whose row was lost with its name."""


_STILL_A_TOMBSTONE = Equals("tombstone", value=True)


class StoreMender:
    """Mends findings. Every act may be done twice."""

    def __init__(self, store: Store, transactions: AccountTransactions, claims: ClaimStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._transactions = transactions
        self._claims = claims
        self._acts: Mapping[Kind, Callable[[Finding], object]] = {
            Kind.DEVICE_MISSING: self._lay_device,
            Kind.DEVICE_DIFFERS: self._lay_device,
            Kind.DEVICE_UNBOUND: self._revoke,
            Kind.REVOCATION_MISSING: self._revoke,
            Kind.CLAIM_MISSING: self._claim,
            Kind.CLAIM_UNUSED: self._free,
            Kind.LEFTOVER_DEVICE: self._unbind,
            Kind.LEFTOVER_CLAIM: self._settle,
            Kind.LEFTOVER_ROW: self._remove_row,
            Kind.LEFTOVER_TOMBSTONE: lambda finding: self._write(Delete(finding.key, _STILL_A_TOMBSTONE)),
            Kind.LEFTOVER_KEYS: lambda finding: self._write(Delete(finding.key)),
        }

    def mend(self, finding: Finding) -> None:
        """Mend what is mendable; the next check tells whether it was. Raises StoreUnavailable."""
        self._acts[finding.kind](finding)

    def _lay_device(self, finding: Finding) -> None:
        """Write a device's row as its book and its certificate have it; what only the row knew stays, or is lost."""
        user_uuid, device_id = finding.user_uuid, finding.device_id
        bound = self._bound(user_uuid, device_id)
        if bound is None:
            return
        row = device_key(user_uuid, device_id)
        keys = renewed_key(user_uuid, device_id, bound.fingerprint), keys_key(user_uuid, device_id)

        def lay(snapshot: Snapshot) -> TransactionResult[None]:
            now = snapshot.book.devices.get(device_id)
            certificate = None if now is None else _certificate(now, *(snapshot.at(key) for key in keys))
            if now is None or certificate is None:
                return TransactionResult(None)
            device = _restored(snapshot.book.user_uuid, now, snapshot.at(row), certificate, snapshot.now)
            return TransactionResult(None, snapshot.draft, (device_put(device),))

        self._run(user_uuid, lay, (row, *keys))

    def _revoke(self, finding: Finding) -> None:
        """Write the row of a device that its book has not, or has revoked, as revoked, and list its certificate."""
        device_id = finding.device_id
        row = device_key(finding.user_uuid, device_id)

        def revoke(snapshot: Snapshot) -> TransactionResult[None]:
            item, bound = snapshot.at(row), snapshot.book.devices.get(device_id)
            if item is None or (bound is not None and not bound.revoked):
                return TransactionResult(None)
            device = Device.from_item(item).revoked(snapshot.now)
            reason = RevocationReason.CESSATION_OF_OPERATION if bound is None else RevocationReason.KEY_COMPROMISE
            at = device.revoked_at or snapshot.now
            entry = revocation_puts(Revoked(device.issuer, device.serial, reason, at, device.not_after))
            return TransactionResult(None, snapshot.draft, (device_put(device), *entry))

        self._run(finding.user_uuid, revoke, (row,))

    def _claim(self, finding: Finding) -> None:
        """Claim what the account's row, or the certificate of a bound device, tells of, if nobody else has.

        It is reserved, looked at once more with the book, and confirmed.
        """
        user_uuid, device_id, key = finding.user_uuid, finding.device_id, finding.key
        user, keys = USERS.key(user_uuid), keys_key(user_uuid, device_id)

        def told(at: Callable[[Key], Item | None], now: datetime) -> Claim | None:
            return _claim_of(key, user_uuid, at(user), device_id, at(keys) if device_id else None, now)

        def check(snapshot: Snapshot) -> TransactionResult[None]:
            check_held(held, snapshot)
            if (device_id and device_id not in snapshot.book.devices) or told(snapshot.at, snapshot.now) is None:
                raise Refusal(Code.BUSY, reason="it is not the account's any more")
            return TransactionResult(None, snapshot.draft)

        mine = told(self._store.get, self._clock())
        if mine is None:
            return
        reading = (key, user, *((keys,) if device_id else ()))
        with suppress(ClaimTaken, NoSuchUser, Refusal, Conflict), self._claims.held(mine) as held:
            self._transactions.run(user_uuid, check, reading=reading)

    def _free(self, finding: Finding) -> None:
        """Remove a confirmed claim whose account is not there, once it can never be there."""
        if self._is_dead(finding.user_uuid):
            self._write(Delete(finding.key, Equals("uuid", finding.user_uuid)))

    def _settle(self, finding: Finding) -> None:
        with suppress(Refusal):  # its owner's book is being changed: the next check meets it
            self._claims.settle(finding.key.partition)

    def _unbind(self, finding: Finding) -> None:
        """Unbind a device whose joining was taken back, as the process would have that died after it."""
        unbind_revoked(self._transactions, finding.user_uuid, finding.device_id, finding.device_id)

    def _remove_row(self, finding: Finding) -> None:
        if self._is_dead(finding.user_uuid):
            self._write(Delete(finding.key))

    def _bound(self, user_uuid: str, device_id: str) -> BoundDevice | None:
        book = self._transactions.get_book(user_uuid)
        return None if book is None else book.devices.get(device_id)

    def _is_dead(self, user_uuid: str) -> bool:
        """Let no account ever be there, where none is; False where one is."""
        key = SESSIONS.key(user_uuid)
        self._write(Put(SESSIONS, tombstone(user_uuid, self._clock()), Absent()))
        lying = self._store.get(key)
        return lying is not None and is_tombstone(lying)

    def _run(self, user_uuid: str, decide: DecisionFunction[None], reading: tuple[Key, ...]) -> bool:
        """Make a change; False where there is no such account. What others refuse is left to the next check."""
        try:
            self._transactions.run(user_uuid, decide, reading=reading)
        except NoSuchUser:
            return False
        except (Refusal, Conflict):
            return True
        return True

    def _write(self, write: Write) -> None:
        with suppress(Conflict):
            write_known(self._store, write, RetryBudget())


def _certificate(bound: BoundDevice, *rows: Item | None) -> DeviceCertificate | None:
    """Return the certificate that the book names, if one of a device's rows has it."""
    found = (read_issued(DeviceKeys.from_item(row).certificate) for row in rows if row is not None)
    return next((each for each in found if each.fingerprint == bound.fingerprint), None)


def _restored(
    user_uuid: str, bound: BoundDevice, row: Item | None, certificate: DeviceCertificate, now: datetime
) -> Device:
    """Return a device as its book has it."""
    told = {name: getattr(certificate, name) for name in ("issuer", "serial", "fingerprint", "not_before", "not_after")}
    device = (
        Device(user_uuid, bound.device_id, NAME_LOST, Role.SECONDARY, registered_at=certificate.not_before, **told)
        if row is None
        else replace(Device.from_item(row), **told)
    )
    return device.revoked(now) if bound.revoked else replace(device, revoked_at=None)


def _claim_of(
    key: Key, user_uuid: str, row: Item | None, device_id: str, keys: Item | None, now: datetime
) -> Claim | None:
    """Return the claim that an account should have at a key of NamesTable; None: it should have none there."""
    name = key.partition
    if keys is not None:
        known = key_claim(read_issued(DeviceKeys.from_item(keys).certificate))
        return Claim(name, user_uuid, device_id) if known == name else None
    if row is None or name not in names_in(row, now):
        return None
    look = look_of(str(row["username"]))
    return look.claim_for(user_uuid) if look.claim == name else Claim(name, user_uuid)
