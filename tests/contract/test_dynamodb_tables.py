"""Making and checking tables in DynamoDB Local; what that lacks, point-in-time recovery, by moto."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import uuid4

import moto
import pytest
from botocore.stub import Stubber
from mypy_boto3_dynamodb import DynamoDBClient

from common.storage.dynamodb.admin import DynamoTables
from common.storage.dynamodb.client import TableLocation, make_client
from common.storage.opening import open_tables
from common.storage.port import StoreUnavailable, Table
from common.storage.tables import ALL
from tests.support import dynamodb_local
from tests.support.engines import Engine

EXPIRING = sum(table.expires for table in ALL)


def tables_at(dynamodb: Engine, prefix: str, more: str = "") -> DynamoTables:
    """Return the administration of a set of tables of its own."""
    endpoint = dynamodb.url.partition("?")[2]
    tables = open_tables(f"dynamodb://{prefix}?{endpoint}{more}", dynamodb.region)
    assert tables is not None
    return tables


@pytest.fixture
def tables(dynamodb: Engine) -> DynamoTables:
    """Return the administration of tables that nobody has made yet."""
    return tables_at(dynamodb, f"t{uuid4().hex[:8]}_")


def test_each_missing_table_is_told_then_made_and_the_second_time_nothing_is_left_to_do(tables: DynamoTables) -> None:
    """`check` names every missing table, `create` makes them, and may be called again."""
    missing = tables.check()
    assert len(missing) == len(ALL)
    assert all("is missing: run `ichidai tables create`" in fault for fault in missing)
    lines = list(tables.create())
    assert sum(line.endswith(": made") for line in lines) == len(ALL)
    assert sum(line.endswith(": items expire from now on") for line in lines) == EXPIRING
    assert tables.check() == []
    again = list(tables.create())
    assert sum(line.endswith(": is there") for line in again) == len(ALL)
    assert sum(line.endswith(": items expire") for line in again) == EXPIRING
    assert tables.check() == []


def test_tables_that_are_swept_need_no_ttl(dynamodb: Engine) -> None:
    """Made so they have none, which is a fault only where the URL does not say that they are swept."""
    prefix = f"t{uuid4().hex[:8]}_"
    swept, by_ttl = tables_at(dynamodb, prefix, "&expiry=sweep"), tables_at(dynamodb, prefix, "&expiry=ttl")
    lines = list(swept.create())
    assert sum(line.endswith(": items are deleted by `ichidai sweep`") for line in lines) == EXPIRING
    assert not any("from now on" in line for line in lines)
    assert swept.check() == []
    faults = by_ttl.check()
    assert len(faults) == EXPIRING
    assert all("items do not expire by `ttl`" in fault and "?expiry=sweep" in fault for fault in faults)
    list(by_ttl.create())
    assert by_ttl.check() == swept.check() == []


def test_half_made_tables_are_completed(dynamodb: Engine, tables: DynamoTables) -> None:
    """A create that was broken off in the middle is taken up again."""
    steps = tables.create()
    for _ in range(len(ALL) + 1):
        next(steps)
    del steps
    assert tables.check() != []
    list(tables.create())
    assert tables.check() == []


def test_tables_of_another_make_are_left_alone(dynamodb: Engine) -> None:
    """A table of our name with other keys is a fault, and `create` does not go on as if it were ours."""
    client = make_client(TableLocation(dynamodb_local.REGION, endpoint=dynamodb_local.shared().endpoint))
    theirs = Table(f"t{uuid4().hex}", "id")
    ours = Table(theirs.name, "id", "number", sort_is_number=True)
    list(DynamoTables(client, [theirs], "", lambda _: None).create())
    mixed = DynamoTables(client, [ours], "", lambda _: None)
    assert mixed.check() == [f"{ours.name}: has other keys than ours"]
    with pytest.raises(StoreUnavailable, match="other keys"):
        list(mixed.create())
    client.close()


def test_an_engine_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator is told, not shown a traceback of boto3."""
    for name, value in dynamodb_local.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    client = make_client(TableLocation("ap-northeast-1", endpoint="http://127.0.0.1:9"))
    tables = DynamoTables(client, ALL, "", lambda _: None)
    with pytest.raises(StoreUnavailable, match="Could not connect"):
        tables.check()
    with pytest.raises(StoreUnavailable, match="Could not connect"):
        list(tables.create())
    client.close()


