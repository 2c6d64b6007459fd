"""Claims in the store: reserved by one conditional put each, confirmed after the commit, taken over behind a fence.

A request that meets a reservation waits within its deadline. An old one is taken over so: it is contested, so that
no commit relies on it any more; its owner is fenced, that is, the owner's book is written once more (where there is
none, a tombstone in its place), so that a commit still in flight fails; and if that book knows the claim after all, it
is confirmed for its owner instead. No step rests on a clock. A confirmed name or mail that its account has given up,
for good or until a time that is over, is taken over in the same way; nothing is written when it is given up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from common.account.admission import LimitReached
from common.account.claims import Claim, is_held
from common.account.decision import Snapshot, TransactionResult
from common.account.tombstone import is_tombstone, tombstone
from common.account.transactions import AccountTransactions, NoSuchUser
from common.clock import Clock
from common.errors import Code, Refusal
from common.ids import new_id
from common.retry import RetryBudget
from common.storage.batches import put_each
from common.storage.idempotent_commit import write_known
from common.storage.port import (
    Absent,
    Condition,
    Conflict,
    Delete,
    Equals,
    Key,
    OutcomeUnknown,
    Put,
    Store,
    StoreUnavailable,
    Write,
)
from common.storage.tables import DEVICES, NAMES, SESSIONS, USERS

NamesOf = Callable[[Mapping[str, Any], datetime], Collection[str]]
"""Returns the claims that a row of UsersTable tells of at a time: what the account has, and what it may take back."""

_REFUSED = (Refusal, LimitReached, NoSuchUser, Conflict)
"""Raised where nothing was written. After anything else the reservations stay, for a commit may be in flight."""

_log = logging.getLogger(__name__)


class ClaimTaken(Exception):
    """The claim is another's for good."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(claim.name.partition("#")[0])
        self.claim = claim


