"""A registration whose answer was lost: the client repeats it under the same idempotency key and gets its device anew.

The private keys of the first answer are nowhere, so the device is made again and takes the lost one's place. That is
possible for ten minutes, with the right password, and only while nothing else has happened to the account. After
draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

from msgspec.structs import replace

from common.account.book import Book
from common.account.draft import Draft
from common.account.history import Event, EventKind
from registration.account_model import Account, IdempotencyRecord

WINDOW = timedelta(minutes=10)


def idempotency_record(idempotency_key: str | None, now: datetime, change_no: int) -> IdempotencyRecord | None:
    """Return how a registration made now may be repeated; without a key it may not."""
    return None if idempotency_key is None else IdempotencyRecord(_hash(idempotency_key), now + WINDOW, change_no)


def may_repeat(account: Account | None, idempotency_key: str | None, email_owner: str | None, now: datetime) -> bool:
    """Say whether this looks like the account's own registration repeated; the password is still to be proven."""
    if account is None or account.idempotency is None or idempotency_key is None or email_owner != account.uuid:
        return False
    same_key = hmac.compare_digest(account.idempotency.key_hash, _hash(idempotency_key))
    return same_key and now < account.idempotency.until


def is_untouched(book: Book, account: Account) -> bool:
    """Say whether nothing has happened to the account since its (last repeated) registration."""
    return (
        account.idempotency is not None and book.change_no == account.idempotency.change_no and len(book.devices) == 1
    )


def without_lost_device(draft: Draft, now: datetime) -> tuple[Draft, str]:
    """Return the draft without the one device of an untouched account, and that device's id."""
    (device_id,) = draft.book.devices
    return draft.with_book(draft.book.unbound(device_id), Event(EventKind.DEVICE_REMOVED, now, device_id)), device_id


def with_renewed_record(account: Account) -> Account:
    """Return the account as it may be repeated once more: the book's change number has risen by one."""
    if account.idempotency is None:
        raise ValueError("the account cannot be repeated")
    return replace(account, idempotency=replace(account.idempotency, change_no=account.idempotency.change_no + 1))


def _hash(idempotency_key: str) -> str:
    return hashlib.sha256(idempotency_key.encode()).hexdigest()
