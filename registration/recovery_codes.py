"""Recovery codes for every account: made by the password, shown once, and one set with the second factor's.

The set before stays good for seven days unless one of its codes, or the factor, confirmed the call: an attacker
with the password alone cannot take the owner's codes away.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from common.account.admission import Caller, FactorCode, Password, check_current
from common.account.decision import Snapshot, TransactionResult
from common.account.history import ClientInfo, Event, EventKind
from common.account.liveness import require_live
from common.account.transactions import NoSuchUser
from common.crypto.otp import new_recovery_codes
from common.crypto.passkeys import PasskeyAssertion
from common.errors import Code, Refusal
from common.storage.port import Put
from registration.factor_model import Factor, without_app
from registration.factors import factor_in, factor_key, factor_put
from registration.second_factor import FORMER_CODES_KEPT, SecondFactorDependencies, renew_recovery_codes


class RecoveryCodesForm(Struct, frozen=True):
    """The password, and a code of the app or of the set before: needed where a second factor is on."""

    password: Password
    code: FactorCode
    client: ClientInfo


def make_recovery_codes(
    dependencies: SecondFactorDependencies, caller: Caller, form: RecoveryCodesForm
) -> tuple[str, ...]:
    """Make new recovery codes and return them; they are shown this once.

    Raises Refusal: TOO_MANY_ATTEMPTS, BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, RECOVERY_CODE_INVALID, BUSY;
    SessionGone; StoreUnavailable.
    """
    account = dependencies.accounts.find(caller.user_uuid)
    if account is None:
        raise NoSuchUser
    if account.has_factor:
        return renew_recovery_codes(dependencies, caller, form.password, form.code, form.client)
    passkey = form.code if isinstance(form.code, PasskeyAssertion) else None
    user = dependencies.credentials.reauthenticate(caller.user_uuid, form.password, form.client, passkey)
    codes, key = new_recovery_codes(), factor_key(caller.user_uuid)
    hashes = dependencies.keys.hashes_of(codes, caller.user_uuid)
    (shown,) = dependencies.keys.hashes_of([form.code], caller.user_uuid) if isinstance(form.code, str) else (None,)

    def make(snapshot: Snapshot) -> TransactionResult[None]:
        require_live(snapshot.book, caller.session.session_id, snapshot.rules, snapshot.now)
        check_current(snapshot.book, user)
        factor, by = factor_in(snapshot), caller.session.device_id
        event = Event(EventKind.RECOVERY_CODES_RENEWED, snapshot.now, by, by=by)
        write = (
            _first(caller.user_uuid, hashes, shown, snapshot)
            if factor is None
            else _write(factor, hashes, shown, snapshot.now)
        )
        return TransactionResult(None, snapshot.draft.with_book(snapshot.book, event), (write,))

    dependencies.transactions.run(caller.user_uuid, make, reading=(key,), client=form.client)
    return codes


def _first(user_uuid: str, hashes: tuple[str, ...], shown: str | None, snapshot: Snapshot) -> Put:
    """Return the write of the first set. Raises Refusal(RECOVERY_CODE_INVALID): the code that was shown is none."""
    if shown is not None:
        raise Refusal(Code.RECOVERY_CODE_INVALID, reason="there is no set")
    return factor_put(without_app(user_uuid, hashes, snapshot.now, snapshot.policy.generation))


def _write(before: Factor, hashes: tuple[str, ...], shown: str | None, now: datetime) -> Put:
    """Return the write of a new set. Raises as `_first`."""
    if shown is None:
        return factor_put(before.with_new_set(hashes, now, now + FORMER_CODES_KEPT))
    if not before.holds(shown, now):
        raise Refusal(Code.RECOVERY_CODE_INVALID)
    return factor_put(before.with_recovery_codes(hashes, now))
