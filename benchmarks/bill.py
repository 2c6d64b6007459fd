"""The monthly bill on DynamoDB, computed from `docs/costs.md`; `python -m benchmarks.bill` writes `docs/bill.md`.

Everything that is assumed stands in `Prices`, `Habits` and `Sizes`: change it there and write the page anew. Nothing
here was measured but the units, which `docs/costs.md` holds to the code.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields

from common.feed import SHARDS
from tests import figures_page
from tests.proof import costs

PAGE = figures_page.ROOT / "docs" / "bill.md"
ACCOUNTS = (10_000, 1_000_000, 100_000_000)
_SECONDS = 30 * 86_400
_PARTITION_READS, _PARTITION_WRITES = 3_000, 1_000
_TABLE_READS, _TABLE_WRITES = 40_000, 40_000
"""What DynamoDB bears: a partition key, and by default a table on demand (a quota that Amazon raises when asked)."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars, on demand, table class Standard, us-east-1, as published in 2025 (aws.amazon.com/dynamodb/pricing)."""

    million_reads: float = 0.125
    million_writes: float = 0.625
    gigabyte_month: float = 0.25
    backup_gigabyte_month: float = 0.20


@dataclass(frozen=True, slots=True)
class Habits:
    """What one account does in a month, the average of all, idle ones too. `peak`: the busiest second over the mean."""

    verify: float = 600
    seen_anew: float = 60
    refresh: float = 45
    log_in_again: float = 2
    asked: float = 0.4
    takeover: float = 0.3
    wrong_password: float = 0.3
    log_out: float = 0.5
    lists: float = 2
    register: float = 0.05
    second_device: float = 0.02
    revoke: float = 0.005
    peak: float = 5


@dataclass(frozen=True, slots=True)
class Sizes:
    """Kilobytes of an account's items, DynamoDB's 100 bytes for each among them: two devices, a year of history."""

    device: float = 12.7
    devices: float = 1.5
    others: float = 12


_OPERATIONS = {
    "verify": "verify",
    "seen_anew": "verify, last seen over a minute ago",
    "refresh": "refresh",
    "log_in_again": "log in again (a known device)",
    "asked": "log in, asked: 409",
    "takeover": "log in by takeover",
    "wrong_password": "log in, wrong password: 401",
    "log_out": "log out",
    "lists": "list the devices",
    "register": "register (the first device)",
    "second_device": "redeem it: a second device",
    "revoke": "unbind a device",
}
"""Each habit by the name of its line in `docs/costs.md`."""

_HEAD = """\
# The monthly bill

What DynamoDB asks for 10⁴, 10⁶ and 10⁸ accounts. Computed, not measured: the units are those of [costs.md](costs.md),
which tests hold to the code; prices and habits are assumptions that stand in `benchmarks/bill.py`. Change them there to
what is yours, and `python -m benchmarks.bill` writes the tables anew. Hosts, traffic, tax, and what Amazon gives for
nothing are left out.
"""


@dataclass(frozen=True, slots=True)
class Units:
    """Read and write units."""

    reads: float
    writes: float


def units_of_costs() -> Mapping[str, Units]:
    """Return what each operation takes, as `docs/costs.md` says."""
    rows = figures_page.rows_of(figures_page.section("costs", costs.PAGE))
    return {row[0]: Units(float(row[3]), float(row[4])) for row in rows}


def monthly(habits: Habits) -> Mapping[str, Units]:
    """Return what each habit of one account takes in a month."""
    units = units_of_costs()
    times = {habit: getattr(habits, habit) for habit in _OPERATIONS}
    return {
        habit: Units(times[habit] * units[name].reads, times[habit] * units[name].writes)
        for habit, name in _OPERATIONS.items()
    }


def _bill(habits: Habits, prices: Prices, sizes: Sizes) -> str:
    month = monthly(habits)
    reads, writes = sum(each.reads for each in month.values()), sum(each.writes for each in month.values())
    size = (sizes.device * sizes.devices + sizes.others) / 1_000_000
    rows = []
    for accounts in ACCOUNTS:
        costs_of = (
            accounts * reads / 1e6 * prices.million_reads,
            accounts * writes / 1e6 * prices.million_writes,
            accounts * size * prices.gigabyte_month,
            accounts * size * prices.backup_gigabyte_month,
        )
        rows.append(
            (
                f"{accounts:,}",
                *(_dollars(each) for each in costs_of),
                f"**{_dollars(sum(costs_of))}**",
                f"{sum(costs_of) / accounts * 1000:.2f}",
                f"{accounts * habits.verify / _SECONDS * habits.peak:,.1f}",
            )
        )
    dollars = ("reads, $", "writes, $", "storage, $", "backup, $", "a month, $", "1,000 accounts, $")
    return figures_page.table(("accounts", *dollars, "verifications/s at the peak"), rows)


