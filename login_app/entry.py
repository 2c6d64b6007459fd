"""The one way in: whoever gets a session, by login, takeover or the registration of a device, gets it here.

`admit` is pure and runs inside the book's loop; `question` and `welcome` turn its outcome into what the client is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from common.admission import (
    Admit,
    ConcurrencyMode,
    Consent,
    Decision,
    Force,
    LimitReached,
    Newcomer,
    NoConsent,
    Proven,
    Shown,
)
from common.book import Book, BoundDevice, Session
from common.challenges import Challenges
from common.clock import Clock, seconds_between, to_rfc3339
from common.crypto.tokens import MacTokens
from common.devices import HeldCertificate, is_shown_by_tls
from common.draft import Draft
from common.errors import Code, Refusal
from common.granting import Admitted, Grant, Welcome
from common.history import Reason
from common.ids import new_id
from common.liveness import SessionRules
from common.proofs import Purpose
from common.storage.port import StoreUnavailable
from login_app.config import LoginSettings
from login_app.contention import is_contended, with_eviction
from login_app.takeover_token import Asker, Takeover, expiry, seal, unseal


class Decide(Protocol):
    """The policy of the limit, from the device room."""

    def __call__(
        self, live: Sequence[Session], device_id: str, *, limit: int, mode: ConcurrencyMode, consent: Consent
    ) -> Decision:
        """Say whether the newcomer may enter, and who leaves for it."""


class CreateSession(Protocol):
    """How a session comes into a book, from the session room."""

    def __call__(self, draft: Draft, newcomer: Newcomer, session_id: str, now: datetime) -> Draft:
        """Return the draft with the session in it."""


class MakeGrant(Protocol):
    """How a session gets its tokens, from the session room."""

    def __call__(self, book: Book, username: str, session: Session) -> Grant:
        """Return the tokens."""


class Entry(Struct, frozen=True):
    """The door. `names` returns a user's devices' names by id; `takeover_url` is where a consent is to be sent.

    There are two doors, for login and for the registration of a device, alike but for `takeovers` (the MAC under which
    consents are sealed) and the URL: a consent that was asked for at one is no consent at the other.
    """

    decide: Decide
    create_session: CreateSession
    grant: MakeGrant
    names: Callable[[str], Mapping[str, str]]
    takeovers: MacTokens
    takeover_url: str
    challenges: Challenges
    settings: LoginSettings
    rules: SessionRules
    clock: Clock

    def admit(self, draft: Draft, newcomer: Newcomer, consent: Consent, session_id: str, now: datetime) -> Admitted:
        """Let a newcomer in, ending whom the policy says. Pure.

        Raises LimitReached; Refusal: TAKEOVER_SPENT for a consent that was used, has expired, or is of an old password,
        PROOF_REQUIRED for one more eviction among many by a device that has not shown its key.
        """
        draft = draft.swept(self.rules, now)
        if isinstance(consent, Shown):
            check_unspent(draft.book, consent, now)
        decision = self.decide(
            draft.book.in_order(), newcomer.device_id, limit=self.rules.limit, mode=self.settings.mode, consent=consent
        )
        contended = is_contended(draft.book, self.settings.unproven_evictions, now)
        if not isinstance(decision, Admit):
            device = draft.book.devices.get(newcomer.device_id)
            must_prove = device is not None and (contended or self.challenges.needed_for(device))
            raise LimitReached(newcomer, decision.shown, draft.book.epoch, must_prove=must_prove)
        if decision.evicted:
            if contended and not newcomer.proven:
                raise Refusal(Code.PROOF_REQUIRED, reason="evictions in turn")
            draft = draft.with_book(with_eviction(draft.book, self.settings.unproven_evictions, now))
        for session in decision.evicted:
            draft = draft.ended(session, _reason(consent), now, by=newcomer.device_id)
        draft = self.create_session(draft, newcomer, session_id, now)
        if isinstance(consent, Shown):
            draft = draft.with_book(draft.book.spent(consent.consent_id, consent.expires_at, now))
        return Admitted(draft, draft.book.sessions[session_id], decision.evicted)

    def binds(self, device: BoundDevice | None, held: HeldCertificate | None) -> bool:
        """Say whether a device's session shall be bound to its certificate, which TLS proved (`held`)."""
        return self.settings.certificate_bound and is_shown_by_tls(device, held)

    def consent(self, user_uuid: str, subject: str, *, force: bool, takeover_token: str | None) -> Consent:
        """Return what somebody whose password was just checked agrees to.

        Raises Refusal: FORCE_DISABLED; TAKEOVER_INVALID; DEVICE_MISMATCH for a consent that another asked for.
        """
        if takeover_token is not None:
            takeover = self.read(takeover_token)
            if (takeover.asker.user_uuid, takeover.asker.subject) != (user_uuid, subject):
                raise Refusal(Code.DEVICE_MISMATCH, reason="another asked for this consent")
            return takeover.consent
        if force and not self.settings.allow_force:
            raise Refusal(Code.FORCE_DISABLED)
        return Force() if force else NoConsent()

    def read(self, takeover_token: str) -> Takeover:
        """Return what a takeover token of this door says. Raises Refusal(TAKEOVER_INVALID)."""
        return unseal(self.takeovers, takeover_token)

    def question(self, asker: Asker, reached: LimitReached) -> Refusal:
        """Return the refusal that shows the person who is active and, in mode ask, offers to end exactly those.

        Where the takeover will need a proof, the offer carries the challenge for it. Raises StoreUnavailable.
        """
        if not reached.must_prove or self.settings.mode is ConcurrencyMode.REJECT:
            return self._asking(asker, reached)
        proven = Proven(asker.user_uuid, asker.username, reached.epoch, asker.auth_time)
        challenge = self.challenges.ask(proven, asker.subject, Purpose.TAKEOVER)
        return self._asking(asker, reached, challenge=challenge.told())

    def question_for(self, proven: Proven, subject: str, reached: LimitReached) -> Refusal:
        """Return the question for somebody whose password was just checked; `subject` is as in `Asker`.

        It carries no challenge: a device that joins proves its key by what it enrols with.
        """
        asker = Asker(proven.user_uuid, proven.username, subject, reached.newcomer.auth_time)
        return self._asking(asker, reached)

    def _asking(self, asker: Asker, reached: LimitReached, **more: object) -> Refusal:
        """Return the question; `more` stands in its `takeover`, which is not there in mode reject."""
        names = self.names(asker.user_uuid)
        active = [
            {
                "device_name": session.device_name or names.get(session.device_id),
                "login_at": to_rfc3339(session.login_at),
                "last_seen_at": to_rfc3339(session.last_seen_at),
            }
            for session in reached.shown
        ]
        if self.settings.mode is ConcurrencyMode.REJECT:
            return Refusal(Code.DEVICE_ACTIVE, active=active)
        return Refusal(Code.DEVICE_ACTIVE, active=active, takeover={**self._offer(asker, reached), **more})

    def _offer(self, asker: Asker, reached: LimitReached) -> dict[str, object]:
        """Return how the person may consent."""
        now = self.clock()
        expires_at = expiry(asker.auth_time, now)
        shown = frozenset(session.session_id for session in reached.shown)
        consent = Shown(shown, new_id(), expires_at, reached.epoch)
        return {
            "token": seal(self.takeovers, Takeover(asker, consent)),
            "expires_in": seconds_between(now, expires_at),
            "url": self.takeover_url,
        }

    def welcome(self, user_uuid: str, username: str, admitted: Admitted) -> Welcome:
        """Return what a newcomer is told once its admission is committed: a store that is away costs names only."""
        names: Mapping[str, str] = {}
        if admitted.evicted:
            with suppress(StoreUnavailable):
                names = self.names(user_uuid)
        evicted = tuple((s, s.device_name or names.get(s.device_id)) for s in admitted.evicted)
        return Welcome(self.grant(admitted.draft.book, username, admitted.session), evicted)


def check_unspent(book: Book, consent: Shown, now: datetime) -> None:
    """Raise Refusal(TAKEOVER_SPENT) for a consent that was used, has expired, or is of an old password."""
    if consent.consent_id in book.spent_consents or consent.expires_at <= now:
        raise Refusal(Code.TAKEOVER_SPENT, reason="used or expired")
    if not book.accepts(consent.epoch):
        raise Refusal(Code.TAKEOVER_SPENT, reason="of an old password")


def _reason(consent: Consent) -> Reason:
    match consent:
        case Shown():
            return Reason.TAKEN_OVER
        case Force():
            return Reason.FORCED_OUT
        case NoConsent():
            return Reason.EVICTED
