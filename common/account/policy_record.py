"""The policy as the store keeps it: its values, who changed them and why, and what each host's settings said. Pure.

Unmanaged, a *changed* setting makes policy, and a start alone does not: the record keeps what each host said last. Once
an operator has set a value by command the policy is managed, and settings only warn.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.account.policy import Policy
from common.account.policy_values import DEFAULTS, LIMIT, Values, differences, set_apart, to_policy
from common.clock import from_millis, to_millis
from common.config import SettingsError
from common.storage.port import Item
from common.storage.stored_form import More, carried

POLICY_ID = "policy"
_MOST_HOSTS = 64
_MEMBERS = frozenset(("id", "number", "version", "managed", "values", "lower", "hosts", "change"))
_HOST = frozenset(("host", "said"))
_CHANGE = frozenset(("id", "number", "at", "who", "why", "was", "became"))


class PolicyChange(Struct, frozen=True):
    """A change of the policy: the number it made, who made it and why, and the values before and after."""

    number: int
    at: datetime
    who: str
    why: str
    was: Values
    became: Values
    more: More = {}


class PolicyRecord(Struct, frozen=True):
    """The stored policy. `version` rises with every write, `number` with every change of a value.

    `lower`: see `Policy.lower`. `hosts`: what each host said that is not a default, the one that changed last at the
    end. `change` made this number. `more`, and `more_of_hosts` by host: what a later release wrote.
    """

    number: int
    version: int
    managed: bool
    values: Values
    lower: tuple[tuple[int, int], ...]
    hosts: tuple[tuple[str, Values], ...]
    change: PolicyChange
    more: More = {}
    more_of_hosts: Mapping[str, More] = {}

    def policy(self) -> Policy:
        """Return the policy. Raises SettingsError for one that a later release made and this one does not know."""
        return to_policy(self.values, self.number, self.lower)

    def said_by(self, host: str) -> Values | None:
        """Return what a host said last; None for one that was never seen."""
        return dict(self.hosts).get(host)

    def with_host(self, host: str, said: Values) -> PolicyRecord:
        """Return the record with what a host says."""
        others = tuple(each for each in self.hosts if each[0] != host)
        return replace(self, hosts=(*others, (host, said))[-_MOST_HOSTS:])

    def changed(self, values: Values, *, who: str, why: str, now: datetime) -> PolicyRecord:
        """Return the record under the next number with other values. Raises SettingsError for values that do not go."""
        became = {**self.values, **values}
        to_policy(became)
        limit = int(became.get(LIMIT, DEFAULTS[LIMIT]))
        since = (*self.lower, (self.number, int(self.values.get(LIMIT, DEFAULTS[LIMIT]))))
        lower = tuple(each for each in since if each[1] and (not limit or each[1] < limit))
        was = {name: self.values.get(name, DEFAULTS.get(name, "")) for name in values}
        change = PolicyChange(self.number + 1, now, who, why, was, dict(values))
        return replace(self, number=self.number + 1, values=became, lower=lower, change=change)

    def to_item(self) -> Item:
        """Write it as the item of the key ring's table."""
        return {
            **self.more,
            "id": POLICY_ID,
            "number": self.number,
            "version": self.version,
            "managed": self.managed,
            "values": dict(self.values),
            "lower": [[number, limit] for number, limit in self.lower],
            "hosts": [
                {**self.more_of_hosts.get(host, {}), "host": host, "said": dict(said)} for host, said in self.hosts
            ],
            "change": change_to_item(self.change),
        }

    @staticmethod
    def from_item(item: Mapping[str, Any]) -> PolicyRecord:
        """Read what `to_item` wrote, a later release's members included."""
        return PolicyRecord(
            number=item["number"],
            version=item["version"],
            managed=item["managed"],
            values=dict(item["values"]),
            lower=tuple((number, limit) for number, limit, *_ in item["lower"]),
            hosts=tuple((each["host"], dict(each["said"])) for each in item["hosts"]),
            change=change_from_item(item["change"]),
            more=carried(item, _MEMBERS),
            more_of_hosts={each["host"]: carried(each, _HOST) for each in item["hosts"]},
        )


def change_to_item(change: PolicyChange) -> dict[str, Any]:
    """Write a change."""
    return {
        **change.more,
        "number": change.number,
        "at": to_millis(change.at),
        "who": change.who,
        "why": change.why,
        "was": dict(change.was),
        "became": dict(change.became),
    }


def change_from_item(item: Mapping[str, Any]) -> PolicyChange:
    """Read what `change_to_item` wrote."""
    return PolicyChange(
        number=item["number"],
        at=from_millis(item["at"]),
        who=item["who"],
        why=item["why"],
        was=dict(item["was"]),
        became=dict(item["became"]),
        more=carried(item, _CHANGE),
    )


def first_record(values: Values, host: str, now: datetime) -> PolicyRecord:
    """Return the record of a store that had none: the first host's settings are the policy."""
    change = PolicyChange(1, now, host, "the first start on this store", {}, set_apart(values))
    return PolicyRecord(1, 1, False, dict(values), (), ((host, set_apart(values)),), change)  # noqa: FBT003


def announced(
    record: PolicyRecord, host: str, values: Values, now: datetime, *, others_serve: bool
) -> tuple[PolicyRecord, str | None]:
    """Return the record once a host has said its settings at its start, and a warning where they are not the policy.

    Only a setting that differs from what this very host said last makes policy; all of them do, from a host that was
    never seen before, where no other serves. In a managed policy none does.
    """
    said, before = set_apart(values), record.said_by(host)
    meant = differences(record.values, values)
    if before is not None:
        meant = {name: value for name, value in meant.items() if name in differences(before, said)}
    elif others_serve:
        meant = {}
    if before != said:
        record = record.with_host(host, said)
    if meant and not record.managed:
        try:
            record = record.changed(meant, who=host, why="its settings were changed", now=now)
        except SettingsError:
            meant = {}  # only together with settings that other hosts do not have
    return record, _warning(record, values)


def _warning(record: PolicyRecord, values: Values) -> str | None:
    """Say which settings are not in force."""
    unlike = differences(record.values, values)
    if not unlike:
        return None
    listed = ", ".join(f"{name} is {record.values.get(name, DEFAULTS[name])}, not {unlike[name]}" for name in unlike)
    return f"policy {record.number} is in force whatever this host's settings say: {listed}; see `ichidai policy show`"
