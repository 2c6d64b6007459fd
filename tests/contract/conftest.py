"""The engines that the contract suite runs over. DynamoDB's tables are made once; every test uses keys of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from common.storage.port import Store
from tests.support.engines import ENGINES, Engine


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return each engine in turn."""
    return ENGINES[request.param](tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="session")
def dynamodb(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Return DynamoDB Local alone."""
    return ENGINES["dynamodb"](tmp_path_factory.mktemp("engine"))


@pytest.fixture(scope="session")
def store(engine: Engine) -> Iterator[Store]:
    """Return one store object of each engine for all tests: boto3 takes a tenth of a second to make one."""
    store = engine.open()
    yield store
    store.close()


@pytest.fixture
def own() -> str:
    """Return a text that no other test uses as a key."""
    return uuid4().hex


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a database that is not there yet."""
    return tmp_path / "folder" / "store.db"
