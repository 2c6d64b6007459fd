"""Logging in: password and device are proven, then the admission decides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeAlias

from msgspec import Struct

from common.account.admission import (
    Admission,
    AuthenticatedUser,
    LimitReached,
    LoginCandidate,
    LoginResult,
    check_current,
)
from common.account.book import Book, BoundDevice
from common.account.decision import Snapshot, TransactionResult
from common.account.devices import TlsClientCertificate
from common.crypto.passkeys import PasskeyAssertion
from common.crypto.tokens import ForgedToken
from common.ids import new_id
from common.proof.challenge import SignedChallenge, challenge_keys
from common.proof.dpop_service import DpopClient
from common.proof.statements import Proof, Purpose
from login_app.device_login import LoginDependencies, device_with, finish_login, refusals_of, with_proofs

FindDevice: TypeAlias = Callable[[Book, datetime], BoundDevice]
"""Returns the device that calls, as the book has it now. Raises Refusal."""


class LoginForm(Struct, frozen=True):
    """A login, or the request for a challenge to log in with: who, and on which device.

    `fingerprint` None only where no device proof is asked; `device_token` and `device_name` are for such a device.
    `passkey` stands for a code beside the password, and for both where `name` and `password` are empty.
    """

    name: str
    by_email: bool
    password: str
    fingerprint: str | None
    device_token: str | None
    device_name: str
    force: bool
    client: DpopClient
    proof: Proof | None = None
    tls_certificate: TlsClientCertificate | None = None
    otp: str | None = None
    passkey: PasskeyAssertion | None = None


def log_in(dependencies: LoginDependencies, form: LoginForm) -> LoginResult:
    """Log a user in on a device.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, CERTIFICATE_MISMATCH,
    CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED, PROOF_REQUIRED, PROOF_INVALID, CHALLENGE_SPENT, FORCE_DISABLED,
    PASSKEY_INVALID, DEVICE_ACTIVE (the question), BUSY; StoreUnavailable.
    """
    return log_in_as(dependencies, form, check_password(dependencies, form, device_hint(dependencies, form)))


def log_in_as(dependencies: LoginDependencies, form: LoginForm, user: AuthenticatedUser) -> LoginResult:
    """Log in a user whose password and second factor, or whose passkey, were right; raises as `log_in`."""
    told_id = _device_id_of(dependencies, form.device_token)
    find, signed = partial(device_with, form.fingerprint or ""), None
    if form.proof is not None:
        preview_device(dependencies, user, find, form.fingerprint)
        purpose = Purpose.FORCE if form.force else Purpose.LOGIN
        signed = dependencies.challenges.verify(form.proof, purpose, user_uuid=user.user_uuid)
    shown = find if form.fingerprint else LoginCandidate(user, told_id or new_id(), form.device_name)
    with refusals_of(dependencies, user, form.fingerprint):
        return complete_login(
            dependencies,
            user,
            shown,
            signed,
            force=form.force,
            client=form.client,
            tls_certificate=form.tls_certificate,
        )


def device_hint(dependencies: LoginDependencies, form: LoginForm) -> str | None:
    """Return what the device of a form says it is: guesses are counted by it."""
    return form.fingerprint or _device_id_of(dependencies, form.device_token)


def check_password(dependencies: LoginDependencies, form: LoginForm, device_hint: str | None) -> AuthenticatedUser:
    """Return the user of a form whose password and second factor are right. Raises as `CredentialCheck`."""
    if form.passkey is not None and not form.password:
        return dependencies.credentials.authenticate_by_passkey(form.passkey, form.client, device_hint)
    return dependencies.credentials.authenticate(
        form.name,
        form.password,
        form.client,
        by_email=form.by_email,
        device_hint=device_hint,
        otp=form.passkey or form.otp,
        factor_shown=form.proof is not None,  # a challenge was given for it; a proof that is not good is refused later
    )


def preview_device(
    dependencies: LoginDependencies, user: AuthenticatedUser, find: FindDevice, fingerprint: str | None
) -> BoundDevice:
    """Return the device that was shown, as the book has it now: a wrong certificate is told before a wrong proof.

    Raises Refusal: BAD_CREDENTIALS, CERTIFICATE_MISMATCH, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED; StoreUnavailable.
    """

    def look(snapshot: Snapshot) -> TransactionResult[BoundDevice]:
        check_current(snapshot.book, user)
        return TransactionResult(find(snapshot.book, snapshot.now))

    with refusals_of(dependencies, user, fingerprint):
        return dependencies.transactions.dry_run(user.user_uuid, look)


def complete_login(
    dependencies: LoginDependencies,
    user: AuthenticatedUser,
    shown: FindDevice | LoginCandidate,
    signed: SignedChallenge | None,
    *,
    force: bool,
    client: DpopClient,
    tls_certificate: TlsClientCertificate | None,
) -> LoginResult:
    """Admit a user whose password, and signature if there is one, were right; that commit uses the challenge up.

    `shown`: the device, or a candidate without a certificate. Raises NoSuchUser, Refusal as `log_in`, StoreUnavailable.
    """
    session_id = new_id()

    def enter(snapshot: Snapshot) -> TransactionResult[tuple[Admission, BoundDevice | None]]:
        check_current(snapshot.book, user)
        device, candidate = None, shown
        if not isinstance(candidate, LoginCandidate):
            device = candidate(snapshot.book, snapshot.now)
            candidate = LoginCandidate(user, device.device_id)
        spent = dependencies.challenges.spend(signed, device, snapshot, tls_certificate)
        candidate = with_proofs(dependencies, candidate, device, signed, client, tls_certificate)
        consent = dependencies.consents.given(
            user.user_uuid, candidate.device_id, snapshot.policy, force=force, takeover_token=None
        )
        admitted = dependencies.admission.admit(
            snapshot.draft, snapshot.policy, candidate, consent, session_id, snapshot.now
        )
        return TransactionResult((admitted, device), admitted.draft, spent)

    try:
        admitted, device = dependencies.transactions.run(
            user.user_uuid, enter, reading=challenge_keys(signed), client=client
        )
    except LimitReached as reached:
        raise dependencies.consents.question(reached.candidate, reached) from None
    return finish_login(dependencies, user, admitted, device, client)


def _device_id_of(dependencies: LoginDependencies, device_token: str | None) -> str | None:
    """Return the device that a device token names; a token that is none of ours names no device."""
    if device_token is None:
        return None
    try:
        (device_id,) = dependencies.device_tokens.verify(device_token)
    except ForgedToken:
        return None
    return str(device_id)
