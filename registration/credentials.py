"""The one credential check: every door that takes a password asks here, and no guess is free.

Take a try, hash, put the try back when the password was right. An unknown name costs the same calls and the same time
as a wrong password.
"""

from __future__ import annotations

import hmac
import logging
from datetime import timedelta

from common.admission import Proven
from common.clock import Clock
from common.crypto.passwords import decoy_hash
from common.errors import Code, Refusal
from common.history import FailedLogin, Origin, failure_put
from common.ids import new_id
from common.storage.port import Store, StoreUnavailable
from registration.account_db import AccountDb
from registration.account_model import Account, mail_claim, name_claim, normal_password
from registration.guesses import Guesses
from registration.hashing import HashingRoom

FAILURES_KEPT = timedelta(days=90)

_log = logging.getLogger(__name__)


class CredentialCheck:
    """Proves passwords. `names_key` is the MAC key under which unknown names are counted without being stored."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        guesses: Guesses,
        room: HashingRoom,
        names_key: bytes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._guesses = guesses
        self._accounts = AccountDb(store)
        self._room = room
        self._decoy = decoy_hash(room.cost)
        self._names_key = names_key

    def prove(
        self,
        name: str,
        password: str,
        origin: Origin,
        *,
        by_email: bool = False,
        device_mark: str | None = None,
    ) -> Proven:
        """Check a username's (or a mail's) password.

        `device_mark` is what the device says it is (its fingerprint): one that logged in from this source before is
        counted by itself. Raises Refusal: TOO_MANY_ATTEMPTS (with `retry_after`), BAD_CREDENTIALS, BUSY;
        StoreUnavailable.
        """
        claim = mail_claim(name) if by_email else name_claim(name)
        with self._room.place():
            owner = self._accounts.owner_of(claim)
            account_key = owner or hmac.digest(self._names_key, claim.encode(), "sha256").hex()
            return self._prove(account_key, password, origin, device_mark)

    def prove_user(self, user_uuid: str, password: str, origin: Origin) -> Proven:
        """Check the password of an account that is known by its uuid; raises as `prove`."""
        with self._room.place():
            return self._prove(user_uuid, password, origin, None)

    def remember(self, user_uuid: str, device_mark: str, origin: Origin) -> None:
        """Note that a device logged in from here, so that it is counted by itself from now on; never raises."""
        self._guesses.remember(user_uuid, device_mark, origin)

    def _prove(self, account_key: str, password: str, origin: Origin, device_mark: str | None) -> Proven:
        buckets = self._guesses.buckets_of(account_key, origin, device_mark)
        self._guesses.take(buckets)
        account = self._accounts.find(account_key)
        try:
            is_right = self._is_right(account, password)
        except Refusal:  # nothing was compared, so it was no guess
            self._guesses.put_back(buckets)
            raise
        if not is_right or account is None:
            self._record_failure(account_key, origin)
            raise Refusal(Code.BAD_CREDENTIALS)
        self._guesses.put_back(buckets)
        return Proven(account.uuid, account.username, account.epoch, self._clock())

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
