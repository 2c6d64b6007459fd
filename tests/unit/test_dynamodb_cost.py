"""The page of the monthly bill is what is computed from the page of costs, and the sums are right."""

from __future__ import annotations

import pytest

from benchmarks import dynamodb_cost
from benchmarks.dynamodb_cost import Habits
from tests.support import benchmarks_page


@pytest.mark.parametrize("name", ["bill", "idle", "habits", "limits"])
def test_the_page_is_what_is_computed(name: str) -> None:
    """After a change of `docs/storage-operations.md` or of an assumption: `python -m benchmarks.dynamodb_cost`."""
    assert benchmarks_page.section(name, dynamodb_cost.PAGE) == dynamodb_cost.sections()[name].strip()


@pytest.mark.parametrize(
    ("operation", "reads", "writes"),
    [
        ("register (the first device)", None, 26),
        ("log in again (a known device)", 5, 5),
        ("log in, for the first time from a place", None, 8),
        ("log in again, with a code of the second factor", None, 6),
        ("log in by force, for the first time from a place, with a code", None, 9),
        ("log in by takeover", 2, None),
        ("log in by takeover again (a known device)", 2, 3),
        ("log in, asked: 409", 6, None),
        ("device/register, asked: 409", 6, None),
        ("log in again, asked: 409 (a known device)", 6, None),
        ("verify", 1, 0),
        ("verify, last seen over a minute ago", None, 1),
        ("refresh", None, 1),
        ("log out", None, 3),
    ],
)
def test_an_operation_takes_no_more_units_than_it_should(
    operation: str, reads: float | None, writes: float | None
) -> None:
    """The goals of issue 16, as numbers: a page that is measured anew and has got dearer is not the new truth."""
    units = dynamodb_cost.units_of_costs()[operation]
    assert reads is None or units.reads <= reads
    assert writes is None or units.writes <= writes


def test_every_habit_has_a_line_of_costs() -> None:
    """A line that was renamed there would be missing here."""
    assert set(dynamodb_cost._OPERATIONS.values()) <= set(dynamodb_cost.units_of_costs())


def test_a_month_is_the_units_times_how_often() -> None:
    """Three verifications are three read units and no write; the rest is nothing."""
    nothing = dict.fromkeys(dynamodb_cost._OPERATIONS, 0.0)
    month = dynamodb_cost.monthly(Habits(**{**nothing, "verify": 3.0}))
    assert (month["verify"].reads, month["verify"].writes) == (3, 0)
    assert sum(each.reads + each.writes for each in month.values()) == 3


def test_ten_times_the_accounts_is_ten_times_the_bill() -> None:
    """No operation gets dearer with the number of accounts."""
    rows = benchmarks_page.rows_of(dynamodb_cost.sections()["bill"])
    asked = [sum(float(row[column].replace(",", "")) for column in (1, 2, 3, 4, 6)) for row in rows]  # not processes
    assert asked[1] / asked[0] == pytest.approx(100, rel=0.01)
    assert asked[2] / asked[1] == pytest.approx(100, rel=0.01)


def test_a_million_accounts_cost_no_more_than_200_dollars() -> None:
    """Streams and what is asked while nobody asks included: the goal of issue 16, held by prices, habits and code."""
    habits, prices = dynamodb_cost.Habits(), dynamodb_cost.Prices()
    bill = dynamodb_cost.bill_of(1_000_000, habits, prices, dynamodb_cost.Sizes(), dynamodb_cost.Fleet())
    assert sum(bill.values()) <= 200
    assert bill["streams"] + bill["processes"] > 10


def test_what_one_account_bears_binds_whatever_the_number_of_accounts() -> None:
    """The book's own limits: three thousand verifications a second, five hundred changes."""
    of_one = {hot.event: hot.bears for hot in dynamodb_cost.hot_keys(Habits()) if hot.a_month is None}
    assert of_one["verifications of one account"] == 3000
    assert of_one["changes of one account"] == 500