def _habits(habits: Habits, prices: Prices) -> str:
    month, total = monthly(habits), 0.0
    costs_of = {}
    for habit, each in month.items():
        costs_of[habit] = each.reads * prices.million_reads + each.writes * prices.million_writes
        total += costs_of[habit]
    rows = [
        (
            _OPERATIONS[habit],
            f"{getattr(habits, habit):g}",
            f"{each.reads:.2f}",
            f"{each.writes:.2f}",
            f"{costs_of[habit] / total:.0%}",
        )
        for habit, each in month.items()
    ]
    return figures_page.table(("operation", "a month", "read units", "write units", "of the cost of requests"), rows)


@dataclass(frozen=True, slots=True)
class _Hot:
    """A partition key that many ask: what a second of it bears, and how often an account comes there in a month."""

    key: str
    event: str
    bears: float
    a_month: float | None


def hot_keys(habits: Habits) -> list[_Hot]:
    """Return the keys and tables that bind, those of one account or source first."""
    ends = habits.takeover + habits.log_out + habits.revoke + habits.log_in_again
    logins = habits.log_in_again + habits.asked + habits.wrong_password
    return [
        _Hot("SessionsTable: an account's book", "verifications of one account", _PARTITION_READS, None),
        _Hot("SessionsTable: an account's book", "changes of one account", _PARTITION_WRITES / 2, None),
        _Hot("ThrottleTable: `source#` an address", "password checks from one source", _PARTITION_WRITES / 4, None),
        _Hot("ThrottleTable: `account#` an account", "guesses at one account", _PARTITION_WRITES / 4, None),
        _Hot("KeyRingTable: `ring`", "processes, each reading once a second", _PARTITION_READS, None),
        _Hot(f"FeedTable: a minute, in {SHARDS} shards", "sessions that end", SHARDS * _PARTITION_WRITES / 2, ends),
        _Hot("RevocationsTable: an authority's marks", "certificates revoked", _PARTITION_WRITES / 2, habits.revoke),
        _Hot("SessionsTable, the whole table", "verifications", _TABLE_READS, habits.verify + habits.seen_anew),
        _Hot("ThrottleTable, the whole table", "password checks", _TABLE_WRITES / 6, logins),
    ]


def _limits(habits: Habits) -> str:
    rows = []
    for hot in sorted(hot_keys(habits), key=lambda hot: _binding(hot, habits)):
        accounts = _binding(hot, habits)
        told = "at any number" if hot.a_month is None else f"{accounts:,.0f}"
        rows.append((hot.key, hot.event, f"{hot.bears:,.0f}", told))
    return figures_page.table(("key", "what", "a second", "accounts at which the peak is there"), rows)


def _binding(hot: _Hot, habits: Habits) -> float:
    if hot.a_month is None:
        return 0.0
    return hot.bears * _SECONDS / habits.peak / hot.a_month


def _dollars(amount: float) -> str:
    return f"{amount:,.2f}" if amount < 100 else f"{amount:,.0f}"


def sections() -> Mapping[str, str]:
    """Return the tables of the page, by the names of their sections."""
    habits, prices, sizes = Habits(), Prices(), Sizes()
    assumed = "\n".join(
        f"- {name}: {', '.join(f'{field.name} {getattr(values, field.name):g}' for field in fields(values))}"
        for name, values in (("Prices, in dollars", prices), ("Kilobytes of an account", sizes))
    )
    peak = f"The busiest second is {habits.peak:g} times the mean."
    return {
        "bill": f"## The bill\n\n{_bill(habits, prices, sizes)}\n\n{assumed}\n- {peak}",
        "habits": f"## What an account does\n\n{_AVERAGE}\n\n{_habits(habits, prices)}",
        "limits": f"## What binds first\n\n{_LIMITS}\n\n{_limits(habits)}",
    }


_AVERAGE = "A month's average over all accounts, idle ones too."
_LIMITS = f"""\
A partition key bears {_PARTITION_WRITES:,} write and {_PARTITION_READS:,} read units a second, a table on demand
{_TABLE_READS:,} of each by default (a quota, raised when asked; a new table begins with less and may double within half
an hour). A write of a transaction takes two units. First come limits of one account or source, whatever the number of
accounts: they bind in attacks, and for many people behind one address. A proxy that is not listed in
`ICHIDAI_TRUSTED_PROXIES` makes everybody one source."""


def main() -> int:
    """Write the page."""
    if not PAGE.exists():
        PAGE.write_text(_HEAD, encoding="utf-8")
    for name, body in sections().items():
        figures_page.replace_section(name, body, PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
