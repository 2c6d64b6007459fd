"""A forgotten password: the holder of the mailed link chooses a new one, in one commit.

Every session ends and this browser becomes a device. The other devices lose their certificates in the same commit and
are unbound after it, and passkeys are void, unless they are to be kept.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from common.account.book import Book
from common.account.decision import Snapshot
from common.account.devices import NewDevice, OwnKeys
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind, Reason
from common.account.transactions import NoSuchUser
from common.crypto.passwords import PasswordHash
from common.errors import Code, Refusal
from common.storage.tables import USERS
from registration.account_db import account_in, user_put
from registration.account_model import Account, check_password
from registration.browser_enrolment import BrowserEnrolment, EnrolmentForm, OwnersChange, check_may_enrol, enrol
from registration.closing import reopened
from registration.factors import factor_key, without_passkeys
from registration.forms import Registered
from registration.mail_model import MailKind
from registration.mailing import MailingDependencies, MailLink, read_link


class UnbindRevoked(Protocol):
    """What a reset needs of the device manager, once its own commit is done."""

    def __call__(self, user_uuid: str, device_id: str, by: str) -> None:
        """Unbind a device whose certificate the book has revoked. Never raises."""


class ResetDependencies(Struct, frozen=True):
    """What the use case works with."""

    mailing: MailingDependencies
    browser: BrowserEnrolment
    unbind_revoked: UnbindRevoked


class ResetForm(Struct, frozen=True):
    """What the page of the link sends: the token, a new password, and a code where a second factor is on."""

    token: str
    new_password: str
    otp: str | None
    keep_devices: bool
    device_name: str
    client: ClientInfo
    keys: OwnKeys | None = None


def reset_password(dependencies: ResetDependencies, form: ResetForm) -> Registered:
    """Put a new password in force by the link of a mail; this browser becomes a device of the account.

    Raises Refusal: INVALID_REQUEST (the token is none of ours), LINK_SPENT, WEAK_PASSWORD (`fault`), OTP_REQUIRED,
    OTP_INVALID, TOO_MANY_ATTEMPTS, PROOF_REQUIRED, PROOF_INVALID, TOO_MANY_DEVICES (the others are
    kept, and as many as there may be), KEY_IN_USE, BUSY; StoreUnavailable.
    Only OTP_INVALID and what follows it in time may use a code up; the link stays good.
    """
    browser = dependencies.browser
    browser.enrolment.check_key_proof(form.keys)
    link = read_link(dependencies.mailing, form.token, MailKind.RESET)
    account = _account_of(dependencies, link)
    check_password(form.new_password, account.username, account.email, browser.common_passwords)
    reading = (USERS.key(account.uuid), factor_key(account.uuid))

    def leaving(book: Book) -> tuple[str, ...]:
        return () if form.keep_devices else tuple(book.devices)

    def check(snapshot: Snapshot) -> None:
        if not _may_be_reset(snapshot, link):
            raise Refusal(Code.LINK_SPENT, reason="used, or the password was changed")

    def change(snapshot: Snapshot, device: NewDevice, password: PasswordHash) -> OwnersChange:
        check(snapshot)
        others = leaving(snapshot.book)
        draft = _all_ended(snapshot, device, others)
        account = account_in(snapshot).with_password(password, draft.book.credential_version, snapshot.now)
        passkeys, removed = ((), ()) if form.keep_devices else without_passkeys(snapshot, device.bound.device_id)
        return OwnersChange(draft.with_book(draft.book, *removed), (user_put(account), *passkeys), revoked=others)

    try:
        check_may_enrol(browser, account.uuid, form.keys, check, reading, leaving)
    except NoSuchUser:
        raise Refusal(Code.LINK_SPENT, reason="no such account") from None
    if account.has_factor:
        dependencies.mailing.credentials.check_factor(account.uuid, form.otp, form.client)
    wanted = EnrolmentForm(form.new_password, form.device_name, form.client, form.keys)
    registered, made = enrol(browser, account.uuid, wanted, change, reading)
    for device_id in made.revoked:
        dependencies.unbind_revoked(account.uuid, device_id, registered.device.bound.device_id)
    return registered


def _account_of(dependencies: ResetDependencies, link: MailLink) -> Account:
    account = dependencies.mailing.accounts.find(link.user_uuid)
    if account is None or account.credential_version != link.credential_version:
        raise Refusal(Code.LINK_SPENT, reason="used, or the password was changed")
    return account


def _may_be_reset(snapshot: Snapshot, link: MailLink) -> bool:
    """Say whether a link is good: for a closed account, too, as long as it can be reopened."""
    until = snapshot.book.closed_until
    if until is None:
        return snapshot.book.is_current(link.credential_version)
    return snapshot.now < until and replace(snapshot.book, closed_until=None).is_current(link.credential_version)


def _all_ended(snapshot: Snapshot, device: NewDevice, others: tuple[str, ...]) -> Draft:
    """Return the draft in which every session has ended, and the certificates of some devices are void.

    A closed account is open again.
    """
    now, by = snapshot.now, device.bound.device_id
    draft = snapshot.draft if snapshot.book.closed_until is None else reopened(snapshot)
    draft = draft.all_ended(Reason.PASSWORD_CHANGED, snapshot.rules, now, by=by)
    book = draft.book.with_new_credentials()
    for device_id in others:
        book = book.revoked(device_id)
    return draft.with_book(book, Event(EventKind.PASSWORD_CHANGED, now, by, by=by))
