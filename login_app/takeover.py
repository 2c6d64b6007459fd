"""The takeover: a login's second half, when the user was asked and has consented."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import Admission, ConsentToEnd, LimitReached, LoginCandidate, LoginResult
from common.account.book import Book, BoundDevice
from common.account.decision import Snapshot, TransactionResult
from common.account.devices import TlsClientCertificate
from common.account.transactions import NoSuchUser
from common.errors import Code, Refusal
from common.proof.challenge import SignedChallenge, challenge_keys
from common.proof.dpop_service import DpopClient, spend_dpop_proof
from common.proof.statements import Proof, Purpose, token_digest
from login_app.admission import check_unexpired
from login_app.device_login import LoginDependencies, finish_login, with_proofs
from login_app.takeover_token import verify


class TakeoverForm(Struct, frozen=True):
    """A user's consent, sent by the device that asked. `fingerprint` as in `LoginForm`."""

    takeover_token: str
    fingerprint: str | None
    client: DpopClient
    proof: Proof | None = None
    tls_certificate: TlsClientCertificate | None = None


def take_over(dependencies: LoginDependencies, form: TakeoverForm) -> LoginResult:
    """Log in on a consent: end exactly the sessions that were shown, if nobody else is active now.

    Where the answer was lost the device may send it again: see `LoginAdmission.repeated`. The session that a consent
    opens has its id.

    Raises Refusal: TAKEOVER_INVALID, TAKEOVER_SPENT, DEVICE_MISMATCH, CERTIFICATE_EXPIRED, PROOF_REQUIRED,
    PROOF_INVALID, CHALLENGE_SPENT, INVALID_DPOP_PROOF, DEVICE_ACTIVE (the question anew, nobody was ended), BUSY;
    StoreUnavailable.
    """
    consent = verify(dependencies.consents.tokens, form.takeover_token)
    user, key = consent.candidate.user, consent.candidate.thumbprint
    if key not in (None, form.client.thumbprint):
        raise Refusal(Code.DEVICE_MISMATCH, reason="another key")
    try:
        signed = _signed(dependencies, form, consent)
        admitted, device = _end_and_enter(dependencies, form, consent, signed)
    except NoSuchUser:
        raise Refusal(Code.TAKEOVER_SPENT, reason="no book") from None
    except LimitReached as reached:
        raise dependencies.consents.question(consent.candidate, reached) from None
    return finish_login(dependencies, user, admitted, device, form.client)


def _signed(dependencies: LoginDependencies, form: TakeoverForm, consent: ConsentToEnd) -> SignedChallenge | None:
    """Return the signature that came with a consent, if any; it is judged once nothing speaks against the consent."""
    if form.proof is None:
        return None
    user_uuid = consent.candidate.user.user_uuid

    def judge(snapshot: Snapshot) -> TransactionResult[None]:
        _, candidate = _returning(dependencies, form, consent, None, snapshot)
        admission, proven = dependencies.admission, replace(candidate, key_proven=True)
        if admission.repeated(snapshot.book, snapshot.policy, proven, consent, snapshot.now) is None:
            admission.check_consent(snapshot.draft, snapshot.policy, candidate, consent, snapshot.now)
        return TransactionResult(None)

    dependencies.transactions.dry_run(user_uuid, judge)
    return dependencies.challenges.verify(
        form.proof, Purpose.TAKEOVER, user_uuid=user_uuid, token_hash=token_digest(form.takeover_token)
    )


def _end_and_enter(
    dependencies: LoginDependencies, form: TakeoverForm, consent: ConsentToEnd, signed: SignedChallenge | None
) -> tuple[Admission, BoundDevice | None]:
    """Commit the takeover; that commit uses up the challenge and the DPoP proof, also where it is a repetition."""
    admission, dpop_proof = dependencies.admission, form.client.dpop_proof

    def enter(snapshot: Snapshot) -> TransactionResult[tuple[Admission, BoundDevice | None]]:
        device, candidate = _returning(dependencies, form, consent, signed, snapshot)
        made = admission.repeated(snapshot.book, snapshot.policy, candidate, consent, snapshot.now)
        admitted = (  # what speaks against the consent is told before the proofs are judged
            admission.admit(snapshot.draft, snapshot.policy, candidate, consent, consent.consent_id, snapshot.now)
            if made is None
            else Admission(snapshot.draft, made, ())
        )
        spent = (
            *dependencies.challenges.spend(signed, device, snapshot, form.tls_certificate),
            *spend_dpop_proof(dpop_proof, snapshot.book, candidate.device_id, snapshot.now),
        )
        changes = made is None or bool(spent)
        return TransactionResult((admitted, device), admitted.draft if changes else None, spent)

    return dependencies.transactions.run(
        consent.candidate.user.user_uuid,
        enter,
        reading=challenge_keys(signed),
        client=form.client,
    )


def _returning(
    dependencies: LoginDependencies,
    form: TakeoverForm,
    consent: ConsentToEnd,
    signed: SignedChallenge | None,
    snapshot: Snapshot,
) -> tuple[BoundDevice | None, LoginCandidate]:
    """Return the candidate that was asked, with what it shows now, and its device. Raises Refusal."""
    asked = consent.candidate
    check_unexpired(snapshot.book, consent, snapshot.now)
    device = None if asked.device_name else _same_device(snapshot.book, form.fingerprint, asked, snapshot.now)
    candidate = with_proofs(dependencies, asked, device, signed, form.client, form.tls_certificate)
    if asked.certified and not candidate.certified:
        raise Refusal(Code.DEVICE_MISMATCH, reason="without its certificate")
    return device, candidate


def _same_device(book: Book, fingerprint: str | None, asked: LoginCandidate, now: datetime) -> BoundDevice:
    """Return the device that was asked, if it is the one that now answers: a takeover may need the token alone."""
    device = book.device_with(fingerprint) if fingerprint else book.active_device(asked.device_id)
    if device is None:
        raise Refusal(Code.DEVICE_MISMATCH, reason="no bound device")
    if device.not_after <= now:
        raise Refusal(Code.CERTIFICATE_EXPIRED)
    if device.device_id != asked.device_id:
        raise Refusal(Code.DEVICE_MISMATCH, reason="another device")
    return device
