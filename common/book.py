"""The account book: one frozen value per user, the only truth about live sessions, bound devices and spent consents.

It holds its own invariants (a session belongs to a device, one session per device, order by `seq`) and its own codec.
It knows no limit, no password and no clock. See `docs/decisions/0001-one-book-per-user.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from common.clock import from_millis, to_millis
from common.storage.port import Item


class AccountState(StrEnum):
    """Whether anything of the account may be used."""

    ACTIVE = "active"
    DISABLED = "disabled"


class BoundDevice(Struct, frozen=True):
    """A device of the account. `fingerprint`: SHA-256 of its certificate's DER, 64 hex digits.

    It may log in unless `revoked`: then its certificate is no longer good, and the device is there to be unbound.
    """

    device_id: str
    fingerprint: str
    not_after: datetime
    self_keyed: bool = False
    revoked: bool = False


class Session(Struct, frozen=True):
    """A logged-in device. `seq` is the book's version at its login and orders sessions; no clock does.

    `auth_time` is when the password was checked; `generation` counts refreshes; `rotated_at` is the last of them.
    `device_name` is set only for a device that exists with this session alone (no certificate was asked for).
    `thumbprint` names the key (RFC 7638) that must sign every request of the session; None: none must. A `certified`
    session's tokens are good only beside its device's certificate, whichever that is by then.
    """

    session_id: str
    device_id: str
    seq: int
    login_at: datetime
    auth_time: datetime
    last_seen_at: datetime
    ends_at: datetime
    generation: int = 0
    rotated_at: datetime | None = None
    device_name: str | None = None
    thumbprint: str | None = None
    certified: bool = False


class Book(Struct, frozen=True):
    """The account book of one user. `version` rises with every write, `change_no` with every recorded change."""

    user_uuid: str
    version: int = 0
    change_no: int = 0
    epoch: int = 0
    state: AccountState = AccountState.ACTIVE
    devices: Mapping[str, BoundDevice] = field(default_factory=dict)
    sessions: Mapping[str, Session] = field(default_factory=dict)
    spent_consents: Mapping[str, datetime] = field(default_factory=dict)
    evictions: tuple[datetime, ...] = ()

    def accepts(self, epoch: int) -> bool:
        """Say whether the account may be used, and by whoever was proven under the password of this epoch."""
        return self.state is AccountState.ACTIVE and self.epoch == epoch

    def recredentialed(self) -> Book:
        """Return the book once what proves its owner has changed: what was proven or given out before is void."""
        return replace(self, epoch=self.epoch + 1)

    def in_order(self) -> tuple[Session, ...]:
        """Return the sessions, earliest login first."""
        return tuple(sorted(self.sessions.values(), key=lambda session: session.seq))

    def session_of(self, device_id: str) -> Session | None:
        """Return the device's session, if it has one."""
        return next((s for s in self.sessions.values() if s.device_id == device_id), None)

    def device_with(self, fingerprint: str) -> BoundDevice | None:
        """Return the bound device whose certificate has this fingerprint and is not revoked."""
        return next((d for d in self.devices.values() if d.fingerprint == fingerprint and not d.revoked), None)

    def standing(self, device_id: str) -> BoundDevice | None:
        """Return the bound device of this id, unless its certificate is revoked."""
        device = self.devices.get(device_id)
        return None if device is None or device.revoked else device

    def certificate_of(self, session: Session) -> str | None:
        """Return the fingerprint of the certificate that a session's tokens are bound to now; None: to none."""
        device = self.devices.get(session.device_id) if session.certified else None
        return None if device is None else device.fingerprint

    def opened(self, session: Session) -> Book:
        """Return the book with a new session.

        ValueError if its device already has one, or is neither named nor bound with a certificate that is good.
        """
        if self.session_of(session.device_id) is not None:
            msg = "a device has one session at most"
            raise ValueError(msg)
        if self.standing(session.device_id) is None and session.device_name is None:
            msg = "a session belongs to a bound device"
            raise ValueError(msg)
        return replace(self, sessions={**self.sessions, session.session_id: session})

    def updated(self, session: Session) -> Book:
        """Return the book with a session it has in a new state. KeyError if it is not there."""
        if session.session_id not in self.sessions:
            raise KeyError(session.session_id)
        return replace(self, sessions={**self.sessions, session.session_id: session})

    def closed(self, session_id: str) -> Book:
        """Return the book without a session."""
        return replace(self, sessions={k: s for k, s in self.sessions.items() if k != session_id})

    def bound(self, device: BoundDevice) -> Book:
        """Return the book with a new device. ValueError if its id or its certificate is there already."""
        if device.device_id in self.devices or any(d.fingerprint == device.fingerprint for d in self.devices.values()):
            msg = "the device is bound already"
            raise ValueError(msg)
        return replace(self, devices={**self.devices, device.device_id: device})

    def unbound(self, device_id: str) -> Book:
        """Return the book without a device. ValueError while a session of it is open."""
        if self.session_of(device_id) is not None:
            msg = "the device still has a session"
            raise ValueError(msg)
        return replace(self, devices={k: d for k, d in self.devices.items() if k != device_id})

    def revoked(self, device_id: str) -> Book:
        """Return the book with a device's certificate no longer good.

        KeyError if the device is not there, ValueError while a session of it is open.
        """
        device = self.devices[device_id]
        if self.session_of(device_id) is not None:
            msg = "the device still has a session"
            raise ValueError(msg)
        return replace(self, devices={**self.devices, device_id: replace(device, revoked=True)})

    def renewed(self, device_id: str, fingerprint: str, not_after: datetime) -> Book:
        """Return the book with a new certificate in the place of a device's old one.

        KeyError if the device is not there, ValueError if its certificate is revoked.
        """
        device = self.devices[device_id]
        if device.revoked:
            msg = "a revoked certificate is not renewed"
            raise ValueError(msg)
        renewed = replace(device, fingerprint=fingerprint, not_after=not_after)
        return replace(self, devices={**self.devices, device_id: renewed})

    def spent(self, consent_id: str, expires_at: datetime, now: datetime) -> Book:
        """Return the book with a consent used up, and without those that have expired by `now`."""
        kept = {k: end for k, end in self.spent_consents.items() if end > now}
        return replace(self, spent_consents={**kept, consent_id: expires_at})

    def to_item(self) -> Item:
        """Write the book as an item of SessionsTable. Names inside are short: the whole must stay under 4,096 bytes."""
        evictions = {"evictions": [to_millis(at) for at in self.evictions]} if self.evictions else {}
        return {
            **evictions,
            "user_uuid": self.user_uuid,
            "version": self.version,
            "state": str(self.state),
            "sessions": {key: _session_to_item(session) for key, session in self.sessions.items()},
            "devices": {key: _device_to_item(device) for key, device in self.devices.items()},
            "spent": {key: to_millis(end) for key, end in self.spent_consents.items()},
            "epoch": self.epoch,
            "change_no": self.change_no,
        }

    @staticmethod
    def from_item(item: Mapping[str, Any]) -> Book:
        """Read what `to_item` wrote."""
        return Book(
            user_uuid=item["user_uuid"],
            version=item["version"],
            change_no=item["change_no"],
            epoch=item["epoch"],
            state=AccountState(item["state"]),
            devices={key: _device_from_item(key, fields) for key, fields in item["devices"].items()},
            sessions={key: _session_from_item(key, fields) for key, fields in item["sessions"].items()},
            spent_consents={key: from_millis(end) for key, end in item["spent"].items()},
            evictions=tuple(from_millis(at) for at in item.get("evictions", ())),
        )


