"""What an operator may do to an account: make it, disable it, enable it, end its sessions, set its password.

Each act is one change of the account, and the commit that makes it holds its line of the audit log.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from common.account.book import AccountState, Book
from common.account.claim_store import ClaimStore, ClaimTaken
from common.account.decision import Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind, OperatorAct, Reason
from common.account.operator import Operator
from common.account.transactions import AccountTransactions
from common.crypto.passwords import PasswordHash
from common.errors import Code, Refusal
from common.ids import new_id
from common.storage.port import Conflict, Put
from common.storage.tables import USERS
from registration import pairing_token
from registration.account_db import account_in, claims_of, refuse_taken, user_put, user_writes
from registration.account_model import Account, mail_claim, name_claim
from registration.closing import Closing, closed
from registration.factors import factor_key
from registration.pairing_token import IssuedPairing
from registration.second_factor import without_factor


class OperatorDependencies(Struct, frozen=True):
    """Dependencies of the acts."""

    transactions: AccountTransactions
    claims: ClaimStore


class Done(Struct, frozen=True):
    """What an act did: nothing if the account was so already; `ended`: how many sessions it ended."""

    changed: bool
    ended: int = 0


class NewAccount(Struct, frozen=True):
    """An account to make. Its texts are checked for form already; `joining`: how long its first device may join."""

    username: str
    email: str
    password: PasswordHash
    joining: timedelta


class Created(Struct, frozen=True):
    """What was made: the account's uuid, and the code by which its first device joins."""

    user_uuid: str
    pairing: IssuedPairing


def create(dependencies: OperatorDependencies, new: NewAccount, now: datetime, operator: Operator) -> Created:
    """Make an account without a device. Raises Refusal: USERNAME_TAKEN, EMAIL_TAKEN, BUSY; StoreUnavailable."""
    taken = dependencies.claims.find(name_claim(new.username)), dependencies.claims.find(mail_claim(new.email))
    refuse_taken(dependencies.claims, new.username, *taken)
    account = Account(new_id(), new.username, new.email, new.password, credential_version=0, created_at=now)
    event = Event(EventKind.REGISTERED, now, act=OperatorAct.CREATE)
    draft = Draft(Book(account.uuid), (event,))
    pairing = pairing_token.issue_by_operator(draft.book, now, new.joining)
    prepared, line = (*user_writes(account), pairing.row), operator.audit(OperatorAct.CREATE, account.uuid, now)
    try:
        with dependencies.claims.held(*claims_of(account)):
            dependencies.transactions.create(draft, prepared, ClientInfo(), (line,))
    except (ClaimTaken, Conflict):
        raise Refusal(Code.BUSY, reason="a claim was released or taken over meanwhile", retry_after=1) from None
    return Created(account.uuid, pairing)


def disable(dependencies: OperatorDependencies, user_uuid: str, operator: Operator) -> Done:
    """Disable an account: its sessions end for good, and all that was given out before is void, also after `enable`.

    Raises NoSuchUser; Refusal(BUSY); StoreUnavailable.
    """

    def act(snapshot: Snapshot) -> TransactionResult[Done]:
        if snapshot.book.state is AccountState.DISABLED:
            return TransactionResult(Done(changed=False))
        draft = snapshot.draft.all_ended(Reason.REVOKED, snapshot.rules, snapshot.now, act=OperatorAct.DISABLE)
        book = replace(draft.book.with_new_credentials(), state=AccountState.DISABLED)
        event = Event(EventKind.ACCOUNT_DISABLED, snapshot.now, act=OperatorAct.DISABLE)
        account = replace(account_in(snapshot), credential_version=book.credential_version)
        line = operator.audit(OperatorAct.DISABLE, user_uuid, snapshot.now)
        return _done(snapshot, draft.with_book(book, event), (user_put(account), line))

    return _run(dependencies, user_uuid, act)


