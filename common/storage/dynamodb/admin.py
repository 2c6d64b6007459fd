"""Making and checking the tables in DynamoDB. For an operator, once; the engine itself never makes a table.

On demand (nothing to size), items expire by `ttl` unless they are swept, and point-in-time recovery is on where the
engine has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from common.storage.dynamodb.client import as_unavailable
from common.storage.dynamodb.codec import TTL_ATTRIBUTE
from common.storage.port import StoreUnavailable, Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_TRIES, _PAUSE_SECONDS = 60, 1.0


class DynamoTables:
    """The tables of one place. `pause` waits for so many seconds. Every method may raise StoreUnavailable.

    `is_swept`: an operator's timer deletes what has expired, so TTL is neither switched on nor asked for.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        tables: Sequence[Table],
        prefix: str,
        pause: Callable[[float], None],
        *,
        is_swept: bool = False,
    ) -> None:
        self.is_swept = is_swept
        self._client = client
        self._tables = tables
        self._prefix = prefix
        self._pause = pause

    def create(self) -> Iterator[str]:
        """Make what is missing and yield a line for each step; what is there already stays. May be called again."""
        with as_unavailable():
            yield from self._steps()

    def check(self) -> list[str]:
        """Return what is wrong, a sentence each; nothing is changed."""
        with as_unavailable():
            return [f"{self._name(table)}: {fault}" for table in self._tables for fault in self._faults(table)]

    def restore(self, prefix: str, moment: datetime) -> Iterator[str]:
        """Have all tables restored under another prefix as they were at a moment, and yield a line for each step.

        What is there under it stays, so it may be called again. StoreUnavailable where a table has no recovery.
        """
        with as_unavailable():
            for table in self._tables:
                if not self._recovery(table):
                    raise StoreUnavailable(
                        f"{self._name(table)} has no point-in-time recovery, so nothing of the past can be restored: "
                        "DynamoDB has it where `ichidai tables create` has switched it on, DynamoDB Local never."
                    )
            restored = DynamoTables(self._client, self._tables, prefix, self._pause, is_swept=self.is_swept)
            for table in self._tables:
                yield f"{restored._name(table)}: {self._restore(table, restored, moment)}"
            yield from restored._steps()

    def _restore(self, table: Table, restored: DynamoTables, moment: datetime) -> str:
        if restored._describe(table) is not None:
            return "is there"
        self._client.restore_table_to_point_in_time(
            SourceTableName=self._name(table), TargetTableName=restored._name(table), RestoreDateTime=moment
        )
        return "is being restored"

    def _steps(self) -> Iterator[str]:
        for table in self._tables:
            yield f"{self._name(table)}: {self._make(table)}"
        for table in self._tables:
            self._await_active(table)
            if table.expires:
                yield f"{self._name(table)}: {self._let_expire(table)}"
            yield f"{self._name(table)}: {self._recoverable(table)}"

    def _name(self, table: Table) -> str:
        return self._prefix + table.name

    def _make(self, table: Table) -> str:
        found = self._describe(table)
        if found is not None:
            if _keys(found) != _expected_keys(table):
                raise StoreUnavailable(f"{self._name(table)} has other keys than ours: remove it, or choose a prefix")
            return "is there"
        try:
            self._client.create_table(TableName=self._name(table), BillingMode="PAY_PER_REQUEST", **_schema(table))
        except self._client.exceptions.ResourceInUseException:
            return "is being made by another process"
        return "made"

    def _await_active(self, table: Table) -> None:
        for _ in range(_TRIES):
            found = self._describe(table)
            if found is not None and found["TableStatus"] == "ACTIVE":
                return
            self._pause(_PAUSE_SECONDS)
        raise StoreUnavailable(f"{self._name(table)} does not become active: try again later")

    def _let_expire(self, table: Table) -> str:
        if self.is_swept:
            return "items are deleted by `ichidai sweep`"
        if self._expires(table):
            return "items expire"
        setting: Any = {"Enabled": True, "AttributeName": TTL_ATTRIBUTE}
        self._client.update_time_to_live(TableName=self._name(table), TimeToLiveSpecification=setting)
        return "items expire from now on"

    def _expires(self, table: Table) -> bool:
        found = self._client.describe_time_to_live(TableName=self._name(table))["TimeToLiveDescription"]
        return found.get("AttributeName") == TTL_ATTRIBUTE and found["TimeToLiveStatus"] in ("ENABLED", "ENABLING")

    def _recoverable(self, table: Table) -> str:
        state = self._recovery(table)
        if state is None:
            return "this engine has no point-in-time recovery"
        if state:
            return "point-in-time recovery is on"
        setting: Any = {"PointInTimeRecoveryEnabled": True}
        for _ in range(_TRIES):
            try:
                self._client.update_continuous_backups(
                    TableName=self._name(table), PointInTimeRecoverySpecification=setting
                )
            except self._client.exceptions.ContinuousBackupsUnavailableException:
                self._pause(_PAUSE_SECONDS)  # so it is for a while after a table was made
            else:
                return "point-in-time recovery is on from now on"
        raise StoreUnavailable(f"{self._name(table)}: point-in-time recovery cannot be switched on: try again later")

    def _recovery(self, table: Table) -> bool | None:
        """Say whether point-in-time recovery is on; None where there is none, as in DynamoDB Local."""
        try:
            found = self._client.describe_continuous_backups(TableName=self._name(table))
        except self._client.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") == "UnknownOperationException":
                return None
            raise
        state: Any = found["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        return bool(state.get("PointInTimeRecoveryStatus") == "ENABLED")

    def _faults(self, table: Table) -> Iterator[str]:
        found = self._describe(table)
        if found is None:
            yield "is missing: run `ichidai tables create`"
            return
        if _keys(found) != _expected_keys(table):
            yield "has other keys than ours"
        if found["TableStatus"] != "ACTIVE":
            yield f"is {found['TableStatus'].lower()}, not active"
        if table.expires and not self.is_swept and not self._expires(table):
            way = "run `ichidai tables create`, or sweep them (?expiry=sweep)"
            yield f"items do not expire by `{TTL_ATTRIBUTE}`: {way}"
        if self._recovery(table) is False:
            yield "point-in-time recovery is off: run `ichidai tables create`"

    def _describe(self, table: Table) -> Any:
        try:
            return self._client.describe_table(TableName=self._name(table))["Table"]
        except self._client.exceptions.ResourceNotFoundException:
            return None


def _expected_keys(table: Table) -> dict[str, tuple[str, str]]:
    """Return role → (attribute, type): a partition key of text, a sort key of text or number."""
    keys = {"HASH": (table.partition, "S")}
    return keys if table.sort is None else {**keys, "RANGE": (table.sort, "N" if table.sort_is_number else "S")}


def _keys(description: Any) -> dict[str, tuple[str, str]]:
    kinds = {each["AttributeName"]: each["AttributeType"] for each in description["AttributeDefinitions"]}
    return {each["KeyType"]: (each["AttributeName"], kinds[each["AttributeName"]]) for each in description["KeySchema"]}


def _schema(table: Table) -> Any:
    keys = _expected_keys(table)
    return {
        "KeySchema": [{"AttributeName": name, "KeyType": role} for role, (name, _) in keys.items()],
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in keys.values()],
    }
