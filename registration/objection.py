"""That was not me: what was done since an event is taken back, and its owner is let in again.

An objection comes by the link of a notice, from a session with the password, or from a device that was bound before the
event and signs for it. One commit: the sessions end, devices that joined since or logged in by the event lose their
certificates, the password, the factor, the codes and the address are as before, and a closed account is open again.
Until a new password is set the old one opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import Caller, FactorCode, Password, check_current
from common.account.book import Book
from common.account.claim_store import ClaimStore, ClaimTaken, check_held
from common.account.decision import Snapshot, TransactionResult
from common.account.devices import PublicKeys
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind, HistoryRecord, Reason
from common.account.liveness import require_live
from common.account.outbox import read_records
from common.account.transactions import NoSuchUser
from common.crypto.device_keys import is_signed
from common.errors import Code, Refusal
from common.proof.statements import Purpose, statement
from common.storage.port import Put, Store
from common.storage.tables import USERS
from registration.account_db import account_in, claims_coming_back, user_put
from registration.account_model import Objection
from registration.email_change import disown
from registration.factor_model import Factor
from registration.factors import factor_key, factor_put, taken_off
from registration.mail_model import MailKind
from registration.mailing import MailingDependencies, MailLink, read_link, token_of
from registration.notices import is_objectable
from registration.password_reset import UnbindRevoked
from registration.taking_back import account_before, factor_before

OBJECTABLE = timedelta(days=7)


class ObjectionDependencies(Struct, frozen=True):
    """What the use case works with. `keys_of` gives a device's public keys; `issuer` stands in what it signs."""

    store: Store
    mailing: MailingDependencies
    claims: ClaimStore
    unbind_revoked: UnbindRevoked
    keys_of: Callable[[str, str], PublicKeys | None]
    issuer: str


class BySession(Struct, frozen=True):
    """An objection of a signed-in user, with the password."""

    caller: Caller
    change_no: int
    password: Password
    otp: FactorCode


class ByDevice(Struct, frozen=True):
    """An objection of a device: its signature (base64) over the statement of purpose `object`."""

    user_uuid: str
    change_no: int
    device_id: str
    signature: str


class _Event(Struct, frozen=True):
    """What is objected to: a change of an account."""

    user_uuid: str
    record: HistoryRecord

    @property
    def change_no(self) -> int:
        return self.record.change_no


def object_by_link(dependencies: ObjectionDependencies, token: str, client: ClientInfo) -> str | None:
    """Take back what the notice of a link tells of, and return a token for a new password.

    A link beside a confirmation takes the address off the account: then there is none. Raises Refusal: INVALID_REQUEST
    (the token is none of ours), LINK_SPENT (expired, or taken back already), BUSY; StoreUnavailable.
    """
    mailing = dependencies.mailing
    link = read_link(mailing, token, MailKind.NOTICE, MailKind.DISOWN)
    if link.kind is MailKind.DISOWN:
        disown(mailing, link, client)
        return None
    event = _event(dependencies, link.user_uuid, link.number)
    version = _take_back(dependencies, event, client, lambda _snapshot: None)
    account = mailing.accounts.find(link.user_uuid)
    email = "" if account is None else account.email
    return token_of(mailing, MailLink(MailKind.RESET, link.user_uuid, email, "", version))


def object_by_session(dependencies: ObjectionDependencies, form: BySession, client: ClientInfo) -> None:
    """Take it back for a signed-in user, whose session stays.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, NOT_FOUND, LINK_SPENT, BUSY;
    SessionGone; StoreUnavailable.
    """
    user_uuid, session_id = form.caller.user_uuid, form.caller.session.session_id
    user = dependencies.mailing.credentials.reauthenticate(user_uuid, form.password, client, form.otp)
    event = _event(dependencies, user_uuid, form.change_no)

    def check(snapshot: Snapshot) -> None:
        require_live(snapshot.book, session_id, snapshot.rules, snapshot.now)
        check_current(snapshot.book, user)

    _take_back(dependencies, event, client, check, kept_session=session_id)


def object_by_device(dependencies: ObjectionDependencies, form: ByDevice, client: ClientInfo) -> None:
    """Take it back for a device that was bound before the event, whether it is logged in or not.

    Raises Refusal: TOO_MANY_ATTEMPTS (by source), PROOF_INVALID (also where there is no such device), LINK_SPENT, BUSY;
    StoreUnavailable.
    """
    dependencies.mailing.limit.check_source(client.ip)
    invalid = Refusal(Code.PROOF_INVALID, reason="objection")
    keys = dependencies.keys_of(form.user_uuid, form.device_id)
    said = statement(
        Purpose.OBJECT,
        issuer=dependencies.issuer,
        user_uuid=form.user_uuid,
        device_id=form.device_id,
        challenge=str(form.change_no),
    )
    if keys is None or not is_signed(keys.signing, form.signature, said):
        raise invalid
    event = _event(dependencies, form.user_uuid, form.change_no)

    def check(snapshot: Snapshot) -> None:
        device = snapshot.book.active_device(form.device_id)
        if device is None or device.bound_in >= event.change_no:
            raise invalid

    _take_back(dependencies, event, client, check, signer=form.device_id)


