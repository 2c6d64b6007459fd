"""The routes of each app, and the dependencies that are its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial

from msgspec import Struct

from common.account.admission import DeviceProof
from common.keys.keyring import KeyPurpose
from common.web.endpoints import Endpoint
from device_manager import device_service
from device_manager import routes as device_routes
from device_manager.approved_joining import ApprovedJoining
from device_manager.passkey_joining import PasskeyJoining
from ichidai.account_facts import AccountFacts
from ichidai.admin import routes as admin_routes
from ichidai.administration import Administration, Kept
from ichidai.discovery import discovery
from ichidai.password_list import common_passwords
from ichidai.topology import App, console_address
from ichidai.wiring.shared import Shared
from login_app import approval_routes
from login_app import passkey_routes as login_passkey_routes
from login_app import routes as login_routes
from login_app.approval import ApprovalDependencies
from login_app.consent import Consents
from login_app.device_login import LoginDependencies
from login_app.passkey_login import PasskeyLoginDependencies
from registration import (
    account_routes,
    joining_routes,
    mail_routes,
    pairing_token,
    passkey_routes,
    second_factor,
)
from registration import routes as registration_routes
from registration.account_db import AccountDb
from registration.account_overview import OverviewDependencies
from registration.closing import ClosingDependencies
from registration.dependencies import RegistrationDependencies
from registration.email_sender import notify_of_device
from registration.joining import JoiningDependencies
from registration.mailing import welcome
from registration.passkey_enrolment import PasskeyDependencies
from registration.password_change import PasswordChangeDependencies
from registration.recovery import RecoveryDependencies
from registration.registration_limit import RegistrationLimit
from registration.renaming import RenamingDependencies
from registration.work import WorkChallenges
from session_manager import routes as session_routes
from session_manager import session_service
from session_manager.end_all import EndAllDependencies


class Apps(Struct, frozen=True, dict=True):
    """Joins each package with what is `shared`."""

    shared: Shared

    def endpoints(self) -> Mapping[App, Sequence[Endpoint]]:
        logins = self._login()

        def proof() -> DeviceProof:
            return self.shared.policies.current().device_proof

        create = login_routes.login_endpoint("/session/create", logins, proof)
        return {
            App.REGISTRATION: (
                *registration_routes.endpoints(
                    self.registration,
                    self._second_factor(),
                    self._password_change(),
                    self.shared.where.join_url,
                    partial(welcome, self.shared.mailing),
                ),
                *account_routes.endpoints(self._account()),
                *passkey_routes.endpoints(self._passkeys()),
                *mail_routes.endpoints(self.shared.mails()),
                joining_routes.endpoint(self._joining(), self.shared.where.console + "/"),
            ),
            App.LOGIN: (
                *login_routes.endpoints(logins, proof),
                *approval_routes.endpoints(self._approvals()),
                *login_passkey_routes.endpoints(self._passkey_login(logins), proof),
            ),
            App.SESSION: session_routes.endpoints(
                self.shared.sessions,
                self._end_all(),
                create,
                self.discovery,
                self.shared.where.events,
                self.shared.event_polls,
            ),
            App.DEVICE: device_routes.endpoints(self._device()),
            App.ADMIN: admin_routes.endpoints(self._administration()),
        }

    def _administration(self) -> Administration:
        return Administration(
            self.shared.store,
            self.shared.clock,
            self.shared.policies,
            Kept(self.shared.settings.audit_kept, self.shared.settings.registration.closed_kept),
            self.shared.hashing_pool.cost,
            self.shared.notifier,
            console_address(self.shared.settings.addresses),
            self.shared.laying,
        )

    @cached_property
    def registration(self) -> RegistrationDependencies:
        return RegistrationDependencies(
            store=self.shared.store,
            transactions=self.shared.transactions,
            accounts=AccountDb(self.shared.store),
            claims=self.shared.claims,
            credentials=self.shared.credentials,
            enrolment=self.shared.enrolment,
            notifier=self.shared.notifier,
            policies=self.shared.policies,
            hashing_pool=self.shared.hashing_pool,
            common_passwords=common_passwords(),
            clock=self.shared.clock,
            challenges=self.shared.challenges,
            limit=RegistrationLimit(
                self.shared.store,
                self.shared.clock,
                self.shared.settings.registration,
                WorkChallenges(self.shared.keys.root_secret),
            ),
        )

    def _second_factor(self) -> second_factor.SecondFactorDependencies:
        return second_factor.SecondFactorDependencies(
            transactions=self.shared.transactions,
            accounts=AccountDb(self.shared.store),
            credentials=self.shared.credentials,
            factors=self.shared.factors,
            keys=self.shared.factor_keys,
            enrolments=self.shared.mac_tokens(KeyPurpose.SHORT_LIVED, "otp-enrolment"),
            clock=self.shared.clock,
            issuer=self.shared.settings.registration.otp_issuer,
        )

    def _passkeys(self) -> PasskeyDependencies:
        return PasskeyDependencies(
            self.shared.transactions, self.shared.credentials, self.shared.factors, self.shared.passkey_challenges
        )

    def _passkey_login(self, logins: LoginDependencies) -> PasskeyLoginDependencies:
        join = PasskeyJoining(self._device(), self._passkey_consents)
        return PasskeyLoginDependencies(logins, join, self.shared.passkey_challenges.request)

    def _joining(self) -> JoiningDependencies:
        return JoiningDependencies(
            is_on=self.shared.settings.registration.join_by_approval,
            store=self.shared.store,
            clock=self.shared.clock,
            transactions=self.shared.transactions,
            accounts=AccountDb(self.shared.store),
            tokens=self.shared.mac_tokens(KeyPurpose.SHORT_LIVED, "join"),
            secret=self.shared.keys.root_secret,
            check_key_proof=self.shared.enrolment.check_key_proof,
            let_in=ApprovedJoining(self._device(), self._join_consents),
        )

    def _password_change(self) -> PasswordChangeDependencies:
        return PasswordChangeDependencies(
            transactions=self.shared.transactions,
            accounts=AccountDb(self.shared.store),
            credentials=self.shared.credentials,
            hashing_pool=self.shared.hashing_pool,
            common_passwords=common_passwords(),
            issue_tokens=partial(session_service.issue_tokens, self.shared.sessions),
        )

    def _account(self) -> account_routes.AccountDependencies:
        return account_routes.AccountDependencies(
            overview=OverviewDependencies(self.shared.transactions, AccountDb(self.shared.store), self.shared.factors),
            factors=self._second_factor(),
            recovery=RecoveryDependencies(
                browser=self.shared.browser(),
                accounts=AccountDb(self.shared.store),
                credentials=self.shared.credentials,
                keys=self.shared.factor_keys,
                notifier=self.shared.notifier,
            ),
            renaming=RenamingDependencies(
                transactions=self.shared.transactions,
                accounts=AccountDb(self.shared.store),
                credentials=self.shared.credentials,
                claims=self.shared.claims,
                issue_tokens=partial(session_service.issue_tokens, self.shared.sessions),
                clock=self.shared.clock,
            ),
            closing=ClosingDependencies(
                transactions=self.shared.transactions,
                credentials=self.shared.credentials,
                clock=self.shared.clock,
                kept=self.shared.settings.registration.closed_kept,
            ),
            export=AccountFacts(self.shared.store, self.shared.policies, self.shared.clock).export,
            join_url=self.shared.where.join_url,
        )

    def _end_all(self) -> EndAllDependencies:
        return EndAllDependencies(self.shared.sessions, self.shared.credentials.reauthenticate)

    def _device(self) -> device_service.DeviceDependencies:
        return device_service.DeviceDependencies(
            transactions=self.shared.transactions,
            devices=self.shared.devices,
            claims=self.shared.claims,
            enrolment=self.shared.enrolment,
            trust=self.shared.trust,
            credentials=self.shared.credentials,
            pairing=pairing_token,
            admission=self.shared.admission,
            consents=self._device_consents,
            login_result=self.shared.login_results,
            policies=self.shared.policies,
            clock=self.shared.clock,
            challenges=self.shared.challenges,
            notify_of_device=partial(notify_of_device, self.shared.notifier),
        )

    def _login(self) -> LoginDependencies:
        return LoginDependencies(
            transactions=self.shared.transactions,
            credentials=self.shared.credentials,
            admission=self.shared.admission,
            consents=self._login_consents,
            login_result=self.shared.login_results,
            device_tokens=self.shared.mac_tokens(KeyPurpose.DEVICE, "device"),
            is_revoked=self.shared.devices.is_revoked,
            successor_of=self.shared.devices.successor_of,
            challenges=self.shared.challenges,
        )

    @cached_property
    def _login_consents(self) -> Consents:
        url = self.shared.where.url(App.LOGIN, "/login/takeover")
        return self.shared.consents("takeover", url, self.shared.challenges)

    @cached_property
    def _device_consents(self) -> Consents:
        return self.shared.consents("device-takeover", self.shared.where.url(App.DEVICE, "/device/register"), None)

    @cached_property
    def _passkey_consents(self) -> Consents:
        url = self.shared.where.url(App.LOGIN, "/login/passkey/finish")
        return self.shared.consents("passkey-takeover", url, None)

    @cached_property
    def _join_consents(self) -> Consents:
        return self.shared.consents(
            "join-takeover", self.shared.where.url(App.REGISTRATION, "/registration/join"), None
        )

    def _approvals(self) -> ApprovalDependencies:
        return ApprovalDependencies(
            store=self.shared.store,
            clock=self.shared.clock,
            transactions=self.shared.transactions,
            admission=self.shared.admission,
            consents=(self._login_consents, self._device_consents, self._passkey_consents, self._join_consents),
            names=self.shared.devices.names,
            secret=self.shared.keys.root_secret,
            asked=self.shared.asked_approvals,
        )

    def discovery(self) -> Mapping[str, object]:
        return discovery(self.shared.settings, self.shared.policies.last_read, self.shared.where)
