"""`/ready` says whether this host can serve: its tables, a write, its keys, and whether it is about to end."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from common.storage.port import StoreUnavailable
from tests.usecases.in_process_suite import InProcessSuite, code_of
from tests.usecases.watched_store import StoreCall

Break = Callable[[InProcessSuite, pytest.MonkeyPatch], None]


def without_a_table(suite: InProcessSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away a table that few requests need."""
    with closing(sqlite3.connect(suite.file)) as connection:
        connection.execute('ALTER TABLE "RevocationsTable" RENAME TO "Elsewhere"')


def with_a_full_disk(suite: InProcessSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every write fail, and no read."""

    def full(call: StoreCall) -> None:
        if call.verb not in ("get", "query"):
            raise StoreUnavailable("SQLite: database or disk is full")

    suite.store.before = full


def without_a_key(suite: InProcessSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no key sign."""

    def none() -> None:
        raise StoreUnavailable("no key for access tokens is on this host")

    monkeypatch.setattr(suite.suite.readiness, "_signer", none)


@pytest.mark.parametrize("harm", [without_a_table, with_a_full_disk, without_a_key])
def test_a_host_that_cannot_serve_is_not_ready(
    suite: InProcessSuite, monkeypatch: pytest.MonkeyPatch, harm: Break
) -> None:
    """Found by the next try, without any request; `/health` does not care."""
    suite.suite.readiness.refresh()
    assert suite.get("/ready").status_code == 200
    harm(suite, monkeypatch)
    suite.suite.readiness.refresh()
    assert code_of(suite.get("/ready")) == (503, "store-unavailable")
    assert suite.get("/health").status_code == 200


def test_it_is_ready_again_by_itself(suite: InProcessSuite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next good try is enough; it has changed nothing that others see."""
    before = suite.content()
    with_a_full_disk(suite, monkeypatch)
    suite.suite.readiness.refresh()
    assert suite.get("/ready").status_code == 503
    suite.store.watch()
    suite.suite.readiness.refresh()
    assert suite.get("/ready").status_code == 200
    after = suite.content()
    after["KeyRingTable"] = [row for row in after["KeyRingTable"] if row[0] != "ready"]
    assert after == before


def test_a_server_that_is_about_to_end_is_not_ready(suite: InProcessSuite) -> None:
    """While it serves all else."""
    suite.suite.readiness.drain()
    assert suite.get("/ready").status_code == 503
    assert suite.get("/.well-known/jwks.json").status_code == 200
