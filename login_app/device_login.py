"""What login, challenge login and takeover share: their dependencies, the device that calls, and the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import Admission, AuthenticatedUser, FactorCode, LoginCandidate, LoginResult
from common.account.book import Book, BoundDevice
from common.account.devices import TlsClientCertificate, is_proven_by_tls
from common.account.history import ClientInfo
from common.account.transactions import AccountTransactions, NoSuchUser
from common.crypto.passkeys import PasskeyAssertion
from common.crypto.tokens import SignedTokens
from common.errors import Code, Refusal
from common.proof.challenge import SignedChallenge
from common.proof.challenge_service import ChallengeService
from common.proof.dpop_service import DpopClient
from login_app.admission import LoginAdmission
from login_app.consent import Consents


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

    def authenticate_by_passkey(
        self, assertion: PasskeyAssertion, client: ClientInfo, device_hint: str | None = None
    ) -> AuthenticatedUser:
        """Check a passkey's signature alone, which stands for password and second factor."""

    def remember(self, user_uuid: str, device_hint: str, client: ClientInfo, counted_as: str | None = None) -> None:
        """Note that a device logged in from here."""


class LoginDependencies(Struct, frozen=True):
    """Dependencies of the use cases.

    `login_result(username, admitted)` is told to the device once it is admitted. `device_tokens` makes tokens that name
    devices without a certificate. `is_revoked(user_uuid, fingerprint)`: was this certificate the user's once?
    `successor_of`, of the same: the device whose present certificate took its place.
    """

    transactions: AccountTransactions
    credentials: CredentialCheck
    admission: LoginAdmission
    consents: Consents
    login_result: Callable[[str, Admission], LoginResult]
    device_tokens: SignedTokens
    is_revoked: Callable[[str, str], bool]
    successor_of: Callable[[str, str], str | None]
    challenges: ChallengeService


def device_with(fingerprint: str, book: Book, now: datetime) -> BoundDevice:
    """Return the bound device with this certificate. Raises Refusal: CERTIFICATE_MISMATCH, CERTIFICATE_EXPIRED."""
    device = book.device_with(fingerprint)
    if device is None:
        raise Refusal(Code.CERTIFICATE_MISMATCH)
    if device.not_after <= now:
        raise Refusal(Code.CERTIFICATE_EXPIRED)
    return device


@contextmanager
def refusals_of(dependencies: LoginDependencies, user: AuthenticatedUser, fingerprint: str | None) -> Iterator[None]:
    """Refuse with BAD_CREDENTIALS a user without a book, with CERTIFICATE_REVOKED a certificate that was the user's."""
    try:
        yield
    except NoSuchUser:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book") from None
    except Refusal as refusal:
        was_known = fingerprint is not None and refusal.code is Code.CERTIFICATE_MISMATCH
        if was_known and dependencies.is_revoked(user.user_uuid, fingerprint or ""):
            raise Refusal(Code.CERTIFICATE_REVOKED) from None
        raise


def with_proofs(
    dependencies: LoginDependencies,
    candidate: LoginCandidate,
    device: BoundDevice | None,
    signed: SignedChallenge | None,
    client: DpopClient,
    tls_certificate: TlsClientCertificate | None,
) -> LoginCandidate:
    """Return a candidate with what its request shows: its DPoP key, its certificate, and its key, by signature or TLS.

    `device` None: it has no certificate.
    """
    return replace(
        candidate,
        thumbprint=client.thumbprint,
        certified=dependencies.admission.binds(device, tls_certificate),
        key_proven=signed is not None or is_proven_by_tls(device, tls_certificate),
    )


def finish_login(
    dependencies: LoginDependencies,
    user: AuthenticatedUser,
    admitted: Admission,
    device: BoundDevice | None,
    client: DpopClient,
) -> LoginResult:
    """Return what the device of a committed admission is told; where it came from is remembered."""
    session = admitted.session
    hint = session.device_id if device is None else device.fingerprint
    dependencies.credentials.remember(user.user_uuid, hint, client, user.counted_as)
    result = dependencies.login_result(user.username, admitted)
    if session.device_name is None:
        return result
    return replace(result, device_token=dependencies.device_tokens.sign([session.device_id]))
