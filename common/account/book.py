"""The account book: one frozen value per user, the only truth about live sessions and bound devices.

It holds its own invariants (a session belongs to a device, one session per device, order by `seq`) and its own codec.
It knows no limit, no password and no clock. See `docs/decisions/0001-one-book-per-user.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from common.account.history import HistoryRecord
from common.account.outbox import outbox_from_items, outbox_to_items
from common.account.rows import PendingRow, rows_from_items, rows_to_items
from common.clock import from_millis, to_millis
from common.storage.port import Item
from common.storage.stored_form import More, carried, known


class AccountState(StrEnum):
    """Whether anything of the account may be used. A book's `state` is never `closed`: `closed_until` tells that."""

    ACTIVE = "active"
    DISABLED = "disabled"
    CLOSED = "closed"


class BoundDevice(Struct, frozen=True):
    """A device of the account. `fingerprint`: SHA-256 of its certificate's DER, 64 hex digits.

    It may log in unless `revoked`: then its certificate is no longer good, and the device is there to be unbound.
    `bound_in`: the number of the change by which it joined; 0 for one that an earlier release bound.
    """

    device_id: str
    fingerprint: str
    not_after: datetime
    self_keyed: bool = False
    revoked: bool = False
    bound_in: int = 0
    more: More = {}


