"""Whether what lies in the store about one account agrees with its book. Pure.

The book is the truth: what follows from it is called damaged where it says otherwise, never the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from common.account.audit import AuditKind
from common.account.book import Book, BoundDevice
from common.account.claims import Claim
from common.account.history import EventKind, OperatorAct
from common.account.retention import Retention
from common.crypto.certificates import CLOCK_SKEW
from common.storage.port import Table
from common.storage.tables import DEVICE_KEYS, DEVICES, FACTORS, LOGIN_HISTORY, NAMES, SESSIONS, USERS
from device_manager.revocation_db import LISTED_BEYOND_END
from ichidai.checking.finding import Finding, Kind
from ichidai.checking.reading import AccountRows, key_claim, list_keys
from registration.objection import OBJECTABLE

IN_FLIGHT = timedelta(minutes=1)
"""Nothing that a request has under way is older, unless its process was stopped."""

ABANDONED = timedelta(days=1)
"""A device's keys that nothing refers to after so long belong to a request that died."""


def judge(rows: AccountRows, now: datetime, retention: Retention, audit_kept: timedelta) -> Iterator[Finding]:
    """Give what does not agree."""
    if rows.book is None:
        yield from _without_book(rows, now)
        return
    yield from _book(rows.book)
    yield from _user(rows, rows.book)
    for device in rows.book.devices.values():
        taken_back_at = _taken_back_at(rows, device)
        if taken_back_at is None:
            yield from _bound(rows, device)
        elif taken_back_at + IN_FLIGHT <= now:
            key = DEVICES.key(rows.user_uuid, device.device_id)
            text = "its joining was taken back, and it is bound still"
            yield Finding(Kind.LEFTOVER_DEVICE, key, rows.user_uuid, text, device.device_id)
    yield from _other_devices(rows, rows.book, now)
    yield from _revocations(rows, now)
    yield from _claims(rows, rows.book)
    yield from _history(rows, rows.book, now, retention)
    yield from _audit(rows, now, audit_kept)


def _without_book(rows: AccountRows, now: datetime) -> Iterator[Finding]:
    """Tell an account whose book was lost from what a registration left that died before its book was put.

    A registration puts the user's row first, and what died has confirmed no claim and has no history.
    """
    user = rows.user_uuid
    if rows.is_empty:
        if rows.entombed_until is not None and rows.entombed_until <= now:
            yield Finding(Kind.LEFTOVER_TOMBSTONE, SESSIONS.key(user), user, "nothing can come in its place any more")
        return
    if rows.account is None or rows.history or any(_is_held(claim, user) for claim in rows.claims.values()):
        text = "the account has no book, and what is left of it shows that it had one"
        yield Finding(Kind.BOOK_MISSING, SESSIONS.key(user), user, text)
        return
    if rows.account.created_at + IN_FLIGHT > now:
        return
    keys = (
        *(DEVICES.key(user, name) for name in rows.devices),
        *(DEVICE_KEYS.key(user, name) for name in rows.certificates),
        USERS.key(user),
    )
    for key in keys:
        yield Finding(Kind.LEFTOVER_ROW, key, user, "it is of a registration that died before its account was there")


def judge_claim(claim: Claim, rows: AccountRows, now: datetime) -> Iterator[Finding]:
    """Judge a claim beside its owner's book and row. What its account has given up is no damage: others can have it."""
    user = claim.user_uuid

    def wrong(kind: Kind, text: str) -> Finding:
        return Finding(kind, claim.key, user, text)

    if not claim.is_confirmed:
        if claim.reserved_at is None or claim.reserved_at + IN_FLIGHT <= now:
            yield wrong(Kind.LEFTOVER_CLAIM, "a request that died has reserved it")
    elif rows.is_empty:
        yield wrong(Kind.CLAIM_UNUSED, "its account is not there, and nobody else can have it")


def _is_held(claim: Claim | None, user_uuid: str) -> bool:
    return claim is not None and claim.user_uuid == user_uuid and claim.is_confirmed


