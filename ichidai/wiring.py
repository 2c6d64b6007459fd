"""Joining the rooms: one store, one key ring, and each room's desk with what it needs of its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources

from common.bookkeeping import Bookkeeper
from common.clock import Clock, system_clock
from common.crypto.keyring import KeyRing, open_keyring
from common.crypto.passwords import OWASP_MINIMUM, Argon2Cost
from common.crypto.tokens import AccessTokens, MacTokens
from common.errors import Refusal
from common.granting import Caller
from common.liveness import SessionGone
from common.storage.opening import open_store
from common.storage.port import Store
from common.storage.tables import KEY_RING
from common.web.blueprints import Edge
from common.web.endpoints import Endpoint
from device_manager import device_service
from device_manager import routes as device_routes
from device_manager.concurrency_policy import decide
from device_manager.device_db import DeviceDb
from device_manager.enrolment import Enrolment
from device_manager.publishing import publish_authority
from ichidai.settings import Settings
from ichidai.topology import Addresses, Part, addresses
from login_app import login
from login_app import routes as login_routes
from login_app.entry import Entry
from registration import pairing_token, registration
from registration import routes as registration_routes
from registration.account_db import AccountDb
from registration.account_model import fold
from registration.credentials import CredentialCheck
from registration.email_sender import notifier_for
from registration.guesses import Guesses
from session_manager import routes as session_routes
from session_manager import session_service
from session_manager.session_db import SessionDb


@dataclass(frozen=True, slots=True)
class Suite:
    """The joined suite: its routes by domain, and what an app needs beside them."""

    endpoints: Callable[[Part], Sequence[Endpoint]]
    edge: Edge
    addresses: Addresses
    settings: Settings
    is_ready: Callable[[], None]
    publish: Callable[[], None]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """The session room as the edge needs it: it satisfies `common.web.guards.Authenticator`."""

    desk: session_service.Desk

    def authenticate(self, access_token: str) -> Caller:
        """See `session_service.authenticate`."""
        return session_service.authenticate(self.desk, access_token)

    def explain(self, gone: SessionGone) -> Refusal:
        """See `session_service.explain`."""
        return session_service.explain(self.desk, gone)

    def touch(self, caller: Caller) -> None:
        """See `session_service.touch`."""
        session_service.touch(self.desk, caller)


def build(
    settings: Settings,
    serving: Part,
    port: int,
    *,
    clock: Clock = system_clock,
    cost: Argon2Cost = OWASP_MINIMUM,
    store: Store | None = None,
) -> Suite:
    """Open the store and the keys and join everything.

    `clock`, `cost` and `store` are for tests. Raises StoreUrlError, StoreUnavailable, KeyRingError.
    """
    store = store or open_store(settings.store_url, clock, settings.registration.aws_region or None)
    keys = open_keyring(settings.keys_dir, store, clock())
    where = addresses(settings.public_url, settings.issuer, serving, port)
    return _Joiner(settings, store, keys, where, clock, cost).suite()


@dataclass(frozen=True, slots=True)
class _Joiner:
    """Makes the desks, each from the parts that are there by then."""

    settings: Settings
    store: Store
    keys: KeyRing
    where: Addresses
    clock: Clock
    cost: Argon2Cost

    def suite(self) -> Suite:
        bookkeeper, devices = Bookkeeper(self.store, self.clock), DeviceDb(self.store)
        guesses = Guesses(self.store, self.clock, self.settings.registration)
        credentials = CredentialCheck(self.store, self.clock, guesses, self.cost, self.keys.macs["names"])
        enrolment = Enrolment(self.keys.authority, self.settings.device.max_devices, self.clock)
        sessions = self._session_desk(bookkeeper, devices)
        logins, proof = self._login_desk(bookkeeper, credentials, sessions, devices), self.settings.login.device_proof
        create = login_routes.login_endpoint("/session/create", logins, proof)
        rooms = {
            Part.REGISTRATION: self._registration(bookkeeper, credentials, enrolment),
            Part.LOGIN: login_routes.endpoints(logins, proof),
            Part.SESSION: session_routes.endpoints(sessions, create, self._discovery()),
            Part.DEVICE: self._devices(bookkeeper, credentials, sessions, devices, enrolment),
        }
        return Suite(
            endpoints=rooms.__getitem__,
            edge=Edge(Doorkeeper(sessions), self.settings.trusted_proxies),
            addresses=self.where,
            settings=self.settings,
            is_ready=self._is_ready,
            publish=self._publish,
            close=self.store.close,
        )

    def _registration(
        self, bookkeeper: Bookkeeper, credentials: CredentialCheck, enrolment: Enrolment
    ) -> Sequence[Endpoint]:
        desk = registration.Desk(
            store=self.store,
            bookkeeper=bookkeeper,
            accounts=AccountDb(self.store),
            credentials=credentials,
            enrolment=enrolment,
            notifier=notifier_for(self.settings.registration.sns_topic_arn, self.settings.registration.aws_region),
            rules=self.settings.session.rules,
            cost=self.cost,
            common_passwords=common_passwords(),
            clock=self.clock,
        )
        return registration_routes.endpoints(desk)

    def _devices(
        self,
        bookkeeper: Bookkeeper,
        credentials: CredentialCheck,
        sessions: session_service.Desk,
        devices: DeviceDb,
        enrolment: Enrolment,
    ) -> Sequence[Endpoint]:
        desk = device_service.Desk(
            bookkeeper=bookkeeper,
            devices=devices,
            enrolment=enrolment,
            credentials=credentials,
            pairing=pairing_token,
            entry=self._entry(sessions, devices, "device-takeover", self.where.url(Part.DEVICE, "/device/register")),
            rules=self.settings.session.rules,
            clock=self.clock,
        )
        return device_routes.endpoints(desk)

    def _session_desk(self, bookkeeper: Bookkeeper, devices: DeviceDb) -> session_service.Desk:
        return session_service.Desk(
            bookkeeper=bookkeeper,
            sessions=SessionDb(self.store),
            access_tokens=AccessTokens(self.keys.signing, self.where.issuer, self.where.issuer),
            refresh_tokens=MacTokens(self.keys.macs["refresh"], "refresh"),
            names=devices.names,
            settings=self.settings.session,
            clock=self.clock,
        )

    def _login_desk(
        self,
        bookkeeper: Bookkeeper,
        credentials: CredentialCheck,
        sessions: session_service.Desk,
        devices: DeviceDb,
    ) -> login.Desk:
        return login.Desk(
            bookkeeper=bookkeeper,
            credentials=credentials,
            entry=self._entry(sessions, devices, "takeover", self.where.url(Part.LOGIN, "/login/takeover")),
            device_tokens=MacTokens(self.keys.macs["device"], "device"),
            is_revoked=devices.is_revoked,
        )

    def _entry(self, sessions: session_service.Desk, devices: DeviceDb, purpose: str, url: str) -> Entry:
        return Entry(
            decide=decide,
            create_session=partial(session_service.create_session, sessions),
            grant=partial(session_service.grant, sessions),
            names=devices.names,
            takeovers=MacTokens(self.keys.macs["takeover"], purpose),
            takeover_url=url,
            settings=self.settings.login,
            rules=self.settings.session.rules,
            clock=self.clock,
        )

    def _discovery(self) -> dict[str, object]:
        """Return what `/.well-known/ichidai.json` tells."""
        return {
            "issuer": self.where.issuer,
            "concurrency_mode": str(self.settings.login.mode),
            "max_concurrent_devices": self.settings.session.rules.limit,
            "device_proof": str(self.settings.login.device_proof),
            "registration_endpoint": self.where.url(Part.REGISTRATION, "/registration/"),
            "pairing_endpoint": self.where.url(Part.REGISTRATION, "/registration/request_pairing_token"),
            "login_endpoint": self.where.url(Part.LOGIN, "/login"),
            "takeover_endpoint": self.where.url(Part.LOGIN, "/login/takeover"),
            "verify_endpoint": self.where.url(Part.SESSION, "/session/verify"),
            "refresh_endpoint": self.where.url(Part.SESSION, "/session/refresh"),
            "logout_endpoint": self.where.url(Part.SESSION, "/session/logout"),
            "device_endpoint": self.where.url(Part.DEVICE, "/device/register"),
            "jwks_uri": self.where.url(Part.SESSION, "/.well-known/jwks.json"),
        }

    def _publish(self) -> None:
        """Publish what others need to verify devices, where a bucket is set for it."""
        aws = self.settings.registration
        if aws.s3_bucket:
            publish_authority(self.keys.authority.pem(), aws.s3_bucket, aws.aws_region)

    def _is_ready(self) -> None:
        self.store.get(KEY_RING.key("ring"))


def common_passwords() -> frozenset[str]:
    """Return the folded passwords that everybody tries first, as registration ships them."""
    text = resources.files("registration").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(fold(line) for line in text.splitlines() if line)
