"""The account book: what it refuses to become, how it is written and read back, and how small it stays."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from msgspec.structs import replace

from common.book import AccountState, Book, BoundDevice, Session
from tests.unit.making import DAY, MILLISECOND, SECOND, T0, a_book, a_device, a_session, books

READ_UNIT = 4096
"""A strongly consistent read of DynamoDB up to this many bytes costs one unit."""


def dynamodb_size(value: Any) -> int:
    """Return how many bytes DynamoDB counts for a value, as its manual says ("DynamoDB item sizes and formats").

    Text and attribute names count as UTF-8; a number one byte for two digits and one more; null and truth one; a list
    or map three, and one for each element.
    """
    match value:
        case None | bool():
            return 1
        case int():
            return (len(str(abs(value)).strip("0")) + 1) // 2 + 1 + (value < 0)
        case str():
            return len(value.encode())
        case dict():
            return 3 + sum(1 + len(name.encode()) + dynamodb_size(inner) for name, inner in value.items())
        case list() | tuple():
            return 3 + sum(1 + dynamodb_size(inner) for inner in value)
    raise TypeError(type(value).__name__)


def item_size(item: Any) -> int:
    """Return how many bytes DynamoDB counts for an item: its attributes' names and values."""
    return sum(len(name.encode()) + dynamodb_size(value) for name, value in item.items())


def uuid(number: int) -> str:
    """Return a UUID of full length."""
    return str(UUID(int=number + 2**127))


def full_book(thumbprint: str | None = "A" * 43) -> Book:
    """Return a book of an old account: ten devices, ten refreshed sessions of named browsers, bound, five consents.

    A session that is bound to a certificate has no name, which is longer than that mark.
    """
    at = T0 + 123 * MILLISECOND
    devices = [BoundDevice(uuid(n), f"{n:064x}", at + 365 * DAY) for n in range(10)]
    sessions = [
        replace(
            a_session(uuid(100 + n), 9_999_990 + n, device=uuid(200 + n), at=at, name="Firefox on Windows"),
            generation=99_999,
            rotated_at=at + 29 * DAY + 7 * MILLISECOND,
            last_seen_at=at + 29 * DAY + 9 * MILLISECOND,
            thumbprint=thumbprint,
        )
        for n in range(10)
    ]
    book = Book(uuid(0), version=99_999_999, change_no=9_999_999, epoch=99)
    for device in devices:
        book = book.bound(device)
    for session in sessions:
        book = book.opened(session)
    for number in range(5):
        book = book.spent(uuid(300 + number), at + timedelta(seconds=120), at)
    return book


@given(books())
def test_a_book_reads_back_as_it_was_written(book: Book) -> None:
    """Through the item alone, and through JSON as SQLite keeps it."""
    assert Book.from_item(book.to_item()) == book
    assert Book.from_item(orjson.loads(orjson.dumps(book.to_item()))) == book


@given(books())
def test_a_book_holds_one_session_a_device_in_order_of_login(book: Book) -> None:
    """The order is that of `seq`, whatever the clocks said at login."""
    in_order = book.in_order()
    assert [s.seq for s in in_order] == sorted(s.seq for s in book.sessions.values())
    assert len({s.device_id for s in in_order}) == len(in_order)
    assert all(book.session_of(s.device_id) == s for s in in_order)


class TestSize:
    """Ten devices and ten sessions stay within one read unit."""

    def test_a_full_book_is_one_read_unit_in_dynamodb(self) -> None:
        """Counted as DynamoDB counts, names of attributes included."""
        assert item_size(full_book().to_item()) < READ_UNIT

    def test_a_full_book_is_as_small_in_json(self) -> None:
        """Counted as SQLite keeps it, where a page is as large; with ten keys it is a little more than one."""
        assert len(orjson.dumps(full_book(thumbprint=None).to_item())) < READ_UNIT
        assert len(orjson.dumps(full_book().to_item())) < 1.1 * READ_UNIT

    def test_the_count_is_that_of_the_manual(self) -> None:
        """A few sizes that can be counted on fingers."""
        assert item_size({"ab": "é", "n": 123, "z": 1000, "t": True}) == (2 + 2) + (1 + 3) + (1 + 2) + (1 + 1)
        assert item_size({"m": {"k": "v"}, "l": [None, -5]}) == (1 + 3 + 1 + 1 + 1) + (1 + 3 + (1 + 1) + (1 + 3))


