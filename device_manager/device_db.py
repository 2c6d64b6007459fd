"""Devices in the store: DevicesTable, DeviceKeysTable, and the book where it tells which devices are active."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from common.account.book import Book, Session
from common.account.devices import PublicKeys
from common.account.liveness import SessionRules, live_sessions
from common.crypto.certificates import DeviceCertificate, certified_key, read_issued
from common.storage.paging import all_items
from common.storage.port import Absent, Key, Put, Store
from common.storage.tables import DEVICE_KEYS, DEVICES
from device_manager.device_model import Device, DeviceKeys


class DeviceDb:
    """Reads devices; every method raises StoreUnavailable."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of_user(self, user_uuid: str) -> tuple[Device, ...]:
        """Return every device the user ever had, revoked ones included."""
        return tuple(Device.from_item(item) for item in self._items(user_uuid))

    def names(self, user_uuid: str) -> Mapping[str, str]:
        """Return the names of all the user's devices by their ids."""
        return {item["device_id"]: item["device_name"] for item in self._items(user_uuid)}

    def keys_of(self, user_uuid: str, device_id: str) -> PublicKeys | None:
        """Return a device's public keys; None when there never was such a device."""
        item = self._store.get(keys_key(user_uuid, device_id))
        if item is None:
            return None
        keys = DeviceKeys.from_item(item)
        return PublicKeys(certified_key(keys.certificate), keys.kem)

    def certificate_of(self, user_uuid: str, device_id: str, fingerprint: str) -> DeviceCertificate:
        """Return the present certificate of a device, which is the one of this fingerprint.

        Releases up to 0.1.0 wrote a renewed one over the first. KeyError when there never was such a device.
        """
        keys = (renewed_key(user_uuid, device_id, fingerprint), keys_key(user_uuid, device_id))
        for item in (self._store.get(key) for key in keys):
            if item is not None:
                return read_issued(DeviceKeys.from_item(item).certificate)
        raise KeyError(device_id)

    def successor_of(self, user_uuid: str, fingerprint: str) -> str | None:
        """Return the id of the device whose present certificate took this one's place."""
        return next((d.device_id for d in self.of_user(user_uuid) if d.superseded == fingerprint), None)

    def is_revoked(self, user_uuid: str, fingerprint: str) -> bool:
        """Say whether a certificate was the user's and has been revoked or superseded."""
        return any(device.had(fingerprint) for device in self.of_user(user_uuid))

    def _items(self, user_uuid: str) -> Iterator[Any]:
        return all_items(self._store, DEVICES, user_uuid)


def device_key(user_uuid: str, device_id: str) -> Key:
    """Return where a device's row lies."""
    return DEVICES.key(user_uuid, device_id)


def keys_key(user_uuid: str, device_id: str) -> Key:
    """Return where a device's first certificate and its keys lie."""
    return DEVICE_KEYS.key(user_uuid, device_id)


def renewed_key(user_uuid: str, device_id: str, fingerprint: str) -> Key:
    """Return where a device's certificate lies that took the place of another one."""
    return DEVICE_KEYS.key(user_uuid, f"{device_id}#{fingerprint}")


def device_put(device: Device) -> Put:
    """Return the write of a row, which follows from the book."""
    return Put(DEVICES, device.to_item())


def keys_put(keys: DeviceKeys) -> Put:
    """Return the write of a new device's certificate and keys; nothing is ever written over them."""
    return Put(DEVICE_KEYS, keys.to_item())


def renewed_put(keys: DeviceKeys, fingerprint: str) -> Put:
    """Return the write of a new certificate, beside the ones before it: it is the device's once the book names it."""
    key = renewed_key(keys.user_uuid, keys.device_id, fingerprint)
    return Put(DEVICE_KEYS, {**keys.to_item(), "device_id": key.sort, "kem": None}, Absent())


def find_active_devices(book: Book, rules: SessionRules, now: datetime) -> Mapping[str, Session]:
    """Return the live session of each active device by device id, earliest login first."""
    return {session.device_id: session for session in live_sessions(book, rules, now)}
