"""The storage engines that a test runs over. An engine plugs in by a line in `ENGINES` and a function that makes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest

from common.clock import Clock, system_clock
from common.storage.opening import open_store, open_tables
from common.storage.port import Store
from tests.support import dynamodb_local
from tests.support.external_tools import MissingTool


@dataclass(frozen=True, slots=True)
class Engine:
    """A store that any process can open: the value can be sent to a child."""

    name: str
    url: str
    region: str | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What a server's environment must say for it to use this store."""
        aws = {} if self.region is None else {"AWS_REGION": self.region, **dynamodb_local.ENVIRONMENT}
        return {"ICHIDAI_STORE_URL": self.url, **aws}

    def open(self, clock: Clock = system_clock) -> Store:
        """Return a store object of its own."""
        return open_store(self.url, clock, self.region)


def sqlite_engine(folder: Path) -> Engine:
    """Return an engine on a fresh file."""
    return Engine("sqlite", f"sqlite:///{folder / f'{uuid4().hex}.db'}")


def local_dynamodb(data: Path | None = None) -> dynamodb_local.LocalServer:
    """Return the session's DynamoDB Local, or one of its own with its data in a folder; skips where none can run."""
    os.environ.update(dynamodb_local.ENVIRONMENT)
    try:
        return dynamodb_local.shared() if data is None else dynamodb_local.LocalServer(data)
    except MissingTool as part:
        pytest.skip(f"missing part: {part}")


def dynamodb_without_tables(server: dynamodb_local.LocalServer) -> Engine:
    """Return an engine whose tables nobody has made yet."""
    return Engine("dynamodb", f"dynamodb://t{uuid4().hex[:8]}_?endpoint={server.endpoint}", dynamodb_local.REGION)


def dynamodb_engine(_folder: Path) -> Engine:
    """Return an engine on fresh tables in the session's DynamoDB Local; skips the test where that cannot run.

    Many tests use that one at once: it is waited for longer than Amazon's.
    """
    engine = with_tables(dynamodb_without_tables(local_dynamodb()))
    return replace(engine, url=f"{engine.url}&answer=4")


def with_tables(engine: Engine) -> Engine:
    """Make the tables of an engine in DynamoDB, and return it."""
    tables = open_tables(engine.url, engine.region)
    assert tables is not None
    list(tables.create())
    return engine


ENGINES: dict[str, Callable[[Path], Engine]] = {"sqlite": sqlite_engine, "dynamodb": dynamodb_engine}
