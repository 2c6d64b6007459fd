"""Changing the password of a signed-in user (ASVS 5.0, section 6.2): one commit, and what was given out before is void.

The new hash, the new credential version and the end of every other session are one conditional write: a login that was
checked under the old password is refused, also one that was under way (I14).
"""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import AuthenticatedUser, Caller, FactorCode, IssuedTokens, Password, check_current
from common.account.book import Book, Session
from common.account.decision import Snapshot, TransactionResult
from common.account.history import ClientInfo, Event, EventKind, Reason
from common.account.liveness import require_live
from common.account.transactions import AccountTransactions, NoSuchUser
from common.storage.tables import USERS
from registration.account_db import AccountDb, account_in, user_put
from registration.account_model import check_password, normal_password
from registration.credentials import CredentialCheck
from registration.hashing_pool import HashingPool


class IssueTokens(Protocol):
    """What the password change needs of the session manager."""

    def __call__(self, book: Book, username: str, session: Session) -> IssuedTokens:
        """Return new tokens for a session of the book."""


class PasswordChangeDependencies(Struct, frozen=True):
    """What the use case works with. `common_passwords`: folded, as registration refuses them."""

    transactions: AccountTransactions
    accounts: AccountDb
    credentials: CredentialCheck
    hashing_pool: HashingPool
    common_passwords: Container[str]
    issue_tokens: IssueTokens


class PasswordChangeForm(Struct, frozen=True):
    """The password in force, the new one, and a code of the second factor where the account has one."""

    password: Password
    new_password: str
    otp: FactorCode
    client: ClientInfo


def change_password(dependencies: PasswordChangeDependencies, caller: Caller, form: PasswordChangeForm) -> IssuedTokens:
    """Change the caller's password; return new tokens for the caller's own session, the only one that stays.

    Every other session ends as `password-changed`; takeover tokens, pairing tokens and challenges of before are void,
    and so is the session's older refresh token, at once. Raises Refusal: WEAK_PASSWORD (`fault`), TOO_MANY_ATTEMPTS,
    BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, BUSY; SessionGone; StoreUnavailable.
    """
    known = dependencies.accounts.find(caller.user_uuid)
    if known is None:
        raise NoSuchUser
    check_password(form.new_password, known.username, known.email, dependencies.common_passwords)
    user = dependencies.credentials.reauthenticate(
        caller.user_uuid, form.password, form.client, form.otp, renewing=True
    )
    with dependencies.hashing_pool.admit():
        password = dependencies.hashing_pool.new(normal_password(form.new_password))

    def change(snapshot: Snapshot) -> TransactionResult[tuple[Book, Session]]:
        own = require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        check_current(snapshot.book, user)
        by, kept = own.device_id, (own.session_id,)
        draft = snapshot.draft.all_ended(Reason.PASSWORD_CHANGED, snapshot.rules, snapshot.now, by=by, but=kept)
        session = _renewed(own, user, snapshot.now)
        book = draft.book.with_new_credentials().updated(session)
        event = Event(EventKind.PASSWORD_CHANGED, snapshot.now, own.device_id, by=own.device_id)
        account = account_in(snapshot).with_password(password, book.credential_version, snapshot.now)
        return TransactionResult((book, session), draft.with_book(book, event), (user_put(account),))

    reading = (USERS.key(caller.user_uuid),)
    book, session = dependencies.transactions.run(caller.user_uuid, change, reading=reading, client=form.client)
    return dependencies.issue_tokens(book, user.username, session)


def _renewed(session: Session, user: AuthenticatedUser, now: datetime) -> Session:
    """Return the caller's session: its password was checked just now, and its older refresh tokens are void."""
    generation = session.generation + 1
    return replace(session, generation=generation, rotated_at=now, auth_time=user.auth_time, void_below=generation)
