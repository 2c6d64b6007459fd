"""What DynamoDB costs a month, computed from `docs/storage-operations.md` and written to `docs/dynamodb-cost.md`.

Everything that is assumed stands in `Prices`, `Habits` and `Sizes`: change it there and write the page anew. Nothing
here was measured but the units, which `docs/storage-operations.md` holds to the code.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields

from common.account.feed import SHARDS
from common.account.heartbeat import BEAT_SECONDS
from common.keys.key_provider import READ_EVERY_SECONDS
from common.storage.store_clock import MEASURED_EVERY_SECONDS
from common.storage.tables import ALL
from ichidai.host_readiness import EVERY_SECONDS as READY_EVERY_SECONDS
from session_manager.event_watch import FEED_SECONDS, LOOK_SECONDS, POLL_SECONDS
from tests.proof import costs
from tests.support import benchmarks_page

PAGE = benchmarks_page.ROOT / "docs" / "dynamodb-cost.md"
ACCOUNTS = (10_000, 1_000_000, 100_000_000)
_SECONDS = 30 * 86_400
_PARTITION_READS, _PARTITION_WRITES = 3_000, 1_000
_TABLE_READS, _TABLE_WRITES = 40_000, 40_000
"""What DynamoDB bears: a partition key, and by default a table on demand (a quota that Amazon raises when asked)."""


LOOK_UNITS = SHARDS
"""What a look at the feed takes while few sessions end; at 54 a second up to six (`tests/unit/test_feed_units.py`)."""


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


@dataclass(frozen=True, slots=True)
class Fleet:
    """What serves, and how many listen: `hosts` of an app, each with so many `workers` and one process of streams.

    A host is added for each `accounts_a_host`. `listening`: how many accounts in a hundred have a stream open, at all
    times.
    """

    hosts: int = 2
    workers: int = 2
    accounts_a_host: int = 1_000_000
    listening: float = 5

    def hosts_for(self, accounts: int) -> int:
        """Return how many hosts so many accounts have."""
        return max(self.hosts, math.ceil(accounts / self.accounts_a_host))


@dataclass(frozen=True, slots=True)
class Standing:
    """What is asked again and again while nobody asks anything, each time in read and write units (see the test)."""

    what: str
    every: float
    reads: float
    writes: float = 0


PROCESS = (
    Standing("keys", READ_EVERY_SECONDS, 1),
    Standing("policy", READ_EVERY_SECONDS, 1),
    Standing("generation", READ_EVERY_SECONDS, 1),
    Standing("the store's time", MEASURED_EVERY_SECONDS, 0.5),
)
WORKER = (Standing("readiness", READY_EVERY_SECONDS, len(ALL), 1), Standing("heartbeat", BEAT_SECONDS, 0, 1))
STREAMS = (Standing("feed", FEED_SECONDS, LOOK_UNITS), Standing("heartbeats", LOOK_SECONDS, 1))
STREAM = (Standing("the account's book", POLL_SECONDS, 1),)
"""Of each process, of each that serves an app, of each with open streams, and of each stream."""


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
"""Each habit by the name of its line in `docs/storage-operations.md`."""

_HEAD = """\
# The monthly bill

