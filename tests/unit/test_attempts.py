"""What one item of ThrottleTable counts: sources that are pushed out gain nothing, and it stays one write unit."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import orjson
from hypothesis import given
from hypothesis import strategies as st

from common.rate_limit import NOTHING, Exhausted, Quota
from registration.attempts import MOST_SOURCES, Attempts, Quotas
from registration.login_rate_limiter import source_of
from tests.unit.builders import MINUTE, SECOND, T0
from tests.unit.test_book import item_size

ACCOUNT = Quotas(Quota(50, MINUTE), Quota(10, 15 * MINUTE), Quota(10, MINUTE))
MANY = Quotas(Quota(10_000, MINUTE), None, Quota(3, MINUTE))
WRITE_UNIT = 1024

sources = st.integers(0, 40).map(str)


def spent(attempts: Attempts, quotas: Quotas, source: str, times: int = 1) -> Attempts:
    """Return it after so many tries, which must all be there."""
    for _ in range(times):
        outcome = attempts.with_password(quotas, source)
        assert isinstance(outcome, Attempts)
        attempts = outcome
    return attempts


@given(st.lists(st.tuples(sources, st.sampled_from(["spend", "spend", "spend", "give back"])), max_size=200))
def test_no_source_has_more_tries_than_its_own_however_many_there_are(steps: list[tuple[str, str]]) -> None:
    """Forty-one sources and sixteen entries: a source that lost its entry keeps what it spent."""
    attempts, judged, pending = Attempts(T0), Counter[str](), Counter[str]()
    for source, what in steps:
        if what == "give back" and pending[source]:
            attempts, pending[source] = attempts.without_password(MANY, source), pending[source] - 1
        elif what == "spend":
            outcome = attempts.with_password(MANY, source)
            if isinstance(outcome, Attempts):
                attempts, pending[source] = outcome, pending[source] + 1
        assert pending[source] <= 3
        judged[source] = pending[source]
        assert len(attempts.sources) <= MOST_SOURCES
    for source, count in judged.items():
        assert attempts.sources.get(source, attempts.others) >= count * MINUTE


def test_whoever_is_pushed_out_has_what_it_had_left() -> None:
    """Two of three tries spent, then sixteen others spend all of theirs: one is left, as before."""
    attempts = spent(Attempts(T0), MANY, "pushed out", 2)
    for number in range(MOST_SOURCES):
        attempts = spent(attempts, MANY, str(number), 3)
    assert "pushed out" not in attempts.sources
    attempts = spent(attempts, MANY, "pushed out")
    assert isinstance(attempts.with_password(MANY, "pushed out"), Exhausted)


def test_many_sources_leave_a_new_one_most_of_its_tries() -> None:
    """Fifty wrong ones, all that an account bears, from fifty sources: the next source would still have eight."""
    attempts = Attempts(T0)
    for number in range(50):
        attempts = spent(attempts, ACCOUNT, str(number))
    assert isinstance(attempts.with_password(ACCOUNT, "next"), Exhausted), "the account bears no more"
    assert attempts.others <= 2 * MINUTE
    later = attempts.leaked(T0 + 10 * MINUTE)
    assert spent(later, ACCOUNT, "next", 10).sources["next"] == 10 * MINUTE


def test_all_that_leaks_is_gone_and_forgotten() -> None:
    """Every level by itself, and nothing is kept of a source that has nothing spent."""
    outcome = spent(spent(Attempts(T0), ACCOUNT, "one"), ACCOUNT, "two", 2).with_code(ACCOUNT)
    assert isinstance(outcome, Attempts)
    later = outcome.leaked(T0 + 90 * SECOND)
    assert later == Attempts(T0 + 90 * SECOND, 90 * SECOND, 13.5 * MINUTE, {"two": 30 * SECOND})
    assert later.empty_at() == T0 + 15 * MINUTE
    assert later.leaked(later.empty_at()) == Attempts(later.empty_at())


def test_what_was_put_back_is_as_if_it_had_never_been() -> None:
    """A password's try and a code's."""
    outcome = spent(Attempts(T0), ACCOUNT, "one").with_code(ACCOUNT)
    assert isinstance(outcome, Attempts)
    assert outcome.without_code(ACCOUNT).without_password(ACCOUNT, "one") == Attempts(T0)


levels = st.integers(1, 10**9).map(lambda millis: timedelta(milliseconds=millis))


@given(st.builds(Attempts, st.just(T0), levels, levels, st.dictionaries(sources, levels, max_size=16), levels))
def test_it_reads_back_as_it_was_written(attempts: Attempts) -> None:
    """Through JSON as SQLite keeps it."""
    assert Attempts.from_item(orjson.loads(orjson.dumps(attempts.to_fields()))) == attempts


def test_the_largest_item_is_one_write_unit() -> None:
    """Sixteen networks of IPv6, an account that nobody knows, and levels as long as the settings let them be."""
    longest = timedelta(minutes=1_000_000)
    widest = [source_of(f"ffff:ffff:ffff:{number:04x}::1") for number in range(0xFFF0, 0x10000)]
    attempts = Attempts(T0, longest, 15 * longest, dict.fromkeys(widest, longest), longest)
    item = {"bucket": "of#" + "f" * 64, "version": "v" * 36, **attempts.to_fields(), "expires_at": 2_108_800_000_000}
    assert len(attempts.sources) == MOST_SOURCES
    assert item_size(item) <= WRITE_UNIT
    assert attempts.others > NOTHING