def _event(dependencies: ObjectionDependencies, user_uuid: str, change_no: int) -> _Event:
    """Return a change that may be objected to. Raises Refusal(NOT_FOUND)."""
    records = read_records(dependencies.store, user_uuid, before=change_no + 1, limit=1)
    record = next((each for each in records if each.change_no == change_no), None)
    if record is None or not is_objectable(record):
        raise Refusal(Code.NOT_FOUND, reason="no such change, or none that is taken back")
    return _Event(user_uuid, record)


def _take_back(
    dependencies: ObjectionDependencies,
    event: _Event,
    client: ClientInfo,
    check: Callable[[Snapshot], None],
    kept_session: str | None = None,
    signer: str | None = None,
) -> int:
    """Make the commit, and unbind after it; return the credential version from now on.

    `signer`: the device that objects by its signature. A name or an address that comes back is the account's
    still, and must be so when the commit is made.
    """
    user_uuid, since = event.user_uuid, event.record.events[0].at
    spent = Refusal(Code.LINK_SPENT, reason="no such account")
    account = dependencies.mailing.accounts.find(user_uuid)
    if account is None:
        raise spent
    coming = claims_coming_back(account, account_before(account, since))

    def take(snapshot: Snapshot) -> TransactionResult[tuple[int, tuple[str, ...], str]]:
        check(snapshot)
        check_held(held, snapshot)
        before, now = account_in(snapshot), snapshot.now
        until = snapshot.book.closed_until
        if (
            since + OBJECTABLE <= now
            or before.has_objection_to(event.change_no)
            or (until is not None and until <= now)
        ):
            raise Refusal(Code.LINK_SPENT, reason="too late, or taken back already")
        draft, others, by = _without_others(snapshot, event, kept_session, signer)
        objection = Objection(event.change_no, snapshot.book.change_no + 1, now + OBJECTABLE)
        factor, factor_rows, off = _factor(snapshot, event, by or None)
        draft = draft.with_book(draft.book, *off)
        earlier = account_before(before, since)
        if claims_coming_back(before, earlier) != coming:
            raise Refusal(Code.BUSY, reason="renamed meanwhile", retry_after=1)
        after = replace(
            earlier.with_objection(objection, now),
            credential_version=draft.book.credential_version,
            has_factor=before.has_factor and factor is not None and bool(factor.encrypted_secret),
        )
        version = draft.book.credential_version
        return TransactionResult((version, others, by), draft, (user_put(after), *factor_rows))

    reading = (USERS.key(user_uuid), factor_key(user_uuid), *(claim.key for claim in coming))
    try:
        with dependencies.claims.held(*coming) as held:
            version, others, by = dependencies.mailing.transactions.run(user_uuid, take, reading=reading, client=client)
    except NoSuchUser:
        raise spent from None
    except ClaimTaken:
        raise Refusal(Code.LINK_SPENT, reason="taken meanwhile") from None
    for device_id in others:
        dependencies.unbind_revoked(user_uuid, device_id, by or device_id)
    return version


def _without_others(
    snapshot: Snapshot, event: _Event, kept_session: str | None, signer: str | None
) -> tuple[Draft, tuple[str, ...], str]:
    """Return the open book with new credentials, without other sessions and certificates of the devices objected to.

    With it the ids of those devices, and that of the kept session's device, which stays ("": none).
    """
    now = snapshot.now
    draft = snapshot.draft.without_expired(snapshot.rules, now)
    own = draft.book.sessions.get(kept_session or "")
    for session in draft.book.in_order():
        if session is not own:
            draft = draft.ended(session, Reason.REVOKED, now)
    by = own.device_id if own else ""
    others = tuple(each for each in _objected_to(draft.book, event, signer) if each != by)
    book = replace(draft.book.with_new_credentials(), closed_until=None)
    for device_id in others:
        book = book.revoked(device_id)
    return draft.with_book(book, Event(EventKind.OBJECTED, now, by or None)), others, by


def _objected_to(book: Book, event: _Event, signer: str | None) -> Iterator[str]:
    """Yield the devices that joined since the event, and the one that logged in by it.

    By its signature a device takes the right of no older one: a thief's must not unbind its owner's.
    """
    entered = {each.device_id for each in event.record.events if each.kind is EventKind.LOGIN}
    oldest = book.devices[signer].bound_in + 1 if signer is not None else 0
    for device in book.devices.values():
        if device.bound_in >= event.change_no or (device.device_id in entered and device.bound_in >= oldest):
            yield device.device_id


def _factor(
    snapshot: Snapshot, event: _Event, by: str | None
) -> tuple[Factor | None, tuple[Put, ...], tuple[Event, ...]]:
    """Return what is left of the factor, the write of it, and what tells that app or passkeys are off.

    That is the factor as it was before the event.
    """
    key = factor_key(event.user_uuid)
    item = snapshot.at(key)
    if item is None:
        return None, (), ()
    present = Factor.from_item(item)
    left = factor_before(present, event.record.events[0].at, snapshot.now) or present.emptied()
    return left, (factor_put(left),), taken_off(present, left, snapshot.now, by)
