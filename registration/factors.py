"""Second factors in the store, and the taking of codes: each code is taken once, however many bring it at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from common.account.decision import Snapshot, TransactionResult
from common.account.history import ClientInfo, Event, EventKind
from common.account.policy import Policy
from common.account.transactions import AccountTransactions, NoSuchUser
from common.clock import Clock
from common.crypto.otp import FactorKeys, UnreadableSecret, is_recovery_code, matching_step, normal_code
from common.crypto.passkeys import PasskeyAssertion
from common.errors import Code, Refusal
from common.storage.port import Item, Key, Put, Store
from common.storage.tables import FACTORS
from registration.factor_model import Factor
from registration.passkeys import PasskeyChallenges

_log = logging.getLogger(__name__)


class Factors:
    """Finds second factors and takes their codes. Every method raises StoreUnavailable."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        transactions: AccountTransactions,
        keys: FactorKeys,
        passkeys: PasskeyChallenges,
    ) -> None:
        self._store = store
        self._clock = clock
        self._transactions = transactions
        self._keys = keys
        self._passkeys = passkeys

    def find(self, user_uuid: str) -> Factor | None:
        """Return an account's second factor, as it stands in the store's generation."""
        return _read(self._store.get(factor_key(user_uuid)), self._transactions.policy())

    def has_lost_codes(self, user_uuid: str) -> bool:
        """Say whether an account had recovery codes and has none left in this generation of the store."""
        factor = self.find(user_uuid)
        return factor is not None and not factor.recovery_code_hashes

    def holds(self, user_uuid: str, code: str) -> bool:
        """Say whether a recovery code is one of an account, known or not; it is not used up."""
        factor = self.find(user_uuid)
        (wanted,) = self._keys.hashes_of([code], user_uuid)
        return factor is not None and factor.holds(wanted, self._clock())

    def use_code(self, user_uuid: str, code: str, client: ClientInfo) -> None:
        """Take a code of the app, or a recovery code, of an account that has a factor: nobody can use it again.

        Raises Refusal: OTP_INVALID (wrong, too old, or used), BUSY.
        """
        normal = normal_code(code)
        if is_recovery_code(normal):
            self._use_recovery_code(user_uuid, normal, client)
        else:
            self._use_app_code(user_uuid, normal)

    def use_passkey(self, user_uuid: str, assertion: PasskeyAssertion, *, alone: bool) -> None:
        """Take a passkey's signature for an account, known or not: nobody can use it again.

        `alone`: no password came with it. Raises Refusal: PASSKEY_INVALID, TOO_MANY_ATTEMPTS, NOT_SUPPORTED, BUSY.
        """
        asked = self._passkeys.asked_for(assertion)

        def use(snapshot: Snapshot) -> TransactionResult[None]:
            factor = factor_in(snapshot)
            if factor is None:
                raise Refusal(Code.PASSKEY_INVALID, reason="the account has none")
            used = self._passkeys.used(factor, assertion, asked, alone=alone)
            return TransactionResult(None, snapshot.draft, (factor_put(used),))

        try:
            self._transactions.run(user_uuid, use, reading=(factor_key(user_uuid),))
        except NoSuchUser:
            raise Refusal(Code.PASSKEY_INVALID, reason="no such account") from None

    def _use_app_code(self, user_uuid: str, code: str) -> None:
        """Write its time step into the book; where another code was taken meanwhile it is judged anew."""

        def use(snapshot: Snapshot) -> TransactionResult[None]:
            factor = self._require(factor_in(snapshot))
            taken = max(factor.last_step, snapshot.book.code_step)
            step = matching_step(self._secret(factor, user_uuid), code, snapshot.now, taken)
            if step is None:
                raise Refusal(Code.OTP_INVALID)
            return TransactionResult(None, snapshot.draft.with_book(replace(snapshot.book, code_step=step)))

        self._run(user_uuid, use, ClientInfo())

    def _run(self, user_uuid: str, use: Callable[[Snapshot], TransactionResult[None]], client: ClientInfo) -> None:
        try:
            self._transactions.run(user_uuid, use, reading=(factor_key(user_uuid),), client=client)
        except NoSuchUser:
            raise Refusal(Code.OTP_INVALID, reason="no book") from None

    def _use_recovery_code(self, user_uuid: str, code: str, client: ClientInfo) -> None:
        """Take it out of the row and write down that it was used, in one commit."""
        (wanted,) = self._keys.hashes_of([code], user_uuid)

        def use(snapshot: Snapshot) -> TransactionResult[None]:
            factor = self._require(factor_in(snapshot))
            if not factor.holds(wanted, snapshot.now):
                raise Refusal(Code.OTP_INVALID)
            draft = snapshot.draft.with_book(snapshot.book, Event(EventKind.RECOVERY_CODE_USED, snapshot.now))
            return TransactionResult(None, draft, (factor_put(factor.without(wanted)),))

        self._run(user_uuid, use, client)

    def _secret(self, factor: Factor, user_uuid: str) -> bytes:
        try:
            return self._keys.decrypt(factor.encrypted_secret, user_uuid)
        except UnreadableSecret:
            _log.error("the second factor of %s is sealed for another user or under other keys", user_uuid)
            raise Refusal(Code.OTP_INVALID, reason="its secret does not open") from None

    def _require(self, factor: Factor | None) -> Factor:
        if factor is None:  # taken off since the account was read, or lost: either way no code is right
            raise Refusal(Code.OTP_INVALID, reason="no factor")
        return factor


def factor_key(user_uuid: str) -> Key:
    """Return where an account's second factor lies."""
    return FACTORS.key(user_uuid)


def factor_put(factor: Factor) -> Put:
    """Return the write of a factor's new state, which follows from its account's book."""
    return Put(FACTORS, factor.to_item())


def without_passkeys(snapshot: Snapshot, by: str) -> tuple[tuple[Put, ...], tuple[Event, ...]]:
    """Return the write that voids all passkeys of an account whose factor was read, and its events.

    There are none where it has none. `by`: the device that does it.
    """
    factor = factor_in(snapshot)
    if factor is None or not factor.passkeys:
        return (), ()
    left = factor.without_passkeys()
    return (factor_put(left),), taken_off(factor, left, snapshot.now, by)


def taken_off(before: Factor, after: Factor, now: datetime, by: str | None) -> tuple[Event, ...]:
    """Return the events of a change that takes the app or passkeys off as a part of something else. `by`: the device.

    For each passkey there is one.
    """
    left = {each.passkey_id for each in after.passkeys}
    is_off = before.encrypted_secret and not after.encrypted_secret
    kinds = [EventKind.PASSKEY_REMOVED for each in before.passkeys if each.passkey_id not in left]
    return tuple(Event(kind, now, by, by=by) for kind in ([EventKind.OTP_DISABLED] if is_off else []) + kinds)


def factor_in(snapshot: Snapshot) -> Factor | None:
    """Return the second factor that was read with the book, as it stands in the store's generation."""
    return _read(snapshot.at(factor_key(snapshot.book.user_uuid)), snapshot.policy)


def _read(item: Item | None, policy: Policy) -> Factor | None:
    if item is None:
        return None
    return Factor.from_item(item).in_generation(policy.generation, policy.generation_since)