class TestAgainstErrors:
    """The engine's own errors, told by boto3's stubber: what DynamoDB Local is never in the mood for."""

    ONE = Table("OneTable", "id")
    THERE: ClassVar[dict[str, Any]] = {
        "Table": {
            "TableName": "OneTable",
            "TableStatus": "ACTIVE",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        }
    }
    MAKING: ClassVar[dict[str, Any]] = {"Table": {**THERE["Table"], "TableStatus": "CREATING"}}
    RECOVERY: ClassVar[dict[str, Any]] = {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED"}}

    @pytest.fixture
    def client(self) -> Iterator[DynamoDBClient]:
        """Return a client that speaks to nobody."""
        client = make_client(TableLocation("ap-northeast-1", endpoint="http://127.0.0.1:9"))
        yield client
        client.close()

    @pytest.fixture
    def stubber(self, client: DynamoDBClient) -> Iterator[Stubber]:
        """Return what answers in its place."""
        with Stubber(client) as stubber:
            yield stubber

    def test_two_operators_at_once_make_one_table(self, client: DynamoDBClient, stubber: Stubber) -> None:
        """Who comes second waits for the first one's table, and for its recovery to be offered."""
        pauses: list[float] = []
        stubber.add_client_error("describe_table", "ResourceNotFoundException")
        stubber.add_client_error("create_table", "ResourceInUseException")
        stubber.add_response("describe_table", self.MAKING)
        stubber.add_response("describe_table", self.THERE)
        stubber.add_response("describe_continuous_backups", self.RECOVERY)
        stubber.add_client_error("update_continuous_backups", "ContinuousBackupsUnavailableException")
        stubber.add_response("update_continuous_backups", self.RECOVERY)
        lines = list(DynamoTables(client, [self.ONE], "", pauses.append).create())
        assert lines == [
            "OneTable: is being made by another process",
            "OneTable: point-in-time recovery is on from now on",
        ]
        assert len(pauses) == 2

    def test_a_table_that_never_becomes_active_is_told(self, client: DynamoDBClient, stubber: Stubber) -> None:
        """Waiting has an end, and `check` names the state."""
        for _ in range(61):
            stubber.add_response("describe_table", self.MAKING)
        tables = DynamoTables(client, [self.ONE], "", lambda _: None)
        with pytest.raises(StoreUnavailable, match="does not become active"):
            list(tables.create())
        stubber.add_response("describe_table", self.MAKING)
        stubber.add_response("describe_continuous_backups", self.RECOVERY)
        assert "OneTable: is creating, not active" in tables.check()

    def test_recovery_that_is_never_offered_is_told(self, client: DynamoDBClient, stubber: Stubber) -> None:
        """Here too waiting has an end."""
        for _ in range(2):
            stubber.add_response("describe_table", self.THERE)
        stubber.add_response("describe_continuous_backups", self.RECOVERY)
        for _ in range(60):
            stubber.add_client_error("update_continuous_backups", "ContinuousBackupsUnavailableException")
        with pytest.raises(StoreUnavailable, match="try again later"):
            list(DynamoTables(client, [self.ONE], "", lambda _: None).create())

    def test_a_refusal_is_told_with_advice(self, client: DynamoDBClient, stubber: Stubber) -> None:
        """A missing permission is a sentence, not a traceback."""
        stubber.add_response("describe_table", self.THERE)
        stubber.add_client_error("describe_continuous_backups", "AccessDeniedException", http_status_code=400)
        with pytest.raises(StoreUnavailable, match="permission"):
            DynamoTables(client, [self.ONE], "", lambda _: None).check()


class TestWithRecovery:
    @pytest.fixture
    def tables(self) -> Iterator[DynamoTables]:
        """Return the administration of tables at an engine that has point-in-time recovery."""
        with moto.mock_aws():
            yield DynamoTables(make_client(TableLocation("ap-northeast-1", "p_")), ALL, "p_", lambda _: None)

    def test_it_is_switched_on_once(self, tables: DynamoTables) -> None:
        """Each table gets it, and keeps it."""
        lines = list(tables.create())
        assert sum("point-in-time recovery is on from now on" in line for line in lines) == len(ALL)
        assert tables.check() == []
        assert sum(line.endswith("point-in-time recovery is on") for line in tables.create()) == len(ALL)

    def test_its_absence_is_a_fault(self, tables: DynamoTables) -> None:
        """Tables without it are told."""
        for line in tables.create():
            if "recovery" in line:
                break
        assert sum("recovery is off" in fault for fault in tables.check()) == len(ALL) - 1

    def test_the_past_is_restored_into_new_tables_that_expire_and_have_a_past_too(self, tables: DynamoTables) -> None:
        """Only the shape: moto copies what is there now, whatever the time. Called again it makes nothing."""
        for _ in tables.create():
            pass
        lines = list(tables.restore("q_", datetime(2026, 11, 22, tzinfo=UTC)))
        assert sum(line.endswith("is being restored") for line in lines) == len(ALL)
        assert DynamoTables(tables._client, ALL, "q_", lambda _: None).check() == []
        assert tables.check() == []
        again = list(tables.restore("q_", datetime(2026, 11, 22, tzinfo=UTC)))
        assert not any(line.endswith("is being restored") for line in again)


def test_an_engine_without_a_past_restores_nothing(tables: DynamoTables) -> None:
    """DynamoDB Local knows no such call: it is a sentence, before anything is made."""
    for _ in tables.create():
        pass
    with pytest.raises(StoreUnavailable, match="has no point-in-time recovery"):
        list(tables.restore("q_", datetime(2026, 11, 22, tzinfo=UTC)))
