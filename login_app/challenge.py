"""The challenge login: a device is asked for a signature, and logs in by it."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from common.account.admission import AuthenticatedUser, LoginResult
from common.account.book import Book, BoundDevice
from common.account.devices import TlsClientCertificate
from common.errors import Code, Refusal
from common.proof.challenge import IssuedChallenge
from common.proof.dpop_service import DpopClient
from common.proof.statements import Proof, Purpose
from login_app.device_login import LoginDependencies, device_with, refusals_of
from login_app.login import LoginForm, check_password, complete_login, preview_device


def ask_challenge(dependencies: LoginDependencies, form: LoginForm, purpose: Purpose) -> IssuedChallenge:
    """Check the password and the certificate, and give the device what it must sign for a purpose.

    A certificate that has expired is fine for a renewal alone, and so is the one before the present one: its device
    never had the answer to a renewal. Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS,
    OTP_REQUIRED, OTP_INVALID, CERTIFICATE_MISMATCH, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED, BUSY; StoreUnavailable.
    """
    fingerprint = form.fingerprint or ""
    user = check_password(dependencies, form, fingerprint)
    find = partial(device_with, fingerprint)
    if purpose is Purpose.RENEW:
        successor = dependencies.successor_of(user.user_uuid, fingerprint)
        find = partial(_renewable, fingerprint, successor)
    device = preview_device(dependencies, user, find, fingerprint)
    return dependencies.challenges.issue(user, device.device_id, purpose)


def answer_challenge(
    dependencies: LoginDependencies,
    proof: Proof,
    client: DpopClient,
    tls_certificate: TlsClientCertificate | None = None,
) -> LoginResult:
    """Log in the device that signed a challenge for `login` or `force`: its password was checked when it asked.

    Raises Refusal: PROOF_INVALID, CHALLENGE_SPENT, BAD_CREDENTIALS (the password was changed since),
    CERTIFICATE_REVOKED, CERTIFICATE_EXPIRED, FORCE_DISABLED, DEVICE_ACTIVE (the question), BUSY; StoreUnavailable.
    """
    signed = dependencies.challenges.verify(proof, Purpose.LOGIN, Purpose.FORCE)
    asked = signed.challenge
    user = AuthenticatedUser(asked.user_uuid, asked.username, asked.credential_version, asked.auth_time)
    find, force = partial(_device_of, asked.device_id), asked.purpose is Purpose.FORCE
    with refusals_of(dependencies, user, None):
        return complete_login(
            dependencies, user, find, signed, force=force, client=client, tls_certificate=tls_certificate
        )


def _renewable(fingerprint: str, successor: str | None, book: Book, _now: datetime) -> BoundDevice:
    """Return the bound device with this certificate, expired or not, or that had it before its present one."""
    device = book.device_with(fingerprint) or book.active_device(successor or "")
    if device is None:
        raise Refusal(Code.CERTIFICATE_MISMATCH)
    return device


def _device_of(device_id: str, book: Book, now: datetime) -> BoundDevice:
    device = book.active_device(device_id)
    if device is None:
        raise Refusal(Code.CERTIFICATE_REVOKED, reason="unbound or revoked since it asked")
    return device_with(device.fingerprint, book, now)
