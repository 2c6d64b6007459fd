"""The account's mail address: confirmed by a link, changed by one, taken off by who says that the account is another's.

An address becomes the account's when its holder has followed the link that was sent there, not before. The confirmed
one before it stays claimed for seven days, so that it can be taken back. Nobody is told whether an address is taken.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from common.account.admission import Caller, FactorCode, Password
from common.account.claim_store import ClaimStore, ClaimTaken, check_held
from common.account.claims import Claim
from common.account.decision import DecisionFunction, Snapshot, TransactionResult
from common.account.history import ClientInfo, Event, EventKind
from common.account.transactions import NoSuchUser
from common.errors import Code, Refusal
from common.storage.tables import USERS
from registration.account_db import account_in, user_put
from registration.account_model import Account, fold, mail_claim
from registration.mail_model import MailKind
from registration.mailing import MailingDependencies, MailLink, read_link, require_mail, send_link

_SPENT = "another address, or the password was changed"


class EmailDependencies(Struct, frozen=True):
    """What the use cases work with."""

    mailing: MailingDependencies
    claims: ClaimStore


class EmailForm(Struct, frozen=True):
    """The address that shall be the account's, and what proves its owner."""

    email: str
    password: Password
    otp: FactorCode
    client: ClientInfo
    language: str


def ask_for_address(dependencies: EmailDependencies, caller: Caller, form: EmailForm) -> None:
    """Send the link that makes an address the caller's, or confirms the one that is. A taken one's owner is told.

    Whether it is taken is looked up after the answer. Raises Refusal: NOT_SUPPORTED (mails are off), TOO_MANY_ATTEMPTS,
    BAD_CREDENTIALS, OTP_REQUIRED, OTP_INVALID, BUSY; StoreUnavailable.
    """
    mailing = dependencies.mailing
    require_mail(mailing)
    user = mailing.credentials.reauthenticate(caller.user_uuid, form.password, form.client, form.otp)
    account = mailing.accounts.find(user.user_uuid)
    if account is None:
        raise NoSuchUser
    if fold(form.email) == fold(account.email):
        send_link(mailing, MailKind.CONFIRM, account, form.language)
        return
    mailing.later.run(lambda: _offer(dependencies, account, form))


def _offer(dependencies: EmailDependencies, account: Account, form: EmailForm) -> None:
    mailing = dependencies.mailing
    other = mailing.accounts.account_of(mail_claim(form.email), mailing.clock())
    if other is None or other.uuid == account.uuid:
        send_link(mailing, MailKind.CHANGE, account, form.language, to=form.email)
    elif other.email_confirmed and fold(other.email) == fold(form.email):
        send_link(mailing, MailKind.TAKEN, other, other.language)


def confirm_email(dependencies: EmailDependencies, token: str, client: ClientInfo, language: str) -> None:
    """Note that an address is its account's owner's, or make it the account's. Repeating it changes nothing.

    Raises Refusal: INVALID_REQUEST (the token is none of ours), LINK_SPENT (expired, of another address, taken
    meanwhile), BUSY; StoreUnavailable.
    """
    mailing = dependencies.mailing
    link = read_link(mailing, token, MailKind.CONFIRM, MailKind.CHANGE)
    account = mailing.accounts.find(link.user_uuid)
    if account is None:
        raise Refusal(Code.LINK_SPENT, reason="no such account")
    if link.kind is MailKind.CONFIRM or fold(account.email) == fold(link.email):
        _run(mailing, link, lambda snapshot: _confirmed(snapshot, link, language), client)
        return
    try:
        with dependencies.claims.held(Claim(mail_claim(link.email), account.uuid)) as (mine,):
            _run(mailing, link, lambda snapshot: _changed(snapshot, link, mine, language), client, mine)
    except ClaimTaken:
        raise Refusal(Code.LINK_SPENT, reason="taken meanwhile") from None


def disown(mailing: MailingDependencies, link: MailLink, client: ClientInfo) -> None:
    """Take an address off an account whose owner never confirmed it, and free it. Repeating it changes nothing.

    Raises Refusal: LINK_SPENT (it was confirmed since), BUSY; StoreUnavailable.
    """

    def taken_off(snapshot: Snapshot) -> TransactionResult[None]:
        account = account_in(snapshot)
        if fold(account.email) != fold(link.email):
            return TransactionResult(None)
        if account.email_confirmed:
            raise Refusal(Code.LINK_SPENT, reason="the address was confirmed")
        without = replace(account, email="", email_since=snapshot.now)
        event = Event(EventKind.EMAIL_CHANGED, snapshot.now)
        return _written(snapshot, without, event)

    _run(mailing, link, taken_off, client)


def _confirmed(snapshot: Snapshot, link: MailLink, language: str) -> TransactionResult[None]:
    account = account_in(snapshot)
    if fold(account.email) != fold(link.email):
        raise Refusal(Code.LINK_SPENT, reason=_SPENT)
    if account.email_confirmed:
        return TransactionResult(None)
    confirmed = replace(account, email_confirmed=True, language=language)
    return _written(snapshot, confirmed, Event(EventKind.EMAIL_CONFIRMED, snapshot.now))


def _changed(snapshot: Snapshot, link: MailLink, mine: Claim, language: str) -> TransactionResult[None]:
    check_held((mine,), snapshot)
    account = account_in(snapshot)
    if not snapshot.book.is_current(link.credential_version) or account.email != link.instead_of:
        raise Refusal(Code.LINK_SPENT, reason=_SPENT)
    changed = replace(account.with_email(link.email, snapshot.now), language=language)
    return _written(snapshot, changed, Event(EventKind.EMAIL_CHANGED, snapshot.now))


def _written(snapshot: Snapshot, after: Account, event: Event) -> TransactionResult[None]:
    return TransactionResult(None, snapshot.draft.with_book(snapshot.book, event), (user_put(after),))


def _run(
    mailing: MailingDependencies,
    link: MailLink,
    change: DecisionFunction[None],
    client: ClientInfo,
    *claims: Claim,
) -> None:
    reading = (USERS.key(link.user_uuid), *(claim.key for claim in claims))
    try:
        mailing.transactions.run(link.user_uuid, change, reading=reading, client=client)
    except NoSuchUser:
        raise Refusal(Code.LINK_SPENT, reason="no such account") from None
