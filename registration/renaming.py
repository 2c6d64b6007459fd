"""Another username: it is claimed like that of a new account, and the one before stays its account's for thirty days.

Until then its owner logs in by either, and nobody else can register it.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import Caller, FactorCode, IssuedTokens, Password, check_current
from common.account.book import Book, Session
from common.account.claim_store import ClaimStore, ClaimTaken, check_held
from common.account.claims import Claim
from common.account.decision import Snapshot, TransactionResult
from common.account.history import ClientInfo, Event, EventKind
from common.account.liveness import require_live
from common.account.transactions import AccountTransactions, NoSuchUser
from common.clock import Clock, seconds_between
from common.errors import Code, Refusal
from common.storage.tables import USERS
from registration.account_db import AccountDb, account_in, refuse_taken, user_put
from registration.account_model import Account, FormerName, fold, name_claim
from registration.credentials import CredentialCheck
from registration.look_alikes import look_of
from registration.password_change import IssueTokens

NAME_KEPT, MOST_NAMES = timedelta(days=30), 3
"""How long a name that was given up stays its account's; and how many an account has at most beside its own."""


class RenamingDependencies(Struct, frozen=True):
    """What the use case works with."""

    transactions: AccountTransactions
    accounts: AccountDb
    credentials: CredentialCheck
    claims: ClaimStore
    issue_tokens: IssueTokens
    clock: Clock


class RenamingForm(Struct, frozen=True):
    """The new name, judged for form already, and what proves its owner."""

    username: str
    password: Password
    otp: FactorCode
    client: ClientInfo


def rename(dependencies: RenamingDependencies, caller: Caller, form: RenamingForm) -> IssuedTokens:
    """Give the caller's account another name; return tokens of the caller's session that tell it.

    Raises Refusal: TOO_MANY_ATTEMPTS (also where three names of before are kept still), BAD_CREDENTIALS, OTP_REQUIRED,
    OTP_INVALID, PASSKEY_INVALID, USERNAME_TAKEN, BUSY; SessionGone; StoreUnavailable.
    """
    user = dependencies.credentials.reauthenticate(caller.user_uuid, form.password, form.client, form.otp)
    account = dependencies.accounts.find(caller.user_uuid)
    if account is None:
        raise NoSuchUser
    wanted = _wanted(dependencies, account, form.username)

    def change(snapshot: Snapshot, held: tuple[Claim, ...]) -> TransactionResult[tuple[Book, Session]]:
        check_held(held, snapshot)
        own = require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        check_current(snapshot.book, user)
        before = account_in(snapshot)
        if fold(before.username) != fold(account.username):
            raise Refusal(Code.BUSY, reason="renamed meanwhile", retry_after=1)
        after = _renamed(before, form.username, snapshot)
        event = Event(EventKind.USERNAME_CHANGED, snapshot.now, own.device_id, by=own.device_id)
        draft = snapshot.draft.with_book(snapshot.book, event)
        return TransactionResult((draft.book, own), draft, (user_put(after),))

    try:
        with dependencies.claims.held(*wanted) as held:
            reading = (USERS.key(account.uuid), *(claim.key for claim in held))
            book, session = dependencies.transactions.run(
                account.uuid, lambda snapshot: change(snapshot, held), reading=reading, client=form.client
            )
    except ClaimTaken:
        raise Refusal(Code.USERNAME_TAKEN) from None
    return dependencies.issue_tokens(book, form.username, session)


def _wanted(dependencies: RenamingDependencies, account: Account, username: str) -> tuple[Claim, ...]:
    """Return what must be claimed for a name. Raises Refusal."""
    uuid = account.uuid
    if fold(username) == fold(account.username):
        return ()
    found = dependencies.claims.find(name_claim(username))
    is_own = found is not None and found.user_uuid == uuid
    refuse_taken(dependencies.claims, username, None if is_own else found, None)
    return Claim(name_claim(username), uuid), look_of(username).claim_for(uuid)


def _renamed(account: Account, username: str, snapshot: Snapshot) -> Account:
    """Return the account under its new name. Raises Refusal(TOO_MANY_ATTEMPTS)."""
    if fold(username) == fold(account.username):
        return replace(account, username=username)
    now = snapshot.now
    kept = [each for each in account.former_names if now < each.until and fold(each.text) != fold(username)]
    if len(kept) >= MOST_NAMES:
        wait = max(1, seconds_between(now, min(each.until for each in kept)))
        raise Refusal(Code.TOO_MANY_ATTEMPTS, reason="names of before are kept", retry_after=wait)
    return replace(account, username=username, former_names=(*kept, FormerName(account.username, now, now + NAME_KEPT)))
