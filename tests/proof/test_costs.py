"""F24: what each operation asks of the store is what `docs/storage-operations.md` says.

Verification is one read of one unit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from common.storage.dynamodb.store import DynamoStore
from common.storage.tables import THROTTLE
from tests.proof.costs import OPERATIONS, PAGE, Cost, Meter, Operation, measured, row, suites_on
from tests.support.benchmarks_page import rows_of, section
from tests.usecases.in_process_suite import InProcessSuite

SuiteFor = Callable[[Operation], InProcessSuite]

PUBLISHED = {line[0]: line for line in rows_of(section("costs", PAGE))}
ANEW = "measure anew: python -m tests.proof.costs"


@pytest.fixture(scope="module")
def sqlite() -> Iterator[SuiteFor]:
    """Return what opens suites on SQLite."""
    with suites_on("sqlite") as suite_for:
        yield suite_for


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[SuiteFor]:
    """Return what opens suites on DynamoDB Local."""
    with suites_on("dynamodb") as suite_for:
        yield suite_for


def name_of(operation: Operation) -> str:
    """Return how a test of an operation is called."""
    return operation.name


def test_the_page_has_every_operation_once() -> None:
    """And none that is not measured."""
    assert list(PUBLISHED) == [operation.name for operation in OPERATIONS], ANEW


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_calls_on_sqlite(operation: Operation, sqlite: SuiteFor) -> None:
    """As many reads and commits as published."""
    assert row(operation, measured(operation, sqlite(operation)))[:3] == PUBLISHED[operation.name][:3], ANEW


@pytest.mark.parametrize("operation", OPERATIONS, ids=name_of)
def test_calls_and_units_on_dynamodb(operation: Operation, dynamodb: SuiteFor) -> None:
    """As many calls, and as many units as DynamoDB says that they consumed; a verification is the least there is."""
    cost = measured(operation, dynamodb(operation))
    counted = 3 if operation.name.startswith("the list of revoked") else None  # its units grow with what was revoked
    assert row(operation, cost)[:counted] == PUBLISHED[operation.name][:counted], ANEW
    if operation.name == "verify":
        assert cost == Cost(reads=1, commits=0, read_units=1, write_units=0)


def test_what_is_measured_is_what_amazon_documents(dynamodb: SuiteFor) -> None:
    """One unit for a write of 1 KB, one for a strong read of 4 KB, half of one for an eventually consistent read."""
    store = dynamodb(OPERATIONS[0]).store.inner
    assert isinstance(store, DynamoStore)
    meter = Meter(store)
    store.put(THROTTLE, {"bucket": "b", "expires_at": 1})
    assert (meter.reads, meter.writes) == (0, 1)
    store.get(THROTTLE.key("b"))
    assert (meter.reads, meter.writes) == (1, 1)
    store.get_eventual(THROTTLE.key("b"))
    assert (meter.reads, meter.writes) == (1.5, 1)
