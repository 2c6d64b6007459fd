"""Four processes want one name at the same moment, half of them with clocks a minute ahead: one account has it.

A fifth one sweeps old reservations all the while, and takes nothing from anybody who was answered.
"""

from __future__ import annotations

from common.account.claim_store import ClaimStore
from common.account.transactions import AccountTransactions
from common.clock import system_clock
from common.ids import new_id
from common.storage.tables import USERS
from tests.races import names
from tests.support.engines import Engine
from tests.support.processes import at_once, rounds

FIVE = names.SWEEPER + 1


def test_at_most_one_account_has_a_name(engine: Engine) -> None:
    """The one that was answered 200 owns the claim for good; where all gave way to each other the name is free."""
    store = engine.open()
    keeper = AccountTransactions(store, system_clock)
    claims = ClaimStore(store, keeper, system_clock, names.names_of)
    wanted = [f"name#{new_id()}" for _ in range(rounds(6))]
    answers = at_once(FIVE, names.careful, engine, wanted)
    for number, name in enumerate(wanted):
        owners = [each[number] for each in answers if each[number] is not None]
        assert len(owners) <= 1
        claim = claims.find(name)
        assert owners == ([] if claim is None else [claim.user_uuid])
        for owner in map(str, owners):
            assert store.get(USERS.key(owner)) is not None
            assert keeper.get_book(owner) is not None
    assert any(each[number] for each in answers for number in range(len(wanted)))
    store.close()
