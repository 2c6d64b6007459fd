"""A user's passkeys: made, listed, removed. Each change asks for the password, or for another passkey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import Caller, FactorCode, Password, check_current
from common.account.decision import Snapshot, TransactionResult
from common.account.history import ClientInfo, Event, EventKind
from common.account.liveness import require_live
from common.account.marks import check_quota
from common.account.transactions import AccountTransactions
from common.crypto.passkeys import PasskeyAttestation
from common.errors import Code, Refusal
from common.storage.port import Put
from registration.credentials import CredentialCheck
from registration.factor_model import without_app
from registration.factors import Factors, factor_in, factor_key, factor_put
from registration.passkey_model import MOST_PASSKEYS, Passkey
from registration.passkeys import MOST_USED, PasskeyChallenges


class PasskeyDependencies(Struct, frozen=True):
    """What the use cases work with."""

    transactions: AccountTransactions
    credentials: CredentialCheck
    factors: Factors
    challenges: PasskeyChallenges


class ConfirmedCall(Struct, frozen=True):
    """What confirms a change: the password with what is given of the second factor, or a passkey."""

    password: Password
    factor: FactorCode
    client: ClientInfo


def passkeys_of(dependencies: PasskeyDependencies, caller: Caller) -> Sequence[Passkey]:
    """Return the caller's passkeys, the oldest first. Raises StoreUnavailable."""
    factor = dependencies.factors.find(caller.user_uuid)
    return () if factor is None else factor.passkeys


def begin(dependencies: PasskeyDependencies, caller: Caller, confirmed: ConfirmedCall) -> Mapping[str, Any]:
    """Return what the caller's browser needs to make a passkey; nothing is stored.

    Raises Refusal: NOT_SUPPORTED, TOO_MANY_PASSKEYS, TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID,
    PASSKEY_INVALID, BUSY; StoreUnavailable.
    """
    present = passkeys_of(dependencies, caller)
    _check_room(present)
    user = dependencies.credentials.reauthenticate(
        caller.user_uuid, confirmed.password, confirmed.client, confirmed.factor
    )
    return dependencies.challenges.creation(user.user_uuid, user.username, user.credential_version, present)


def finish(
    dependencies: PasskeyDependencies, caller: Caller, attestation: PasskeyAttestation, name: str, client: ClientInfo
) -> Passkey:
    """Keep the passkey that a browser made, under a name that its user knows it by.

    Raises Refusal: PASSKEY_INVALID, TOO_MANY_PASSKEYS, TOO_MANY_ATTEMPTS, NOT_SUPPORTED, BUSY; SessionGone;
    StoreUnavailable.
    """
    created, credential_version, asked = dependencies.challenges.created(caller.user_uuid, attestation, name)

    def keep(snapshot: Snapshot) -> TransactionResult[Passkey]:
        own = require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        if not snapshot.book.is_current(credential_version):
            raise Refusal(Code.PASSKEY_INVALID, reason="begun under other credentials")
        if asked.mark.name in snapshot.book.marks:
            raise Refusal(Code.PASSKEY_INVALID, reason="its challenge was used before")
        check_quota(snapshot.book.marks, asked.mark, MOST_USED, snapshot.now)
        event = Event(EventKind.PASSKEY_ADDED, snapshot.now, own.device_id, by=own.device_id)
        draft = snapshot.draft.with_book(snapshot.book, event)
        passkey = replace(created, since=snapshot.now)  # as late as its event: see taking_back
        return TransactionResult(passkey, draft, (_added(snapshot, passkey), asked.mark))

    reading = (factor_key(caller.user_uuid),)
    return dependencies.transactions.run(caller.user_uuid, keep, reading=reading, client=client)


def remove(dependencies: PasskeyDependencies, caller: Caller, passkey_id: str, confirmed: ConfirmedCall) -> None:
    """Remove one of the caller's passkeys.

    Raises Refusal: NOT_FOUND, TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, PASSKEY_INVALID, BUSY;
    SessionGone; StoreUnavailable.
    """
    user = dependencies.credentials.reauthenticate(
        caller.user_uuid, confirmed.password, confirmed.client, confirmed.factor
    )

    def take_off(snapshot: Snapshot) -> TransactionResult[None]:
        own = require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        check_current(snapshot.book, user)
        factor = factor_in(snapshot)
        if factor is None or all(each.passkey_id != passkey_id for each in factor.passkeys):
            raise Refusal(Code.NOT_FOUND, reason="no such passkey of this user")
        event = Event(EventKind.PASSKEY_REMOVED, snapshot.now, own.device_id, by=own.device_id)
        draft = snapshot.draft.with_book(snapshot.book, event)
        return TransactionResult(None, draft, (factor_put(factor.without_passkey(passkey_id)),))

    reading = (factor_key(caller.user_uuid),)
    dependencies.transactions.run(caller.user_uuid, take_off, reading=reading, client=confirmed.client)


def _added(snapshot: Snapshot, passkey: Passkey) -> Put:
    factor = factor_in(snapshot)
    if factor is None:
        return factor_put(
            without_app(snapshot.book.user_uuid, (), snapshot.now, snapshot.policy.generation).with_passkey(passkey)
        )
    _check_room(factor.passkeys)
    if factor.passkey_of(passkey.credential_id) is not None:
        raise Refusal(Code.PASSKEY_INVALID, reason="it is there already")
    return factor_put(factor.with_passkey(passkey))


def _check_room(passkeys: Sequence[Passkey]) -> None:
    if len(passkeys) >= MOST_PASSKEYS:
        raise Refusal(Code.TOO_MANY_PASSKEYS)
