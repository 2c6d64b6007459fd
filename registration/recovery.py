"""All devices are lost: a recovery code and the password let an empty browser in, with a new password.

One commit takes the code, puts the new password in force, ends every session and binds this browser as a device. The
code stands for the second factor. The other devices stay bound.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import AuthenticatedUser, check_current
from common.account.decision import Snapshot
from common.account.devices import NewDevice, OwnKeys
from common.account.draft import Draft
from common.account.history import ClientInfo, Event, EventKind, Reason
from common.account.transactions import NoSuchUser
from common.crypto.otp import FactorKeys
from common.crypto.passwords import PasswordHash
from common.errors import Code, Refusal
from common.storage.port import Put
from common.storage.tables import USERS
from registration.account_db import AccountDb, account_in, user_put
from registration.account_model import check_password
from registration.browser_enrolment import BrowserEnrolment, EnrolmentForm, OwnersChange, check_may_enrol, enrol
from registration.credentials import CredentialCheck
from registration.email_sender import Notifier, notify_of_device
from registration.factor_model import Factor
from registration.factors import factor_in, factor_key, factor_put, taken_off
from registration.forms import Registered


class RecoveryDependencies(Struct, frozen=True):
    """What the use case works with."""

    browser: BrowserEnrolment
    accounts: AccountDb
    credentials: CredentialCheck
    keys: FactorKeys
    notifier: Notifier


class RecoveryForm(Struct, frozen=True):
    """A user without a device: the name, a password in force now or lately, a recovery code, and a new password."""

    username: str
    password: str
    recovery_code: str
    new_password: str
    device_name: str
    client: ClientInfo
    keys: OwnKeys | None = None


def recover(dependencies: RecoveryDependencies, form: RecoveryForm) -> Registered:
    """Let a user back in: every session ends, and this browser becomes a device of the account.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, RECOVERY_CODE_INVALID, WEAK_PASSWORD (`fault`), PROOF_REQUIRED,
    PROOF_INVALID, TOO_MANY_DEVICES, KEY_IN_USE, BUSY; StoreUnavailable. None of these uses the code up.
    """
    browser = dependencies.browser
    browser.enrolment.check_key_proof(form.keys)
    user = dependencies.credentials.authenticate_for_recovery(
        form.username, form.password, form.recovery_code, form.client
    )
    _check_password(dependencies, user, form)
    (shown,) = dependencies.keys.hashes_of([form.recovery_code], user.user_uuid)
    reading = (USERS.key(user.user_uuid), factor_key(user.user_uuid))

    def check(snapshot: Snapshot) -> Factor:
        check_current(snapshot.book, user)
        return _factor_with(snapshot, shown)

    def change(snapshot: Snapshot, device: NewDevice, password: PasswordHash) -> OwnersChange:
        factor = check(snapshot)
        left = _left_of(factor, shown)
        draft = _all_ended(snapshot, device, factor, left)
        return OwnersChange(draft, _writes(snapshot, draft, password, left))

    try:
        check_may_enrol(browser, user.user_uuid, form.keys, check, reading)
    except NoSuchUser:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book") from None
    wanted = EnrolmentForm(form.new_password, form.device_name, form.client, form.keys)
    registered, _ = enrol(browser, user.user_uuid, wanted, change, reading)
    notify_of_device(dependencies.notifier, user.username, form.device_name)
    return registered


def _check_password(dependencies: RecoveryDependencies, user: AuthenticatedUser, form: RecoveryForm) -> None:
    account = dependencies.accounts.find(user.user_uuid)
    email = "" if account is None else account.email
    check_password(form.new_password, user.username, email, dependencies.browser.common_passwords)


def _factor_with(snapshot: Snapshot, shown: str) -> Factor:
    factor = factor_in(snapshot)
    if factor is None or not factor.holds(shown, snapshot.now):
        raise Refusal(Code.RECOVERY_CODE_INVALID, reason="used meanwhile")
    return factor


def _left_of(factor: Factor, shown: str) -> Factor:
    """Return what is left of a factor once one of its codes let its owner in.

    A code of an earlier set is older than what came after it: a factor and codes that were made since are void. So are
    all passkeys: any of them may be the one of a client from whom the account was recovered.
    """
    left = factor.back_to_former_set(shown) if factor.is_of_former_set(shown) else factor.without(shown)
    return left.without_passkeys()


def _all_ended(snapshot: Snapshot, device: NewDevice, factor: Factor, left: Factor) -> Draft:
    """Return the draft in which every session has ended, and what was proven or given out before is void.

    What of the factor is not left is told as if it were switched off by itself.
    """
    now, by = snapshot.now, device.bound.device_id
    draft = snapshot.draft.all_ended(Reason.REVOKED, snapshot.rules, now, by=by)
    used = Event(EventKind.RECOVERY_CODE_USED, now, by, by=by)
    changed = Event(EventKind.PASSWORD_CHANGED, now, by, by=by)
    off = taken_off(factor, left, now, by)
    return draft.with_book(draft.book.with_new_credentials(), used, *off, changed)


def _writes(snapshot: Snapshot, draft: Draft, password: PasswordHash, left: Factor) -> tuple[Put, ...]:
    """Return the writes of the account, and of what is left of its factor."""
    account = account_in(snapshot).with_password(password, draft.book.credential_version, snapshot.now)
    has_factor = account.has_factor and bool(left.encrypted_secret)
    return user_put(replace(account, has_factor=has_factor)), factor_put(left)