class ClaimStore:
    """Reserves, confirms and releases claims. `names_of`: what a user's row tells; `budget`: how long others wait."""

    def __init__(
        self,
        store: Store,
        transactions: AccountTransactions,
        clock: Clock,
        names_of: NamesOf,
        budget: Callable[[], RetryBudget] = RetryBudget,
    ) -> None:
        self._store = store
        self._transactions = transactions
        self._clock = clock
        self._names_of = names_of
        self._budget = budget

    def find(self, name: str) -> Claim | None:
        """Return a claim that is an account's: its book knows it. Raises StoreUnavailable."""
        claim = self._at(name)
        return None if claim is None else self._known(claim)

    @contextmanager
    def held(self, *claims: Claim) -> Iterator[tuple[Claim, ...]]:
        """Reserve claims in order, for a commit inside that is to make them its owner's; confirm them after it.

        Gives them as they are reserved; one that its account has already (it may take the name back) as it is, and
        then nothing is written. A look that another of the same scripts has for good is passed over. What refuses
        releases what was reserved. A commit on a book that was there before must ask `check_held` in its decision.
        Raises ClaimTaken, Refusal(BUSY), StoreUnavailable.
        """
        held: list[Claim] = []
        reserved: list[Claim] = []
        try:
            for claim in claims:
                mine = self._reserve(claim)
                if mine is not None:
                    held.append(mine)
                if mine is not None and not mine.is_confirmed:
                    reserved.append(mine)
            yield tuple(held)
        except ClaimTaken:
            self._release(reserved)
            raise
        except (*_REFUSED, StoreUnavailable) as refusal:
            if not isinstance(refusal, OutcomeUnknown):
                self._release(reserved)
            raise
        self._confirm(reserved)

    @contextmanager
    def key_held(self, claim: Claim) -> Iterator[Claim]:
        """Reserve and confirm a device's key, as `held`. Raises Refusal: KEY_IN_USE, BUSY; StoreUnavailable."""
        try:
            with self.held(claim) as (mine,):
                yield mine
        except ClaimTaken:
            raise Refusal(Code.KEY_IN_USE) from None

    def settle(self, name: str) -> None:
        """Confirm an old reservation for its owner, or remove it, by the steps of a take-over; what was given up too.

        Raises StoreUnavailable.
        """
        found = self._at(name)
        if found is None or self._known(found) is not None:
            return
        contested = self._contested(found)
        if contested is not None:
            self._write(_removal(contested))

    def replace(self, claim: Claim, lost: Claim) -> None:
        """Let a lost device's confirmed claim name the device that its owner's book has in its place by now."""
        self._quietly(Put(NAMES, claim.to_item(), Equals("device_id", lost.device_id)))

    def _reserve(self, claim: Claim) -> Claim | None:
        """Return the claim as it is reserved, or as its account has it; None: another has it that shares it.

        Raises ClaimTaken, Refusal(BUSY).
        """
        mine = claim.reserved(new_id(), self._clock())
        for _ in self._budget():
            if self._put(mine, Absent()):
                return mine
            found = self._at(claim.name)
            if found == mine:
                return mine
            if found is None:
                continue
            known = self._known(found)
            if known is not None:
                return _relied_on(known, claim)
            if self._took_over(found, mine):
                return mine
        raise Refusal(Code.BUSY, reason="a claim is reserved by another", retry_after=1)

    def _known(self, claim: Claim) -> Claim | None:
        """Return a claim as a confirmed one, if its owner's book knows it; then it is confirmed."""
        if claim.is_for_good:
            return claim
        try:
            knows = self._transactions.dry_run(claim.user_uuid, self._judging(claim), _witnesses(claim))
        except NoSuchUser:
            knows = claim.is_confirmed  # nobody knows what became of its account: it stays that one's
        if not knows:
            return None
        if not claim.is_confirmed:
            self._quietly(_put_over(claim, claim.confirmed()))
        return claim.confirmed()

    def _took_over(self, found: Claim, mine: Claim) -> bool:
        """Take over an old reservation, or what its account has given up.

        False where it is too early, others were quicker, or its owner has it after all.
        """
        contested = self._contested(found)
        return contested is not None and self._write(_put_over(contested, mine))

    def _contested(self, found: Claim) -> Claim | None:
        """Return what is to be taken over once no commit can rely on it any more.

        None where it is too early, others were quicker, or its owner has it after all.
        """
        now = self._clock()
        if not found.may_be_contested(now):
            return None
        contested = found.contested_by(new_id(), now)
        if not self._write(_put_over(found, contested)):
            return None
        if self._fenced(found):
            return contested
        self._write(_put_over(contested, found.confirmed()))
        return None

    def _fenced(self, claim: Claim) -> bool:
        """Let every commit in flight of the claim's owner fail; False if the owner's book knows the claim already."""
        judge = self._judging(claim)

        def fence(snapshot: Snapshot) -> TransactionResult[bool]:
            knows = judge(snapshot).result
            return TransactionResult(not knows, None if knows else snapshot.draft)

        tomb = Put(SESSIONS, tombstone(claim.user_uuid, self._clock()), Absent())
        for _ in self._budget():
            try:
                return self._transactions.run(claim.user_uuid, fence, reading=_witnesses(claim))
            except NoSuchUser:
                lying = tomb.item if self._write(tomb) else self._store.get(tomb.key)
                if lying is not None and is_tombstone(lying):
                    return True
        raise Refusal(Code.BUSY, reason="the owner of a claim", retry_after=1)

    def _judging(self, claim: Claim) -> Callable[[Snapshot], TransactionResult[bool]]:
        """Return the decision that says whether a book, with its rows beside it, knows a claim.

        A device's row is laid down only once the book has bound it, and stays when it is unbound. An account whose row
        is missing has what it was confirmed to have.
        """

        def judge(snapshot: Snapshot) -> TransactionResult[bool]:
            (row,) = (snapshot.at(key) for key in _witnesses(claim))
            if claim.device_id is not None:
                return TransactionResult(claim.device_id in snapshot.book.devices or row is not None)
            if row is None:
                return TransactionResult(claim.is_confirmed)
            return TransactionResult(claim.name in self._names_of(row, snapshot.now))

        return judge

    def _at(self, name: str) -> Claim | None:
        item = self._store.get(NAMES.key(name))
        return None if item is None else Claim.from_item(item)

    def _put(self, claim: Claim, when: Condition) -> bool:
        return self._write(Put(NAMES, claim.to_item(), when))

    def _write(self, write: Write) -> bool:
        """Write, and say whether the condition held."""
        try:
            write_known(self._store, write, self._budget())
        except Conflict:
            return False
        return True

    def _confirm(self, claims: Sequence[Claim]) -> None:
        puts = [_put_over(claim, claim.confirmed()) for claim in claims]
        for put, outcome in zip(puts, put_each(self._store, puts), strict=True):
            if isinstance(outcome, OutcomeUnknown):
                self._quietly(put)
            elif isinstance(outcome, StoreUnavailable):
                _leave(outcome)

    def _release(self, claims: Sequence[Claim]) -> None:
        for claim in reversed(claims):
            self._quietly(_removal(claim))

    def _quietly(self, write: Write) -> None:
        """Write what others will write in our place if it does not succeed."""
        try:
            self._write(write)
        except StoreUnavailable as error:
            _leave(error)


def _leave(error: StoreUnavailable) -> None:
    _log.warning("a claim is left to the next that meets it: %s", error)


def _relied_on(known: Claim, claim: Claim) -> Claim | None:
    """Return the claim that an account has in the place of one that it wants; None: another has it that shares it.

    Raises ClaimTaken.
    """
    if known.is_shared_with(claim):
        return None
    if known.is_for_good or known.user_uuid != claim.user_uuid:
        raise ClaimTaken(known)
    return known


def check_held(claims: Sequence[Claim], snapshot: Snapshot) -> None:
    """Let a decision pass only while its claims are reserved for it; they must be among what it reads.

    Raises Refusal(BUSY): they were taken over meanwhile.
    """
    if not all(is_held(claim, snapshot.at(claim.key)) for claim in claims):
        raise Refusal(Code.BUSY, reason="a claim was taken over", retry_after=1)


def _put_over(claim: Claim, new: Claim) -> Put:
    """Return the write over a claim as it was read; a confirmed one may have been contested or retaken by its account.

    That does no harm: the mark of who contests it leaves it to the account's book, whatever it was.
    """
    when = Equals("uuid", claim.user_uuid) if claim.is_confirmed else Equals("reservation", claim.reservation)
    return Put(NAMES, new.to_item(), when)


def _removal(claim: Claim) -> Delete:
    return Delete(claim.key, Equals("reservation", claim.reservation))


def _witnesses(claim: Claim) -> tuple[Key]:
    """Return what is read beside a book to know whether it knows a claim."""
    if claim.device_id is not None:
        return (DEVICES.key(claim.user_uuid, claim.device_id),)
    return (USERS.key(claim.user_uuid),)
