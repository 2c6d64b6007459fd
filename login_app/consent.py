"""Consent: at the limit the user is asked (409) whether to end the sessions that are shown; a token carries the answer.

The rule by which a consent admits is in `admission`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from common.account.admission import (
    ConcurrencyMode,
    Consent,
    ConsentToEnd,
    ForceAll,
    LimitReached,
    LoginCandidate,
)
from common.account.policy import Policy
from common.clock import Clock, seconds_between, to_rfc3339
from common.crypto.tokens import SignedTokens
from common.errors import Code, Refusal
from common.ids import new_id
from common.proof.challenge_service import ChallengeService
from common.proof.statements import Purpose
from login_app.takeover_token import expiry, sign, verify


class Consents(Struct, frozen=True):
    """Asks users for consents, and reads what they send back. `names`: a user's devices' names by id.

    There are three, for login and for the two ways to join, which differ in `tokens` (the MAC of their takeover
    tokens) and `takeover_url` (where a consent is to be sent): what one endpoint asked for is no consent at the other.
    `challenges` None: no challenge comes with the question, because a device that joins proves its key as it enrols.
    `approval_tokens` are those of consents that the active devices' users have to agree to first, at `approval_url`.
    """

    tokens: SignedTokens
    takeover_url: str
    names: Callable[[str], Mapping[str, str]]
    challenges: ChallengeService | None
    clock: Clock
    approval_tokens: SignedTokens
    approval_url: str

    def given(
        self, user_uuid: str, subject: str, policy: Policy, *, force: bool, takeover_token: str | None
    ) -> Consent | None:
        """Return what a user whose password was just checked agrees to on the device, or by the pairing, `subject`.

        Raises Refusal: FORCE_DISABLED; TAKEOVER_INVALID; DEVICE_MISMATCH for a consent of another user or subject.
        """
        if takeover_token is not None:
            consent = self.read(takeover_token)
            if (consent.candidate.user.user_uuid, consent.candidate.device_id) != (user_uuid, subject):
                raise Refusal(Code.DEVICE_MISMATCH, reason="another asked for this consent")
            return consent
        if force and (not policy.allow_force or policy.asks_active):
            raise Refusal(Code.FORCE_DISABLED)
        return ForceAll() if force else None

    def read(self, takeover_token: str) -> ConsentToEnd:
        """Return the consent that a token of these carries, expired or not. Raises Refusal(TAKEOVER_INVALID)."""
        return verify(self.tokens, takeover_token)

    def question(self, candidate: LoginCandidate, reached: LimitReached) -> Refusal:
        """Return the refusal that shows the user who is active and, but in mode reject, offers to end those.

        Where active devices are asked, it offers that in the takeover's place. Raises StoreUnavailable.
        """
        if reached.mode is ConcurrencyMode.REJECT:
            return Refusal(Code.DEVICE_ACTIVE, active=self._active(candidate, reached))
        shown = frozenset(session.session_id for session in reached.shown)
        expires_at = expiry(candidate.user.auth_time, self.clock())
        consent = ConsentToEnd(candidate, shown, new_id(), expires_at, reached.admissions)
        if not reached.asks_active:
            return self.offered(consent, reached)
        approval = self._sent(consent, self.approval_tokens, self.approval_url)
        return Refusal(Code.DEVICE_ACTIVE, active=self._active(candidate, reached), approval=approval)

    def offered(self, consent: ConsentToEnd, reached: LimitReached) -> Refusal:
        """Return the refusal that shows the user who is active and offers to end those. Raises StoreUnavailable."""
        takeover = self.takeover(consent, needs_proof=reached.needs_proof)
        return Refusal(Code.DEVICE_ACTIVE, active=self._active(consent.candidate, reached), takeover=takeover)

    def takeover(self, consent: ConsentToEnd, *, needs_proof: bool) -> Mapping[str, object]:
        """Return how a consent is sent, with the challenge for its proof if it needs one. Raises StoreUnavailable."""
        challenge: Mapping[str, object] = {}
        if needs_proof and self.challenges is not None:
            candidate = consent.candidate
            issued = self.challenges.issue(candidate.user, candidate.device_id, Purpose.TAKEOVER)
            challenge = {"challenge": issued.to_json()}
        return {**self._sent(consent, self.tokens, self.takeover_url), **challenge}

    def _sent(self, consent: ConsentToEnd, tokens: SignedTokens, url: str) -> Mapping[str, object]:
        """Return a consent as a client is to send it, and for how many seconds it may."""
        left = seconds_between(self.clock(), consent.expires_at)
        return {"token": sign(tokens, consent), "expires_in": left, "url": url}

    def _active(self, candidate: LoginCandidate, reached: LimitReached) -> Sequence[Mapping[str, object]]:
        names = self.names(candidate.user.user_uuid)
        return [
            {
                "device_name": session.device_name or names.get(session.device_id),
                "login_at": to_rfc3339(session.login_at),
                "last_seen_at": to_rfc3339(session.last_seen_at),
            }
            for session in reached.shown
        ]
