"""Making a device: its keys, its certificate, its place in the book and its row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import DeviceProof
from common.account.book import Book, BoundDevice
from common.account.claims import Claim, confirmed_in
from common.account.devices import NewDevice, OwnKeys, PrivateKeys
from common.account.draft import Draft
from common.account.history import Event, EventKind
from common.account.policy import Policies, Policy
from common.clock import Clock
from common.crypto.certificates import DeviceCertificate, certified_key
from common.crypto.device_keys import DevicePublicKey, is_signed, public_key_digest
from common.errors import Code, Refusal
from common.ids import new_id
from common.proof.statements import NOTHING, enrol_statement
from common.storage.port import Delete, Item, Key
from common.storage.tables import NAMES
from device_manager.device_db import device_key, device_put, keys_key, keys_put
from device_manager.device_model import Device, DeviceKeys, Role
from device_manager.key_pool import MadeKeys, made_keys


class Issuer(Protocol):
    """Who issues certificates: the authorities of the suite."""

    def issue(self, user_uuid: str, device_id: str, public_key: DevicePublicKey, now: datetime) -> DeviceCertificate:
        """Issue a device's certificate by the authority of its key's kind. Raises StoreUnavailable."""


class Enrolment(Struct, frozen=True):
    """Enrols devices with certificates of `issuer`, as many as the policy allows an account.

    `suite_url` is the issuer that the statement of a joining device names;
    `make_keys` gives the keys of a device that brings none; no keys twice.
    """

    issuer: Issuer
    clock: Clock
    suite_url: str
    policies: Policies
    make_keys: Callable[[], MadeKeys] = made_keys

    def check_key_proof(self, keys: OwnKeys | None, token_hash: str | None = None) -> None:
        """Let pass a device that has shown that it holds the key it brings; `token_hash`: of the pairing token, if any.

        In signature mode nobody joins by a pairing token without a key. Raises Refusal: PROOF_REQUIRED, PROOF_INVALID.
        """
        if keys is None:
            if token_hash is not None and self.policies.current().device_proof is DeviceProof.SIGNATURE:
                raise Refusal(Code.PROOF_REQUIRED)
            return
        if keys.key_proven:
            return
        if keys.signature is None:
            raise Refusal(Code.PROOF_REQUIRED)
        if not is_signed(
            keys.key, keys.signature, enrol_statement(self.suite_url, keys.username, token_hash or NOTHING)
        ):
            raise Refusal(Code.PROOF_INVALID, reason="enrolment")

    def prepare(self, user_uuid: str, device_name: str, *, primary: bool, keys: OwnKeys | None = None) -> NewDevice:
        """Make the certificate of a new device over the keys it brings, or over new ones.

        Nothing is stored; private keys that are made here exist only in the answer. Raises StoreUnavailable.
        """
        now, device_id = self.clock(), new_id()
        key, kem, private = (keys.key, keys.kem, None) if keys else self._ours()
        certificate = self.issuer.issue(user_uuid, device_id, key, now)
        device = Device(
            user_uuid=user_uuid,
            device_id=device_id,
            device_name=device_name,
            role=Role.PRIMARY if primary else Role.SECONDARY,
            registered_at=now,
            issuer=certificate.issuer,
            serial=certificate.serial,
            fingerprint=certificate.fingerprint,
            not_before=certificate.not_before,
            not_after=certificate.not_after,
        )
        own = DeviceKeys(user_uuid, device_id, certificate.der, kem)
        bound = BoundDevice(device_id, certificate.fingerprint, certificate.not_after, self_keyed=keys is not None)
        claim = Claim(key_claim(key), user_uuid, device_id)
        return NewDevice(bound, device_put(device), keys_put(own), claim, certificate, private)

    def claims_of(self, keys: OwnKeys | None) -> tuple[Key, ...]:
        """Return what must be read to know whether a key is free: nothing for keys that we make."""
        return () if keys is None else (NAMES.key(key_claim(keys.key)),)

    def check_free(self, claims: Sequence[Item | None]) -> None:
        """Refuse a key that is, or ever was, another device's; one that is reserved may become free.

        Raises Refusal(KEY_IN_USE).
        """
        if any(confirmed_in(claim) for claim in claims):
            raise Refusal(Code.KEY_IN_USE)

    def issue_again(self, keys: DeviceKeys) -> DeviceCertificate:
        """Issue a new certificate over the key that a device has. Nothing is stored. Raises StoreUnavailable."""
        key = certified_key(keys.certificate)
        return self.issuer.issue(keys.user_uuid, keys.device_id, key, self.clock())

    def removal(self, user_uuid: str, device_id: str) -> tuple[Delete, ...]:
        """Return the writes that forget a device whose keys never reached a client."""
        return Delete(device_key(user_uuid, device_id)), Delete(keys_key(user_uuid, device_id))

    def check_device_limit(self, book: Book, policy: Policy, leaving: Sequence[str] = ()) -> None:
        """Raise Refusal(TOO_MANY_DEVICES) when the account has all the devices that it may have, but for `leaving`."""
        if len(book.devices.keys() - set(leaving)) >= policy.max_devices:
            raise Refusal(Code.TOO_MANY_DEVICES, max_devices=policy.max_devices)

    def bind(
        self, draft: Draft, device: NewDevice, policy: Policy, now: datetime, leaving: Sequence[str] = ()
    ) -> Draft:
        """Return the draft with the device bound and the event recorded. Raises Refusal(TOO_MANY_DEVICES).

        `leaving`: devices that are unbound right after this commit, for whose place the new one need not wait.
        """
        self.check_device_limit(draft.book, policy, leaving)
        added = Event(EventKind.DEVICE_ADDED, now, device.bound.device_id)
        bound = replace(device.bound, bound_in=draft.book.change_no + 1)
        return draft.with_book(draft.book.bound(bound), added)

    def _ours(self) -> tuple[DevicePublicKey, str, PrivateKeys]:
        made = self.make_keys()
        return made.signing, made.kem, made.private


def key_claim(key: DevicePublicKey) -> str:
    """Return the key of NamesTable under which a signing key is one device's alone, for ever."""
    return f"key#{public_key_digest(key)}"