What DynamoDB asks for 10⁴, 10⁶ and 10⁸ accounts. Computed, not measured: the units are those of
[storage-operations.md](storage-operations.md), which tests hold to the code; prices and habits are assumptions that
stand in `benchmarks/dynamodb_cost.py`. Change them there to what is yours, and `python -m benchmarks.dynamodb_cost`
writes the tables anew. Hosts, traffic, tax, and what Amazon gives for nothing are left out.
"""


@dataclass(frozen=True, slots=True)
class Units:
    """Read and write units."""

    reads: float
    writes: float


def units_of_costs() -> Mapping[str, Units]:
    """Return what each operation takes, as `docs/storage-operations.md` says."""
    rows = benchmarks_page.rows_of(benchmarks_page.section("costs", costs.PAGE))
    return {row[0]: Units(float(row[3]), float(row[4])) for row in rows}


def monthly(habits: Habits) -> Mapping[str, Units]:
    """Return what each habit of one account takes in a month."""
    units = units_of_costs()
    times = {habit: getattr(habits, habit) for habit in _OPERATIONS}
    return {
        habit: Units(times[habit] * units[name].reads, times[habit] * units[name].writes)
        for habit, name in _OPERATIONS.items()
    }


def bill_of(accounts: int, habits: Habits, prices: Prices, sizes: Sizes, fleet: Fleet) -> Mapping[str, float]:
    """Return what so many accounts cost a month, by what it is for."""
    month = monthly(habits)
    reads, writes = sum(each.reads for each in month.values()), sum(each.writes for each in month.values())
    size = (sizes.device * sizes.devices + sizes.others) / 1_000_000
    return {
        "reads": accounts * reads / 1e6 * prices.million_reads,
        "writes": accounts * writes / 1e6 * prices.million_writes,
        "storage": accounts * size * prices.gigabyte_month,
        "backup": accounts * size * prices.backup_gigabyte_month,
        "processes": sum(of_processes(accounts, fleet, prices).values()),
        "streams": of_streams(accounts, fleet, prices),
    }


def _bill(habits: Habits, prices: Prices, sizes: Sizes, fleet: Fleet) -> str:
    bills = {accounts: bill_of(accounts, habits, prices, sizes, fleet) for accounts in ACCOUNTS}
    rows = []
    for accounts, bill in bills.items():
        total = sum(bill.values())
        rows.append(
            (
                f"{accounts:,}",
                *(_dollars(each) for each in bill.values()),
                f"**{_dollars(total)}**",
                f"{total / accounts * 1000:.2f}",
                f"{accounts * habits.verify / _SECONDS * habits.peak:,.1f}",
            )
        )
    parts = (*bills[ACCOUNTS[0]], "a month", "1,000 accounts")
    head = ("accounts", *(f"{part}, $" for part in parts), "verifications/s at the peak")
    return benchmarks_page.table(head, rows)


def _dollars_of(standing: Standing, prices: Prices) -> float:
    times = _SECONDS / standing.every / 1e6
    return times * (standing.reads * prices.million_reads + standing.writes * prices.million_writes)


def of_processes(accounts: int, fleet: Fleet, prices: Prices) -> Mapping[str, float]:
    """Return what each thing that processes ask by themselves costs a month."""
    hosts = fleet.hosts_for(accounts)
    counts = ((PROCESS, hosts * (fleet.workers + 1)), (WORKER, hosts * fleet.workers), (STREAMS, hosts))
    return {each.what: count * _dollars_of(each, prices) for standing, count in counts for each in standing}


def of_streams(accounts: int, fleet: Fleet, prices: Prices) -> float:
    """Return what the looks of open streams into their accounts' books cost a month."""
    streams = accounts * fleet.listening / 100
    return streams * sum(_dollars_of(each, prices) for each in STREAM)


def _idle(prices: Prices) -> str:
    standing = {"process": PROCESS, "worker": WORKER, "process with open streams": STREAMS, "open stream": STREAM}
    rows = [
        (each.what, of, *(f"{n:g}" for n in (each.every, each.reads, each.writes)), f"{_dollars_of(each, prices):.3f}")
        for of, all_of_it in standing.items()
        for each in all_of_it
    ]
    return benchmarks_page.table(("what", "each", "every, seconds", "read units", "write units", "a month, $"), rows)