class Session(Struct, frozen=True):
    """A logged-in device. `seq` is the book's version at its login and orders sessions; no clock does.

    `auth_time` is when the password was checked; `generation` counts refreshes; `rotated_at` is the last of them.
    `device_name` is set only for a device that exists with this session alone (no certificate was asked for).
    Refresh tokens of a generation below `void_below` are void: the password was changed since.
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
    void_below: int = 0
    more: More = {}


class RecentChange(Struct, frozen=True):
    """A change that was made to the book a moment ago: its id, and the version that it led to."""

    change_id: str
    version: int
    at: datetime


REMEMBERED_FOR = timedelta(seconds=10)
"""How long the book knows the ids of its changes: longer than any request waits for an answer."""

MOST_REMEMBERED = 32

MOST_SESSIONS = 32
"""How many sessions a book has at most. "No limit" is so many: then the earliest leave."""


class Book(Struct, frozen=True, weakref=True):
    """The account book of one user. `version` rises with every write, `change_no` with every recorded change.

    `admissions` counts the sessions that were ever opened: a consent is good only while it stands where it stood.
    `policy` and `generation` are the numbers of the policy and the store's generation in which it was changed last.
    `outbox`: what changes recorded that is not known to lie in the history yet; `rows`: what they want written to other
    tables, likewise. `changes`: the last ones, oldest first, by which a writer whose answer was lost knows whether its
    change was made. `marks`: what was used once, and until when that must be known (`marks.py`). `code_step`: the
    newest time step whose code of the second factor was taken. `closed_until`: its owner has closed it, and may reopen
    it until then; an operator may disable it besides. `more`, here and in its parts: what a later release wrote
    (`stored_form.py`).
    """

    user_uuid: str
    version: int = 0
    change_no: int = 0
    credential_version: int = 0
    state: AccountState = AccountState.ACTIVE
    devices: Mapping[str, BoundDevice] = field(default_factory=dict)
    sessions: Mapping[str, Session] = field(default_factory=dict)
    admissions: int = 0
    evictions: tuple[datetime, ...] = ()
    policy: int = 0
    generation: int = 0
    outbox: tuple[HistoryRecord, ...] = ()
    rows: tuple[PendingRow, ...] = ()
    changes: tuple[RecentChange, ...] = ()
    marks: Mapping[str, datetime] = field(default_factory=dict)
    code_step: int = 0
    closed_until: datetime | None = None
    more: More = {}

    @property
    def is_active(self) -> bool:
        """Whether anything of the account may be used."""
        return self.state is AccountState.ACTIVE and self.closed_until is None

    @property
    def standing(self) -> AccountState:
        """The state as it is shown: an account that is disabled and closed is disabled."""
        return AccountState.CLOSED if self.state is AccountState.ACTIVE and self.closed_until else self.state

    def is_current(self, credential_version: int) -> bool:
        """Say whether the account is active and a check of the password under this epoch is still current."""
        return self.is_active and self.credential_version == credential_version

    def with_new_credentials(self) -> Book:
        """Return the book once what proves its owner has changed: what was proven or given out before is void."""
        return replace(self, credential_version=self.credential_version + 1)

    def in_generation(self, generation: int) -> Book:
        """Return the book as it stands in a generation of the store: what was opened in an earlier one is void."""
        return self if self.generation >= generation else replace(self, sessions={}, generation=generation)

    def in_order(self) -> tuple[Session, ...]:
        """Return the sessions, earliest login first."""
        return tuple(sorted(self.sessions.values(), key=lambda session: session.seq))

    def session_of(self, device_id: str) -> Session | None:
        """Return the device's session, if it has one."""
        return next((s for s in self.sessions.values() if s.device_id == device_id), None)

    def device_with(self, fingerprint: str) -> BoundDevice | None:
        """Return the bound device whose certificate has this fingerprint and is not revoked."""
        return next((d for d in self.devices.values() if d.fingerprint == fingerprint and not d.revoked), None)

    def active_device(self, device_id: str) -> BoundDevice | None:
        """Return the bound device of this id, unless its certificate is revoked."""
        device = self.devices.get(device_id)
        return None if device is None or device.revoked else device

    def certificate_of(self, session: Session) -> str | None:
        """Return the fingerprint of the certificate that a session's tokens are bound to now; None: to none."""
        device = self.devices.get(session.device_id) if session.certified else None
        return None if device is None else device.fingerprint

    def opened(self, session: Session) -> Book:
        """Return the book with a new session.

        ValueError if its device already has one, or is neither named nor bound with a certificate that is good, or if
        the book is full.
        """
        if len(self.sessions) >= MOST_SESSIONS:
            raise ValueError("the book has as many sessions as it may")
        if self.session_of(session.device_id) is not None:
            msg = "a device has one session at most"
            raise ValueError(msg)
        if self.active_device(session.device_id) is None and session.device_name is None:
            msg = "a session belongs to a bound device"
            raise ValueError(msg)
        sessions = {**self.sessions, session.session_id: session}
        return replace(self, sessions=sessions, admissions=self.admissions + 1)

    def updated(self, session: Session) -> Book:
        """Return the book with a session it has in a new state. KeyError if it is not there."""
        if session.session_id not in self.sessions:
            raise KeyError(session.session_id)
        return replace(self, sessions={**self.sessions, session.session_id: session})

    def closed(self, *session_ids: str) -> Book:
        """Return the book without some sessions."""
        closed = frozenset(session_ids)
        return replace(self, sessions={k: s for k, s in self.sessions.items() if k not in closed})

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

    def remembering(self, change_id: str, version: int, now: datetime) -> Book:
        """Return the book with the id of the change that leads to this version, and without those that are old."""
        recent = [change for change in self.changes if change.at > now - REMEMBERED_FOR]
        kept = (*recent[1 - MOST_REMEMBERED :], RecentChange(change_id, version, now))
        return replace(self, version=version, changes=kept)

    def was_made(self, change_id: str, version: int) -> bool | None:
        """Say whether a change was made that was to lead to this version; None: the book may have forgotten."""
        made = next((change.change_id for change in self.changes if change.version == version), None)
        if made is None:
            return None if self.version >= version else False
        return made == change_id

    def to_item(self) -> Item:
        """Write the book as an item of SessionsTable. Laid down, it stays under 4,096 bytes: names inside are short."""
        outbox = {"outbox": outbox_to_items(self.outbox)} if self.outbox else {}
        rows = {"rows": rows_to_items(self.rows)} if self.rows else {}
        step = {"step": self.code_step} if self.code_step else {}
        evictions = {"evictions": [to_millis(at) for at in self.evictions]} if self.evictions else {}
        numbers = {"policy": self.policy, "generation": self.generation}
        closed = {} if self.closed_until is None else self._closing_item(self.closed_until)
        marks = {"marks": {name: to_millis(until) for name, until in self.marks.items()}} if self.marks else {}
        return {
            **self.more,
            **marks,
            **step,
            **evictions,
            **{name: number for name, number in numbers.items() if number},
            "user_uuid": self.user_uuid,
            "version": self.version,
            "state": str(self.state),
            "sessions": {key: _session_to_item(session) for key, session in self.sessions.items()},
            "devices": {key: _device_to_item(device) for key, device in self.devices.items()},
            **closed,
            "admissions": self.admissions,
            "epoch": self.credential_version,
            "change_no": self.change_no,
            "changes": [[change.change_id, change.version, to_millis(change.at)] for change in self.changes],
            **outbox,
            **rows,
        }

    def _closing_item(self, until: datetime) -> dict[str, Any]:
        """Return the members of a closed account: to a release that knows no closing it is a disabled one."""
        was = {"disabled": True} if self.state is AccountState.DISABLED else {}
        return {"state": str(AccountState.DISABLED), "closed_until": to_millis(until), **was}

    @staticmethod
    def from_item(item: Mapping[str, Any]) -> Book:
        """Read what `to_item` wrote, or an earlier release: one that counted no admissions listed spent consents."""
        closed_until = item.get("closed_until")
        is_disabled = closed_until is None or item.get("disabled", False)
        return Book(
            user_uuid=item["user_uuid"],
            version=item["version"],
            change_no=item["change_no"],
            credential_version=item["epoch"],
            state=known(AccountState, item["state"]) if is_disabled else AccountState.ACTIVE,
            devices={key: _device_from_item(key, fields) for key, fields in item["devices"].items()},
            sessions={key: _session_from_item(key, fields) for key, fields in item["sessions"].items()},
            admissions=item.get("admissions", 0),
            evictions=tuple(from_millis(at) for at in item.get("evictions", ())),
            policy=item.get("policy", 0),
            generation=item.get("generation", 0),
            outbox=outbox_from_items(item.get("outbox", ())),
            rows=rows_from_items(item.get("rows", ())),
            changes=tuple(
                RecentChange(name, version, from_millis(at)) for name, version, at, *_ in item.get("changes", ())
            ),
            marks={name: from_millis(until) for name, until in item.get("marks", {}).items()},
            code_step=item.get("step", 0),
            closed_until=None if closed_until is None else from_millis(closed_until),
            more=carried(item, _BOOK),
        )


