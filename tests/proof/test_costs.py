"""F24: what each operation asks of the store is what `docs/costs.md` says. Verification is one read of one unit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.storage.dynamodb import DynamoStore
from common.storage.port import Put
from common.storage.tables import THROTTLE
from tests.figures_page import rows_of, section
from tests.proof.costs import OPERATIONS, PAGE, Cost, Meter, Operation, house_on, measured, row
from tests.usecases.house import House

PUBLISHED = {line[0]: line for line in rows_of(section("costs", PAGE))}
ANEW = "measure anew: python -m tests.proof.costs"


@pytest.fixture(scope="module")
def sqlite() -> Iterator[House]:
    """Return a house on SQLite."""
    with house_on("sqlite") as house:
        yield house


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[House]:
    """Return a house on DynamoDB Local."""
    with house_on("dynamodb") as house:
        yield house


def name_of(operation: Operation) -> str:
    """Return how a test of an operation is called."""
    return operation.name


def test_the_page_has_every_operation_once() -> None:
    """And none that is not measured."""
    assert list(PUBLISHED) == [operation.name for operation in OPERATIONS], ANEW


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_calls_on_sqlite(operation: Operation, sqlite: House) -> None:
    """As many reads and commits as published."""
    assert row(operation, measured(operation, sqlite))[:3] == PUBLISHED[operation.name][:3], ANEW


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_calls_and_units_on_dynamodb(operation: Operation, dynamodb: House) -> None:
    """As many calls, and as many units as DynamoDB says that they consumed; a verification is the least there is."""
    cost = measured(operation, dynamodb)
    counted = 3 if operation.name.startswith("the list of revoked") else None  # its units grow with what was revoked
    assert row(operation, cost)[:counted] == PUBLISHED[operation.name][:counted], ANEW
    if operation.name == "verify":
        assert cost == Cost(reads=1, commits=0, read_units=1, write_units=0)


def test_what_is_measured_is_what_amazon_documents(dynamodb: House) -> None:
    """Two units for a write of 1 KB in a transaction, one for a read of 4 KB; DynamoDB Local's become these."""
    store = dynamodb.store.inner
    assert isinstance(store, DynamoStore)
    meter = Meter(store)
    store.commit([Put(THROTTLE, {"bucket": "b", "expires_at": 1})], "1")
    assert (meter.reads, meter.writes) == (0, 2)
    store.get(THROTTLE.key("b"))
    assert (meter.reads, meter.writes) == (1, 2)
    store.commit([Put(THROTTLE, {"bucket": name, "expires_at": 1}) for name in "cde"], "2")
    assert (meter.reads, meter.writes) == (1, 8)
