"""The one credential check: every endpoint that takes a password uses it, and every attempt is counted.

Take a try, hash, put the try back when the password was right, and the second factor too where the account has one. An
unknown name costs the same calls and the same time as a wrong password.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from common.account.admission import AuthenticatedUser, FactorCode, Password
from common.account.history import ClientInfo, FailedLogin, failure_put
from common.account.retention import FOR_EVER, Retention
from common.clock import Clock
from common.crypto.otp import is_recovery_code, normal_code
from common.crypto.passkeys import InvalidPasskey, PasskeyAssertion
from common.crypto.passwords import decoy_hash
from common.errors import Code, Refusal
from common.ids import is_id
from common.request_context import note_user
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Store, StoreUnavailable
from registration.account_db import AccountDb
from registration.account_model import Account, mail_claim, name_claim, normal_password
from registration.factors import Factors
from registration.hashing_pool import HashingPool
from registration.login_rate_limiter import LoginRateLimiter, Taken

_WRONG_GUESSES = (Code.BAD_CREDENTIALS, Code.OTP_INVALID, Code.PASSKEY_INVALID, Code.RECOVERY_CODE_INVALID)
"""What a wrong guess is answered; anything else compared nothing, or found it right."""

_log = logging.getLogger(__name__)


class SecondFactorInput(Struct, frozen=True):
    """What was given of the second factor: a code, a passkey's signature, or nothing."""

    otp: FactorCode

    @property
    def is_of_an_app(self) -> bool:
        """Whether it can be a code of six digits, of which three in a million are right."""
        return isinstance(self.otp, str) and not is_recovery_code(normal_code(self.otp))

    @property
    def is_passkey(self) -> bool:
        """Whether it is a passkey's signature."""
        return isinstance(self.otp, PasskeyAssertion)


