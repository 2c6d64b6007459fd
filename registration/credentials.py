"""The one credential check: every door that takes a password asks here, and no guess is free.

Take a try, hash, put the try back when the password was right, and the second factor too where the account has one. An
unknown name costs the same calls and the same time as a wrong password.
"""

from __future__ import annotations

import hmac
import logging
from datetime import timedelta

from msgspec import Struct

from common.admission import Proven
from common.clock import Clock
from common.crypto.otp import is_recovery_code, normal_code
from common.crypto.passwords import decoy_hash
from common.errors import Code, Refusal
from common.history import FailedLogin, Origin, failure_put
from common.ids import new_id
from common.storage.port import Store, StoreUnavailable
from registration.account_db import AccountDb
from registration.account_model import Account, mail_claim, name_claim, normal_password
from registration.factors import Factors
from registration.guesses import Bucket, Guesses
from registration.hashing import HashingRoom

FAILURES_KEPT = timedelta(days=90)

_GUESSES = (Code.BAD_CREDENTIALS, Code.OTP_INVALID)
"""What a wrong guess is answered; anything else compared nothing, or found it right."""

_log = logging.getLogger(__name__)


class Given(Struct, frozen=True):
    """What was given of the second factor: a code, or nothing."""

    otp: str | None


class CredentialCheck:
    """Proves passwords. `names_key` is the MAC key under which unknown names are counted without being stored."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        guesses: Guesses,
        room: HashingRoom,
        names_key: bytes,
        factors: Factors,
    ) -> None:
        self._store = store
        self._clock = clock
        self._guesses = guesses
        self._accounts = AccountDb(store)
        self._room = room
        self._decoy = decoy_hash(room.cost)
        self._names_key = names_key
        self._factors = factors

    def prove(
        self,
        name: str,
        password: str,
        origin: Origin,
        *,
        by_email: bool = False,
        device_mark: str | None = None,
        otp: str | None = None,
        factor_shown: bool = False,
    ) -> Proven:
        """Check a username's (or a mail's) password and, where the account has a second factor, the code `otp`.

        `device_mark` is what the device says it is (its fingerprint): one that logged in from this source before is
        counted by itself. `factor_shown`: with the password comes what is given only to those who showed the factor (a
        signed challenge, a consent), and whoever calls refuses all who bring none that is good. Raises Refusal:
        TOO_MANY_ATTEMPTS (with `retry_after`), BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, BUSY; StoreUnavailable.
        """
        claim = mail_claim(name) if by_email else name_claim(name)
        with self._room.place():
            owner = self._accounts.owner_of(claim)
            account_key = owner or hmac.digest(self._names_key, claim.encode(), "sha256").hex()
            return self._prove(account_key, password, origin, device_mark, None if factor_shown else Given(otp))

    def prove_user(self, user_uuid: str, password: str, origin: Origin, otp: str | None = None) -> Proven:
        """Check the password, and the code, of an account that is known by its uuid; raises as `prove`."""
        with self._room.place():
            return self._prove(user_uuid, password, origin, None, Given(otp))

    def remember(self, user_uuid: str, device_mark: str, origin: Origin) -> None:
        """Note that a device logged in from here, so that it is counted by itself from now on; never raises."""
        self._guesses.remember(user_uuid, device_mark, origin)

    def _prove(
        self, account_key: str, password: str, origin: Origin, device_mark: str | None, given: Given | None
    ) -> Proven:
        """Judge a password and, unless `given` is None, the second factor."""
        taken = list(self._guesses.buckets_of(account_key, origin, device_mark))
        self._guesses.take(taken)
        try:
            account = self._rightful(account_key, password)
            if account.has_factor and given is not None:
                self._take_code(account, given, origin, device_mark, taken)
        except Refusal as refusal:
            if refusal.code in _GUESSES:
                self._record_failure(account_key, origin)
            else:
                self._guesses.put_back(taken)
            raise
        self._guesses.put_back(taken)
        return Proven(account.uuid, account.username, account.epoch, self._clock())

    def _rightful(self, account_key: str, password: str) -> Account:
        account = self._accounts.find(account_key)
        if not self._is_right(account, password) or account is None:
            raise Refusal(Code.BAD_CREDENTIALS)
        return account

    def _take_code(
        self, account: Account, given: Given, origin: Origin, device_mark: str | None, taken: list[Bucket]
    ) -> None:
        """Take the code. One of six digits is a try of its own, added to `taken`; a recovery code is past guessing."""
        if given.otp is None:
            raise Refusal(Code.OTP_REQUIRED)
        if not is_recovery_code(normal_code(given.otp)):
            buckets = self._guesses.buckets_of_codes(account.uuid, origin, device_mark)
            self._guesses.take(buckets)
            taken += buckets
        self._factors.take(account.uuid, given.otp, origin)

    def _is_right(self, account: Account | None, password: str) -> bool:
        expected = self._decoy if account is None else account.password
        return self._room.matches(expected, normal_password(password))

    def _record_failure(self, account_key: str, origin: Origin) -> None:
        """Keep the failed try for the account's owner to see. It is lost if the store is away."""
        now = self._clock()
        put = failure_put(account_key, FailedLogin(now, origin), now + FAILURES_KEPT)
        try:
            self._store.commit([put], new_id())
        except StoreUnavailable as error:
            _log.warning("a failed login was not recorded: %s", error)
