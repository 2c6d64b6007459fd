"""The account book: what it refuses to become, how it is written and read back, and how small it stays."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from msgspec.structs import replace

from common.account.book import AccountState, Book, BoundDevice, Session
from tests.unit.builders import DAY, MILLISECOND, SECOND, T0, a_book, a_device, a_session, books

READ_UNIT = 4096
"""A strongly consistent read of DynamoDB up to this many bytes costs one unit."""

WRITE_UNIT = 1024
"""A write of DynamoDB up to this many bytes costs one unit."""


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
    book = Book(uuid(0), version=99_999_999, change_no=9_999_999, credential_version=99)
    for device in devices:
        book = book.bound(device)
    for session in sessions:
        book = book.opened(session)
    return replace(book, admissions=9_999_999)


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
    """Ten devices and ten sessions stay within one read unit, two within one write unit."""

    def test_two_devices_are_one_write_unit_once_laid_down(self) -> None:
        """Both logged in, the longest numbers, and the id of the change that wrote it."""
        book = full_book(thumbprint=None)
        devices = dict(list(book.devices.items())[:2])
        sessions = [
            replace(session, device_id=device_id, device_name=None)
            for session, device_id in zip(book.sessions.values(), devices, strict=False)
        ]
        two = replace(book, devices=devices, sessions={session.session_id: session for session in sessions})
        two = two.remembering("123456789012", 9_999_999, T0)
        assert (len(two.sessions), len(two.devices), len(two.changes)) == (2, 2, 1)
        assert item_size(two.to_item()) <= WRITE_UNIT

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

    def test_a_book_has_32_sessions_at_most(self) -> None:
        """Whoever opens another sees first that one leaves."""
        full = a_book(*(a_session(f"s{n}", n) for n in range(32)))
        with pytest.raises(ValueError, match="as many sessions"):
            full.opened(a_session("one more", 33, name="Firefox"))
        assert len(full.closed("s0").opened(a_session("one more", 33, name="Firefox")).sessions) == 32

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


class TestAdmissions:
    """A book counts the sessions that were ever opened."""

    def test_it_counts_sessions_that_are_opened_and_nothing_else(self) -> None:
        """Neither their use nor their end moves it, nor a device that comes or goes."""
        before = a_book(a_session("s", 1, device="phone")).closed("s")
        book = before.opened(a_session("s", 2, device="phone"))
        assert (before.admissions, book.admissions) == (0, 1)
        later = book.updated(replace(book.sessions["s"], generation=1)).closed("s").unbound("phone")
        assert later.admissions == 1

    def test_a_book_of_release_0_1_0_has_counted_none(self) -> None:
        """Its list of spent consents is not read."""
        item = {**a_book().to_item(), "spent": {"one": 1}}
        del item["admissions"]
        assert Book.from_item(item).admissions == 0


@pytest.mark.parametrize(
    ("state", "credential_version", "accepted"),
    [(AccountState.ACTIVE, 7, True), (AccountState.ACTIVE, 6, False), (AccountState.DISABLED, 7, False)],
)
def test_a_book_accepts_the_password_of_its_own_epoch_while_it_is_active(
    state: AccountState, credential_version: int, *, accepted: bool
) -> None:
    """A password that was changed since it was found right is not right any more, and a disabled account has none."""
    assert Book("anna", credential_version=7, state=state).is_current(credential_version) is accepted


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


class TestChanges:
    """The book remembers its last changes, and says of any change whether it was made."""

    def test_they_are_kept_for_ten_seconds(self) -> None:
        """Longer than any request waits; not at the tenth."""
        book = a_book().remembering("first", 11, T0).remembering("second", 12, T0 + 10 * SECOND - MILLISECOND)
        assert [change.change_id for change in book.changes] == ["first", "second"]
        book = book.remembering("third", 13, T0 + 10 * SECOND)
        assert [change.change_id for change in book.changes] == ["second", "third"]

    def test_there_are_32_at_most(self) -> None:
        """The oldest go first."""
        book = a_book()
        for number in range(40):
            book = book.remembering(str(number), 11 + number, T0)
        assert [change.change_id for change in book.changes] == [str(number) for number in range(8, 40)]

    def test_what_is_remembered_is_known_and_nothing_else(self) -> None:
        """Made, not made since another was, not made yet, and forgotten."""
        book = a_book(version=10).remembering("mine", 11, T0).remembering("other", 12, T0)
        assert [book.was_made("mine", version) for version in (11, 12, 13)] == [True, False, False]
        assert book.was_made("mine", 10) is None