def enable(dependencies: OperatorDependencies, user_uuid: str, operator: Operator) -> Done:
    """Let a disabled account be used again; what ended stays ended. Raises as `disable`."""

    def act(snapshot: Snapshot) -> TransactionResult[Done]:
        if snapshot.book.state is not AccountState.DISABLED:
            return TransactionResult(Done(changed=False))
        book = replace(snapshot.book, state=AccountState.ACTIVE)
        event = Event(EventKind.ACCOUNT_ENABLED, snapshot.now, act=OperatorAct.ENABLE)
        line = operator.audit(OperatorAct.ENABLE, user_uuid, snapshot.now)
        return _done(snapshot, snapshot.draft.with_book(book, event), (line,))

    return _run(dependencies, user_uuid, act)


def close(dependencies: OperatorDependencies, user_uuid: str, until: datetime, operator: Operator) -> Done:
    """Close an account for its user, who can reopen it `until` then. See `closing`. Raises as `disable`."""
    closing = Closing(user_uuid, until)

    def act(snapshot: Snapshot) -> TransactionResult[Done]:
        if snapshot.book.closed_until is not None:
            return TransactionResult(Done(changed=False))
        draft, rows = closed(snapshot, closing, act=OperatorAct.CLOSE)
        line = operator.audit(OperatorAct.CLOSE, user_uuid, snapshot.now)
        return replace(_done(snapshot, draft, (*rows, line)), prepared=(closing.put(),))

    return _run(dependencies, user_uuid, act)


def end_sessions(dependencies: OperatorDependencies, user_uuid: str, operator: Operator) -> Done:
    """End every session of an account. Raises as `disable`."""

    def act(snapshot: Snapshot) -> TransactionResult[Done]:
        draft = snapshot.draft.all_ended(Reason.REVOKED, snapshot.rules, snapshot.now, act=OperatorAct.END_SESSIONS)
        if not draft.events:
            return TransactionResult(Done(changed=False))
        return _done(snapshot, draft, (operator.audit(OperatorAct.END_SESSIONS, user_uuid, snapshot.now),))

    return _run(dependencies, user_uuid, act)


def set_password(
    dependencies: OperatorDependencies, user_uuid: str, password: PasswordHash, operator: Operator
) -> Done:
    """Set an account's password: every session ends, and all that was given out before is void. Raises as `disable`."""

    def act(snapshot: Snapshot) -> TransactionResult[Done]:
        act = OperatorAct.SET_PASSWORD
        draft = snapshot.draft.all_ended(Reason.PASSWORD_CHANGED, snapshot.rules, snapshot.now, act=act)
        book = draft.book.with_new_credentials()
        event = Event(EventKind.PASSWORD_CHANGED, snapshot.now, act=act)
        account = replace(account_in(snapshot), password=password, credential_version=book.credential_version)
        line = operator.audit(act, user_uuid, snapshot.now)
        return _done(snapshot, draft.with_book(book, event), (user_put(account), line))

    return _run(dependencies, user_uuid, act)


def reset_otp(dependencies: OperatorDependencies, user_uuid: str, operator: Operator) -> Done:
    """Switch the second factor off for a user who lost it. Raises as `disable`, and Refusal(OTP_INACTIVE)."""

    def act(snapshot: Snapshot) -> TransactionResult[Done]:
        event = Event(EventKind.OTP_DISABLED, snapshot.now, act=OperatorAct.RESET_OTP)
        change = without_factor(snapshot, event)
        line = operator.audit(OperatorAct.RESET_OTP, user_uuid, snapshot.now)
        return TransactionResult(Done(changed=True), change.draft, (*change.writes, line))

    return _run(dependencies, user_uuid, act)


def _run(
    dependencies: OperatorDependencies, user_uuid: str, act: Callable[[Snapshot], TransactionResult[Done]]
) -> Done:
    reading = (USERS.key(user_uuid), factor_key(user_uuid))
    return dependencies.transactions.run(user_uuid, act, reading=reading)


def _done(snapshot: Snapshot, draft: Draft, writes: tuple[Put, ...]) -> TransactionResult[Done]:
    return TransactionResult(Done(changed=True, ended=_ended(snapshot.book, draft.book)), draft, writes)


def _ended(before: Book, after: Book) -> int:
    return len(before.sessions) - len(after.sessions)
