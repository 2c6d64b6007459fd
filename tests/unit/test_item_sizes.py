"""No item outgrows its table: the largest of each kind, made by the code that writes it, with every field at its bound.

`tests/contract/test_store.py` shows that the engines refuse a larger one, both alike.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from common.account.approval import Approval, Approvals
from common.account.audit import AuditEvent, AuditKind, audit_put
from common.account.book import MOST_REMEMBERED, MOST_SESSIONS, Book, BoundDevice, Session
from common.account.claims import Claim
from common.account.draft import Draft
from common.account.feed import endings_in, feed_put, hint_of
from common.account.history import (
    ClientInfo,
    Event,
    EventKind,
    FailedLogin,
    HistoryRecord,
    OperatorAct,
    Reason,
    failure_put,
    history_put,
)
from common.account.marks import mark_of
from common.account.outbox import RESERVED_BYTES, has_capacity
from common.account.rows import rows_of, rows_to_items
from common.clock import from_millis
from common.crypto.crl import RevocationReason, Revoked
from common.crypto.passwords import OWASP_MINIMUM, PasswordHash
from common.proof.challenge import MOST_USED, Challenge
from common.proof.statements import Purpose
from common.rate_limit import Level
from common.storage.engine_rules import size_of
from common.storage.port import Item, Put, Table
from common.storage.tables import (
    CHALLENGES,
    DEVICE_KEYS,
    DEVICES,
    FACTORS,
    NAMES,
    PAIRING_TOKENS,
    SESSIONS,
    THROTTLE,
    USERS,
)
from device_manager.device_model import Device, DeviceKeys, Role
from device_manager.revocation_db import revocation_puts
from registration import pairing_token
from registration.account_model import MOST_FORMER, Account, FormerPassword, IdempotencyRecord, mail_claim, name_claim
from registration.attempts import MOST_SOURCES, Attempts
from registration.factor_model import MOST_FORMER as MOST_CODES
from registration.factor_model import Factor, FormerCode
from registration.joining import MOST_USED as MOST_JOINED
from registration.look_alikes import look_of
from registration.mail_model import MailKind, QueuedMail
from tests.unit.builders import RULES

AT = from_millis(9_999_999_999_999)
WIDE = "\U00020000"
NAME, DIGEST, SECRET, NUMBER = WIDE * 64, "f" * 64, "s" * 43, 2**53
CLIENT = ClientInfo("2001:db8:ffff:ffff:ffff:ffff:255.255.255.255", WIDE * 200)
MOST_DEVICES, MOST_EVICTIONS, MOST_PROOFS = 20, 100, 8
"""Bounds of settings, and how many DPoP proofs of a session are remembered."""


def uuid(number: int = 0) -> str:
    """Return a UUID."""
    return str(UUID(int=2**127 + number))


def largest_book() -> Book:
    """Return the book of an account that has everything there may be; the outbox is laid down."""
    devices = [BoundDevice(uuid(n), f"{n:064x}", AT, self_keyed=True, revoked=True) for n in range(MOST_DEVICES)]
    sessions = [
        Session(
            uuid(n),
            uuid(999 - n),
            NUMBER + n,
            AT,
            AT,
            AT,
            AT,
            NUMBER,
            AT,
            NAME,
            SECRET,
            certified=True,
            void_below=NUMBER,
        )
        for n in range(MOST_SESSIONS)
    ]
    book = Book(uuid(), NUMBER, NUMBER, NUMBER, evictions=(AT,) * MOST_EVICTIONS, policy=NUMBER, admissions=NUMBER)
    book = replace(
        book,
        devices={each.device_id: each for each in devices},
        sessions={each.session_id: each for each in sessions},
    )
    for n in range(MOST_REMEMBERED):
        book = book.remembering("c" * 12, NUMBER + n, AT)
    assert (len(book.devices), len(book.sessions), len(book.changes)) == (20, 32, 32)
    return book


def marks(number: int) -> dict[str, Any]:
    """Return so many marks."""
    return {mark.name: mark.until for mark in (mark_of("c", str(n), AT - timedelta(days=1)) for n in range(number))}


def with_record(book: Book, events: Sequence[Event]) -> Item:
    """Return a book's item with what a change recorded in it."""
    return replace(book, outbox=(HistoryRecord(NUMBER, tuple(events), CLIENT),)).to_item()


