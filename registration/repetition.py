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

from common.book import Book
from common.draft import Draft
from common.history import Event, Kind
from registration.account_model import Account, Repeatable

WINDOW = timedelta(minutes=10)


def repeatable(idempotency_key: str | None, now: datetime, change_no: int) -> Repeatable | None:
    """Return how a registration made now may be repeated; without a key it may not."""
    return None if idempotency_key is None else Repeatable(_hash(idempotency_key), now + WINDOW, change_no)


def may_repeat(account: Account | None, idempotency_key: str | None, email_owner: str | None, now: datetime) -> bool:
    """Say whether this looks like the account's own registration repeated; the password is still to be proven."""
    if account is None or account.repeatable is None or idempotency_key is None or email_owner != account.uuid:
        return False
    same_key = hmac.compare_digest(account.repeatable.key_hash, _hash(idempotency_key))
    return same_key and now < account.repeatable.until


def is_untouched(book: Book, account: Account) -> bool:
    """Say whether nothing has happened to the account since its (last repeated) registration."""
    return account.repeatable is not None and book.change_no == account.repeatable.change_no and len(book.devices) == 1


def without_lost_device(draft: Draft, now: datetime) -> tuple[Draft, str]:
    """Return the draft without the one device of an untouched account, and that device's id."""
    (device_id,) = draft.book.devices
    return draft.with_book(draft.book.unbound(device_id), Event(Kind.DEVICE_REMOVED, now, device_id)), device_id


def repeated(account: Account) -> Account:
    """Return the account as it may be repeated once more: the book's change number has risen by one."""
    if account.repeatable is None:
        raise ValueError("the account cannot be repeated")
    return replace(account, repeatable=replace(account.repeatable, change_no=account.repeatable.change_no + 1))


def _hash(idempotency_key: str) -> str:
    return hashlib.sha256(idempotency_key.encode()).hexdigest()