def _standing(fleet: Fleet, prices: Prices) -> str:
    more, listening = f"one for each {fleet.accounts_a_host:,} accounts", f"{fleet.listening:g} %"
    sweep = ACCOUNTS[1] * fleet.listening / 100 / 1e6 * prices.million_reads
    said = (
        f"The bill above has {fleet.hosts} hosts, or {more} if that is more, each with {fleet.workers} workers and a",
        f"process of streams, and {listening} of the accounts have an open stream at any time. At the turn of a minute",
        "a look at the feed takes twice as much. Beside that a process that is killed, and a change of the session",
        f"policy, each cost one read of every stream's book: ${sweep:.4f} with {ACCOUNTS[1]:,} accounts.",
    )
    return "\n".join(said)


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
    return benchmarks_page.table(("operation", "a month", "read units", "write units", "of the cost of requests"), rows)


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
        _Hot("ThrottleTable: `from#` an address", "password checks from one source", _PARTITION_WRITES / 2, None),
        _Hot("ThrottleTable: `of#` an account", "guesses at one account", _PARTITION_WRITES, None),
        _Hot("KeyRingTable: `ring`", "processes, each reading once a second", _PARTITION_READS, None),
        _Hot(f"FeedTable: a minute, in {SHARDS} shards", "sessions that end", SHARDS * _PARTITION_WRITES / 2, ends),
        _Hot("RevocationsTable: an authority's marks", "certificates revoked", _PARTITION_WRITES / 2, habits.revoke),
        _Hot("SessionsTable, the whole table", "verifications", _TABLE_READS, habits.verify + habits.seen_anew),
        _Hot("ThrottleTable, the whole table", "password checks", _TABLE_WRITES / 2, logins),
    ]


def _limits(habits: Habits) -> str:
    rows = []
    for hot in sorted(hot_keys(habits), key=lambda hot: _binding(hot, habits)):
        accounts = _binding(hot, habits)
        told = "at any number" if hot.a_month is None else f"{accounts:,.0f}"
        rows.append((hot.key, hot.event, f"{hot.bears:,.0f}", told))
    return benchmarks_page.table(("key", "what", "a second", "accounts at which the peak is there"), rows)


def _binding(hot: _Hot, habits: Habits) -> float:
    if hot.a_month is None:
        return 0.0
    return hot.bears * _SECONDS / habits.peak / hot.a_month


def _dollars(amount: float) -> str:
    return f"{amount:,.2f}" if amount < 100 else f"{amount:,.0f}"


def sections() -> Mapping[str, str]:
    """Return the tables of the page, by the names of their sections."""
    habits, prices, sizes, fleet = Habits(), Prices(), Sizes(), Fleet()
    assumed = "\n".join(
        f"- {name}: {', '.join(f'{field.name} {getattr(values, field.name):g}' for field in fields(values))}"
        for name, values in (("Prices, in dollars", prices), ("Kilobytes of an account", sizes))
    )
    peak = f"The busiest second is {habits.peak:g} times the mean."
    return {
        "bill": f"## The bill\n\n{_bill(habits, prices, sizes, fleet)}\n\n{assumed}\n- {peak}",
        "idle": f"## What is asked while nobody asks\n\n{_standing(fleet, prices)}\n\n{_idle(prices)}",
        "habits": f"## What an account does\n\n{_AVERAGE}\n\n{_habits(habits, prices)}",
        "limits": f"## What binds first\n\n{_LIMITS}\n\n{_limits(habits)}",
    }


_AVERAGE = "A month's average over all accounts, idle ones too."
_LIMITS = f"""\
A partition key bears {_PARTITION_WRITES:,} write and {_PARTITION_READS:,} read units a second, a table on demand
{_TABLE_READS:,} of each by default (a quota, raised when asked; a new table begins with less and may double within half
an hour). First come limits of one account or source, whatever the number of
accounts: they bind in attacks, and for many people behind one address. A proxy that is not listed in
`ICHIDAI_TRUSTED_PROXIES` makes all clients one source."""


def main() -> int:
    """Write the page."""
    if not PAGE.exists():
        PAGE.write_text(_HEAD, encoding="utf-8")
    for name, body in sections().items():
        benchmarks_page.replace_section(name, body, PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
