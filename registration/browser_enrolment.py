"""An empty browser becomes a device of an account, with a new password, in one commit: by a recovery code or a link.

What proves the owner differs; the sequence is the same. What is cheap is checked before the password is hashed and the
keys are made, and again in the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from msgspec import Struct

from common.account.book import Book
from common.account.claim_store import ClaimStore, check_held
from common.account.claims import Claim
from common.account.decision import Snapshot, TransactionResult
from common.account.devices import NewDevice, OwnKeys
from common.account.draft import Draft
from common.account.history import ClientInfo
from common.account.transactions import AccountTransactions
from common.crypto.passwords import PasswordHash
from common.storage.port import Key, Put
from registration import pairing_token
from registration.account_model import normal_password
from registration.forms import Registered
from registration.hashing_pool import HashingPool
from registration.pairing_token import IssuedPairing
from registration.ports import Enrolment


class BrowserEnrolment(Struct, frozen=True):
    """What the sequence works with. `common_passwords`: folded, as registration refuses them."""

    transactions: AccountTransactions
    claims: ClaimStore
    enrolment: Enrolment
    hashing_pool: HashingPool
    common_passwords: Container[str]


class EnrolmentForm(Struct, frozen=True):
    """The browser that becomes a device, and the password that will be in force."""

    new_password: str
    device_name: str
    client: ClientInfo
    keys: OwnKeys | None


class OwnersChange(Struct, frozen=True):
    """What the commit does beside binding the browser: the draft with its events, and the writes of the account.

    `revoked`: the devices whose certificates are void in the draft, to be unbound once the commit is done.
    """

    draft: Draft
    writes: tuple[Put, ...]
    revoked: tuple[str, ...] = ()


def check_may_enrol(
    browser: BrowserEnrolment,
    user_uuid: str,
    keys: OwnKeys | None,
    check: Callable[[Snapshot], object],
    reading: tuple[Key, ...],
    leaving: Callable[[Book], Sequence[str]] = lambda _book: (),
) -> None:
    """Refuse in vain work: take `check` on the account as it is, and see that a device may join with these keys.

    `leaving`: the devices in whose place it may. Raises what `check` raises; NoSuchUser; Refusal: TOO_MANY_DEVICES,
    KEY_IN_USE; StoreUnavailable.
    """
    claims = browser.enrolment.claims_of(keys)

    def check_first(snapshot: Snapshot) -> TransactionResult[None]:
        check(snapshot)
        browser.enrolment.check_device_limit(snapshot.book, snapshot.policy, leaving(snapshot.book))
        browser.enrolment.check_free([snapshot.at(claim) for claim in claims])
        return TransactionResult(None)

    browser.transactions.dry_run(user_uuid, check_first, (*reading, *claims))


def enrol(
    browser: BrowserEnrolment,
    user_uuid: str,
    form: EnrolmentForm,
    change: Callable[[Snapshot, NewDevice, PasswordHash], OwnersChange],
    reading: tuple[Key, ...],
) -> tuple[Registered, OwnersChange]:
    """Make `change` and bind the browser, in one commit; return what was registered and the change as it was made.

    `change` judges the account once more. Raises what it raises; Refusal: TOO_MANY_DEVICES, KEY_IN_USE, BUSY;
    StoreUnavailable.
    """
    with browser.hashing_pool.admit():
        password = browser.hashing_pool.new(normal_password(form.new_password))
        device = browser.enrolment.prepare(user_uuid, form.device_name, primary=False, keys=form.keys)

    def bind(snapshot: Snapshot, claim: Claim) -> TransactionResult[tuple[IssuedPairing, OwnersChange]]:
        check_held((claim,), snapshot)
        changed = change(snapshot, device, password)
        draft = browser.enrolment.bind(changed.draft, device, snapshot.policy, snapshot.now, changed.revoked)
        pairing = pairing_token.issue(draft.book, device.bound, snapshot.rules, snapshot.now, name_certificate=True)
        return TransactionResult(
            (pairing, changed), draft, (*changed.writes, device.row), (*device.prepared, pairing.row)
        )

    with browser.claims.key_held(device.claim) as claim:
        pairing, changed = browser.transactions.run(
            user_uuid, lambda snapshot: bind(snapshot, claim), reading=(*reading, claim.key), client=form.client
        )
    return Registered(user_uuid, device, pairing), changed
