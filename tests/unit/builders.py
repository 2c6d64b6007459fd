"""Books, sessions and devices for unit tests: short ways to make them by hand, and hypothesis strategies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from common.account.book import AccountState, Book, BoundDevice, Session
from common.account.liveness import SessionRules
from common.clock import from_millis, to_millis

T0 = datetime(2036, 11, 21, 9, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)
RULES = SessionRules(limit=1, idle=DAY)


def a_device(name: str, *, not_after: datetime = T0 + 365 * DAY) -> BoundDevice:
    """Return a bound device; another name is another certificate."""
    return BoundDevice(name, name.encode().hex().rjust(64, "0"), not_after)


def a_session(
    session_id: str,
    seq: int,
    *,
    device: str | None = None,
    at: datetime = T0,
    ends_at: datetime | None = None,
    name: str | None = None,
) -> Session:
    """Return a session of a device (by default of one named after it) that logged in and was last seen at `at`."""
    return Session(
        session_id=session_id,
        device_id=device or f"device of {session_id}",
        seq=seq,
        login_at=at,
        auth_time=at,
        last_seen_at=at,
        ends_at=ends_at or at + 30 * DAY,
        device_name=name,
    )


def a_book(
    *sessions: Session, user: str = "anna", version: int = 10, state: AccountState = AccountState.ACTIVE
) -> Book:
    """Return a book with these sessions, their devices bound unless the session names its own."""
    bound = {s.device_id: a_device(s.device_id) for s in sessions if s.device_name is None}
    return Book(user, version=version, state=state, devices=bound, sessions={s.session_id: s for s in sessions})


def moments(low: datetime = T0 - 10 * DAY, high: datetime = T0 + 400 * DAY) -> st.SearchStrategy[datetime]:
    """Return times with millisecond precision."""
    return st.integers(to_millis(low), to_millis(high)).map(from_millis)


uuids = st.uuids(version=4).map(str)
names = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=64)


@st.composite
def books(draw: st.DrawFn) -> Book:
    """Draw a book that keeps its invariants: one session a device, each device bound or named, every seq once."""
    bound = draw(st.lists(st.builds(_device, uuids, moments(), st.booleans()), max_size=6, unique_by=_device_id))
    book = Book(
        user_uuid=draw(uuids),
        version=draw(st.integers(0, 2**40)),
        change_no=draw(st.integers(0, 2**40)),
        credential_version=draw(st.integers(0, 1000)),
        state=draw(st.sampled_from(AccountState)),
        admissions=draw(st.integers(0, 2**40)),
        evictions=tuple(draw(st.lists(moments(), max_size=4))),
        policy=draw(st.integers(0, 2**31)),
    )
    for device in bound:
        book = book.bound(device)
    nameless = draw(st.lists(uuids, max_size=3, unique=True))
    holders = [(d.device_id, None) for d in bound if draw(st.booleans())] + [(i, draw(names)) for i in nameless]
    for seq, (device_id, name) in enumerate(draw(st.permutations(holders))):
        if book.session_of(device_id) is None:
            book = book.opened(draw(sessions(device_id, seq, name)))
    return book


@st.composite
def sessions(draw: st.DrawFn, device_id: str, seq: int, name: str | None) -> Session:
    """Draw a session of a device; only one that was refreshed has a generation."""
    rotated_at = draw(st.none() | moments())
    return Session(
        session_id=draw(uuids),
        device_id=device_id,
        seq=seq,
        login_at=draw(moments()),
        auth_time=draw(moments()),
        last_seen_at=draw(moments()),
        ends_at=draw(moments()),
        generation=0 if rotated_at is None else draw(st.integers(1, 2**31)),
        rotated_at=rotated_at,
        device_name=name,
        thumbprint=draw(st.none() | st.just("A" * 43)),
        certified=name is None and draw(st.booleans()),
    )


def _device(device_id: str, not_after: datetime, self_keyed: bool) -> BoundDevice:  # noqa: FBT001 - st.builds
    return BoundDevice(device_id, device_id.replace("-", "").ljust(64, "0"), not_after, self_keyed)


def _device_id(device: BoundDevice) -> str:
    return device.device_id
