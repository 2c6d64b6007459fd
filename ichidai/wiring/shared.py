"""What several packages need, made once, when the first of them asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial

from msgspec import Struct

from common.account.approval_store import AskedApprovals
from common.account.claim_store import ClaimStore
from common.account.heartbeat import HeartbeatWriter
from common.account.laying_down import LayingDown
from common.account.policy_store import PolicyProvider
from common.account.transactions import AccountTransactions
from common.background import BackgroundThread
from common.clock import Clock
from common.crypto.otp import FactorKeys
from common.crypto.tokens import AccessTokens, SignedTokens
from common.keys.authorities import Authorities
from common.keys.key_provider import KeyProvider
from common.keys.keyring import KeyPurpose, KeyRing
from common.proof.challenge_service import ChallengeService
from common.proof.dpop_service import DpopVerifier
from common.storage.port import Store, Table
from device_manager.concurrency_policy import decide
from device_manager.device_db import DeviceDb
from device_manager.enrolment import Enrolment
from device_manager.forgetting import forget_devices
from device_manager.key_pool import KeyPool
from device_manager.revocation import unbind_revoked
from device_manager.revocation_db import RevocationDb
from device_manager.trust import Trust
from ichidai.password_list import common_passwords
from ichidai.relying_party import relying_party
from ichidai.settings import Settings
from ichidai.topology import Addresses, App
from ichidai.wiring.laying import laying_down
from login_app.admission import LoginAdmission
from login_app.consent import Consents
from login_app.login_result import LoginResults
from registration import mail_routes
from registration.account_db import AccountDb, names_in
from registration.browser_enrolment import BrowserEnrolment
from registration.credentials import CredentialCheck
from registration.email_change import EmailDependencies
from registration.email_sender import Notifier, notifier_for
from registration.erasure import Erasure
from registration.factors import Factors
from registration.hashing_pool import HashingPool
from registration.later import Later
from registration.login_rate_limiter import LoginRateLimiter
from registration.mail_limit import MailLimit
from registration.mail_queue import MailQueue
from registration.mailing import MailingDependencies, notice_link
from registration.objection import ObjectionDependencies
from registration.passkeys import PasskeyChallenges
from registration.password_reset import ResetDependencies
from session_manager import session_service
from session_manager.event_poll import PollDependencies
from session_manager.event_push import EventPusher
from session_manager.session_db import SessionDb


class Shared(Struct, frozen=True, dict=True):
    """Makes what is shared. Every property is made once."""

    settings: Settings
    tables: Sequence[Table]
    store: Store
    keys: KeyRing
    key_provider: KeyProvider
    policies: PolicyProvider
    authorities: Authorities
    where: Addresses
    clock: Clock
    hashing_pool: HashingPool

    @cached_property
    def passkey_challenges(self) -> PasskeyChallenges:
        named = self.settings.passkey_rp_id, self.settings.passkey_origins
        return PasskeyChallenges(
            party=relying_party(*named, self.where.console),
            name=self.settings.registration.otp_issuer,
            requests=self.mac_tokens(KeyPurpose.SHORT_LIVED, "passkey"),
            creations=self.mac_tokens(KeyPurpose.SHORT_LIVED, "passkey-creation"),
            clock=self.clock,
        )

    @cached_property
    def mail_queue(self) -> MailQueue:
        link = partial(notice_link, self._mail_tokens, self.clock, self.where.console)
        return MailQueue(self.store, self.clock, self.settings.registration.mail, notice_link=link)

    @cached_property
    def _mail_tokens(self) -> SignedTokens:
        return self.mac_tokens(KeyPurpose.DEVICE, "mail-link")

    @cached_property
    def mailing(self) -> MailingDependencies:
        return MailingDependencies(
            transactions=self.transactions,
            accounts=AccountDb(self.store),
            credentials=self.credentials,
            tokens=self._mail_tokens,
            queue=self.mail_queue,
            limit=MailLimit(self.store, self.clock),
            clock=self.clock,
            console=self.where.console,
            later=Later(),
        )

    def reset(self) -> ResetDependencies:
        return ResetDependencies(
            mailing=self.mailing,
            browser=self.browser(),
            unbind_revoked=partial(unbind_revoked, self.transactions),
        )

    def mails(self) -> mail_routes.MailRouteDependencies:
        return mail_routes.MailRouteDependencies(
            mailing=self.mailing,
            resetting=self.reset(),
            email=EmailDependencies(self.mailing, self.claims),
            objecting=ObjectionDependencies(
                store=self.store,
                mailing=self.mailing,
                claims=self.claims,
                unbind_revoked=partial(unbind_revoked, self.transactions),
                keys_of=self.devices.keys_of,
                issuer=self.where.issuer,
            ),
            join_url=self.where.join_url,
        )

    def browser(self) -> BrowserEnrolment:
        return BrowserEnrolment(
            transactions=self.transactions,
            claims=self.claims,
            enrolment=self.enrolment,
            hashing_pool=self.hashing_pool,
            common_passwords=common_passwords(),
        )

    @cached_property
    def admission(self) -> LoginAdmission:
        return LoginAdmission(
            decide=decide,
            create_session=session_service.create_session,
            requires_signature=self.challenges.requires_signature,
            settings=self.settings.login,
        )

    def consents(self, purpose: str, url: str, challenges: ChallengeService | None) -> Consents:
        tokens = self.mac_tokens(KeyPurpose.SHORT_LIVED, purpose)
        approvals = self.mac_tokens(KeyPurpose.SHORT_LIVED, f"{purpose}-approval")
        approval_url = self.where.url(App.LOGIN, "/login/approval")
        return Consents(tokens, url, self.devices.names, challenges, self.clock, approvals, approval_url)

    @cached_property
    def asked_approvals(self) -> AskedApprovals:
        may_join = self.settings.registration.join_by_approval
        return AskedApprovals(self.store, self.clock, may_join=may_join)

    @cached_property
    def login_results(self) -> LoginResults:
        issue_tokens = partial(session_service.issue_tokens, self.sessions)
        return LoginResults(self.devices.names, issue_tokens, self.factors.has_lost_codes)

    @cached_property
    def sessions(self) -> session_service.SessionDependencies:
        return session_service.SessionDependencies(
            transactions=self.transactions,
            sessions=SessionDb(self.store),
            access_tokens=AccessTokens(self.key_provider, self.where.issuer, self.where.issuer),
            refresh_tokens=self.mac_tokens(KeyPurpose.REFRESH, "refresh"),
            names=self.devices.names,
            settings=self.settings.session,
            policies=self.policies,
            clock=self.clock,
            dpop=DpopVerifier(self.mac_tokens(KeyPurpose.SHORT_LIVED, "dpop-nonce"), self.clock),
        )

    @cached_property
    def background(self) -> BackgroundThread:
        return BackgroundThread()

    @cached_property
    def heartbeat(self) -> HeartbeatWriter:
        return HeartbeatWriter(self.store, self.clock, self.background)

    @cached_property
    def laying(self) -> LayingDown:
        return laying_down(self.settings, self.store, self.clock, self.background, self.mail_queue)

    @cached_property
    def erasure(self) -> Erasure:
        forget = partial(forget_devices, self.store)
        return Erasure(self.store, self.clock, self.laying, forget, self.settings.audit_kept)

    @cached_property
    def event_pusher(self) -> EventPusher:
        receivers, signer = self.settings.event_receivers.push, self.key_provider.signer
        return EventPusher(self.store, self.clock, receivers, self.where.issuer, signer)

    @cached_property
    def event_polls(self) -> PollDependencies:
        return PollDependencies(self.store, self.clock, self.where.issuer, self.key_provider.signer)

    @cached_property
    def transactions(self) -> AccountTransactions:
        return AccountTransactions(self.store, self.clock, laying=self.laying, policies=self.policies)

    @cached_property
    def claims(self) -> ClaimStore:
        return ClaimStore(self.store, self.transactions, self.clock, names_in)

    @cached_property
    def notifier(self) -> Notifier:
        return notifier_for(self.settings.registration.sns_topic_arn, self.settings.registration.aws_region)

    @cached_property
    def devices(self) -> DeviceDb:
        return DeviceDb(self.store)

    @cached_property
    def credentials(self) -> CredentialCheck:
        limiter = LoginRateLimiter(self.store, self.clock, self.settings.registration)
        return CredentialCheck(
            self.store,
            self.clock,
            limiter,
            self.hashing_pool,
            self.keys.root_secret,
            self.factors,
            self.settings.retention,
        )

    @cached_property
    def factors(self) -> Factors:
        return Factors(self.store, self.clock, self.transactions, self.factor_keys, self.passkey_challenges)

    @cached_property
    def factor_keys(self) -> FactorKeys:
        return FactorKeys(self.keys.root_secret)

    @cached_property
    def challenges(self) -> ChallengeService:
        return ChallengeService(
            self.store,
            self.clock,
            secret=self.keys.root_secret,
            issuer=self.where.issuer,
            keys_of=self.devices.keys_of,
            policies=self.policies,
        )

    @cached_property
    def enrolment(self) -> Enrolment:
        return Enrolment(self.authorities, self.clock, self.where.issuer, self.policies, self.key_pool.take)

    @cached_property
    def key_pool(self) -> KeyPool:
        return KeyPool(self.hashing_pool.is_busy, self.hashing_pool.slot)

    @cached_property
    def trust(self) -> Trust:
        return Trust(self.authorities, RevocationDb(self.store), self.clock)

    def mac_tokens(self, keys: KeyPurpose, purpose: str) -> SignedTokens:
        """Return tokens under the keys of a purpose; what lives for minutes is void in another generation of the store.

        Refresh tokens are judged by the book, and a device is what it was.
        """
        generation = self.policies.generation if keys is KeyPurpose.SHORT_LIVED else None
        return SignedTokens(partial(self.key_provider.macs, keys), purpose, generation)
