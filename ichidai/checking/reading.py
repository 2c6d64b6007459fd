"""All that lies in the store about one account, by strong reads, the book first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from msgspec import Struct

from common.account.audit import AuditEvent, read_audit
from common.account.book import Book
from common.account.claims import Claim
from common.account.history import HistoryRecord, OperatorAct, record_from_item
from common.account.rows import NUMBER
from common.account.tombstone import is_tombstone, stands_until
from common.crypto.certificates import DeviceCertificate, certified_key, read_issued
from common.crypto.device_keys import public_key_digest
from common.storage.paging import all_items
from common.storage.port import Key, Store
from common.storage.tables import DEVICE_KEYS, DEVICES, FACTORS, LOGIN_HISTORY, NAMES, REVOCATIONS, SESSIONS, USERS
from device_manager.device_model import Device, DeviceKeys
from registration.account_db import names_in
from registration.account_model import Account
from registration.factor_model import Factor

T = TypeVar("T")

_FOR_ALL = OperatorAct.EVERYBODY_OUT
"""An act with one line of the audit log for all accounts."""


class UnreadableItem(Exception):
    """An item that no codec reads."""

    def __init__(self, key: Key, error: Exception) -> None:
        super().__init__(f"it cannot be read ({type(error).__name__}: {error})")
        self.key = key


class AccountRows(Struct, frozen=True):
    """An account: its book, and what should follow from it.

    `book` None: none, or a tombstone, and then `entombed_until`: when that may go. `certificates`: of each device of
    DeviceKeysTable by the row's sort key. `history`: what is laid down. `claims`: what lies under each name that the
    account's rows and keys tell of. `listed`: which of the certificates' places on the list of revoked ones hold an
    entry. `lines`: of the audit log, at the times of operators' acts.
    """

    user_uuid: str
    book: Book | None
    account: Account | None
    factor: Factor | None
    devices: Mapping[str, Device]
    certificates: Mapping[str, DeviceCertificate]
    versions: Mapping[Key, int]
    history: Sequence[HistoryRecord]
    claims: Mapping[str, Claim | None]
    listed: frozenset[Key]
    lines: Sequence[AuditEvent]
    entombed_until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing of the account is there."""
        rows = self.book, self.account, self.factor, self.devices, self.certificates, self.history
        return not any(rows)

    def certificate_of(self, device_id: str, fingerprint: str) -> DeviceCertificate | None:
        """Return a device's certificate of a fingerprint, which is the first one's or a renewed one's."""
        for name in (f"{device_id}#{fingerprint}", device_id):
            found = self.certificates.get(name)
            if found is not None and found.fingerprint == fingerprint:
                return found
        return None


def read_book(store: Store, user_uuid: str) -> Book | None:
    """Return an account's book as of now; None: there is none. Raises UnreadableItem, StoreUnavailable."""
    key = SESSIONS.key(user_uuid)
    item = store.get(key)
    return None if item is None or is_tombstone(item) else decoded(key, Book.from_item, item)


def read_account(store: Store, user_uuid: str, now: datetime, audit_kept: timedelta) -> AccountRows:
    """Read it. Raises UnreadableItem, StoreUnavailable (UnknownForm: a later release wrote it)."""
    book = read_book(store, user_uuid)
    user, factor = (store.get(table.key(user_uuid)) for table in (USERS, FACTORS))
    rows: dict[str, Any] = {str(item["device_id"]): item for item in all_items(store, DEVICES, user_uuid)}
    devices = {name: decoded(DEVICES.key(user_uuid, name), Device.from_item, item) for name, item in rows.items()}
    keys = {str(item["device_id"]): item for item in all_items(store, DEVICE_KEYS, user_uuid)}
    certificates = {name: decoded(DEVICE_KEYS.key(user_uuid, name), _certificate, item) for name, item in keys.items()}
    history = [
        decoded(LOGIN_HISTORY.key(user_uuid, item["change_no"]), record_from_item, item)
        for item in all_items(store, LOGIN_HISTORY, user_uuid)
    ]
    numbered: dict[Key, Any] = {USERS.key(user_uuid): user, FACTORS.key(user_uuid): factor}
    numbered |= {DEVICES.key(user_uuid, name): item for name, item in rows.items()}
    bound = set() if book is None else book.devices.keys()
    names = (*_names(user_uuid, user, now), *(key_claim(each) for name, each in certificates.items() if name in bound))
    return AccountRows(
        user_uuid,
        book,
        None if user is None else decoded(USERS.key(user_uuid), Account.from_item, user),
        None if factor is None else decoded(FACTORS.key(user_uuid), Factor.from_item, factor),
        devices,
        certificates,
        {key: int(item.get(NUMBER, 0)) for key, item in numbered.items() if item is not None},
        history,
        {name: read_claim(store, name) for name in names},
        frozenset(key for device in devices.values() for key in list_keys(device) if store.get(key) is not None),
        tuple(_lines_of_acts(store, user_uuid, history, now, audit_kept)),
        None if book is not None else stands_until(store.get(SESSIONS.key(user_uuid)) or {}),
    )


def read_owner(store: Store, user_uuid: str, now: datetime) -> AccountRows:
    """Read book and user's row alone, with the names of the claims that the row tells of. Raises as `read_account`."""
    book, user = read_book(store, user_uuid), store.get(USERS.key(user_uuid))
    account = None if user is None else decoded(USERS.key(user_uuid), Account.from_item, user)
    names = dict.fromkeys(_names(user_uuid, user, now))
    return AccountRows(user_uuid, book, account, None, {}, {}, {}, (), names, frozenset(), ())


def _names(user_uuid: str, user: Any, now: datetime) -> Sequence[str]:
    return () if user is None else decoded(USERS.key(user_uuid), lambda row: names_in(row, now), user)


def _certificate(item: Any) -> DeviceCertificate:
    return read_issued(DeviceKeys.from_item(item).certificate)


def read_claim(store: Store, name: str) -> Claim | None:
    """Return what lies under a name. Raises UnreadableItem, StoreUnavailable."""
    key = NAMES.key(name)
    item = store.get(key)
    return None if item is None else decoded(key, Claim.from_item, item)


def list_keys(device: Device) -> tuple[Key, Key]:
    """Return where the entry of a device's certificate lies once it is revoked, and the mark of its shard."""
    shard = device.serial[-1]
    return REVOCATIONS.key(f"{device.issuer}#{shard}", device.serial), REVOCATIONS.key(device.issuer, shard)


def key_claim(certificate: DeviceCertificate) -> str:
    """Return the name under which a certificate's key is one device's alone."""
    return f"key#{public_key_digest(certified_key(certificate.der))}"


def decoded(key: Key, codec: Callable[[Any], T], item: Any) -> T:
    """Return an item as its codec reads it. Raises UnreadableItem, UnknownForm."""
    try:
        return codec(item)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise UnreadableItem(key, error) from error


def _lines_of_acts(
    store: Store, user_uuid: str, history: Sequence[HistoryRecord], now: datetime, kept: timedelta
) -> Iterator[AuditEvent]:
    acts = {event.at for record in history for event in record.events if event.act not in (None, _FOR_ALL)}
    for at in sorted(acts):
        if at + kept > now:
            yield from read_audit(store, at, at, user_uuid)
