"""A registration that is sent again because its answer was lost: the same account, its device made anew.

Only while nothing else has happened to the account (`idempotency.py` has the rules).
"""

from __future__ import annotations

import logging

from common.account.admission import check_current
from common.account.claim_store import check_held
from common.account.claims import Claim
from common.account.decision import Snapshot, TransactionResult
from common.errors import Code, Refusal
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import StoreUnavailable
from common.storage.tables import USERS
from registration import idempotency, pairing_token
from registration.account_db import account_in, refuse_taken, user_put
from registration.account_model import Account, mail_claim, name_claim
from registration.dependencies import RegistrationDependencies
from registration.forms import Registered, Registration
from registration.pairing_token import IssuedPairing

_log = logging.getLogger(__name__)


def repeated_registration(dependencies: RegistrationDependencies, form: Registration) -> Registered | None:
    """Refuse a taken name before anything is hashed, or repeat a registration; the commit decides for good.

    Returns None when both the name and the mail are free.
    """
    name = dependencies.claims.find(name_claim(form.username))
    mail = dependencies.claims.find(mail_claim(form.email))
    if name is not None:
        account, mail_owner = dependencies.accounts.find(name.user_uuid), mail.user_uuid if mail else None
        if account is not None and idempotency.may_repeat(
            account, form.idempotency_key, mail_owner, dependencies.clock()
        ):
            return _repeat(dependencies, form, account)
    # before names and mails: else a key that is in use would show for nothing whether a mail is taken
    if any(dependencies.claims.find(key.partition) for key in dependencies.enrolment.claims_of(form.keys)):
        raise Refusal(Code.KEY_IN_USE)
    refuse_taken(dependencies.claims, form.username, name, mail)
    return None


def _repeat(dependencies: RegistrationDependencies, form: Registration, account: Account) -> Registered:
    """Make the lost device of an untouched account again, for a client that knows its password."""
    user = dependencies.credentials.reauthenticate(account.uuid, form.password, form.client)
    device = dependencies.enrolment.prepare(account.uuid, form.device_name, primary=True, keys=form.keys)

    def renew(snapshot: Snapshot, *held: Claim) -> TransactionResult[tuple[IssuedPairing, str]]:
        check_held(held, snapshot)
        check_current(snapshot.book, user)
        account = account_in(snapshot)
        if not idempotency.is_untouched(snapshot.book, account):
            raise Refusal(Code.USERNAME_TAKEN, reason="the account has been used since")
        draft, lost = idempotency.without_lost_device(snapshot.draft, snapshot.now)
        draft = dependencies.enrolment.bind(draft, device, snapshot.policy, snapshot.now)
        pairing = pairing_token.issue(draft.book, device.bound, snapshot.rules, snapshot.now, name_certificate=True)
        again = user_put(idempotency.with_renewed_record(account))
        return TransactionResult((pairing, lost), draft, (device.row, again), (*device.prepared, pairing.row))

    reading = (USERS.key(account.uuid),)
    lost = dependencies.claims.find(device.claim.name)
    if lost is not None and lost.user_uuid == account.uuid:  # an untouched account has no other devices than lost ones
        pairing, gone = dependencies.transactions.run(account.uuid, renew, reading=reading, client=form.client)
        dependencies.claims.replace(device.claim, lost)
    else:
        with dependencies.claims.key_held(device.claim) as claim:
            pairing, gone = dependencies.transactions.run(
                account.uuid, lambda snapshot: renew(snapshot, claim), reading=(*reading, claim.key), client=form.client
            )
    _forget(dependencies, account.uuid, gone)
    return Registered(account.uuid, device, pairing)


def _forget(dependencies: RegistrationDependencies, user_uuid: str, device_id: str) -> None:
    """Delete the rows of a device that its book no longer has; where that fails they mean nothing."""
    try:
        for delete in dependencies.enrolment.removal(user_uuid, device_id):
            write_known(dependencies.store, delete, RetryBudget())
    except StoreUnavailable as error:
        _log.warning("the rows of a lost device stay: %s", error)
