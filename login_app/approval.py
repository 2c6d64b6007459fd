"""Approval: before a takeover the users of the active devices are asked, and type what the asking device shows.

It ends nobody's session. What comes of it is a consent, which the takeover commits like any other; until then the
account may have changed, and then the consent is void.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import Caller, ConsentToEnd, LimitReached
from common.account.approval import MOST_WRONG, Approval, Approvals, ApprovalState, Asked, digits_of
from common.account.approval_store import ApprovalStore, AskedApprovals
from common.account.decision import Snapshot, TransactionResult
from common.account.feed import hint_of
from common.account.transactions import AccountTransactions, NoSuchUser
from common.clock import Clock, seconds_between
from common.errors import Code, Refusal
from common.proof.dpop_service import DpopClient
from common.rate_limit import Quota
from common.storage.port import Store
from common.stored_bucket import StoredBuckets, seconds_until
from login_app.admission import LoginAdmission
from login_app.consent import Consents
from login_app.takeover_token import expiry, verify

OF_ACCOUNT = Quota(3, timedelta(minutes=10) / 3)
"""How often the active devices of an account may be asked."""


class ApprovalDependencies(Struct, frozen=True):
    """What the use cases work with. `consents`: those of every way in. `secret`: what the digits are made with."""

    store: Store
    clock: Clock
    transactions: AccountTransactions
    admission: LoginAdmission
    consents: Sequence[Consents]
    names: Callable[[str], Mapping[str, str]]
    secret: bytes
    asked: AskedApprovals

    @property
    def approvals(self) -> ApprovalStore:
        """Where approvals of takeovers lie."""
        return self.asked.takeovers

    def digits(self, approval_id: str) -> str:
        """Return what the asking device shows."""
        return digits_of(self.secret, approval_id)


class Waiting(Struct, frozen=True):
    """The active devices are asked. Their users are to type `digits`; `expires_in` seconds are left."""

    approval_id: str
    digits: str
    expires_in: int


class Agreed(Struct, frozen=True):
    """All have agreed, or nobody is in the way any more: how the takeover is sent, as a question's `takeover`."""

    takeover: Mapping[str, object]


def ask(dependencies: ApprovalDependencies, approval_token: str, client: DpopClient) -> Waiting | Agreed:
    """Have the active devices' users asked; asked again, say how it stands.

    Raises Refusal: TAKEOVER_INVALID, TAKEOVER_SPENT, DEVICE_MISMATCH, APPROVAL_REFUSED, TOO_MANY_ATTEMPTS,
    DEVICE_ACTIVE: with `takeover` once one has been silent for 30 s, with `approval` where another session was
    opened meanwhile; BUSY; StoreUnavailable.
    """
    consents, consent = _read(dependencies, approval_token)
    user_uuid = consent.candidate.user.user_uuid
    if consent.candidate.thumbprint not in (None, client.thumbprint):
        raise Refusal(Code.DEVICE_MISMATCH, reason="another key")
    approvals = dependencies.approvals.of(user_uuid)
    begun = approvals.named(consent.consent_id)
    if begun is not None:  # it was begun in time, and what it leads to ends by its own time
        consent = replace(consent, expires_at=expiry(consent.candidate.user.auth_time, begun.kept_until))
    reached, is_bound = _in_the_way(dependencies, consents, consent)
    if reached is None:
        free = replace(consent, session_ids=frozenset(), expires_at=_offered_until(consent, dependencies.clock()))
        return Agreed(consents.takeover(free, needs_proof=False))
    if begun is None and reached.asks_active:
        asker = consent.candidate.device_id if is_bound else client.ip
        _require_askable(dependencies, approvals, user_uuid, asker)
        _begin(dependencies, consent, reached, asker)
    return _standing(dependencies, consents, consent, reached)


def asked_of(dependencies: ApprovalDependencies, caller: Caller) -> Sequence[Asked]:
    """Return what the caller's user is asked now. Raises StoreUnavailable."""
    return dependencies.asked.asking(caller.user_uuid, caller.session.session_id)


def answer(dependencies: ApprovalDependencies, caller: Caller, approval_id: str, digits: str | None) -> None:
    """Agree by the digits that the asking device shows, or refuse (None). The same answer may be given once more.

    Raises Refusal: DIGITS_WRONG (`tries_left`), APPROVAL_SPENT, BUSY; StoreUnavailable.
    """
    session_id = caller.session.session_id
    is_right = digits is not None and hmac.compare_digest(digits.encode(), dependencies.digits(approval_id).encode())

    def judge(approvals: Approvals, now: datetime) -> tuple[Approval, Approvals | None]:
        found = approvals.named(approval_id)
        if found is None or not found.was_shown_to(session_id):
            raise Refusal(Code.APPROVAL_SPENT, reason="no such approval for this session")
        if digits is None and found.state is ApprovalState.REFUSED:
            return found, None
        if is_right and found.state is not ApprovalState.REFUSED and found.has_agreed(session_id):
            return found, None
        if not found.is_open(now):
            raise Refusal(Code.APPROVAL_SPENT, reason=f"it is {found.state}, or its time is over")
        if digits is None:
            found = found.refused(session_id, now)
        else:
            found = found.with_agreement(session_id) if is_right else found.with_wrong_digits(session_id, now)
        return found, approvals.changed(found)

    approvals = dependencies.asked.holding(caller.user_uuid, approval_id)
    judged = approvals.change(caller.user_uuid, judge)
    if digits is not None and not is_right:
        raise Refusal(Code.DIGITS_WRONG, tries_left=MOST_WRONG - judged.wrong)