class CredentialCheck:
    """Proves passwords. `names_key` is the MAC key under which unknown names are counted without being stored."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        limiter: LoginRateLimiter,
        hashing_pool: HashingPool,
        names_key: bytes,
        factors: Factors,
        retention: Retention = FOR_EVER,
    ) -> None:
        self._store = store
        self._clock = clock
        self._limiter = limiter
        self._accounts = AccountDb(store)
        self._hashing_pool = hashing_pool
        self._decoy = decoy_hash(hashing_pool.cost)
        self._names_key = names_key
        self._factors = factors
        self._retention = retention

    def authenticate(
        self,
        name: str,
        password: str,
        client: ClientInfo,
        *,
        by_email: bool = False,
        device_hint: str | None = None,
        otp: FactorCode = None,
        factor_shown: bool = False,
    ) -> AuthenticatedUser:
        """Check a username's (or a mail's) password and, where the account has a second factor, the code `otp`.

        A passkey's signature in the place of the code is judged on every account.

        `device_hint` is what the device says it is (its fingerprint): one that logged in from this source before is
        counted by itself. `factor_shown`: with the password comes what is given only to those who showed the factor (a
        signed challenge, a consent), and the caller refuses requests without a valid one. Raises Refusal:
        TOO_MANY_ATTEMPTS (with `retry_after`), BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, PASSKEY_INVALID,
        PASSWORD_RESET_REQUIRED, BUSY; StoreUnavailable.
        """
        claim = mail_claim(name) if by_email else name_claim(name)
        with self._hashing_pool.admit():
            owner = self._accounts.owner_of(claim)
            if owner is not None:
                note_user(owner)
            account_key = owner or hmac.digest(self._names_key, claim.encode(), "sha256").hex()
            return self._authenticate(
                account_key, password, client, device_hint, None if factor_shown else SecondFactorInput(otp), claim
            )

    def authenticate_by_passkey(
        self, assertion: PasskeyAssertion, client: ClientInfo, device_hint: str | None = None
    ) -> AuthenticatedUser:
        """Check a passkey's signature alone, which stands for password and factor: its user must have been verified.

        Raises Refusal: PASSKEY_INVALID, TOO_MANY_ATTEMPTS, NOT_SUPPORTED, BUSY; StoreUnavailable.
        """
        try:
            user_uuid = assertion.user_id
        except InvalidPasskey as error:
            raise Refusal(Code.PASSKEY_INVALID, reason=str(error)) from None
        if not is_id(user_uuid):
            raise Refusal(Code.PASSKEY_INVALID, reason="no user of ours")
        note_user(user_uuid)
        return self._by_passkey(user_uuid, assertion, client, device_hint)

    def reauthenticate(
        self, user_uuid: str, password: Password, client: ClientInfo, otp: FactorCode = None, *, renewing: bool = False
    ) -> AuthenticatedUser:
        """Check the password, and the code, of an account that is known by its uuid; raises as `authenticate`.

        A passkey's signature in the place of the password stands for both. `renewing`: the password is asked for to set
        a new one, which an account may have to do.
        """
        if isinstance(password, PasskeyAssertion):
            return self._by_passkey(user_uuid, password, client, None)
        with self._hashing_pool.admit():
            return self._authenticate(user_uuid, password, client, None, SecondFactorInput(otp), renewing=renewing)

    def authenticate_for_recovery(self, name: str, password: str, code: str, client: ClientInfo) -> AuthenticatedUser:
        """Check a password that is in force or was lately, and a recovery code, which is not used up.

        An unknown name, a wrong password and a wrong code cost the same calls, and one hash. Raises Refusal:
        TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, RECOVERY_CODE_INVALID (the password is right), BUSY; StoreUnavailable.
        """
        with self._hashing_pool.admit():
            claim = name_claim(name)
            owner = self._accounts.owner_of(claim)
            account_key = owner or hmac.digest(self._names_key, claim.encode(), "sha256").hex()
            with self._counted(account_key, client):
                account = self._recoverable(account_key, password, code, claim)
        return AuthenticatedUser(account.uuid, account.username, account.credential_version, self._clock())

    def check_factor(self, user_uuid: str, otp: FactorCode, client: ClientInfo) -> None:
        """Take a code of an account that has a second factor, for a client that has proven ownership otherwise.

        Raises Refusal: TOO_MANY_ATTEMPTS, OTP_REQUIRED, OTP_INVALID, BUSY; StoreUnavailable.
        """
        second_factor = SecondFactorInput(otp)
        account = self._accounts.find(user_uuid)
        if account is None:
            raise Refusal(Code.BAD_CREDENTIALS, reason="no account")
        with self._counted(user_uuid, client, code=second_factor.is_of_an_app) as taken:
            self._check_code(account, second_factor, client, taken)

    def remember(self, user_uuid: str, device_hint: str, client: ClientInfo, counted_as: str | None = None) -> None:
        """Note that a device logged in from here, so that it is counted by itself from now on; never raises.

        `counted_as`: see `AuthenticatedUser`.
        """
        self._limiter.remember(user_uuid, device_hint, client, counted_as)

    def _by_passkey(
        self, user_uuid: str, assertion: PasskeyAssertion, client: ClientInfo, device_hint: str | None
    ) -> AuthenticatedUser:
        """Judge a signature; one for an account that there is not costs the same calls as another's."""
        with self._counted(user_uuid, client, device_hint) as taken:
            self._factors.use_passkey(user_uuid, assertion, alone=True)
            account = self._accounts.find(user_uuid)
            if account is None:
                raise Refusal(Code.PASSKEY_INVALID, reason="no account")
        return self._authenticated(account, taken, device_hint)

    def _authenticate(
        self,
        account_key: str,
        password: str,
        client: ClientInfo,
        device_hint: str | None,
        second_factor: SecondFactorInput | None,
        claim: str | None = None,
        *,
        renewing: bool = False,
    ) -> AuthenticatedUser:
        """Judge a password and, unless `given` is None, the second factor. `claim`: what the account was named by."""
        is_of_an_app = second_factor is not None and second_factor.is_of_an_app
        with self._counted(account_key, client, device_hint, code=is_of_an_app) as taken:
            account = self._rightful(account_key, password, claim)
            if second_factor is not None and (account.has_factor or second_factor.is_passkey):
                self._check_code(account, second_factor, client, taken)
            if account.reset_required and not renewing:
                raise Refusal(Code.PASSWORD_RESET_REQUIRED)
        return self._authenticated(account, taken, device_hint)

    def _authenticated(self, account: Account, taken: Taken, device_hint: str | None) -> AuthenticatedUser:
        return AuthenticatedUser(
            account.uuid,
            account.username,
            account.credential_version,
            self._clock(),
            counted_as=None if device_hint is None else taken.counted_as,
        )

    @contextmanager
    def _counted(
        self, account_key: str, client: ClientInfo, device_hint: str | None = None, *, code: bool = False
    ) -> Iterator[Taken]:
        """Count one try, and give it back unless it is a wrong guess, which is kept for the account's owner to see."""
        taken = self._limiter.acquire(account_key, client, device_hint, code=code)
        try:
            yield taken
        except Refusal as refusal:
            if refusal.code is Code.BAD_CREDENTIALS:
                self._limiter.put_back_code(taken)
            if refusal.code in _WRONG_GUESSES:
                self._record_failure(account_key, client)
            else:
                self._limiter.refund(taken)
            raise
        self._limiter.refund(taken)

    def _recoverable(self, account_key: str, password: str, code: str, claim: str) -> Account:
        account, is_code = self._accounts.find(account_key), self._factors.holds(account_key, code)
        is_right = self._is_right(account, password)
        if account is not None and is_code and not is_right:
            former = (each.password for each in account.former if self._clock() < each.until)
            is_right = any(self._hashing_pool.matches(each, normal_password(password)) for each in former)
        if account is None or not is_right or not self._goes_by(account, claim):
            raise Refusal(Code.BAD_CREDENTIALS)
        if not is_code:
            raise Refusal(Code.RECOVERY_CODE_INVALID)
        return account

    def _rightful(self, account_key: str, password: str, claim: str | None) -> Account:
        """Return the account whose password this is; before it is called wrong, the book is asked for a newer one."""
        account = self._accounts.find(account_key)
        is_right = self._is_right(account, password)
        if account is None or not is_right or not self._goes_by(account, claim):
            account = self._accounts.find_pending(account_key)
            if account is None or not self._is_right(account, password) or not self._goes_by(account, claim):
                raise Refusal(Code.BAD_CREDENTIALS)
        return account

    def _goes_by(self, account: Account, claim: str | None) -> bool:
        return claim is None or account.goes_by(claim, self._clock())

    def _check_code(self, account: Account, second_factor: SecondFactorInput, client: ClientInfo, taken: Taken) -> None:
        """Take the code. One of six digits was a try of its own, if there was one left; nobody guesses the others."""
        if second_factor.otp is None:
            raise Refusal(Code.OTP_REQUIRED)
        if isinstance(second_factor.otp, PasskeyAssertion):
            self._factors.use_passkey(account.uuid, second_factor.otp, alone=False)
            return
        self._limiter.require_code(taken)
        self._factors.use_code(account.uuid, second_factor.otp, client)

    def _is_right(self, account: Account | None, password: str) -> bool:
        expected = self._decoy if account is None else account.password
        return self._hashing_pool.matches(expected, normal_password(password))

    def _record_failure(self, account_key: str, client: ClientInfo) -> None:
        """Keep the failed try for the account's owner to see. It is lost if the store is unavailable."""
        now = self._clock()
        failed = FailedLogin(now, self._retention.origin_of(client))
        put = failure_put(account_key, failed, self._retention.end_of_failure(now))
        try:
            write_known(self._store, put, RetryBudget())
        except StoreUnavailable as error:
            _log.warning("a failed login was not recorded: %s", error)