def test_a_certified_session_is_bound_to_the_certificate_that_its_device_has_now() -> None:
    """The book says which one that is; a session that is not certified is bound to none."""
    session = replace(a_session("s", 1, device="phone"), certified=True)
    book = a_book(session)
    assert book.certificate_of(session) == a_device("phone").fingerprint
    assert book.renewed("phone", "f" * 64, T0 + DAY).certificate_of(session) == "f" * 64
    assert book.certificate_of(replace(session, certified=False)) is None
    assert replace(book, devices={}).certificate_of(session) is None


class TestSessions:
    """A book opens, updates and closes sessions."""

    def test_it_finds_a_device_by_its_fingerprint_and_its_session(self) -> None:
        """And nothing for a stranger."""
        book = a_book(a_session("s", 1, device="phone"))
        assert book.device_with(a_device("phone").fingerprint) == a_device("phone")
        assert book.device_with("") is None
        assert book.session_of("phone") == book.sessions["s"]
        assert book.session_of("laptop") is None

    def test_a_second_session_of_a_device_is_refused(self) -> None:
        """Sessions never outnumber devices."""
        book = a_book(a_session("s", 1, device="phone"))
        with pytest.raises(ValueError, match="one session"):
            book.opened(a_session("t", 2, device="phone"))

    def test_a_session_of_an_unbound_device_is_refused(self) -> None:
        """Unless the device exists with this session alone and has a name."""
        with pytest.raises(ValueError, match="bound device"):
            a_book().opened(a_session("s", 1, device="phone"))
        assert a_book().opened(a_session("s", 1, name="Firefox")).sessions.keys() == {"s"}

    def test_only_a_session_that_is_there_can_be_updated(self) -> None:
        """An ended session does not come back by the way."""
        session = a_session("s", 1)
        seen = replace(session, last_seen_at=T0 + SECOND)
        assert a_book(session).updated(seen).sessions == {"s": seen}
        with pytest.raises(KeyError):
            a_book().updated(session)

    def test_closing_removes_one_session_and_leaves_the_book_before_as_it_was(self) -> None:
        """Books are values."""
        before = a_book(a_session("s", 1), a_session("t", 2))
        assert before.closed("s").sessions.keys() == {"t"}
        assert before.sessions.keys() == {"s", "t"}


class TestDevices:
    """A book binds and unbinds devices."""

    def test_an_id_is_bound_once(self) -> None:
        """A collision of ids never overwrites a device."""
        book = a_book().bound(a_device("phone"))
        with pytest.raises(ValueError, match="bound already"):
            book.bound(replace(a_device("laptop"), device_id="phone"))

    def test_a_certificate_is_bound_once(self) -> None:
        """Two devices cannot share one."""
        book = a_book().bound(a_device("phone"))
        with pytest.raises(ValueError, match="bound already"):
            book.bound(replace(a_device("phone"), device_id="laptop"))

    def test_a_device_with_a_session_is_not_unbound(self) -> None:
        """No live session is ever left on an unbound device."""
        book = a_book(a_session("s", 1, device="phone"))
        with pytest.raises(ValueError, match="still has a session"):
            book.unbound("phone")
        assert not book.closed("s").unbound("phone").devices


class TestConsents:
    """A book remembers consents until they have expired."""

    def test_a_spent_consent_is_kept_until_it_expires(self) -> None:
        """Then the next one clears it away, so that they do not pile up."""
        book = a_book().spent("one", T0 + SECOND, T0)
        assert book.spent("two", T0 + DAY, T0).spent_consents.keys() == {"one", "two"}
        assert book.spent("two", T0 + DAY, T0 + SECOND).spent_consents.keys() == {"two"}


@pytest.mark.parametrize(
    ("state", "epoch", "accepted"),
    [(AccountState.ACTIVE, 7, True), (AccountState.ACTIVE, 6, False), (AccountState.DISABLED, 7, False)],
)
def test_a_book_accepts_the_password_of_its_own_epoch_while_it_is_active(
    state: AccountState, epoch: int, *, accepted: bool
) -> None:
    """A password that was changed since it was found right is not right any more, and a disabled account has none."""
    assert Book("anna", epoch=7, state=state).accepts(epoch) is accepted


def test_an_empty_book_is_active_and_has_nothing() -> None:
    """As registration begins."""
    book = Book("anna")
    assert (book.state, book.in_order(), dict(book.devices), book.version) == (AccountState.ACTIVE, (), {}, 0)


def test_a_self_keyed_device_and_a_nameless_session_cost_no_bytes_for_what_they_lack() -> None:
    """Optional fields are written only where they are set."""
    session: Session = a_session("s", 1, device="phone")
    item: Any = a_book(session).to_item()
    assert set(item["sessions"]["s"]) == {"d", "q", "l", "a", "s", "e"}
    assert set(item["devices"]["phone"]) == {"fp", "na"}
