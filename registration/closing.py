"""Closing the own account, and reopening it: nothing of it may be used, and after some days all that is kept goes.

One commit ends every session and voids what was given out before. Names stay taken and devices stay bound until the
days are over, so that the account can be reopened as it was. A row that says when is put before that commit: it is
what `erasure` goes by, and it means nothing for an account that is not closed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct, field
from msgspec.structs import replace

from common.account.admission import Caller, FactorCode, Password, check_current
from common.account.book import AccountState
from common.account.decision import Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind, OperatorAct, Reason
from common.account.liveness import require_live
from common.account.transactions import AccountTransactions, NoSuchUser
from common.clock import Clock, from_millis, sortable, to_millis
from common.errors import Code, Refusal
from common.ids import new_id
from common.storage.port import Item, Key, Put, Store
from common.storage.tables import FEED, USERS
from registration.account_db import account_in, user_put
from registration.credentials import CredentialCheck

_QUEUE = "closings"


class ClosingDependencies(Struct, frozen=True):
    """What the use cases work with. `kept`: how long a closed account can be reopened."""

    transactions: AccountTransactions
    credentials: CredentialCheck
    clock: Clock
    kept: timedelta


class ClosingForm(Struct, frozen=True):
    """What proves the owner of the account that is to be closed."""

    password: Password
    otp: FactorCode
    client: ClientInfo


class ReopeningForm(Struct, frozen=True):
    """Whose account is to be reopened, and what proves it."""

    username: str
    password: str
    otp: FactorCode
    client: ClientInfo


class Closing(Struct, frozen=True):
    """A closed account, and when its days are over; `key`: where that is written.

    `closing_id` tells it from every other, so that a call that is refused takes only its own note away.
    """

    user_uuid: str
    until: datetime
    closing_id: str = field(default_factory=new_id)

    @property
    def key(self) -> Key:
        """Where it lies: in the order in which closings are due."""
        return FEED.key(_QUEUE, f"{sortable(to_millis(self.until))}#{self.user_uuid}#{self.closing_id}")

    def put(self) -> Put:
        """Return the write that lets it wait. It is the same however often it is done."""
        item: Item = {
            "bucket": _QUEUE,
            "id": self.key.sort,
            "user_uuid": self.user_uuid,
            "until": to_millis(self.until),
        }
        return Put(FEED, item)


def close(dependencies: ClosingDependencies, caller: Caller, form: ClosingForm) -> datetime:
    """Close the caller's account; return until when it can be reopened.

    Every session ends, this one too. Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID,
    PASSKEY_INVALID, PASSWORD_RESET_REQUIRED, BUSY; SessionGone; StoreUnavailable.
    """
    user = dependencies.credentials.reauthenticate(caller.user_uuid, form.password, form.client, form.otp)
    closing = Closing(caller.user_uuid, dependencies.clock() + dependencies.kept)

    def change(snapshot: Snapshot) -> TransactionResult[datetime]:
        own = require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        check_current(snapshot.book, user)
        draft, rows = closed(snapshot, closing, by=own.device_id)
        return TransactionResult(closing.until, draft, rows, prepared=(closing.put(),))

    reading = (USERS.key(caller.user_uuid),)
    return dependencies.transactions.run(caller.user_uuid, change, reading=reading, client=form.client)


def closed(
    snapshot: Snapshot, closing: Closing, *, by: str | None = None, act: OperatorAct | None = None
) -> tuple[Draft, tuple[Put, ...]]:
    """Return the draft in which an account is closed, and the row of it; its `closing` must be put before."""
    draft = snapshot.draft.all_ended(Reason.REVOKED, snapshot.rules, snapshot.now, by=by, act=act)
    book = replace(draft.book.with_new_credentials(), closed_until=closing.until)
    account = replace(account_in(snapshot), credential_version=book.credential_version)
    event = Event(EventKind.ACCOUNT_CLOSED, snapshot.now, by, by=by, act=act)
    return draft.with_book(book, event), (user_put(account),)


def reopen(dependencies: ClosingDependencies, form: ReopeningForm) -> None:
    """Let a closed account be used again; what ended stays ended. For one that is open nothing happens.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, PASSWORD_RESET_REQUIRED,
    ACCOUNT_DISABLED, ACCOUNT_CLOSED (its days are over), BUSY; StoreUnavailable.
    """
    user = dependencies.credentials.authenticate(form.username, form.password, form.client, otp=form.otp)

    def change(snapshot: Snapshot) -> TransactionResult[None]:
        until = snapshot.book.closed_until
        if until is None or snapshot.now >= until or snapshot.book.state is AccountState.DISABLED:
            check_current(snapshot.book, user)
            return TransactionResult(None)
        draft = reopened(snapshot)
        check_current(draft.book, user)
        return TransactionResult(None, draft)

    try:
        dependencies.transactions.run(user.user_uuid, change, client=form.client)
    except NoSuchUser:
        raise Refusal(Code.BAD_CREDENTIALS, reason="the account is gone") from None


def reopened(snapshot: Snapshot) -> Draft:
    """Return the draft in which a closed account is open again."""
    book = replace(snapshot.book, closed_until=None)
    return snapshot.draft.with_book(book, Event(EventKind.ACCOUNT_REOPENED, snapshot.now))


def due_closings(store: Store, now: datetime, most: int) -> Sequence[Closing]:
    """Return up to `most` closings whose days are over, the first due first. Raises StoreUnavailable."""
    items: Sequence[dict[str, int | str]] = store.query(FEED, _QUEUE, limit=most).items  # type: ignore[assignment]
    found = [
        Closing(str(item["user_uuid"]), from_millis(int(item["until"])), str(item["id"]).rpartition("#")[2])
        for item in items
    ]
    return [closing for closing in found if closing.until <= now]
