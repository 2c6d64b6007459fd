"""What operators do to keys and policy stands in the audit log, written with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from common.account.audit import AuditKind
from common.crypto.passwords import CHEAP_FOR_TESTS
from common.storage.port import Condition, Item, Table
from common.storage.sqlite.store import SqliteStore
from ichidai.cli.audit import app as audit
from ichidai.cli.authorities import app as authorities
from ichidai.cli.keys import app as keys
from ichidai.cli.policy import app as policy
from ichidai.settings import read_settings
from ichidai.topology import DEV_PORTS, App
from ichidai.wiring.build import build

WHY = "ticket 4711"


def test_keys_and_policy_leave_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first keys on; a second start makes none, and what is refused leaves none."""
    monkeypatch.setenv("ICHIDAI_DATA_DIR", str(tmp_path))
    for _ in range(2):
        settings = read_settings({"ICHIDAI_DATA_DIR": str(tmp_path)})
        build(settings, App.ALL, DEV_PORTS[App.ALL], cost=CHEAP_FOR_TESTS).close()
    runner = CliRunner()

    def lines() -> list[dict[str, str]]:
        return [json.loads(line) for line in runner.invoke(audit, ["--json"]).stdout.splitlines()]

    (first,) = lines()
    assert first["kind"] == AuditKind.KEYS_CREATED
    assert first["actor"].startswith("start@")
    assert runner.invoke(keys, ["rotate", "--for", "refresh", "--reason", WHY]).exit_code == 0
    assert runner.invoke(keys, ["retire", "no-such-key"]).exit_code == 2
    assert runner.invoke(authorities, ["rotate", "p-256"]).exit_code == 0
    assert runner.invoke(policy, ["set", "MAX_CONCURRENT_DEVICES=3", "--reason", WHY]).exit_code == 0
    assert runner.invoke(policy, ["set", "MAX_CONCURRENT_DEVICES=99", "--reason", WHY]).exit_code == 2
    told = {line["kind"]: line for line in lines()}
    assert set(told) == {
        AuditKind.KEYS_CREATED,
        AuditKind.KEY_ROTATED,
        AuditKind.AUTHORITY_ROTATED,
        AuditKind.POLICY_SET,
    }
    assert (told["keys-rotate"]["reason"], told["keys-rotate"]["purpose"]) == (WHY, "refresh")
    assert told["policy-set"]["MAX_CONCURRENT_DEVICES"] == "3"
    assert "@" in told["ca-rotate"]["actor"]


class Died(BaseException):
    """The process is gone: nothing of it goes on."""


def test_an_act_that_died_has_its_line_or_did_not_happen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before each of its writes, and told once however often it is looked at; the next act keeps it."""
    monkeypatch.setenv("ICHIDAI_DATA_DIR", str(tmp_path))
    settings = read_settings({"ICHIDAI_DATA_DIR": str(tmp_path)})
    build(settings, App.ALL, DEV_PORTS[App.ALL], cost=CHEAP_FOR_TESTS).close()
    runner, real, acts = CliRunner(), SqliteStore.put, 0
    for write in range(12):
        left = write

        def put(store: SqliteStore, table: Table, item: Item, when: Condition = None) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Died
            real(store, table, item, when)

        value = f"MAX_CONCURRENT_DEVICES={2 + write}"
        with monkeypatch.context() as patch:
            patch.setattr(SqliteStore, "put", put)
            died = False
            try:
                runner.invoke(policy, ["set", value, "--reason", WHY])
            except Died:
                died = True
        acts += f"  {value}\n" in runner.invoke(policy, ["show"]).stdout
        lines = [json.loads(line) for line in runner.invoke(audit, ["--json"]).stdout.splitlines()]
        assert sum(line["kind"] == AuditKind.POLICY_SET for line in lines) == acts
        if not died:
            break
    else:
        pytest.fail("it always died")
    assert (write, acts) == (4, 3), "the change before, the line before, the policy, its line"
