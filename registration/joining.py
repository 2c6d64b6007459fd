"""Joining without the password: the users of all active devices type the digits that the joining browser shows.

Until they have agreed, the browser is answered the same whether or not there is such an account, a device of it is
active, and one of them refused: digits, and after 30 seconds that nobody agreed. The calls to the store are the same,
too. An agreement stands for the password and the second factor, once; limit and question stand behind it.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from msgspec import Struct

from common.account.admission import AuthenticatedUser
from common.account.approval import ANSWERED_WITHIN, Approval, Approvals, ApprovalState, digits_of
from common.account.approval_store import ApprovalStore
from common.account.decision import Snapshot, TransactionResult
from common.account.devices import OwnKeys
from common.account.feed import hint_of
from common.account.joined_device import JoinedDevice
from common.account.marks import Mark, mark_of, use
from common.account.transactions import AccountTransactions, NoSuchUser
from common.clock import Clock, from_millis, seconds_between, to_millis
from common.crypto.device_keys import public_key_digest
from common.crypto.tokens import ForgedToken, SignedTokens, VoidToken
from common.errors import Code, Refusal
from common.ids import new_id
from common.proof.dpop_service import DpopClient
from common.rate_limit import Quota
from common.storage.port import Store
from common.stored_bucket import StoredBuckets, seconds_until
from registration.account_db import AccountDb
from registration.account_model import name_claim
from registration.login_rate_limiter import source_of

QUOTA = Quota(3, timedelta(minutes=10) / 3)
"""How often browsers may ask, for one account and from one source."""

_USABLE_FOR = ANSWERED_WITHIN + timedelta(seconds=120)
"""How long after asking an agreement brings the browser in."""

MOST_USED = 4
"""How many used approvals an account may have before the first of them can be forgotten: more cannot be asked for."""


class LetIn(Protocol):
    """How a browser that is approved joins and is logged in, from the device manager."""

    def __call__(
        self,
        user: AuthenticatedUser,
        approval_id: str,
        redeem: Callable[[Snapshot], tuple[Mark, ...]],
        *,
        device_name: str,
        takeover_token: str | None,
        client: DpopClient,
        keys: OwnKeys | None,
    ) -> JoinedDevice:
        """Bind a browser and log it in under the limit; `redeem` uses the approval up. Raises Refusal."""


class JoiningDependencies(Struct, frozen=True):
    """What the use case works with. `secret`: what digits and the stand-ins of unknown names are made with."""

    is_on: bool
    store: Store
    clock: Clock
    transactions: AccountTransactions
    accounts: AccountDb
    tokens: SignedTokens
    secret: bytes
    check_key_proof: Callable[[OwnKeys | None], None]
    let_in: LetIn

    @property
    def approvals(self) -> ApprovalStore:
        """Where approvals of joining lie."""
        return ApprovalStore(self.store, self.clock, joining=True)


class JoinForm(Struct, frozen=True):
    """A browser without the password, and the account that it wants to join.

    `join_token`: what it was given when it asked; `takeover_token`: the consent to a question that it was asked then.
    """

    username: str
    device_name: str
    client: DpopClient
    keys: OwnKeys | None = None
    join_token: str | None = None
    takeover_token: str | None = None

    @property
    def facts(self) -> tuple[str, str, str | None]:
        """What must be the same at every call: the account, the device's own key, and the key of its session."""
        key = "" if self.keys is None else public_key_digest(self.keys.key)
        return name_claim(self.username), key, self.client.thumbprint


class WaitingToJoin(Struct, frozen=True):
    """The users of the active devices, if there are any, are to type `digits`; `expires_in` seconds are left."""

    approval_id: str
    digits: str
    expires_in: int
    join_token: str


class _Request(Struct, frozen=True):
    """What a join token says."""

    approval_id: str
    device_name: str
    begun_at: datetime


class _Account(Struct, frozen=True):
    """Who is asked: an account, or in its place a stand-in that has no sessions."""

    user_uuid: str
    username: str
    credential_version: int
    live: Sequence[str]


def join_by_approval(dependencies: JoiningDependencies, form: JoinForm) -> WaitingToJoin | JoinedDevice:
    """Have the active devices' users asked; asked again with the token, say how it stands, and let the browser in.

    Raises Refusal: NOT_SUPPORTED (it is switched off), PROOF_REQUIRED, PROOF_INVALID, TOO_MANY_ATTEMPTS,
    INVALID_REQUEST (the token), DEVICE_MISMATCH, APPROVAL_SPENT, APPROVAL_REFUSED; once all have agreed also
    DEVICE_ACTIVE (the question), TAKEOVER_INVALID, TAKEOVER_SPENT, TOO_MANY_DEVICES, KEY_IN_USE, ACCOUNT_DISABLED,
    ACCOUNT_CLOSED; BUSY; StoreUnavailable.
    """
    if not dependencies.is_on:
        raise Refusal(Code.NOT_SUPPORTED, names="joining by approval")
    dependencies.check_key_proof(form.keys)
    if form.join_token is None:
        return _ask(dependencies, form)
    request = _read(dependencies, form, form.join_token)
    account = _find(dependencies, form.username)
    approval = _standing(dependencies, account, request)
    if approval.state is ApprovalState.AGREED:
        return _let_in(dependencies, form, account, approval)
    left = seconds_between(dependencies.clock(), request.begun_at + ANSWERED_WITHIN)
    if left <= 0:
        raise Refusal(Code.APPROVAL_REFUSED, variant="joining", reason="it was refused, or not all have agreed")
    digits = digits_of(dependencies.secret, request.approval_id)
    return WaitingToJoin(request.approval_id, digits, left, form.join_token)