def _read(dependencies: ApprovalDependencies, approval_token: str) -> tuple[Consents, ConsentToEnd]:
    """Return the consent that a token asks approval of, and whose it is. Raises Refusal: TAKEOVER_INVALID, _SPENT."""
    refused = Refusal(Code.TAKEOVER_INVALID, reason="no way in")
    for consents in dependencies.consents:
        try:
            return consents, verify(consents.approval_tokens, approval_token)
        except Refusal as refusal:
            if refusal.code is Code.TAKEOVER_SPENT:
                raise
            refused = refusal
    raise refused


def _in_the_way(
    dependencies: ApprovalDependencies, consents: Consents, consent: ConsentToEnd
) -> tuple[LimitReached | None, bool]:
    """Return who is in the way now, and whether the asking device is bound.

    Raises Refusal: TAKEOVER_SPENT, DEVICE_ACTIVE where a session was not shown; StoreUnavailable.
    """
    candidate = consent.candidate

    def look(snapshot: Snapshot) -> TransactionResult[tuple[LimitReached | None, bool]]:
        found = dependencies.admission.in_the_way(snapshot.draft, snapshot.policy, candidate, consent, snapshot.now)
        live = snapshot.draft.live_sessions(snapshot.rules, snapshot.now)
        if found is None and any(session.device_id != candidate.device_id for session in live):
            raise Refusal(Code.TAKEOVER_SPENT, reason="the limit was raised: a login is let in")
        return TransactionResult((found, snapshot.book.active_device(candidate.device_id) is not None))

    try:
        return dependencies.transactions.dry_run(consent.candidate.user.user_uuid, look)
    except NoSuchUser:
        raise Refusal(Code.TAKEOVER_SPENT, reason="no book") from None
    except LimitReached as unshown:
        raise consents.question(consent.candidate, unshown) from None


def _require_askable(dependencies: ApprovalDependencies, approvals: Approvals, user_uuid: str, asker: str) -> None:
    """Count one more time that an account is asked. Raises Refusal: APPROVAL_REFUSED, TOO_MANY_ATTEMPTS, BUSY."""
    _check_not_refused(approvals, asker)
    buckets = StoredBuckets(dependencies.store, dependencies.clock, "the counter of approvals")
    exhausted = buckets.spend(f"asked#{user_uuid}", OF_ACCOUNT)
    if exhausted is not None:
        raise Refusal(Code.TOO_MANY_ATTEMPTS, reason="approvals", retry_after=seconds_until(exhausted))


def _begin(dependencies: ApprovalDependencies, consent: ConsentToEnd, reached: LimitReached, asker: str) -> None:
    """Begin an approval and hint at the sessions that are shown it; where that fails, they find it by asking.

    `asker`: who is not asked for again for a while if it is refused; of what is no device yet, the address.
    """
    user_uuid = consent.candidate.user.user_uuid
    hints = tuple(hint_of(session.session_id) for session in reached.shown)
    name = _name(dependencies, consent)

    def begin(approvals: Approvals, now: datetime) -> tuple[None, Approvals | None]:
        if approvals.named(consent.consent_id) is not None:
            return None, None
        _check_not_refused(approvals, asker)
        begun = Approval(consent.consent_id, asker, name, now, hints)
        return None, approvals.changed(begun)

    dependencies.approvals.change(user_uuid, begin)
    dependencies.approvals.announce(user_uuid, consent.consent_id, hints)


def _standing(
    dependencies: ApprovalDependencies, consents: Consents, consent: ConsentToEnd, reached: LimitReached
) -> Waiting | Agreed:
    """Say how an approval stands; what it comes to is written before it is told."""
    if not reached.asks_active:  # that was changed meanwhile
        raise consents.question(consent.candidate, reached)
    in_the_way = [session.session_id for session in reached.shown]

    def judge(approvals: Approvals, now: datetime) -> tuple[Approval, Approvals | None]:
        found = approvals.named(consent.consent_id)
        if found is None:
            raise Refusal(Code.TAKEOVER_SPENT, reason="the approval is forgotten")
        judged = found.judged(in_the_way, now)
        return judged, None if judged is found else approvals.changed(judged)

    standing = dependencies.approvals.change(consent.candidate.user.user_uuid, judge)
    if standing.state is ApprovalState.REFUSED:
        raise Refusal(Code.APPROVAL_REFUSED)
    if standing.state is ApprovalState.WAITING:
        left = seconds_between(dependencies.clock(), standing.ends_at)
        return Waiting(standing.approval_id, dependencies.digits(standing.approval_id), left)
    consent = replace(consent, expires_at=_offered_until(consent, standing.decided_at or standing.ends_at))
    if standing.state is ApprovalState.UNANSWERED:
        raise consents.offered(consent, reached)
    return Agreed(consents.takeover(consent, needs_proof=reached.needs_proof))


def _offered_until(consent: ConsentToEnd, decided_at: datetime) -> datetime:
    return expiry(consent.candidate.user.auth_time, decided_at)


def _check_not_refused(approvals: Approvals, asker: str) -> None:
    if approvals.is_refused(asker):
        raise Refusal(Code.APPROVAL_REFUSED, reason="within the last ten minutes")


def _name(dependencies: ApprovalDependencies, consent: ConsentToEnd) -> str | None:
    candidate = consent.candidate
    return candidate.device_name or dependencies.names(candidate.user.user_uuid).get(candidate.device_id)
