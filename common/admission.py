"""The words that the limit's policy, the login and the registration of a device share. Values only, no rule."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from common.book import Session


class ConcurrencyMode(StrEnum):
    """What happens to a login beyond the limit: the person is asked, it is refused, or the earliest sessions go."""

    ASK = "ask"
    REJECT = "reject"
    EVICT = "evict"


class DeviceProof(StrEnum):
    """What a device must show at login: its certificate's fingerprint, a signature of its key, or nothing."""

    FINGERPRINT = "fingerprint"
    SIGNATURE = "signature"
    NONE = "none"


class NoConsent(Struct, frozen=True):
    """Nobody agreed to end anything."""


class Force(Struct, frozen=True):
    """End whoever is in the way; not bound to anything shown."""


class Shown(Struct, frozen=True):
    """The person agreed to end exactly the sessions that were shown.

    Once (`consent_id`), until `expires_at`, and only while the password is still the one of `epoch`.
    """

    session_ids: frozenset[str]
    consent_id: str
    expires_at: datetime
    epoch: int


Consent: TypeAlias = NoConsent | Force | Shown


class Admit(Struct, frozen=True):
    """The newcomer may enter once the `evicted` are out."""

    evicted: tuple[Session, ...] = ()


class Refuse(Struct, frozen=True):
    """The newcomer may not enter; `shown` are the sessions in its way, earliest login first."""

    shown: tuple[Session, ...]


Decision: TypeAlias = Admit | Refuse


class Newcomer(Struct, frozen=True):
    """Who asks to enter: a device of the user, and since when its password is known to be right.

    `device_name` only for a device that will exist with this session alone; `thumbprint` binds the session to a key,
    `certified` to the device's certificate. `proven`: the device has just shown that it holds its key.
    """

    device_id: str
    auth_time: datetime
    device_name: str | None = None
    thumbprint: str | None = None
    certified: bool = False
    proven: bool = False


class LimitReached(Exception):
    """A newcomer may not enter. `shown` are the sessions in its way, `epoch` the book's at that moment.

    `must_prove`: it is a device whose takeover will need a proof.
    """

    def __init__(self, newcomer: Newcomer, shown: tuple[Session, ...], epoch: int, *, must_prove: bool = False) -> None:
        super().__init__(f"{len(shown)} sessions in the way")
        self.newcomer = newcomer
        self.shown = shown
        self.epoch = epoch
        self.must_prove = must_prove


class Proven(Struct, frozen=True):
    """A person whose password was right.

    `epoch` is the one the password's hash belongs to, `auth_time` when it was checked.
    """

    user_uuid: str
    username: str
    epoch: int
    auth_time: datetime