def all_out(book: Book) -> Draft:
    """Return what is left when every session has ended and every device is unbound, in one change."""
    ending = [(session, Reason.DEVICE_UNBOUND, AT) for session in book.in_order()]
    draft = Draft(book).with_endings(ending, uuid(), OperatorAct.END_SESSIONS)
    for device_id in book.devices:
        removed = Event(EventKind.DEVICE_REMOVED, AT, device_id, by=uuid(), act=OperatorAct.UNBIND)
        draft = draft.with_book(draft.book.unbound(device_id), removed)
    return draft


LAST = Event(EventKind.LOGIN, AT, uuid(), uuid(), device_name=NAME, by=uuid())


def test_the_largest_account_has_capacity_for_a_change_and_all_marks() -> None:
    """Laid down, with the marks of every quota, and the longest change of one more session in its outbox."""
    most = 2 * MOST_USED + MOST_JOINED + MOST_PROOFS * MOST_SESSIONS
    full = replace(largest_book(), code_step=NUMBER, marks=marks(most))
    assert has_capacity((), (LAST,), size_of(with_record(full, (LAST, LAST, LAST))))
    puts = [Put(table, item) for table, item in (LARGEST[kind] for kind in ("account", "factor", "device"))]
    full = replace(full, rows=rows_of(puts, NUMBER, "c" * 12))
    assert has_capacity((), (LAST,), size_of(with_record(full, (LAST, LAST, LAST)))), "and with all rows of it"


def test_whatever_lies_in_a_book_everybody_can_be_put_out_in_one_change() -> None:
    """The bytes that are reserved are enough for it: what ends leaves as many bytes as its record takes, or nearly."""
    assert (RESERVED_BYTES, SESSIONS.largest) == (4 * 1024, 56 * 1024)
    book = largest_book()
    draft = all_out(book)
    before, after = size_of(book.to_item()), size_of(with_record(draft.book, draft.events))
    assert len(draft.events) == MOST_SESSIONS + MOST_DEVICES
    assert after - before <= RESERVED_BYTES
    assert has_capacity((), draft.events, SESSIONS.largest)
    puts = [Put(*LARGEST[kind]) for kind in ("device", "revocation", "mark of revocations")]
    assert size_of(rows_to_items(rows_of(puts, NUMBER, "c" * 12))) <= RESERVED_BYTES, "one device's at a time"  # type: ignore[arg-type]
    assert not has_capacity((), (*draft.events, LAST), SESSIONS.largest), "other changes leave them"


def a_device() -> Device:
    """Return the longest row."""
    return Device(uuid(), uuid(), NAME, Role.SECONDARY, AT, "a" * 40, "f" * 40, DIGEST, AT, AT, AT, DIGEST, AT)


def an_account() -> Account:
    """Return the longest."""
    password = PasswordHash(OWASP_MINIMUM, b"s" * 16, DIGEST)
    former = (FormerPassword(password, AT),) * MOST_FORMER
    again = IdempotencyRecord(DIGEST, AT, NUMBER)
    return Account(
        uuid(),
        NAME,
        WIDE * 254,
        password,
        NUMBER,
        AT,
        again,
        has_factor=True,
        former=former,
        email_confirmed=True,
        invitation=f"invitation#{DIGEST}",
    )


def a_factor() -> Factor:
    """Return the longest."""
    former = (FormerCode(DIGEST, AT),) * MOST_CODES
    return Factor(uuid(), "s" * 200, NUMBER, (DIGEST,) * 10, AT, former)


def attempts() -> Item:
    """Return the item of an account at which every source guesses."""
    level: Level = timedelta(days=99)
    sources = {f"2001:db8:ffff:{n:04x}::/64": level for n in range(MOST_SOURCES)}
    counted = Attempts(AT, level, level, sources, level)
    return {"bucket": "b" * 200, "version": uuid(), **counted.to_fields(), "expires_at": 10**13}


