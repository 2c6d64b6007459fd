"""One code in the hands of several processes at once, cut down to its race: no HTTP, and no password.

`careful` is how the suite takes a code: by a write that holds only while the row is as it was read. `careless` looks
first and writes whatever it saw, with all others' looks in between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.bookkeeping import Bookkeeper
from common.clock import system_clock
from common.crypto.otp import FactorKeys, code_at, matching_step, new_recovery_codes, new_secret, step_at
from common.errors import Refusal
from common.history import Origin
from common.ids import new_id
from common.storage.port import Put, Store
from common.storage.tables import FACTORS
from registration.factor_model import Factor
from registration.factors import Factors
from tests.engines import Engine
from tests.races.logins import registered

KEYS = FactorKeys(b"k" * 32)


@dataclass(frozen=True, slots=True)
class Case:
    """A user with a second factor, a code of the app, and a recovery code."""

    user: str
    otp: str
    recovery_code: str


def prepared(store: Store) -> Case:
    """Make one whose factor was never used."""
    user, secret, codes, now = registered(store, 1), new_secret(), new_recovery_codes(), system_clock()
    factor = Factor(user, KEYS.seal(secret, user), 0, KEYS.marks_of(codes, user), now)
    store.commit([Put(FACTORS, factor.to_item())], new_id())
    return Case(user, code_at(secret, step_at(now) + 1), codes[0])  # the next one: there is time to be slow


def careful(
    number: int, gate: Callable[[], None], engine: Engine, cases: Sequence[Case], *, recovery: bool
) -> list[str]:
    """Use each user's code in turn, at the same moment as the others; return what came of it."""
    store = engine.open()
    factors = Factors(store, system_clock, Bookkeeper(store, system_clock), KEYS)

    def one(case: Case) -> str:
        gate()
        try:
            factors.take(case.user, case.recovery_code if recovery else case.otp, Origin())
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
        factor = Factor.from_item(store.get(FACTORS.key(case.user)))
        secret = KEYS.unseal(factor.sealed, case.user)
        step = matching_step(secret, case.otp, system_clock(), factor.last_step)
        gate()
        if step is None:
            return "otp-invalid"
        store.commit([Put(FACTORS, factor.after(step).to_item())], new_id())
        return "in"

    return [one(case) for case in cases]


def state(store: Store, case: Case) -> tuple[int, int]:
    """Return how often the row was written since, and how many recovery codes are left."""
    factor = Factor.from_item(store.get(FACTORS.key(case.user)))
    return factor.version - 1, len(factor.marks)