_BOOK = frozenset(
    (
        *("user_uuid", "version", "change_no", "epoch", "state", "devices", "sessions", "admissions", "evictions"),
        *("policy", "generation", "outbox", "rows", "step", "changes", "marks", "spent"),
        *("closed_until", "disabled"),
    )
)
_DEVICE = frozenset(("fp", "na", "sk", "rv", "bi"))
_SESSION = frozenset(("d", "q", "l", "a", "s", "e", "g", "r", "n", "k", "c", "v"))
"""The members that are known here; `spent` is release 0.1.0's, and leaves a book with its next change."""


def _device_to_item(device: BoundDevice) -> dict[str, Any]:
    fields: dict[str, Any] = {"fp": device.fingerprint, "na": to_millis(device.not_after)}
    marks = {"sk": device.self_keyed, "rv": device.revoked}
    if device.bound_in:
        fields["bi"] = device.bound_in
    return {**device.more, **fields, **{name: True for name, is_set in marks.items() if is_set}}


def _device_from_item(device_id: str, fields: Mapping[str, Any]) -> BoundDevice:
    marks = fields.get("sk", False), fields.get("rv", False)
    more = carried(fields, _DEVICE)
    return BoundDevice(device_id, fields["fp"], from_millis(fields["na"]), *marks, fields.get("bi", 0), more)


def _session_to_item(session: Session) -> dict[str, Any]:
    fields: dict[str, Any] = {
        **session.more,
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
    if session.void_below:
        fields["v"] = session.void_below
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
        void_below=fields.get("v", 0),
        more=carried(fields, _SESSION),
    )
