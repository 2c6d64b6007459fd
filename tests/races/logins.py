"""A login cut down to its race: the book, the policy and the one loop, without HTTP, passwords or tokens.

`careful` is how the suite does it. `careless` is the mistake that it is there to prevent: count, then write whatever
the count was, with no condition in between. Both run in processes of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from common.account.admission import Admit, ConcurrencyMode
from common.account.book import Book, BoundDevice, Session
from common.account.decision import Snapshot, TransactionResult
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind, HistoryRecord, history_put
from common.account.liveness import SessionRules
from common.account.outbox import read_records
from common.account.transactions import AccountTransactions
from common.clock import system_clock
from common.ids import new_id
from common.storage.port import Store
from common.storage.tables import SESSIONS
from device_manager.concurrency_policy import decide
from tests.support.engines import Engine

RULES = SessionRules(limit=1, idle=timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Answer:
    """What one login was told: the session it was given, or those that stand in its way."""

    session_id: str | None
    shown: tuple[str, ...] = ()


def registered(store: Store, devices: int) -> str:
    """Make a user whose devices 0, 1, 2 … are bound and none is logged in; return the user's id."""
    book, until = Book(new_id()), system_clock() + timedelta(days=365)
    for number in range(devices):
        book = book.bound(BoundDevice(str(number), f"{number:064x}", until))
    draft = Draft(book, (Event(EventKind.REGISTERED, system_clock()),))
    AccountTransactions(store, system_clock).create(draft, (), ClientInfo())
    return book.user_uuid


def admission(device_id: str, session_id: str) -> Callable[[Snapshot], TransactionResult[Answer]]:
    """Return the transition of a login: ask the policy, open a session or say who is in the way."""

    def transition(snapshot: Snapshot) -> TransactionResult[Answer]:
        draft = snapshot.draft.without_expired(RULES, snapshot.now)
        live = draft.live_sessions(RULES, snapshot.now)
        decision = decide(live, device_id, limit=RULES.limit, mode=ConcurrencyMode.ASK, consent=None)
        if not isinstance(decision, Admit):
            return TransactionResult(Answer(None, tuple(session.session_id for session in decision.shown)))
        session = _session(snapshot.book, device_id, session_id, snapshot.now)
        event = Event(EventKind.LOGIN, snapshot.now, device_id, session_id)
        return TransactionResult(Answer(session_id), draft.with_book(draft.book.opened(session), event))

    return transition


def careful(number: int, gate: Callable[[], None], engine: Engine, users: Sequence[str]) -> list[Answer]:
    """Log this process' device in to each user in turn, at the same moment as the others."""
    store = engine.open()
    keeper = AccountTransactions(store, system_clock)
    keeper.get_book(users[0])
    answers = []
    for user in users:
        transition = admission(str(number), new_id())
        gate()
        answers.append(keeper.run(user, transition))
    return answers


def careless(number: int, gate: Callable[[], None], engine: Engine, users: Sequence[str]) -> list[Answer]:
    """Do the same with the decision and the write in two steps, and all others' decisions between them."""
    store = engine.open()
    return [_count_then_create(store, gate, user, str(number)) for user in users]


def violations(answers: Sequence[Answer], store: Store, user: str) -> Iterator[str]:
    """Yield what is wrong after one round of logins on a limit of one."""
    book = AccountTransactions(store, system_clock).get_book(user)
    assert book is not None
    live = [session.session_id for session in book.in_order()]
    admitted = [answer.session_id for answer in answers if answer.session_id]
    if len(admitted) != 1:
        yield f"{len(admitted)} logins were let in"
    if live != admitted:
        yield f"{len(live)} sessions are in the book, {len(set(admitted) - set(live))} that were let in are not"
    for answer in answers:
        if not answer.session_id and list(answer.shown) != admitted:
            yield "a refusal names others than the one who is in"
    entries = read_records(store, user, before=None, limit=100)[::-1]
    if [entry.change_no for entry in entries] != list(range(1, book.change_no + 1)):
        yield "the history has a gap, or ends before the book does"
    logins = [event.session_id for entry in entries for event in entry.events if event.kind is EventKind.LOGIN]
    if logins != admitted:
        yield f"the history tells of {len(logins)} logins"


def _count_then_create(store: Store, gate: Callable[[], None], user: str, device_id: str) -> Answer:
    item = store.get(SESSIONS.key(user))
    assert item is not None
    book, now = Book.from_item(item), system_clock()
    change = admission(device_id, new_id())(Snapshot(book, {}, now))
    gate()
    if change.draft is not None:
        written = replace(change.draft.book, version=book.version + 1, change_no=book.change_no + 1)
        entry = history_put(user, HistoryRecord(written.change_no, change.draft.events, ClientInfo()))
        store.put(SESSIONS, written.to_item())
        store.put(entry.table, entry.item)
    return change.result


def _session(book: Book, device_id: str, session_id: str, now: datetime) -> Session:
    return Session(session_id, device_id, book.version, now, now, now, now + timedelta(days=30))
