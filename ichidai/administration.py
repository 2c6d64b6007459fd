"""What operators see and do: finding accounts, reading all there is about one, and acting on it.

The command line and the admin app call it. Every act is one change of the account, is told to
the account's mail, and leaves a line in the audit log; what only reads leaves none, `export` excepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from common.account.audit import AuditEvent, AuditKind, AuditPage, read_audit, read_audit_page
from common.account.book import Book
from common.account.claim_store import ClaimStore
from common.account.history import OperatorAct
from common.account.laying_down import LayingDown
from common.account.operator import Operator
from common.account.policy import Policies
from common.account.transactions import AccountTransactions
from common.clock import Clock, to_rfc3339
from common.crypto.passwords import Argon2Cost, new_password_hash
from common.errors import Code, Refusal
from common.ids import is_id, new_id, new_secret
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.port import Store
from common.web.fields import NewEmail, NewUsername, Text
from device_manager import revocation
from ichidai.account_facts import AccountFacts, Facts
from ichidai.account_list import Wanted, read_candidates
from ichidai.password_list import common_passwords
from ichidai.topology import INVITE_PATH, JOIN_PATH
from registration import operator_acts
from registration.account_db import AccountDb, names_in
from registration.account_model import Account, check_password, mail_claim, name_claim, normal_password
from registration.email_sender import Notifier, notify_of_act
from registration.invitation import issue as issue_invitation
from registration.operator_acts import Done, OperatorDependencies


class AccountView(Struct, frozen=True):
    """An account and its book, as they were when they were read."""

    account: Account
    book: Book

    def last_used(self) -> datetime:
        """Return when the account was changed last, by its user or an operator; activity of a session is a change."""
        return max((change.at for change in self.book.changes), default=self.account.created_at)


class AccountPage(Struct, frozen=True):
    """Some accounts. `after`: the uuid beyond which the page that follows begins; None: there is none."""

    views: Sequence[AccountView]
    after: str | None


class NewAccount(Struct, frozen=True):
    """An account that was made: the link by which its first device joins, and until when."""

    user_uuid: str
    username: str
    link: str
    expires_at: datetime


class Invited(Struct, frozen=True):
    """An invitation: its link, and until when it is good."""

    link: str
    expires_at: datetime


class Kept(Struct, frozen=True):
    """How long lines of the audit log are kept, and how long a closed account can be reopened."""

    audit: timedelta
    closed: timedelta


class Administration:
    """Finds, shows, exports and changes accounts of one store."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        policies: Policies,
        kept: Kept,
        cost: Argon2Cost,
        notifier: Notifier,
        console: str,
        laying: LayingDown,
    ) -> None:
        """`console`: the address of the pages, which links lead to. `laying` writes what the acts recorded."""
        self._store = store
        self._clock = clock
        self._policies = policies
        self._audit_kept = kept.audit
        self._closed_kept = kept.closed
        self._cost = cost
        self._notifier = notifier
        self._accounts = AccountDb(store)
        self._facts = AccountFacts(store, policies, clock)
        self._transactions = AccountTransactions(store, clock, laying=laying, policies=policies)
        self._acts = OperatorDependencies(self._transactions, ClaimStore(store, self._transactions, clock, names_in))
        self._console = console

    def now(self) -> datetime:
        """Return the time by this store's clock."""
        return self._clock()

    def operator(self, actor: str, reason: str) -> Operator:
        """Return who is about to act once, and why, in words that `clean_reason` gave."""
        return Operator(actor, reason, new_id(), self._audit_kept)

    # What only reads.

    def find(self, who: str) -> Sequence[AccountView]:
        """Return the accounts whose name, mail address or uuid this is: none, one, or a name and a mail of two.

        Raises StoreUnavailable.
        """
        named = [self._accounts.account_of(claim, self._clock()) for claim in (name_claim(who), mail_claim(who))]
        owners = [account.uuid for account in named if account is not None]
        known = dict.fromkeys([who.lower()] if is_id(who.lower()) else owners)
        return [view for view in map(self.view, known) if view is not None]

    def view(self, user_uuid: str) -> AccountView | None:
        """Return an account with its book. Raises StoreUnavailable."""
        account, book = self._accounts.find(user_uuid), self._transactions.get_book(user_uuid)
        return None if account is None or book is None else AccountView(account, book)

    def accounts(self, wanted: Wanted, after: str | None, limit: int) -> AccountPage:
        """Return a page of the accounts that are wanted, in no order; `after` as the page before it told (None: first).

        A page may be short, or empty, though others follow. Raises StoreUnavailable.
        """
        page = read_candidates(self._store, wanted, after, limit)
        found = [view for view in map(self.view, page.user_uuids) if view is not None]
        return AccountPage([view for view in found if wanted.fits(view.book, view.last_used())], page.after)

    def summary(self, view: AccountView) -> Facts:
        """Return what a list tells of an account."""
        return self._facts.summary(view.account, view.book)

    def details(self, view: AccountView) -> Facts:
        """Return the account with its devices, its live sessions and its newest history. Raises StoreUnavailable."""
        return self._facts.details(view.account, view.book)

    def history(self, view: AccountView, before: int | None, limit: int) -> Facts:
        """Return a page of an account's history: see `AccountFacts.history`. Raises StoreUnavailable."""
        return self._facts.history(view.account.uuid, before, limit)

    def usernames(self, user_uuids: Iterable[str | None]) -> Mapping[str, str]:
        """Return what accounts are called now, by uuid; those that are gone are not there. Raises StoreUnavailable."""
        found = {uuid: self._accounts.find(uuid) for uuid in dict.fromkeys(user_uuids) if uuid is not None}
        return {uuid: account.username for uuid, account in found.items() if account is not None}

    # What acts. Each raises Refusal, NoSuchUser, StoreUnavailable, and nothing was changed.

    def create(self, username: str, email: str, password: str, joining: timedelta, operator: Operator) -> NewAccount:
        """Make an account without a device; its user joins with one by the link, within `joining`, and the password.

        Raises Refusal: INVALID_REQUEST (`field`), WEAK_PASSWORD, USERNAME_TAKEN, EMAIL_TAKEN, BUSY.
        """
        name, mail = _checked(NewUsername, "username", username), _checked(NewEmail, "email", email)
        check_password(password, name, mail, common_passwords())
        new = operator_acts.NewAccount(name, mail, new_password_hash(normal_password(password), self._cost), joining)
        made = operator_acts.create(self._acts, new, self._clock(), operator)
        notify_of_act(self._notifier, name, OperatorAct.CREATE)
        link = f"{self._console}{JOIN_PATH}{made.pairing.qr_code}"
        return NewAccount(made.user_uuid, name, link, made.pairing.expires_at)

    def invite(self, lifetime: timedelta, operator: Operator) -> Invited:
        """Make an invitation: a link that lets one registration pass, within `lifetime`. Raises StoreUnavailable.

        Nobody has its link before the line is written.
        """
        now = self._clock()
        invitation = issue_invitation(now, lifetime)
        line = operator.line(AuditKind.INVITATION_CREATED, now)
        for write in (invitation.row, line):
            write_known(self._store, write, RetryBudget())
        return Invited(f"{self._console}{INVITE_PATH}{invitation.token}", invitation.expires_at)

    def disable(self, view: AccountView, operator: Operator) -> Done:
        """Disable it. See `operator_acts.disable`."""
        return self._act(OperatorAct.DISABLE, view, lambda user: operator_acts.disable(self._acts, user, operator))

    def close(self, view: AccountView, operator: Operator) -> Done:
        """Close it for its user, who can reopen it for some days. See `operator_acts.close`."""
        until = self._clock() + self._closed_kept
        return self._act(OperatorAct.CLOSE, view, lambda user: operator_acts.close(self._acts, user, until, operator))

    def enable(self, view: AccountView, operator: Operator) -> Done:
        """Enable it. See `operator_acts.enable`."""
        return self._act(OperatorAct.ENABLE, view, lambda user: operator_acts.enable(self._acts, user, operator))

    def end_sessions(self, view: AccountView, operator: Operator) -> Done:
        """End every session. See `operator_acts.end_sessions`."""
        act = OperatorAct.END_SESSIONS
        return self._act(act, view, lambda user: operator_acts.end_sessions(self._acts, user, operator))

    def reset_otp(self, view: AccountView, operator: Operator) -> Done:
        """Switch the second factor off. See `operator_acts.reset_otp`."""
        return self._act(OperatorAct.RESET_OTP, view, lambda user: operator_acts.reset_otp(self._acts, user, operator))

    def set_password(self, view: AccountView, password: str, operator: Operator) -> Done:
        """Set the password, one that the user could choose. Raises Refusal(WEAK_PASSWORD) with `fault`."""
        account = view.account
        check_password(password, account.username, account.email, common_passwords())
        new = new_password_hash(normal_password(password), self._cost)
        act = OperatorAct.SET_PASSWORD
        return self._act(act, view, lambda user: operator_acts.set_password(self._acts, user, new, operator))

    def reset_password(self, view: AccountView, operator: Operator) -> Done:
        """Put a password in force that nobody knows: the account's link by mail leads to a new one."""
        new = new_password_hash(normal_password(new_secret()), self._cost)
        act = OperatorAct.SET_PASSWORD
        return self._act(act, view, lambda user: operator_acts.set_password(self._acts, user, new, operator))

    def unbind(self, view: AccountView, device_id: str, operator: Operator, *, even_last: bool = False) -> Done:
        """Unbind a device. See `revocation.unbind_by_operator`."""

        def unbind(user_uuid: str) -> Done:
            revocation.unbind_by_operator(self._transactions, user_uuid, device_id, operator, even_last=even_last)
            return Done(changed=True)

        return self._act(OperatorAct.UNBIND, view, unbind)

    def export(self, view: AccountView, operator: Operator) -> Facts:
        """Return all that is kept about an account, secrets excepted; that it was read is written down before."""
        user_uuid, now = view.account.uuid, self._clock()
        write_known(self._store, operator.audit(OperatorAct.EXPORT, user_uuid, now), RetryBudget())
        audit = [audit_facts(each) for each in self.audit(now - self._audit_kept, user_uuid)]
        return {**self._facts.everything(view.account, view.book), "audit": audit}

    def audit(self, since: datetime, user_uuid: str | None = None) -> Iterator[AuditEvent]:
        """Give the lines of the audit log from a moment on. Raises StoreUnavailable."""
        now = self._clock()
        return read_audit(self._store, max(since, now - self._audit_kept), now, user_uuid)

    def whole_audit(self, since: datetime, user_uuid: str) -> Sequence[Facts]:
        """Return these lines of an account with what its user did and who was refused, as far as either is kept.

        In the order of time. Raises StoreUnavailable.
        """
        acts = [audit_facts(event) for event in self.audit(since, user_uuid)]
        return sorted([*acts, *reversed([*self._facts.trail(user_uuid, since)])], key=lambda facts: str(facts["at"]))

    def audit_page(self, since: datetime | None, user_uuid: str | None, before: str | None, limit: int) -> AuditPage:
        """Return a page of these lines, newest first: see `read_audit_page`, whose errors it raises."""
        now = self._clock()
        oldest = now - self._audit_kept
        return read_audit_page(self._store, max(since or oldest, oldest), now, user_uuid, before, limit)

    def _act(self, act: OperatorAct, view: AccountView, do: Callable[[str], Done]) -> Done:
        done = do(view.account.uuid)
        if done.changed:
            notify_of_act(self._notifier, view.account.username, act)
        return done


def _checked(kind: type[Text], field: str, text: str) -> str:
    """Return a text of a new account as it is kept. Raises Refusal(INVALID_REQUEST)."""
    try:
        return str(kind.read(text))
    except ValueError as fault:
        raise Refusal(Code.INVALID_REQUEST, problem=f"{field}: {fault}", field=field) from None


def audit_facts(event: AuditEvent) -> Facts:
    """Return what a line of the audit log tells."""
    return {
        "at": to_rfc3339(event.at),
        "kind": str(event.kind),
        "actor": event.actor,
        "user_uuid": event.user_uuid,
        "reason": event.reason,
        **event.facts,
    }