def _book(book: Book) -> Iterator[Finding]:
    def wrong(text: str) -> Finding:
        return Finding(Kind.BOOK_INCONSISTENT, SESSIONS.key(book.user_uuid), book.user_uuid, text)

    owners = [session.device_id for session in book.sessions.values()]
    prints = [device.fingerprint for device in book.devices.values()]
    for session in book.sessions.values():
        if book.active_device(session.device_id) is None and session.device_name is None:
            yield wrong(f"session {session.session_id} is of a device that is not bound, or is revoked")
            return
    if len(set(owners)) < len(owners):
        yield wrong("a device has two sessions")
    elif len(set(prints)) < len(prints):
        yield wrong("two devices have one certificate")
    elif any(session.seq > book.version for session in book.sessions.values()):
        yield wrong("a session is later than the book")


def _user(rows: AccountRows, book: Book) -> Iterator[Finding]:
    user = rows.user_uuid
    for key, version in rows.versions.items():
        if version > book.version:
            text = f"it is of version {version} of the book, which has only come to {book.version}"
            yield Finding(Kind.ROW_LATER, key, user, text)
    if rows.account is None:
        yield Finding(Kind.USER_MISSING, USERS.key(user), user, "the account has no row: nobody can log in to it")
        return
    if rows.account.credential_version != book.credential_version:
        text = f"its password is of version {rows.account.credential_version}, the book's is {book.credential_version}"
        yield Finding(Kind.CREDENTIALS_DIFFER, USERS.key(user), user, text)
    has_app = rows.factor is not None and bool(rows.factor.encrypted_secret)
    if rows.account.has_factor and not has_app:
        text = "the account asks for codes of an app that is not there: nobody can log in to it"
        yield Finding(Kind.FACTOR_MISSING, FACTORS.key(user), user, text)


def _taken_back_at(rows: AccountRows, bound: BoundDevice) -> datetime | None:
    """Return when the joining of a device was taken back that is still to be unbound; None: it was not.

    An objection revokes it in its commit and unbinds it by a further change. What a user revoked stays bound.
    """
    revoked = (EventKind.CERTIFICATE_REVOKED, bound.device_id)
    if rows.account is None or not bound.revoked or rows.devices.get(bound.device_id) is None:
        return None
    if any((event.kind, event.device_id) == revoked for record in rows.history for event in record.events):
        return None
    covering = (each for each in rows.account.objections if each.first <= bound.bound_in <= each.last)
    return max((each.until - OBJECTABLE for each in covering), default=None)


def _bound(rows: AccountRows, bound: BoundDevice) -> Iterator[Finding]:
    """Judge a device that the book has."""
    user, name = rows.user_uuid, bound.device_id

    def wrong(kind: Kind, table: Table, text: str) -> Finding:
        return Finding(kind, table.key(user, name), user, text, name)

    device, certificate = rows.devices.get(name), rows.certificate_of(name, bound.fingerprint)
    if certificate is None:
        yield wrong(Kind.CERTIFICATE_MISSING, DEVICE_KEYS, "the certificate that the book names is not there")
    if device is None:
        kind = Kind.DEVICE_MISSING if certificate is not None else Kind.CERTIFICATE_MISSING
        yield wrong(kind, DEVICES, "the device has no row: it can be neither listed nor unbound")
        return
    if device.fingerprint != bound.fingerprint:
        kind = Kind.DEVICE_DIFFERS if certificate is not None else Kind.CERTIFICATE_MISSING
        yield wrong(kind, DEVICES, "its row tells of another certificate than the book")
    elif bound.revoked and device.revoked_at is None:
        yield wrong(Kind.DEVICE_DIFFERS, DEVICES, "the book has revoked its certificate, its row has not")
    elif not bound.revoked and (device.revoked_at is not None or list_keys(device)[0] in rows.listed):
        yield wrong(Kind.REVOKED_IN_USE, DEVICES, "its certificate was revoked, and the book lets the device in")


def _other_devices(rows: AccountRows, book: Book, now: datetime) -> Iterator[Finding]:
    """Judge devices that the book does not have: they were unbound, or never joined."""
    user = rows.user_uuid
    record = None if rows.account is None else rows.account.idempotency
    is_young = record is not None and now < record.until + IN_FLIGHT  # a repeated registration removes its lost device
    for name, device in rows.devices.items():
        if name not in book.devices and device.revoked_at is None and not is_young:
            text = "the book does not have the device, and its row says that it is good"
            yield Finding(Kind.DEVICE_UNBOUND, DEVICES.key(user, name), user, text, name)
    for name, certificate in rows.certificates.items():
        owner = name.partition("#")[0]
        is_old = certificate.not_before + CLOCK_SKEW + ABANDONED < now
        if owner not in book.devices and owner not in rows.devices and is_old:
            text = "the keys are of a device that never joined"
            yield Finding(Kind.LEFTOVER_KEYS, DEVICE_KEYS.key(user, name), user, text, owner)