def issued() -> Put:
    """Return a pairing token's row."""
    session = Session(uuid(), uuid(), NUMBER, AT, AT, AT, AT)
    device = BoundDevice(uuid(), DIGEST, AT)
    book = Book(uuid(), credential_version=NUMBER, devices={uuid(): device}, sessions={uuid(): session})
    return pairing_token.issue(book, device, RULES, AT, name_certificate=True).row


def a_mail() -> Put:
    """Return a mail with the longest link."""
    return QueuedMail(uuid(), MailKind.CONFIRM, WIDE * 254, NAME, "ja", "l" * 3000, AT, AT, 99).put()


def approvals(kind: str, joins_under: int | None = None) -> Item:
    """Return what an account may be asked at once, each time by all its sessions, with refusals of ten minutes."""
    hints = tuple(hint_of(uuid()) for _ in range(MOST_SESSIONS))
    waiting = Approval(uuid(), uuid(), NAME, AT, hints, joins_under=joins_under)
    refused = waiting.refused(uuid(), AT)
    return {"bucket": f"{kind}#{uuid()}", "version": uuid(), "expires_at": NUMBER} | {
        "approvals": Approvals((waiting,) * 3 + (refused,) * 3).to_list()
    }


EVERYBODY = all_out(largest_book()).events
REVOKED = Revoked("a" * 40, "f" * 40, RevocationReason.KEY_COMPROMISE, AT, AT)
LARGEST: dict[str, tuple[Table, Item]] = {
    "account": (USERS, an_account().to_item()),
    "claim of an invitation": (
        NAMES,
        Claim(f"invitation#{DIGEST}", uuid(), None, uuid(), AT, contested=True).to_item(),
    ),
    "claim of a name": (NAMES, Claim(name_claim("n" * 64 * 15), uuid(), uuid(), uuid(), AT, contested=True).to_item()),
    "claim of a mail": (NAMES, Claim(mail_claim(WIDE * 240), uuid(), uuid(), uuid(), AT, contested=True).to_item()),
    "look": (NAMES, look_of(NAME).claim_for(uuid()).reserved(uuid(), AT).to_item()),
    "factor": (FACTORS, a_factor().to_item()),
    "device": (DEVICES, a_device().to_item()),
    "keys": (DEVICE_KEYS, DeviceKeys(uuid(), uuid(), b"c" * 8600, base64.b64encode(b"k" * 1158).decode()).to_item()),
    "pairing token": (PAIRING_TOKENS, {**issued().item, "used_by": uuid(), "used_at": 10**13}),
    "challenge": (
        CHALLENGES,
        Challenge(uuid(), NAME, uuid(), max(Purpose, key=len), NUMBER, AT, AT, 9).to_item(DIGEST),
    ),
    "attempts": (THROTTLE, attempts()),
    "approvals": (THROTTLE, approvals("approvals")),
    "approvals of joining": (THROTTLE, approvals("joins", NUMBER)),
    **{
        name: (put.table, put.item)
        for name, put in {
            "history": history_put(uuid(), HistoryRecord(NUMBER, EVERYBODY, CLIENT)),
            "failure": failure_put(DIGEST, FailedLogin(AT, CLIENT), AT),
            "feed": feed_put(endings_in(uuid(), EVERYBODY), NUMBER, AT),
            "revocation": revocation_puts(REVOKED)[0],
            "mark of revocations": revocation_puts(REVOKED)[1],
            "mail": a_mail(),
            "audit": audit_put(
                AuditEvent(AuditKind.SESSIONS_ENDED, AT, WIDE * 64, uuid(), uuid(), WIDE * 500, {"device": uuid()}),
                timedelta(days=9),
            ),
        }.items()
    },
}


@pytest.mark.parametrize("kind", LARGEST)
def test_the_largest_of_a_kind_has_capacity_in_its_table(kind: str) -> None:
    """Every field is as long as the suite lets it become."""
    table, item = LARGEST[kind]
    assert size_of(item) <= table.largest
