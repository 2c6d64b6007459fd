"""One signed challenge in the hands of several processes at once, cut down to its race.

`careful` is how the suite does it: the challenge goes in the commit it was signed for. `careless` judges the challenge,
changes the book, and deletes the challenge afterwards. No limit stands in the way, so that the challenge alone decides.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from common.account.admission import AuthenticatedUser, DeviceProof
from common.account.book import Book, Session
from common.account.decision import Snapshot, TransactionResult
from common.account.devices import PublicKeys
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind, Reason
from common.account.policy import FixedPolicy, Policy
from common.account.transactions import AccountTransactions
from common.clock import system_clock
from common.crypto.device_keys import read_public_key
from common.errors import Refusal
from common.ids import new_id
from common.proof.challenge import SignedChallenge, challenge_keys
from common.proof.challenge_service import ChallengeService
from common.proof.statements import Proof, Purpose
from common.storage.port import Store
from tests.races.logins import registered
from tests.support.engines import Engine
from tests.support.signing import Keys

ISSUER = "https://accounts.test"
DEVICE = "0"


@dataclass(frozen=True, slots=True)
class Case:
    """A user whose device has signed a challenge. `spki`: the device's public key in base64."""

    user: str
    spki: str
    proof: Proof


def challenges_of(store: Store, spki: str) -> ChallengeService:
    """Return what asks and judges; every device has the same key."""
    return ChallengeService(
        store,
        system_clock,
        secret=b"k" * 32,
        issuer=ISSUER,
        keys_of=lambda _user, _device: PublicKeys(read_public_key(spki), None),
        policies=FixedPolicy(Policy(device_proof=DeviceProof.SIGNATURE)),
    )


def prepared(store: Store, keys: Keys, *, right: bool = True) -> Case:
    """Make a user with a signed challenge; not `right`: the signature is for something else."""
    user, spki = registered(store, 1), base64.b64encode(keys.spki).decode()
    asked = challenges_of(store, spki).issue(AuthenticatedUser(user, "anna", 0, system_clock()), DEVICE, Purpose.LOGIN)
    signed = keys.proof(asked.to_json(), "login" if right else "renew", user, DEVICE)
    return Case(user, spki, Proof(signed["challenge_id"], signed["signature"]))


def careful(number: int, gate: Callable[[], None], engine: Engine, cases: Sequence[Case]) -> list[str]:
    """Log in by each challenge in turn, at the same moment as the others; return what came of it."""
    store = engine.open()
    keeper = AccountTransactions(store, system_clock)

    def one(case: Case) -> str:
        challenges = challenges_of(store, case.spki)
        gate()
        try:
            signed = challenges.verify(case.proof, Purpose.LOGIN, user_uuid=case.user)
            keeper.run(case.user, _login(challenges, signed), reading=challenge_keys(signed), client=ClientInfo())
        except Refusal as refusal:
            return str(refusal.code)
        return "in"

    return [one(case) for case in cases]


def careless(number: int, gate: Callable[[], None], engine: Engine, cases: Sequence[Case]) -> list[str]:
    """Do the same, but forget to put the challenge's end into the commit: it is deleted when all is done."""
    store = engine.open()
    keeper = AccountTransactions(store, system_clock)

    def one(case: Case) -> str:
        challenges = challenges_of(store, case.spki)
        signed = challenges.verify(case.proof, Purpose.LOGIN, user_uuid=case.user)
        transition = _login(challenges, signed)
        gate()

        def unspent(snapshot: Snapshot) -> TransactionResult[None]:
            items = {signed.key: signed.challenge.to_item(signed.key.partition)}
            whole = transition(Snapshot(snapshot.book, items, snapshot.now))
            return TransactionResult(None, whole.draft)

        keeper.run(case.user, unspent, client=ClientInfo())
        return "in"

    return [one(case) for case in cases]


def guessing(number: int, gate: Callable[[], None], engine: Engine, cases: Sequence[Case]) -> list[str]:
    """Send a wrong signature for each challenge, at the same moment as the others."""
    store = engine.open()

    def one(case: Case) -> str:
        challenges = challenges_of(store, case.spki)
        gate()
        try:
            challenges.verify(case.proof, Purpose.LOGIN)
        except Refusal as refusal:
            return str(refusal.code)
        return "in"

    return [one(case) for case in cases]


def logins(store: Store, user: str) -> int:
    """Return how many logins the book has seen: each is one recorded change after the registration."""
    book = AccountTransactions(store, system_clock).get_book(user)
    assert book is not None
    return book.change_no - 1


def _login(challenges: ChallengeService, signed: SignedChallenge) -> Callable[[Snapshot], TransactionResult[None]]:
    session_id = new_id()

    def transition(snapshot: Snapshot) -> TransactionResult[None]:
        spent = challenges.spend(signed, snapshot.book.devices[DEVICE], snapshot)
        return TransactionResult(None, _opened(snapshot, session_id), spent)

    return transition


def _opened(snapshot: Snapshot, session_id: str) -> Draft:
    draft, now, own = snapshot.draft, snapshot.now, snapshot.book.session_of(DEVICE)
    if own is not None:
        draft = draft.ended(own, Reason.REPLACED, now)
    book: Book = draft.book
    session = Session(session_id, DEVICE, book.version, now, now, now, now + timedelta(days=30))
    return draft.with_book(book.opened(session), Event(EventKind.LOGIN, now, DEVICE, session_id))
