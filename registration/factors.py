"""Second factors in the store, and the taking of codes: each code is taken once, however many bring it at once."""

from __future__ import annotations

import hmac
import logging

from common.bookkeeping import Bookkeeper, Change, Snapshot
from common.clock import Clock
from common.crypto.otp import FactorKeys, UnreadableSecret, is_recovery_code, matching_step, normal_code
from common.errors import Code, Refusal
from common.history import Event, Kind, Origin
from common.patience import Patience
from common.storage.port import Conflict, Equals, Item, Key, Put, Store
from common.storage.resolving import commit_known
from common.storage.tables import FACTORS
from registration.factor_model import Factor

_log = logging.getLogger(__name__)


class Factors:
    """Finds second factors and takes their codes. Every method raises StoreUnavailable."""

    def __init__(self, store: Store, clock: Clock, bookkeeper: Bookkeeper, keys: FactorKeys) -> None:
        self._store = store
        self._clock = clock
        self._bookkeeper = bookkeeper
        self._keys = keys

    def find(self, user_uuid: str) -> Factor | None:
        """Return an account's second factor."""
        return _read(self._store.get(factor_key(user_uuid)))

    def take(self, user_uuid: str, code: str, origin: Origin) -> None:
        """Take a code of the app, or a recovery code, of an account that has a factor: nobody can use it again.

        Raises Refusal: OTP_INVALID (wrong, too old, or used), BUSY.
        """
        normal = normal_code(code)
        if is_recovery_code(normal):
            self._take_recovery_code(user_uuid, normal, origin)
        else:
            self._take_step(user_uuid, normal)

    def _take_step(self, user_uuid: str, code: str) -> None:
        patience = Patience()
        for _ in patience:
            factor = self._require(self.find(user_uuid))
            step = matching_step(self._secret(factor, user_uuid), code, self._clock(), factor.last_step)
            if step is None:
                raise Refusal(Code.OTP_INVALID)
            try:
                return commit_known(self._store, [_changed(factor, factor.after(step))], patience)
            except Conflict:
                continue  # somebody took a code meanwhile: perhaps this one
        raise Refusal(Code.BUSY, reason="codes of one account", retry_after=1)

    def _take_recovery_code(self, user_uuid: str, code: str, origin: Origin) -> None:
        """Take it out of the row and write down that it was used, in one commit."""
        (wanted,) = self._keys.marks_of([code], user_uuid)

        def use(snapshot: Snapshot) -> Change[None]:
            factor = self._require(_read(snapshot.items[0]))
            mark = next((one for one in factor.marks if hmac.compare_digest(one, wanted)), None)
            if mark is None:
                raise Refusal(Code.OTP_INVALID)
            draft = snapshot.draft.with_book(snapshot.book, Event(Kind.RECOVERY_CODE_USED, snapshot.now))
            return Change(None, draft, (_changed(factor, factor.without(mark)),))

        self._bookkeeper.change(user_uuid, use, reading=(factor_key(user_uuid),), origin=origin)

    def _secret(self, factor: Factor, user_uuid: str) -> bytes:
        try:
            return self._keys.unseal(factor.sealed, user_uuid)
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
    """Return the write of a new factor. It needs no condition: it goes with a book whose version is one."""
    return Put(FACTORS, factor.to_item())


def _changed(before: Factor, after: Factor) -> Put:
    return Put(FACTORS, after.to_item(), Equals("version", before.version))


def _read(item: Item | None) -> Factor | None:
    return None if item is None else Factor.from_item(item)
