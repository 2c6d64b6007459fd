"""What the device manager needs of its neighbours, as Protocols that the composition root joins."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from common.account.admission import (
    Admission,
    AuthenticatedUser,
    Consent,
    ConsentToEnd,
    FactorCode,
    LimitReached,
    LoginCandidate,
    Password,
)
from common.account.book import Book
from common.account.devices import PairingTicket
from common.account.draft import Draft
from common.account.history import ClientInfo
from common.account.liveness import SessionRules
from common.account.marks import Mark
from common.account.policy import Policy
from common.errors import Refusal
from common.storage.port import Item


class CredentialCheck(Protocol):
    """The one check of passwords, from the registration package."""

    def authenticate(
        self,
        name: str,
        password: str,
        client: ClientInfo,
        *,
        by_email: bool = False,
        device_hint: str | None = None,
        otp: FactorCode = None,
        factor_shown: bool = False,
    ) -> AuthenticatedUser:
        """Check a name's password and second factor."""

    def reauthenticate(
        self, user_uuid: str, password: Password, client: ClientInfo, otp: FactorCode = None
    ) -> AuthenticatedUser:
        """Check the password and second factor of a known account."""

    def remember(self, user_uuid: str, device_hint: str, client: ClientInfo, counted_as: str | None = None) -> None:
        """Note that a device logged in from here."""


class Pairing(Protocol):
    """Pairing tokens, from the registration package."""

    def read(self, qr_code: str, user_uuid: str) -> PairingTicket:
        """Read a QR code's text. Raises Refusal."""

    def redeem(
        self,
        ticket: PairingTicket,
        item: Item | None,
        book: Book,
        rules: SessionRules,
        now: datetime,
    ) -> Mark:
        """Judge the token and return the mark that it is used. Raises Refusal."""


class LoginAdmission(Protocol):
    """The admission rule, from the login package."""

    def admit(
        self,
        draft: Draft,
        policy: Policy,
        candidate: LoginCandidate,
        consent: Consent | None,
        session_id: str,
        now: datetime,
    ) -> Admission:
        """Let the candidate in. Raises LimitReached, Refusal."""


class Consents(Protocol):
    """The question at the limit and its answer, from the login package."""

    def given(
        self, user_uuid: str, subject: str, policy: Policy, *, force: bool, takeover_token: str | None
    ) -> Consent | None:
        """Return what the user agrees to. Raises Refusal."""

    def read(self, takeover_token: str) -> ConsentToEnd:
        """Return the consent that a token carries. Raises Refusal(TAKEOVER_INVALID)."""

    def question(self, candidate: LoginCandidate, reached: LimitReached) -> Refusal:
        """Return the refusal that asks the user."""


class Notices(Protocol):
    """Notices to the user, from registration."""

    def __call__(self, username: str, device_name: str) -> None:
        """Tell that another device joined the account. Never raises."""
