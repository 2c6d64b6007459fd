"""The admission rule: every session, by login, takeover or the registration of a device, is admitted by it. Pure.

What the user is asked at the limit, and how an answer comes back, is in `consent`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct

from common.account.admission import (
    Admission,
    Admit,
    ConcurrencyMode,
    Consent,
    ConsentToEnd,
    Decision,
    ForceAll,
    LimitReached,
    LoginCandidate,
)
from common.account.book import Book, BoundDevice, Session
from common.account.devices import TlsClientCertificate, is_proven_by_tls
from common.account.draft import Draft
from common.account.history import Reason
from common.account.liveness import end_reason
from common.account.policy import Policy
from common.errors import Code, Refusal
from login_app.config import LoginSettings
from login_app.eviction_limit import is_limit_reached, was_limit_reached, with_eviction


class Decide(Protocol):
    """The policy of the limit, from the device manager."""

    def __call__(
        self, live: Sequence[Session], device_id: str, *, limit: int, mode: ConcurrencyMode, consent: Consent | None
    ) -> Decision:
        """Say whether the candidate may enter, and who leaves for it."""


class CreateSession(Protocol):
    """How a session comes into a book, from the session manager."""

    def __call__(
        self, draft: Draft, candidate: LoginCandidate, session_id: str, now: datetime, lifetime: timedelta
    ) -> Draft:
        """Return the draft with the session in it."""


class LoginAdmission(Struct, frozen=True):
    """The rule by which a candidate is admitted. `requires_signature` says which devices must show their key."""

    decide: Decide
    create_session: CreateSession
    requires_signature: Callable[[BoundDevice], bool]
    settings: LoginSettings

    def admit(
        self,
        draft: Draft,
        policy: Policy,
        candidate: LoginCandidate,
        consent: Consent | None,
        session_id: str,
        now: datetime,
    ) -> Admission:
        """Let a candidate in, ending whom the policy says.

        Raises LimitReached; Refusal: TAKEOVER_SPENT as `check_consent`, PROOF_REQUIRED for one more eviction among many
        by a device that has not shown its key.
        """
        draft = draft.without_expired(policy.rules_for(draft.book), now)
        decision = self._decided(draft.book, policy, candidate, consent, now)
        if decision.evicted:
            if is_limit_reached(draft.book, policy.evictions_before_signature, now) and not candidate.key_proven:
                raise Refusal(Code.PROOF_REQUIRED, reason="evictions in turn")
            draft = draft.with_book(with_eviction(draft.book, policy.evictions_before_signature, now))
        for session in decision.evicted:
            draft = draft.ended(session, _reason(consent, policy.rules.limit), now, by=candidate.device_id)
        draft = self.create_session(draft, candidate, session_id, now, policy.session_lifetime)
        return Admission(draft, draft.book.sessions[session_id], decision.evicted)

    def check_consent(
        self, draft: Draft, policy: Policy, candidate: LoginCandidate, consent: ConsentToEnd, now: datetime
    ) -> None:
        """Say what would refuse a consent, before anything else is looked at.

        Raises Refusal(TAKEOVER_SPENT) for one that has expired or is of an old password; else LimitReached where a
        session lives that was not shown; else TAKEOVER_SPENT where a session was opened since, by this consent or not.
        """
        book = draft.without_expired(policy.rules_for(draft.book), now).book
        self._decided(book, policy, candidate, consent, now)

    def in_the_way(
        self, draft: Draft, policy: Policy, candidate: LoginCandidate, consent: ConsentToEnd, now: datetime
    ) -> LimitReached | None:
        """Return what stands against a candidate for whom a consent would be good; None where nobody does any more.

        Raises as `check_consent`.
        """
        book = draft.without_expired(policy.rules_for(draft.book), now).book
        self._decided(book, policy, candidate, consent, now)
        try:
            self._decided(book, policy, candidate, None, now)
        except LimitReached as reached:
            return reached
        return None

    def repeated(
        self, book: Book, policy: Policy, candidate: LoginCandidate, consent: ConsentToEnd, now: datetime
    ) -> Session | None:
        """Return the session that this very consent opened, if its answer may be given once more; else None.

        It may while the session lives and was never refreshed, to the device that shows what it showed then.
        Raises Refusal: DEVICE_MISMATCH, PROOF_REQUIRED.
        """
        session = book.sessions.get(consent.consent_id)
        if session is None or session.device_id != candidate.device_id or session.rotated_at is not None:
            return None
        if end_reason(book, session, policy.rules_for(book), now) is not None:
            return None
        if (session.thumbprint, session.certified) != (candidate.thumbprint, candidate.certified):
            raise Refusal(Code.DEVICE_MISMATCH, reason="not what it showed at first")
        needs_proof = was_limit_reached(book, policy.evictions_before_signature, session.login_at)
        if needs_proof and not candidate.key_proven:
            raise Refusal(Code.PROOF_REQUIRED, reason="evictions in turn")
        return session

    def binds(self, device: BoundDevice | None, tls_certificate: TlsClientCertificate | None) -> bool:
        """Say whether a device's session shall be bound to its certificate, which TLS proved."""
        return self.settings.certificate_bound and is_proven_by_tls(device, tls_certificate)

    def _decided(
        self, book: Book, policy: Policy, candidate: LoginCandidate, consent: Consent | None, now: datetime
    ) -> Admit:
        """Return who leaves for a candidate; `book` is without dead sessions."""
        if isinstance(consent, ConsentToEnd):
            check_unexpired(book, consent, now)
        decision = self.decide(
            book.in_order(), candidate.device_id, limit=policy.rules.limit, mode=policy.mode, consent=consent
        )
        if not isinstance(decision, Admit):
            needs_proof = self._needs_proof(book, policy, candidate, now)
            raise LimitReached(
                candidate,
                decision.shown,
                book.admissions,
                needs_proof=needs_proof,
                mode=policy.mode,
                asks_active=policy.asks_active,
            )
        if isinstance(consent, ConsentToEnd):
            check_unmoved(book, consent)
        return decision

    def _needs_proof(self, book: Book, policy: Policy, candidate: LoginCandidate, now: datetime) -> bool:
        """Say whether the candidate's takeover will need a proof: a candidate without a device has no key."""
        device = book.devices.get(candidate.device_id)
        is_contended = is_limit_reached(book, policy.evictions_before_signature, now)
        return device is not None and (is_contended or self.requires_signature(device))


def check_unmoved(book: Book, consent: ConsentToEnd) -> None:
    """Raise Refusal(TAKEOVER_SPENT) for a consent since which a session was opened, be it by this consent."""
    if consent.admissions != book.admissions:
        raise Refusal(Code.TAKEOVER_SPENT, reason="a session was opened since")


def check_unexpired(book: Book, consent: ConsentToEnd, now: datetime) -> None:
    """Raise Refusal(TAKEOVER_SPENT) for a consent that has expired or is of an old password."""
    if consent.expires_at <= now:
        raise Refusal(Code.TAKEOVER_SPENT, reason="expired")
    if not book.is_current(consent.candidate.user.credential_version):
        raise Refusal(Code.TAKEOVER_SPENT, reason="of an old password")


def _reason(consent: Consent | None, limit: int) -> Reason:
    match consent:
        case ConsentToEnd():
            return Reason.TAKEN_OVER
        case _ if not limit:  # the book was full
            return Reason.OVER_LIMIT
        case ForceAll():
            return Reason.FORCED_OUT
        case None:
            return Reason.EVICTED