def _ask(dependencies: JoiningDependencies, form: JoinForm) -> WaitingToJoin:
    """Begin an approval. A source that was refused is not told so: nobody is shown what it asks."""
    source = source_of(form.client.ip)
    _count(dependencies, f"join-source#{source}")
    account = _find(dependencies, form.username)
    _count(dependencies, f"join#{account.user_uuid}")
    approval_id, hints = new_id(), tuple(hint_of(session_id) for session_id in account.live)

    def begin(approvals: Approvals, now: datetime) -> tuple[Approval, Approvals | None]:
        shown = () if approvals.is_refused(source) else hints
        begun = Approval(approval_id, source, form.device_name, now, shown, joins_under=account.credential_version)
        return begun, approvals.changed(begun)

    begun = dependencies.approvals.change(account.user_uuid, begin)
    dependencies.approvals.announce(account.user_uuid, approval_id, begun.missing or (hint_of(approval_id),))
    facts = [approval_id, form.device_name, to_millis(begun.begun_at), *form.facts]
    token, left = dependencies.tokens.sign(facts), int(ANSWERED_WITHIN.total_seconds())
    return WaitingToJoin(approval_id, digits_of(dependencies.secret, approval_id), left, token)


def _count(dependencies: JoiningDependencies, bucket: str) -> None:
    """Count one more time that is asked. Raises Refusal: TOO_MANY_ATTEMPTS, BUSY."""
    counters = StoredBuckets(dependencies.store, dependencies.clock, "the counters of joining")
    exhausted = counters.spend(bucket, QUOTA)
    if exhausted is not None:
        raise Refusal(Code.TOO_MANY_ATTEMPTS, reason="joining", retry_after=seconds_until(exhausted))


def _read(dependencies: JoiningDependencies, form: JoinForm, token: str) -> _Request:
    """Return what the token of this form's browser says. Raises Refusal: INVALID_REQUEST, APPROVAL_SPENT, _MISMATCH."""
    try:
        approval_id, device_name, begun_at, *facts = dependencies.tokens.verify(token)
    except VoidToken as error:
        raise Refusal(Code.APPROVAL_SPENT, reason=str(error)) from None
    except ForgedToken:
        raise Refusal(Code.INVALID_REQUEST, problem="join_token: it is none of ours", field="join_token") from None
    if tuple(facts) != form.facts:
        raise Refusal(Code.DEVICE_MISMATCH, reason="another browser, key or account asked")
    request = _Request(approval_id, device_name, from_millis(begun_at))
    if dependencies.clock() >= request.begun_at + _USABLE_FOR:  # a refusal is kept longer, which shall not show
        raise Refusal(Code.APPROVAL_SPENT, reason="its time is over")
    return request


def _find(dependencies: JoiningDependencies, username: str) -> _Account:
    """Return who goes by a name, by the same calls where there is nobody."""
    claim = name_claim(username)
    stand_in = str(UUID(bytes=hmac.digest(dependencies.secret, b"ichidai-join-v1#" + claim.encode(), "sha256")[:16]))
    user_uuid = dependencies.accounts.owner_of(claim) or stand_in
    account = dependencies.accounts.find(user_uuid)
    is_there = account is not None and account.goes_by(claim, dependencies.clock())

    def look(snapshot: Snapshot) -> TransactionResult[tuple[int, Sequence[str]]]:
        return TransactionResult((snapshot.book.credential_version, _live(snapshot)))

    try:
        credential_version, live = dependencies.transactions.dry_run(user_uuid, look)
    except NoSuchUser:
        credential_version, live = 0, ()
    name = username if account is None else account.username
    return _Account(user_uuid, name, credential_version, live if is_there else ())


def _live(snapshot: Snapshot) -> Sequence[str]:
    return [session.session_id for session in snapshot.draft.live_sessions(snapshot.rules, snapshot.now)]


def _standing(dependencies: JoiningDependencies, account: _Account, request: _Request) -> Approval:
    """Return how an approval stands; what it comes to is written before it is told. Raises Refusal(APPROVAL_SPENT)."""

    def judge(approvals: Approvals, now: datetime) -> tuple[Approval, Approvals | None]:
        found = approvals.named(request.approval_id)
        if found is None or found.joins_under is None:
            raise Refusal(Code.APPROVAL_SPENT, reason="the approval is forgotten")
        judged = found.judged_for_joining(account.live, now)
        return judged, None if judged is found else approvals.changed(judged)

    return dependencies.approvals.change(account.user_uuid, judge)


def _let_in(dependencies: JoiningDependencies, form: JoinForm, account: _Account, approval: Approval) -> JoinedDevice:
    """Let a browser in that all have agreed to. What was agreed under another password is void."""
    agreed_at, version = approval.decided_at or approval.begun_at, approval.joins_under or 0
    if version != account.credential_version:
        raise Refusal(Code.APPROVAL_SPENT, reason="the credentials were changed meanwhile")
    user = AuthenticatedUser(account.user_uuid, account.username, version, agreed_at, by_approval=True)

    def redeem(snapshot: Snapshot) -> tuple[Mark, ...]:
        if {hint_of(session_id) for session_id in _live(snapshot)}.isdisjoint(approval.agreed):
            raise Refusal(Code.APPROVAL_SPENT, reason="who agreed is signed out")
        mark = mark_of("a", approval.approval_id, approval.kept_until)
        return (use(snapshot.book.marks, mark, MOST_USED, snapshot.now, Code.APPROVAL_SPENT),)

    return dependencies.let_in(
        user,
        approval.approval_id,
        redeem,
        device_name=approval.device_name or form.device_name,
        takeover_token=form.takeover_token,
        client=form.client,
        keys=form.keys,
    )
