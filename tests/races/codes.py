"""One code in the hands of several processes at once, cut down to its race: no HTTP, and no password.

`careful` is how the suite takes a code: by a write that holds only while the row is as it was read. `careless` looks
first and writes whatever it saw, with all others' looks in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from common.account.book import Book
from common.account.history import ClientInfo
from common.account.transactions import AccountTransactions
from common.clock import system_clock
from common.crypto.otp import FactorKeys, code_at, matching_step, new_recovery_codes, new_secret, step_at
from common.errors import Refusal
from common.storage.port import Store
from common.storage.tables import FACTORS, SESSIONS
from registration.factor_model import Factor
from registration.factors import Factors
from tests.races.logins import registered
from tests.support.engines import Engine
from tests.support.passkeys import no_passkeys

KEYS = FactorKeys(b"k" * 32)


@dataclass(frozen=True, slots=True)
class Case:
    """A user with a second factor, a code of the app, and a recovery code."""

    user: str
    otp: str
    recovery_code: str
    version: int


def prepared(store: Store) -> Case:
    """Make one whose factor was never used."""
    user, secret, codes, now = registered(store, 1), new_secret(), new_recovery_codes(), system_clock()
    factor = Factor(user, KEYS.encrypt(secret, user), 0, KEYS.hashes_of(codes, user), now)
    store.put(FACTORS, factor.to_item())
    version = Book.from_item(store.get(SESSIONS.key(user)) or {}).version
    return Case(user, code_at(secret, step_at(now) + 1), codes[0], version)  # the next one: there is time to be slow


def careful(
    number: int, gate: Callable[[], None], engine: Engine, cases: Sequence[Case], *, recovery: bool
) -> list[str]:
    """Use each user's code in turn, at the same moment as the others; return what came of it."""
    store = engine.open()
    factors = Factors(store, system_clock, AccountTransactions(store, system_clock), KEYS, no_passkeys(system_clock))

    def one(case: Case) -> str:
        gate()
        try:
            factors.use_code(case.user, case.recovery_code if recovery else case.otp, ClientInfo())
        except Refusal as refusal:
            return str(refusal.code)
        return "in"

    return [one(case) for case in cases]


def with_recovery_code(number: int, gate: Callable[[], None], engine: Engine, cases: Sequence[Case]) -> list[str]:
    """Do it with the recovery code."""
    return careful(number, gate, engine, cases, recovery=True)


def with_code(number: int, gate: Callable[[], None], engine: Engine, cases: Sequence[Case]) -> list[str]:
    """Do it with the app's code."""
    return careful(number, gate, engine, cases, recovery=False)


def careless(number: int, gate: Callable[[], None], engine: Engine, cases: Sequence[Case]) -> list[str]:
    """Look whether the code was used, and write down that it is now, with nothing between the two."""
    store = engine.open()

    def one(case: Case) -> str:
        factor, book = Factor.from_item(store.get(FACTORS.key(case.user))), book_of(store, case)
        secret = KEYS.decrypt(factor.encrypted_secret, case.user)
        step = matching_step(secret, case.otp, system_clock(), max(factor.last_step, book.code_step))
        gate()
        if step is None:
            return "otp-invalid"
        store.put(SESSIONS, replace(book, code_step=step).to_item())
        return "in"

    return [one(case) for case in cases]


def state(store: Store, case: Case) -> tuple[int, int]:
    """Return how often the account was changed since, and how many recovery codes are left."""
    factor = Factor.from_item(store.get(FACTORS.key(case.user)))
    return book_of(store, case).version - case.version, len(factor.recovery_code_hashes)


def book_of(store: Store, case: Case) -> Book:
    """Return the account of a case."""
    return Book.from_item(store.get(SESSIONS.key(case.user)) or {})
