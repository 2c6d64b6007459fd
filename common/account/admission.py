"""The values that the limit's policy, the login and the registration of a device share, and the one check of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from common.account.book import AccountState, Book, Session
from common.account.draft import Draft
from common.clock import from_millis, to_rfc3339
from common.crypto.passkeys import PasskeyAssertion
from common.errors import Code, Refusal


class ConcurrencyMode(StrEnum):
    """What happens to a login beyond the limit: the user is asked, it is refused, or the earliest sessions go."""

    ASK = "ask"
    REJECT = "reject"
    EVICT = "evict"


class DeviceProof(StrEnum):
    """What a device must show at login: its certificate's fingerprint, a signature of its key, or nothing."""

    FINGERPRINT = "fingerprint"
    SIGNATURE = "signature"
    NONE = "none"


Password: TypeAlias = str | PasskeyAssertion
"""What a user is asked for once more: the password, or a passkey's signature in its place and the second factor's."""

FactorCode: TypeAlias = str | PasskeyAssertion | None
"""What is given of a second factor beside the password: a code, a passkey's signature, or nothing."""


class AuthenticatedUser(Struct, frozen=True):
    """A user whose password was right, or for whom the active devices answered (`by_approval`).

    `credential_version` is the one the password's hash belongs to, `auth_time` when it was checked. `counted_as`: the
    item by which the device was counted then, because it is known from there; empty: it was not; None: nobody looked.
    """

    user_uuid: str
    username: str
    credential_version: int
    auth_time: datetime
    by_approval: bool = False
    counted_as: str | None = None

    @property
    def password_checked_at(self) -> datetime:
        """When the password was checked; for a user who gave none, so long ago that it is asked for again."""
        return from_millis(0) if self.by_approval else self.auth_time


class LoginCandidate(Struct, frozen=True):
    """A device for which its user asks for a session.

    `device_id`: in a takeover token for a device that wants to join, the pairing token's hash stands in its place.
    `device_name` only for a device that will exist with this session alone; `thumbprint` binds the session to a key,
    `certified` to the device's certificate. `key_proven`: the device has just shown that it holds its key.
    """

    user: AuthenticatedUser
    device_id: str
    device_name: str | None = None
    thumbprint: str | None = None
    certified: bool = False
    key_proven: bool = False


class ForceAll(Struct, frozen=True):
    """End the active sessions where the limit is reached; not bound to what was shown."""


class ConsentToEnd(Struct, frozen=True):
    """On the `candidate` device, the user agreed to end exactly the sessions that were shown.

    Until `expires_at`, only while the password is still the one that the user then gave, and only while nobody was
    admitted since: `admissions` is the book's count at the question. So it works once, and leaves no mark in the store.
    """

    candidate: LoginCandidate
    session_ids: frozenset[str]
    consent_id: str
    expires_at: datetime
    admissions: int


Consent: TypeAlias = ForceAll | ConsentToEnd
"""What the user agreed to, where the user agreed to anything."""


class Admit(Struct, frozen=True):
    """The candidate is admitted once the `evicted` sessions are ended."""

    evicted: tuple[Session, ...] = ()


class Refuse(Struct, frozen=True):
    """The candidate is not admitted; `shown` are the sessions that stand against it, earliest login first."""

    shown: tuple[Session, ...]


Decision: TypeAlias = Admit | Refuse


class LimitReached(Exception):
    """A candidate may not enter. `shown` are the sessions in its way, `admissions` the book's count at that moment.

    `needs_proof`: it is a device whose takeover will need a proof. `mode`: what was in force then, and `asks_active`.
    """

    def __init__(
        self,
        candidate: LoginCandidate,
        shown: tuple[Session, ...],
        admissions: int,
        *,
        needs_proof: bool = False,
        mode: ConcurrencyMode = ConcurrencyMode.ASK,
        asks_active: bool = False,
    ) -> None:
        super().__init__(f"{len(shown)} sessions in the way")
        self.candidate = candidate
        self.shown = shown
        self.admissions = admissions
        self.needs_proof = needs_proof
        self.mode = mode
        self.asks_active = asks_active


class IssuedTokens(Struct, frozen=True):
    """A live session with its tokens. `expires_in`: whole seconds until the access token expires."""

    user_uuid: str
    session: Session
    access_token: str
    refresh_token: str
    expires_in: int


class Caller(Struct, frozen=True):
    """Who calls with a good access token: the user, the session as the book has it, and the token's own end."""

    user_uuid: str
    username: str
    session: Session
    expires_at: datetime


class Admission(Struct, frozen=True):
    """A candidate is in: the draft that says so, its new session, and the sessions of other devices that it ended."""

    draft: Draft
    session: Session
    evicted: tuple[Session, ...]


class LoginResult(Struct, frozen=True):
    """What a device is told once its login is durable: its tokens, and whom it ended, each with its device's name.

    `device_token` makes a device without a certificate the same one next time. `has_lost_codes`: the user had recovery
    codes, and a new generation of the store voided them.
    """

    tokens: IssuedTokens
    evicted: tuple[tuple[Session, str | None], ...]
    device_token: str | None = None
    has_lost_codes: bool = False


def check_current(book: Book, user: AuthenticatedUser) -> None:
    """Refuse a password that was changed since it was found right, and an account that may not be used.

    Raises Refusal: BAD_CREDENTIALS; ACCOUNT_DISABLED and ACCOUNT_CLOSED (`reopen_until`), which only a right password
    is told.
    """
    if book.credential_version == user.credential_version:
        if book.state is AccountState.DISABLED:
            raise Refusal(Code.ACCOUNT_DISABLED)
        if book.closed_until is not None:
            raise Refusal(Code.ACCOUNT_CLOSED, reopen_until=to_rfc3339(book.closed_until))
    if not book.is_current(user.credential_version):
        raise Refusal(Code.BAD_CREDENTIALS, reason="the password was changed meanwhile")
