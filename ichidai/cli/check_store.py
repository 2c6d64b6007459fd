"""`ichidai check-store`: whether books and what follows from them agree, while servers run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

import click
import orjson

from common.account.audit import AuditKind
from common.account.claim_store import ClaimStore
from common.account.transactions import AccountTransactions
from common.retry import RetryBudget
from common.storage.enumeration import EnumerableStore
from common.storage.idempotent_commit import write_known
from common.storage.port import Item, Key, Table
from common.storage.stored_form import UnknownForm
from common.storage.tables import AUDIT, DEVICE_KEYS, DEVICES, FACTORS, LOGIN_HISTORY, NAMES, SESSIONS, USERS
from ichidai.checking.checker import StoreChecker
from ichidai.checking.finding import Finding, Kind, Weight
from ichidai.checking.mending import StoreMender
from ichidai.cli.administering import changing, operator_by
from ichidai.cli.operating import error, opened, out
from registration.account_db import names_in

_OF_ACCOUNTS = (SESSIONS, USERS, FACTORS, DEVICES, DEVICE_KEYS, LOGIN_HISTORY)

_MOST_AT_ONCE = 1000


@click.command("check-store")
@click.option("--mend", is_flag=True, help="Mend what can be: write anew what follows from books, remove leftovers.")
@click.option("--rate", type=click.IntRange(min=1), metavar="N", help="Go through no more than N items a second.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def app(*, mend: bool, rate: int | None, as_json: bool) -> None:
    """Check whether the store agrees with itself; servers may run.

    What processes that died have not laid down is laid down, as the next reader would; else nothing is changed without
    --mend.

    Damage is something lost or contradictory, a leftover what a request that died left behind. Exit status: 0 nothing
    is wrong, or leftovers alone; 1 there is damage, after --mend: damage is left; 2 it could not look everywhere.
    """
    with opened() as (settings, store), changing(settings, store) as (clock, policies, laying):
        checker = StoreChecker(store, laying, clock, settings.audit_kept)
        transactions = AccountTransactions(store, clock, laying=laying, policies=policies)
        mender = StoreMender(store, transactions, ClaimStore(store, transactions, clock, names_in), clock)
        check = _Check(checker, mender if mend else None, rate, as_json=as_json)
        for look in check.everything(store):
            check.run(look)
        if check.mended:
            line = operator_by(settings, "check-store --mend").line(
                AuditKind.STORE_MENDED, clock(), mended=str(check.mended)
            )
            write_known(store, line, RetryBudget())
    check.conclude()


def paced(
    store: EnumerableStore, table: Table, rate: int | None, pause: Callable[[float], object] = time.sleep
) -> Iterator[Sequence[Item]]:
    """Give the pages of a table, no more than so many items a second; the time that is spent on a page counts."""
    for page in store.pages(table, min(rate or _MOST_AT_ONCE, _MOST_AT_ONCE)):
        begun = time.monotonic()
        yield page
        if rate is not None:
            pause(max(0.0, len(page) / rate - (time.monotonic() - begun)))


Look: TypeAlias = Callable[[], Sequence[Finding]]


class _Check:
    """One run of the command: what it has found, mended and could not look at."""

    def __init__(self, checker: StoreChecker, mender: StoreMender | None, rate: int | None, *, as_json: bool) -> None:
        self._checker = checker
        self._mender = mender
        self._rate = rate
        self._as_json = as_json
        self._seen: set[str] = set()
        self._told: set[tuple[Kind, Key]] = set()
        self._accounts = self._damage = self._leftovers = self._unknown = 0
        self.mended = 0

    def everything(self, store: EnumerableStore) -> Iterator[Look]:
        """Give what is to be looked at: claims, accounts, lines. A claim that is freed may be another's at once."""
        for page in paced(store, NAMES, self._rate):
            yield from (partial(self._checker.of_claim, str(item["claim"])) for item in page)
        for table in _OF_ACCOUNTS:
            for page in paced(store, table, self._rate):
                for user in dict.fromkeys(str(item[table.partition]) for item in page):
                    if user not in self._seen and "#" not in user:  # failed logins are no account's
                        self._seen.add(user)
                        self._accounts += table is SESSIONS
                        yield partial(self._checker.of_account, user)
        for page in paced(store, AUDIT, self._rate):
            yield from (partial(self._checker.of_line, item) for item in page)

    def run(self, look: Look) -> None:
        """Look, mend what can be, look again, and say what was found. Raises StoreUnavailable."""
        try:
            found = look()
            left = {
                each.identity for each in (found if self._mender is None else self._mended(self._mender, found, look))
            }
        except UnknownForm:
            self._unknown += 1
            return
        for finding in found:
            if finding.identity in self._told:  # an account that cannot be read is met by its claims too
                continue
            self._told.add(finding.identity)
            is_mended = finding.identity not in left
            self.mended += is_mended
            self._damage += finding.weight is Weight.DAMAGE and not is_mended
            self._leftovers += finding.weight is Weight.LEFTOVER and not is_mended
            self._say(finding, is_mended=is_mended)

    @staticmethod
    def _mended(mender: StoreMender, found: Sequence[Finding], look: Look) -> Sequence[Finding]:
        """Mend what can be, and return what is left."""
        for finding in found:
            if finding.is_mendable:
                mender.mend(finding)
        return look() if any(finding.is_mendable for finding in found) else found

    def _say(self, finding: Finding, *, is_mended: bool) -> None:
        key = finding.key
        if self._as_json:
            told = {
                "weight": str(finding.weight),
                "kind": str(finding.kind),
                "table": key.table.name,
                "key": [key.partition] if key.sort is None else [key.partition, key.sort],
                "user_uuid": finding.user_uuid,
                "text": finding.text,
                "remedy": finding.remedy,
                "mended": is_mended,
            }
            click.echo(orjson.dumps(told).decode())
            return
        place = key.partition if key.sort is None else f"{key.partition} {key.sort}"
        then = "Mended." if is_mended else f"Remedy: {finding.remedy}."
        out.print(f"{finding.weight}  {finding.kind}  {key.table.name} {place}: {finding.text}. {then}")

    def conclude(self) -> None:
        """Say what it comes to, by the exit status too."""
        if not self._as_json:
            counts = f"{self._damage} damaged, {self._leftovers} left over, {self.mended} mended"
            out.print(f"{self._accounts} accounts checked: {counts}.")
            if self._checker.caught_up:
                out.print(f"Changes of {self._checker.caught_up} accounts were not laid down yet. They are now.")
        if self._unknown:
            error.print(f"{self._unknown} items are a later release's: run the check of that release.")
            raise click.exceptions.Exit(2)
        if self._damage:
            raise click.exceptions.Exit(1)
