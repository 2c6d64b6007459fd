"""The use cases of a device's life: registered and logged in, listed, renamed, the others logged out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from msgspec import Struct

from common.account.admission import (
    Admission,
    AuthenticatedUser,
    Caller,
    LimitReached,
    LoginCandidate,
    LoginResult,
    check_current,
)
from common.account.book import Book, Session
from common.account.claim_store import ClaimStore, check_held
from common.account.decision import Snapshot, TransactionResult
from common.account.devices import NewDevice, OwnKeys
from common.account.history import ClientInfo, Event, EventKind, Reason
from common.account.liveness import require_live
from common.account.marks import Mark
from common.account.policy import Policies
from common.account.transactions import AccountTransactions, NoSuchUser
from common.clock import Clock
from common.errors import Code, Refusal
from common.ids import new_id
from common.proof.challenge_service import ChallengeService
from common.proof.dpop_service import DpopClient
from common.storage.port import Key, StoreUnavailable
from device_manager.device_db import DeviceDb, device_key, device_put, find_active_devices
from device_manager.device_model import Device
from device_manager.enrolment import Enrolment
from device_manager.ports import Consents, CredentialCheck, LoginAdmission, Notices, Pairing
from device_manager.trust import Trust


class DeviceDependencies(Struct, frozen=True):
    """Dependencies of the use cases. `login_result(username, admitted)` is told to the device once it is admitted."""

    transactions: AccountTransactions
    devices: DeviceDb
    claims: ClaimStore
    enrolment: Enrolment
    trust: Trust
    credentials: CredentialCheck
    pairing: Pairing
    admission: LoginAdmission
    consents: Consents
    login_result: Callable[[str, Admission], LoginResult]
    policies: Policies
    clock: Clock
    challenges: ChallengeService
    notify_of_device: Notices


class DeviceForm(Struct, frozen=True):
    """A device that wants to join by QR code and be logged in at once."""

    qr_code: str
    username: str
    password: str
    device_name: str
    force: bool
    takeover_token: str | None
    client: DpopClient
    keys: OwnKeys | None = None
    otp: str | None = None


class Joining(Struct, frozen=True):
    """A device that wants to join and be logged in at once; `keys` None: the server makes them."""

    device_name: str
    force: bool
    takeover_token: str | None
    client: DpopClient
    keys: OwnKeys | None = None


class Permission(Struct, frozen=True):
    """Why a device may join: a pairing token, or a passkey.

    `subject`: to what a consent is bound in the place of the device, which is not there yet. `redeem(snapshot)`, which
    reads what lies at `reading`, returns the marks that use the permission up, or raises Refusal.
    """

    subject: str
    consents: Consents
    reading: tuple[Key, ...]
    redeem: Callable[[Snapshot], tuple[Mark, ...]]


class RegisteredDevice(Struct, frozen=True):
    """A device that joined and is logged in."""

    device: NewDevice
    registered_at: datetime
    login_result: LoginResult


class ListedDevice(Struct, frozen=True):
    """A bound device, and its live session if it is active."""

    device: Device
    session: Session | None


class ForcedLogout(Struct, frozen=True):
    """The session that stays and those that were ended, each with its device's name."""

    kept: tuple[Session, str | None]
    logged_out: Sequence[tuple[Session, str | None]]


def register_device_for_user(dependencies: DeviceDependencies, form: DeviceForm) -> RegisteredDevice:
    """Bind a device and log it in under the limit, in one commit.

    Before keys are made, token and limits are checked once; a refusal leaves the token as it was. Raises Refusal:
    TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, QR_INVALID, PAIRING_TOKEN_FOREIGN,
    PAIRING_TOKEN_SPENT, TAKEOVER_INVALID, TAKEOVER_SPENT, DEVICE_MISMATCH, FORCE_DISABLED, PROOF_REQUIRED,
    PROOF_INVALID, TOO_MANY_DEVICES, KEY_IN_USE, DEVICE_ACTIVE, BUSY; StoreUnavailable.
    """
    consents = form.takeover_token is not None  # `join` refuses a consent that was not given to this very person
    user = dependencies.credentials.authenticate(
        form.username, form.password, form.client, otp=form.otp, factor_shown=consents
    )
    ticket = dependencies.pairing.read(form.qr_code, user.user_uuid)
    dependencies.enrolment.check_key_proof(form.keys, ticket.key.partition)

    def redeem(snapshot: Snapshot) -> tuple[Mark, ...]:
        item = snapshot.at(ticket.key)
        return (dependencies.pairing.redeem(ticket, item, snapshot.book, snapshot.rules, snapshot.now),)

    joining = Joining(form.device_name, form.force, form.takeover_token, form.client, form.keys)
    permission = Permission(ticket.key.partition, dependencies.consents, (ticket.key,), redeem)
    return join_and_log_in(dependencies, user, joining, permission)


