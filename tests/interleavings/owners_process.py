"""What an owner of an account may ask beside logging in, in one process of the interleavings.

Real are all use cases, the factors and the judgement of passkeys. Mails lie in the queue and are sent by nobody; what
is done after an answer is done before it here.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from common.account.claim_store import ClaimStore
from common.account.transactions import AccountTransactions
from common.crypto.otp import FactorKeys
from common.crypto.passkeys import RelyingParty
from common.crypto.passwords import CHEAP_FOR_TESTS
from common.crypto.tokens import SignedTokens
from common.errors import Refusal
from common.storage.port import Store, StoreUnavailable
from device_manager.revocation import unbind_revoked
from registration.account_db import AccountDb
from registration.browser_enrolment import BrowserEnrolment
from registration.config import MailServer
from registration.email_change import EmailDependencies
from registration.email_sender import NoNotifier
from registration.factors import Factors
from registration.hashing_pool import HashingPool
from registration.later import Later
from registration.mail_limit import MailLimit
from registration.mail_queue import MailQueue
from registration.mailing import MailingDependencies
from registration.objection import ObjectionDependencies
from registration.passkey_enrolment import PasskeyDependencies
from registration.passkeys import PasskeyChallenges
from registration.password_reset import ResetDependencies
from registration.recovery import RecoveryDependencies
from registration.second_factor import SecondFactorDependencies
from session_manager.end_all import EndAllDependencies
from tests.support.passkeys import ORIGIN, RP_ID

SECRET = b"o" * 32
_SERVER = MailServer("127.0.0.1", 0, "", "", "ichidai@b.test", is_loopback=True)

Clock = Callable[[], Any]


class BeforeTheAnswer(Later):
    """Does the work in the request, so that the scheduler sees its store calls."""

    def run(self, work: Callable[[], None], *, within: float = 0.0) -> None:
        """See `Later.run`."""
        with suppress(Refusal, StoreUnavailable):
            work()


def factors_over(store: Store, clock: Clock, keeper: AccountTransactions) -> Factors:
    """Return the factors of a process."""
    return Factors(store, clock, keeper, FactorKeys(SECRET), _challenges(clock))


def _challenges(clock: Clock) -> PasskeyChallenges:
    party = RelyingParty(RP_ID, (ORIGIN,))
    requests, creations = SignedTokens(SECRET, "passkey"), SignedTokens(SECRET, "passkey-creation")
    return PasskeyChallenges(party, "Ichidai", requests, creations, clock)


class OwnersUseCases:
    """The dependencies of recovery, reset, objection, signing out everywhere, mail addresses and passkeys."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        keeper: AccountTransactions,
        *,
        credentials: Any,
        claims: ClaimStore,
        factors: Factors,
        enrolment: Any,
        keys_of: Any,
        sessions: Any,
    ) -> None:
        accounts, keys = AccountDb(store), FactorKeys(SECRET)
        browser = BrowserEnrolment(keeper, claims, enrolment, HashingPool(CHEAP_FOR_TESTS), frozenset())
        self.challenges = _challenges(clock)
        self.recovery = RecoveryDependencies(browser, accounts, credentials, keys, NoNotifier())
        self.codes = SecondFactorDependencies(
            keeper, accounts, credentials, factors, keys, SignedTokens(SECRET, "enrolment"), clock, ""
        )
        self.passkeys = PasskeyDependencies(keeper, credentials, factors, self.challenges)
        self.mailing = MailingDependencies(
            transactions=keeper,
            accounts=accounts,
            credentials=credentials,
            tokens=SignedTokens(SECRET, "mail-link"),
            queue=MailQueue(store, clock, _SERVER),
            limit=MailLimit(store, clock),
            clock=clock,
            console="",
            later=BeforeTheAnswer(),
        )
        self.email = EmailDependencies(self.mailing, claims)
        unbind = partial(unbind_revoked, keeper)
        self.reset = ResetDependencies(self.mailing, browser, unbind)
        self.objecting = ObjectionDependencies(store, self.mailing, claims, unbind, keys_of, "")
        self.end_all = EndAllDependencies(sessions, credentials.reauthenticate)