def _revocations(rows: AccountRows, now: datetime) -> Iterator[Finding]:
    book = rows.book
    for name, device in rows.devices.items():
        bound = None if book is None else book.devices.get(name)
        if device.revoked_at is None or (bound is not None and not bound.revoked):
            continue
        missing = [key for key in list_keys(device) if key not in rows.listed]
        if missing and device.not_after + LISTED_BEYOND_END > now:
            text = f"the certificate of device {name} is revoked and not on the list of revoked ones"
            yield Finding(Kind.REVOCATION_MISSING, missing[0], rows.user_uuid, text, name)


def _claims(rows: AccountRows, book: Book) -> Iterator[Finding]:
    """Judge what must be the account's alone; a look may be another's who writes in the same scripts, or in others."""
    user = rows.user_uuid
    keys = {key_claim(rows.certificates[name]): name for name in book.devices if name in rows.certificates}
    for name, claim in rows.claims.items():
        if claim is None:
            text = "nobody has claimed it, so another account could"
            yield Finding(Kind.CLAIM_MISSING, NAMES.key(name), user, text, keys.get(name, ""))
        elif claim.user_uuid != user and not name.startswith("look"):
            text = f"account {user} has it, and account {claim.user_uuid} has claimed it"
            yield Finding(Kind.CLAIM_TAKEN, NAMES.key(name), user, text)


def _history(rows: AccountRows, book: Book, now: datetime, retention: Retention) -> Iterator[Finding]:
    """Judge what is laid down. What retention may have taken away is not missing; the oldest may always have gone."""
    user, laid = rows.user_uuid, {record.change_no: record for record in rows.history}
    for record in book.outbox:
        if laid.get(record.change_no, record) != record:
            text = f"change {record.change_no} lies there otherwise than in the book"
            yield Finding(Kind.HISTORY_DIFFERS, LOGIN_HISTORY.key(user, record.change_no), user, text)
    later = [number for number in laid if number > book.change_no]
    if later:
        text = f"it tells of changes up to {max(later)}, and the book has only come to {book.change_no}"
        yield Finding(Kind.HISTORY_LATER, LOGIN_HISTORY.key(user, min(later)), user, text)
    pending = {record.change_no for record in book.outbox}
    last = 0
    for number in sorted(n for n in {*laid, book.change_no + 1} if n <= book.change_no + 1):
        gap = [missing for missing in range(last + 1, number) if missing not in pending]
        if gap and not _may_be_forgotten(rows, book, last, now, retention):
            text = f"changes {gap[0]} to {gap[-1]} are missing" if len(gap) > 1 else f"change {gap[0]} is missing"
            yield Finding(Kind.HISTORY_MISSING, LOGIN_HISTORY.key(user, gap[0]), user, text)
        last = number


def _may_be_forgotten(rows: AccountRows, book: Book, before: int, now: datetime, retention: Retention) -> bool:
    """Say whether what follows the record of a number may have gone by its age."""
    if before:
        events = next(record.events for record in rows.history if record.change_no == before)
        return retention.history is not None and (not events or events[-1].at + retention.history <= now)
    if rows.history:
        return True
    if retention.history is None:
        return False
    newest = max((session.login_at for session in book.sessions.values()), default=None)
    return newest is None or newest + retention.history <= now


def _audit(rows: AccountRows, now: datetime, kept: timedelta) -> Iterator[Finding]:
    """Judge whether each act of an operator has its line."""
    told = {(line.at, str(line.kind)) for line in rows.lines}
    missing = set()
    for record in rows.history:
        for event in record.events:
            act = event.act
            if not isinstance(act, OperatorAct) or act is OperatorAct.EVERYBODY_OUT or event.at + kept <= now:
                continue
            if (event.at, str(AuditKind(f"operator-{act}"))) not in told:
                missing.add((record.change_no, str(act)))
    for number, act_name in sorted(missing):
        text = f"change {number} was an operator's ({act_name}), and no line of the audit log tells of it"
        yield Finding(Kind.AUDIT_MISSING, LOGIN_HISTORY.key(rows.user_uuid, number), rows.user_uuid, text)
