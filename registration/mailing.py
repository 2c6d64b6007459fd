"""Links by mail: asking for one never tells a stranger whether an account is there.

A link holds a signed token: what it is for, the account, its address and credential version, and its end. Nothing is
stored for it; a new password voids one for a password, and no other.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from msgspec import Struct

from common.account.history import ClientInfo
from common.account.transactions import AccountTransactions
from common.clock import Clock, from_millis, to_millis
from common.crypto.tokens import ForgedToken, SignedTokens, VoidToken
from common.errors import Code, Refusal
from registration.account_db import AccountDb
from registration.account_model import Account, mail_claim, name_claim
from registration.credentials import CredentialCheck
from registration.later import Later
from registration.mail_limit import OF_LINKS, MailLimit
from registration.mail_model import MailKind
from registration.mail_queue import MailQueue

LIFETIMES = {
    MailKind.RESET: timedelta(minutes=15),
    MailKind.CONFIRM: timedelta(hours=24),
    MailKind.CHANGE: timedelta(hours=24),
    MailKind.NOTICE: timedelta(days=7),
    MailKind.DISOWN: timedelta(days=30),
}
FRAGMENTS = {
    MailKind.RESET: "reset",
    MailKind.CONFIRM: "confirm",
    MailKind.CHANGE: "confirm",
    MailKind.NOTICE: "object",
    MailKind.DISOWN: "object",
}
"""What stands before the token in the address of the page that takes it."""

FORGOTTEN_WITHIN_SECONDS = 3.0
"""Within what time of the answer it is looked up whether a forgotten password has an account, at a random moment."""

_log = logging.getLogger(__name__)


class MailLink(Struct, frozen=True):
    """What the token of a link says.

    `number`: the account's credential version, by which a reset or a change works once; of a notice the change that it
    tells of. `instead_of`: the address that a changed one comes in the place of.
    """

    kind: MailKind
    user_uuid: str
    email: str
    instead_of: str
    number: int

    @property
    def credential_version(self) -> int:
        """The credential version under which the link was sent."""
        return self.number


class MailingDependencies(Struct, frozen=True):
    """What the use cases work with. `console`: the address of the pages, which links lead to."""

    transactions: AccountTransactions
    accounts: AccountDb
    credentials: CredentialCheck
    tokens: SignedTokens
    queue: MailQueue
    limit: MailLimit
    clock: Clock
    console: str
    later: Later


def forgot_password(
    dependencies: MailingDependencies, name: str, client: ClientInfo, language: str, *, by_email: bool
) -> None:
    """Send a link for a new password to the confirmed address of an account, if there is one; the caller is not told.

    All that depends on the account happens after the answer, and not at once: what it takes of the process would be
    felt by the caller's next request. Raises Refusal: NOT_SUPPORTED (mails are off, for
    all clients), TOO_MANY_ATTEMPTS (by source), BUSY; StoreUnavailable.
    """
    require_mail(dependencies)
    dependencies.limit.check_source(client.ip)
    claim = mail_claim(name) if by_email else name_claim(name)

    def send() -> None:
        account = dependencies.accounts.account_of(claim, dependencies.clock())
        if account is not None and account.email_confirmed:
            send_link(dependencies, MailKind.RESET, account, language)

    dependencies.later.run(send, within=FORGOTTEN_WITHIN_SECONDS)


def welcome(dependencies: MailingDependencies, user_uuid: str, language: str) -> None:
    """Send a new account the link that confirms its address, after the answer. Never raises."""
    if dependencies.queue.is_on:
        dependencies.later.run(lambda: _confirm_later(dependencies, user_uuid, language))


def read_link(dependencies: MailingDependencies, token: str, *kinds: MailKind) -> MailLink:
    """Return what a link of one of these kinds says. Raises Refusal: INVALID_REQUEST, LINK_SPENT; StoreUnavailable."""
    foreign = Refusal(Code.INVALID_REQUEST, problem="token: it is none of ours", field="token")
    try:
        name, user_uuid, email, instead_of, number, expires_at = dependencies.tokens.verify(token)
    except VoidToken as error:
        raise Refusal(Code.LINK_SPENT, reason=str(error)) from None
    except ForgedToken:
        raise foreign from None
    if name not in kinds:
        raise foreign
    if from_millis(expires_at) <= dependencies.clock():
        raise Refusal(Code.LINK_SPENT, reason="expired")
    return MailLink(MailKind(name), user_uuid, email, instead_of, number)


def token_of(dependencies: MailingDependencies, link: MailLink) -> str:
    """Return the token of a link, which is good from now on for as long as its kind is."""
    return _signed(dependencies.tokens, dependencies.clock, link)


def notice_link(tokens: SignedTokens, clock: Clock, console: str, user_uuid: str, change_no: int) -> str:
    """Return the link of a notice: it takes a change of an account back."""
    link = MailLink(MailKind.NOTICE, user_uuid, "", "", change_no)
    return page_address(console, FRAGMENTS[MailKind.NOTICE], _signed(tokens, clock, link))


def send_link(
    dependencies: MailingDependencies, kind: MailKind, account: Account, language: str, *, to: str = ""
) -> None:
    """Let a link wait to be sent, to the account's address or another that may become it.

    It is not sent where the account got enough mails within the hour: the last link stays good.
    """
    if not dependencies.limit.is_free(account.uuid, OF_LINKS):
        _log.info("no %s mail to %s: enough within the hour", kind, account.uuid)
        return
    to = to or account.email
    link, aside = "", ""
    if kind in LIFETIMES:
        instead_of = account.email if kind is MailKind.CHANGE else ""
        said = MailLink(kind, account.uuid, to, instead_of, account.credential_version)
        link = page_address(dependencies.console, FRAGMENTS[kind], token_of(dependencies, said))
    if kind is MailKind.CONFIRM:
        said = MailLink(MailKind.DISOWN, account.uuid, to, "", 0)
        aside = page_address(dependencies.console, FRAGMENTS[MailKind.DISOWN], token_of(dependencies, said))
    dependencies.queue.add(kind, to=to, username=account.username, language=language, link=link, aside=aside)


def page_address(console: str, fragment: str, token: str) -> str:
    """Return the address of the page that takes a token."""
    return f"{console}/registration/#{fragment}={token}"


def require_mail(dependencies: MailingDependencies) -> None:
    """Raise Refusal(NOT_SUPPORTED) where mails are off."""
    if not dependencies.queue.is_on:
        raise Refusal(Code.NOT_SUPPORTED, names="mail")


def _signed(tokens: SignedTokens, clock: Clock, link: MailLink) -> str:
    expires_at = to_millis(clock() + LIFETIMES[link.kind])
    return tokens.sign([str(link.kind), link.user_uuid, link.email, link.instead_of, link.number, expires_at])


def _confirm_later(dependencies: MailingDependencies, user_uuid: str, language: str) -> None:
    account = dependencies.accounts.find(user_uuid)
    if account is not None and not account.email_confirmed:
        send_link(dependencies, MailKind.CONFIRM, account, language)