def join_and_log_in(
    dependencies: DeviceDependencies, user: AuthenticatedUser, joining: Joining, permission: Permission
) -> RegisteredDevice:
    """Bind a device of a user and log it in under the limit, in one commit; raises as `register_device_for_user`."""
    session_id, claims = new_id(), dependencies.enrolment.claims_of(joining.keys)

    def join(snapshot: Snapshot, device: NewDevice | None) -> TransactionResult[Admission]:
        """Decide with the device, or, before it is made, with a stand-in that is never written."""
        book, now = snapshot.book, snapshot.now
        check_current(book, user)
        device_id = device.bound.device_id if device else session_id
        used = permission.redeem(snapshot)
        consent = permission.consents.given(
            user.user_uuid,
            permission.subject,
            snapshot.policy,
            force=joining.force,
            takeover_token=joining.takeover_token,
        )
        dependencies.enrolment.check_device_limit(book, snapshot.policy)
        if device is None:
            dependencies.enrolment.check_free([snapshot.at(claim) for claim in claims])
        draft = dependencies.enrolment.bind(snapshot.draft, device, snapshot.policy, now) if device else snapshot.draft
        name, key = None if device else joining.device_name, joining.client.thumbprint
        candidate = LoginCandidate(user, device_id, name, key, key_proven=joining.keys is not None)
        admitted = dependencies.admission.admit(draft, snapshot.policy, candidate, consent, session_id, now)
        if device is None:
            return TransactionResult(admitted)
        return TransactionResult(admitted, admitted.draft, (*used, device.row), device.prepared)

    try:
        reading = (*permission.reading, *claims)
        dependencies.transactions.dry_run(user.user_uuid, lambda snapshot: join(snapshot, None), reading)
        device = dependencies.enrolment.prepare(user.user_uuid, joining.device_name, primary=False, keys=joining.keys)
        with dependencies.claims.key_held(device.claim) as claim:

            def bind(snapshot: Snapshot) -> TransactionResult[Admission]:
                check_held((claim,), snapshot)
                return join(snapshot, device)

            admitted = dependencies.transactions.run(
                user.user_uuid, bind, reading=(*permission.reading, claim.key), client=joining.client
            )
    except NoSuchUser:
        raise Refusal(Code.BAD_CREDENTIALS, reason="no book") from None
    except LimitReached as reached:
        asked = LoginCandidate(user, permission.subject, thumbprint=joining.client.thumbprint)
        raise permission.consents.question(asked, reached) from None
    dependencies.notify_of_device(user.username, joining.device_name)
    dependencies.credentials.remember(user.user_uuid, device.bound.fingerprint, joining.client, counted_as="")
    login_result = dependencies.login_result(user.username, admitted)
    return RegisteredDevice(device, admitted.session.login_at, login_result)


def list_devices(dependencies: DeviceDependencies, caller: Caller) -> tuple[ListedDevice, ...]:
    """Return the caller's bound devices in the order in which they joined: by the book, hosts' clocks may differ."""
    book = dependencies.transactions.get_book(caller.user_uuid) or Book(caller.user_uuid)
    rules = dependencies.policies.of(book).rules_for(book)
    active = find_active_devices(book, rules, dependencies.clock())
    bound = [device for device in dependencies.devices.of_user(caller.user_uuid) if device.device_id in book.devices]
    joined = book.devices
    bound.sort(key=lambda device: (joined[device.device_id].bound_in, device.registered_at, device.device_id))
    return tuple(ListedDevice(device, active.get(device.device_id)) for device in bound)


def rename_device(
    dependencies: DeviceDependencies, caller: Caller, device_id: str, device_name: str, client: ClientInfo
) -> None:
    """Give a device of the caller's another name. Raises Refusal(NOT_FOUND), SessionGone, BUSY, StoreUnavailable."""

    def rename(snapshot: Snapshot) -> TransactionResult[None]:
        require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        device = bound_device(snapshot, device_id)
        renamed = Event(EventKind.DEVICE_RENAMED, snapshot.now, device_id, by=caller.session.device_id)
        draft = snapshot.draft.with_book(snapshot.book, renamed)
        return TransactionResult(None, draft, (device_put(device.renamed(device_name)),))

    reading = (device_key(caller.user_uuid, device_id),)
    dependencies.transactions.run(caller.user_uuid, rename, reading=reading, client=client)


def force_logout(dependencies: DeviceDependencies, caller: Caller, client: ClientInfo) -> ForcedLogout:
    """Keep the active device that logged in first and end the sessions of all others, the caller's included.

    Raises SessionGone, Refusal(BUSY), StoreUnavailable.
    """

    def keep_first(snapshot: Snapshot) -> TransactionResult[tuple[Session, ...]]:
        require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        draft = snapshot.draft.without_expired(snapshot.rules, snapshot.now)
        in_order = draft.book.in_order()
        by, first = caller.session.device_id, (in_order[0].session_id,)
        draft = draft.all_ended(Reason.FORCED_OUT, snapshot.rules, snapshot.now, by=by, but=first)
        return TransactionResult(in_order, draft if draft.events else None)

    first, *others = dependencies.transactions.run(caller.user_uuid, keep_first, client=client)
    names: Mapping[str, str] = {}
    with suppress(StoreUnavailable):  # it is done: a store that is unavailable now costs names only
        names = dependencies.devices.names(caller.user_uuid)

    def named(session: Session) -> tuple[Session, str | None]:
        return session, session.device_name or names.get(session.device_id)

    return ForcedLogout(named(first), [named(session) for session in others])


def bound_device(snapshot: Snapshot, device_id: str) -> Device:
    """Return the row that was read, if its device is bound. Raises Refusal(NOT_FOUND)."""
    item = snapshot.at(device_key(snapshot.book.user_uuid, device_id))
    if device_id not in snapshot.book.devices or item is None:
        raise Refusal(Code.NOT_FOUND, reason="no such device of this user")
    return Device.from_item(item)