def _device_to_item(device: BoundDevice) -> dict[str, Any]:
    fields: dict[str, Any] = {"fp": device.fingerprint, "na": to_millis(device.not_after)}
    marks = {"sk": device.self_keyed, "rv": device.revoked}
    return {**fields, **{name: True for name, is_set in marks.items() if is_set}}


def _device_from_item(device_id: str, fields: Mapping[str, Any]) -> BoundDevice:
    marks = fields.get("sk", False), fields.get("rv", False)
    return BoundDevice(device_id, fields["fp"], from_millis(fields["na"]), *marks)


def _session_to_item(session: Session) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "d": session.device_id,
        "q": session.seq,
        "l": to_millis(session.login_at),
        "a": to_millis(session.auth_time),
        "s": to_millis(session.last_seen_at),
        "e": to_millis(session.ends_at),
    }
    if session.rotated_at is not None:
        fields |= {"g": session.generation, "r": to_millis(session.rotated_at)}
    if session.thumbprint is not None:
        fields["k"] = session.thumbprint
    if session.certified:
        fields["c"] = True
    return fields if session.device_name is None else {**fields, "n": session.device_name}


def _session_from_item(session_id: str, fields: Mapping[str, Any]) -> Session:
    return Session(
        session_id=session_id,
        device_id=fields["d"],
        seq=fields["q"],
        login_at=from_millis(fields["l"]),
        auth_time=from_millis(fields["a"]),
        last_seen_at=from_millis(fields["s"]),
        ends_at=from_millis(fields["e"]),
        generation=fields.get("g", 0),
        rotated_at=from_millis(fields["r"]) if "r" in fields else None,
        device_name=fields.get("n"),
        thumbprint=fields.get("k"),
        certified=fields.get("c", False),
    )
