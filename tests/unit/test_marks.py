"""Marks: what was used once stays used until it could not be used again anyway, and no more of them than may be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from common.account.book import MOST_SESSIONS, Book, BoundDevice
from common.account.decision import Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.history import ClientInfo
from common.account.marks import CLOCKS_APART, Mark, kept, mark_of
from common.account.policy import FixedPolicy
from common.account.transactions import AccountTransactions
from common.errors import Code, Refusal
from common.proof.challenge import LIFETIME, MOST_USED, Challenge, SignedChallenge, mark_challenge
from common.proof.challenge_service import ChallengeService
from common.proof.dpop_service import MOST_USED as MOST_PROOFS
from common.proof.dpop_service import DpopProofUse, spend_dpop_proof
from common.proof.statements import Purpose
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, CHALLENGES, SESSIONS
from tests.unit.builders import MILLISECOND, T0, a_device
from tests.usecases.watched_store import WatchedStore

PHONE = a_device("phone")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WatchedStore]:
    """Return a fresh, watched store."""
    store = WatchedStore(SqliteStore(tmp_path / "store.db", ALL, lambda: T0))
    yield store
    store.close()


def book_with(**marks: datetime) -> Book:
    """Return a book with a phone and marks."""
    return replace(Book("anna").bound(PHONE), marks=marks)


def used(book: Book, number: int = 0, now: datetime = T0, device: BoundDevice = PHONE) -> Mark:
    """Use a challenge that was made at `T0`."""
    challenge = Challenge("anna", "anna", "phone", Purpose.LOGIN, 0, T0, T0 + LIFETIME)
    return mark_challenge(SignedChallenge(CHALLENGES.key(f"{number:064x}"), challenge), challenge, device, book, now)


def test_what_is_marked_is_used_until_it_has_expired_on_every_clock() -> None:
    """A minute and the minute that two clocks may be apart; never a moment less."""
    mark = used(book_with())
    assert mark.until == T0 + LIFETIME + CLOCKS_APART
    marks = {mark.name: mark.until}
    assert kept(marks, mark.until - MILLISECOND) == marks
    assert kept(marks, mark.until) == {}


def test_the_same_challenge_is_used_once() -> None:
    """And another one is another."""
    mark = used(book_with())
    book = book_with(**{mark.name: mark.until})
    with pytest.raises(Refusal) as refusal:
        used(book)
    assert refusal.value.code is Code.CHALLENGE_SPENT
    assert used(book, 1).name != mark.name


def test_the_seventeenth_is_refused_and_none_is_dropped() -> None:
    """Until the first of the sixteen has had its time; what is of another kind counts for itself."""
    assert MOST_USED == 16
    end = T0 + LIFETIME + CLOCKS_APART
    marks: dict[str, datetime] = {}
    for number in range(MOST_USED):
        book = book_with(**marks, d0=end)
        marks[used(book, number).name] = end
    with pytest.raises(Refusal) as refusal:
        used(book_with(**marks), 16)
    assert refusal.value.code is Code.TOO_MANY_ATTEMPTS
    assert refusal.value.extensions["retry_after"] == 121


@pytest.mark.parametrize("change", [None, {"bad": 5}, {"expires_at": T0}], ids=["gone", "guessed at", "expired"])
def test_a_challenge_is_judged_as_it_is_when_it_is_used(store: WatchedStore, change: dict[str, Any] | None) -> None:
    """Not as it was when its signature was checked: a commit may come seconds later."""
    policies = FixedPolicy()
    service = ChallengeService(store, lambda: T0, secret=b"k", issuer="", keys_of=lambda *_: None, policies=policies)
    challenge = Challenge("anna", "anna", "phone", Purpose.LOGIN, 0, T0, T0 + LIFETIME)
    signed = SignedChallenge(CHALLENGES.key("0" * 64), challenge)

    def spend(now: Challenge | None) -> tuple[Mark, ...]:
        item = None if now is None else now.to_item("0" * 64)
        return service.spend(signed, PHONE, Snapshot(book_with(), {signed.key: item}, T0))

    assert len(spend(challenge)) == 1
    with pytest.raises(Refusal) as refusal:
        spend(None if change is None else replace(challenge, **change))
    assert refusal.value.code is Code.CHALLENGE_SPENT


def proven(book: Book, number: int, device_id: str = "phone") -> Mark:
    """Use a DPoP proof in a session of a device."""
    proof = DpopProofUse("key", f"dpop#{number}", T0 + LIFETIME)
    (mark,) = spend_dpop_proof(proof, book, device_id, T0)
    return mark


def test_the_ninth_proof_of_a_session_is_refused() -> None:
    """Each session has eight, and another one's do not count for it."""
    assert MOST_PROOFS == 8
    marks = {mark.name: mark.until for mark in (proven(book_with(), number) for number in range(MOST_PROOFS))}
    with pytest.raises(Refusal) as refusal:
        proven(book_with(**marks), 8)
    assert refusal.value.code is Code.TOO_MANY_ATTEMPTS
    assert proven(book_with(**marks), 8, "laptop").name not in marks


def test_a_proof_is_used_once_whosever_quota_it_counted_for() -> None:
    """The same key may sign for two devices: what it signed is good for one of them."""
    mark = proven(book_with(), 0)
    for device_id in ("phone", "laptop"):
        with pytest.raises(Refusal) as refusal:
            proven(book_with(**{mark.name: mark.until}), 0, device_id)
        assert refusal.value.code is Code.INVALID_DPOP_PROOF


def test_a_mark_lies_in_the_book_and_leaves_it_with_the_first_write_after_its_time(store: WatchedStore) -> None:
    """One put marks and changes; no other row is touched."""
    now = [T0]
    anna = AccountTransactions(store, lambda: now[0])
    anna.create(Draft(book_with()), (), ClientInfo())
    mark = mark_of("c", "something", T0)

    def use(snapshot: Snapshot) -> TransactionResult[None]:
        return TransactionResult(None, snapshot.draft, (mark,))

    def touch(snapshot: Snapshot) -> TransactionResult[None]:
        return TransactionResult(None, snapshot.draft)

    store.watch()
    anna.run("anna", use)
    assert [(call.verb, call.tables) for call in store.commits] == [("put", ("SessionsTable",))]
    for moment, there in ((mark.until - MILLISECOND, True), (mark.until, False)):
        now[0] = moment
        anna.run("anna", touch)
        item = store.get(SESSIONS.key("anna"))
        assert item is not None
        assert (mark.name in Book.from_item(item).marks) is there


def test_no_mark_is_dropped_before_its_time_however_many_there_are(store: WatchedStore) -> None:
    """Those of every quota of the largest account stay through a change."""
    marks = {f"d{number:024x}": T0 + LIFETIME for number in range(MOST_PROOFS * MOST_SESSIONS + 2 * MOST_USED)}
    anna = AccountTransactions(store, lambda: T0)
    anna.create(Draft(book_with(**marks)), (), ClientInfo())
    anna.run("anna", lambda snapshot: TransactionResult(None, snapshot.draft))
    assert Book.from_item(store.get(SESSIONS.key("anna")) or {}).marks == marks
