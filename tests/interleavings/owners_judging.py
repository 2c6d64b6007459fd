"""What must be stored of an account itself after any order: its credentials, its name and address, its passkeys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from common.account.book import Book
from common.account.claims import Claim
from common.account.history import EventKind
from common.crypto.otp import FactorKeys
from common.storage.port import Store
from common.storage.tables import NAMES, SESSIONS, USERS
from registration.account_db import names_in
from registration.account_model import Account
from registration.factor_model import Factor
from registration.factors import factor_key
from tests.interleavings.owners_process import SECRET
from tests.proof.recording import Call, Operation
from tests.proof.timeline import Story, Violation, was_lost
from tests.unit.builders import T0

_EMPTYING = frozenset({EventKind.RECOVERY_CODE_USED, EventKind.OBJECTED})
"""After these no passkey is left: all were made since what is objected to, for the clock stands still."""


def account_wrong(store: Store, user: str, calls: Sequence[Call], story: Story) -> Iterator[Violation]:
    """Yield where the rows of the account and of its factor, or its claims, are not what history and answers tell."""
    row = store.get(USERS.key(user))
    book = Book.from_item(store.get(SESSIONS.key(user)) or {})
    if row is None:
        yield Violation("I19", "the account has no row")
        return
    account = Account.from_item(row)
    if account.credential_version != book.credential_version:
        told = f"version {account.credential_version}, and the book {book.credential_version}"
        yield Violation("I14", f"the account's row has credentials of {told}")
    yield from _unclaimed(store, user, row)
    yield from _unasked("username", account.username, calls, story, Operation.USERNAME, EventKind.USERNAME_CHANGED)
    yield from _unasked("email", account.email, calls, story, Operation.EMAIL_CONFIRM, EventKind.EMAIL_CHANGED)
    yield from _factor_wrong(store, user, calls, story)


def _unclaimed(store: Store, user: str, row: object) -> Iterator[Violation]:
    for name in names_in(row, T0):  # type: ignore[arg-type]
        item = store.get(NAMES.key(name))
        if item is None or Claim.from_item(item).user_uuid != user:
            yield Violation("claims", f"the account has {name.partition('#')[0]}, and does not hold the claim")


def _unasked(
    what: str, stored: str, calls: Sequence[Call], story: Story, operation: Operation, kind: EventKind
) -> Iterator[Violation]:
    """Yield where what is stored is none of those that calls may have set since, or not the one that was set alone."""
    asked = [call for call in calls if call.operation is operation]
    done = {call.asked[what] for call in asked if call.status == 200}
    lost = {call.asked[what] for call in asked if was_lost(call)}
    last = next(
        (each.kind for events in reversed(story.events) for each in events if each.kind in (kind, EventKind.OBJECTED)),
        None,
    )
    is_set = stored in done | lost
    if last is kind and not is_set:
        yield Violation("I19", f"the {what} is {stored}, and that none of {sorted(done | lost)}")
    if last is not kind and is_set:
        yield Violation("I19", f"the {what} is {stored}, and the history tells of no such change, or took it back")


def _factor_wrong(store: Store, user: str, calls: Sequence[Call], story: Story) -> Iterator[Violation]:
    expected = 0
    for events in story.events:
        kinds = [event.kind for event in events]
        expected += kinds.count(EventKind.PASSKEY_ADDED) - kinds.count(EventKind.PASSKEY_REMOVED)
        if expected and not _EMPTYING.isdisjoint(kinds):
            yield Violation("I19", f"{expected} passkeys are left by a change that voids them all")
    item = store.get(factor_key(user))
    factor = None if item is None else Factor.from_item(item)
    found = 0 if factor is None else len(factor.passkeys)
    if found != expected:
        yield Violation("I19", f"{found} passkeys are stored, and the history tells of {expected}")
    used = [call.asked["recovery_code"] for call in calls if call.operation is Operation.RECOVER and call.status == 200]
    if factor is not None and any(factor.holds(each, T0) for each in FactorKeys(SECRET).hashes_of(used, user)):
        yield Violation("codes", "a recovery code that was used is good still")
