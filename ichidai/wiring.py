"""Joining the rooms: one store, one key ring, and each room's desk with what it needs of its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources

from common.bookkeeping import Bookkeeper
from common.challenges import Challenges
from common.clock import Clock, system_clock
from common.crypto import dpop
from common.crypto.authorities import Authorities, open_authorities
from common.crypto.keylist import open_keyring
from common.crypto.keyring import KeyRing, Purpose
from common.crypto.livekeys import LiveKeys
from common.crypto.passwords import OWASP_MINIMUM, Argon2Cost
from common.crypto.tokens import AccessTokens, MacTokens
from common.errors import Refusal
from common.granting import Caller
from common.liveness import SessionGone
from common.possession import Possession, Possessions, Presented
from common.storage.opening import open_store
from common.storage.port import Store
from common.storage.tables import KEY_RING
from common.web.blueprints import Edge
from common.web.clients import CertificateHeader
from common.web.endpoints import Endpoint
from common.web.presenting import Target
from device_manager import device_service
from device_manager import routes as device_routes
from device_manager.concurrency_policy import decide
from device_manager.device_db import DeviceDb
from device_manager.enrolment import Enrolment
from device_manager.publishing import Publisher
from device_manager.revocation_db import RevocationDb
from device_manager.trust import Trust
from ichidai.settings import Settings
from ichidai.topology import WITH_STREAMS, Addresses, Part, addresses, port_of_events
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
from registration.hashing import HashingRoom
from session_manager import routes as session_routes
from session_manager import session_service
from session_manager.event_service import EventService
from session_manager.session_db import SessionDb


@dataclass(frozen=True, slots=True)
class Suite:
    """The joined suite: its routes by domain, and what an app needs beside them.

    `watch_keys` lets a serving process learn which keys were rotated and retired; a server's worker must call it.
    """

    endpoints: Callable[[Part], Sequence[Endpoint]]
    events: EventService
    edge: Edge
    addresses: Addresses
    settings: Settings
    is_ready: Callable[[], None]
    publisher: Publisher | None
    watch_keys: Callable[[], None]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """The session room as the edge needs it: it satisfies `common.web.guards.Authenticator`."""

    desk: session_service.Desk
    hear: Callable[[], None]

    def authenticate(self, presented: Presented) -> Caller:
        """See `session_service.authenticate`. That somebody asks is heard where passwords are hashed."""
        self.hear()
        return session_service.authenticate(self.desk, presented)

    def prove(self, proof: str, target: Target) -> Possession:
        """See `Possessions.prove`."""
        return self.desk.possessions.prove(proof, target.method, target.url)

    def nonce(self) -> str:
        """See `Possessions.nonce`."""
        return self.desk.possessions.nonce()

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
    places: int | None = None,
) -> Suite:
    """Open the store and the keys and join everything.

    `clock`, `cost` and `store` are for tests. `places`: how many requests of this process may be busy with passwords
    in a flood; None is any number. Raises StoreUrlError, StoreUnavailable, KeyRingError.
    """
    store = store or open_store(settings.store_url, clock, settings.registration.aws_region or None)
    keys, listed = open_keyring(settings.keys_dir, store, clock(), settings.session.token_algorithm)
    live_keys = LiveKeys(settings.keys_dir, store, clock, keys, listed)
    where = addresses(
        settings.public_url,
        settings.issuer,
        serving,
        port,
        events_url=settings.events_url,
        events_port=events_port_of(settings, serving, port),
    )
    lists = where.url(Part.DEVICE, "/device/crl")
    authorities = open_authorities(settings.keys_dir, store, clock, keys.authority, crl_base=lists)
    return _Joiner(settings, store, keys, live_keys, authorities, where, clock, HashingRoom(cost, places)).suite()


def events_port_of(settings: Settings, serving: Part, port: int) -> int:
    """Return the port on which event streams are served beside an app, or 0 where they are not."""
    if serving not in WITH_STREAMS:
        return 0
    return port_of_events(port) if settings.events_port is None else settings.events_port


@dataclass(frozen=True, slots=True)
class _Joiner:
    """Makes the desks, each from the parts that are there by then."""

    settings: Settings
    store: Store
    keys: KeyRing
    live_keys: LiveKeys
    authorities: Authorities
    where: Addresses
    clock: Clock
    room: HashingRoom

    def suite(self) -> Suite:
        bookkeeper, devices = Bookkeeper(self.store, self.clock), DeviceDb(self.store)
        guesses = Guesses(self.store, self.clock, self.settings.registration)
        credentials = CredentialCheck(self.store, self.clock, guesses, self.room, self.keys.macs["names"])
        trust = Trust(self.authorities, RevocationDb(self.store), self.clock)
        enrolment = Enrolment(
            self.authorities,
            self.settings.device.max_devices,
            self.clock,
            self.where.issuer,
            self.settings.login.device_proof,
        )
        sessions = self._session_desk(bookkeeper, devices)
        logins, proof = self._login_desk(bookkeeper, credentials, sessions, devices), self.settings.login.device_proof
        create = login_routes.login_endpoint("/session/create", logins, proof)
        rooms = {
            Part.REGISTRATION: self._registration(bookkeeper, credentials, devices, enrolment),
            Part.LOGIN: login_routes.endpoints(logins, proof),
            Part.SESSION: session_routes.endpoints(sessions, create, self._discovery(), self.where.events),
            Part.DEVICE: self._devices(bookkeeper, credentials, sessions, devices, enrolment, trust),
        }
        return Suite(
            endpoints=rooms.__getitem__,
            events=EventService(sessions),
            edge=Edge(
                Doorkeeper(sessions, self.room.hear),
                self.settings.trusted_proxies,
                self.where.url_of,
                CertificateHeader(self.settings.client_cert_header, self.settings.trusted_proxies),
            ),
            addresses=self.where,
            settings=self.settings,
            is_ready=self._is_ready,
            publisher=self._publisher(trust),
            watch_keys=self.live_keys.watch,
            close=self._close,
        )

    def _registration(
        self,
        bookkeeper: Bookkeeper,
        credentials: CredentialCheck,
        devices: DeviceDb,
        enrolment: Enrolment,
    ) -> Sequence[Endpoint]:
        desk = registration.Desk(
            store=self.store,
            bookkeeper=bookkeeper,
            accounts=AccountDb(self.store),
            credentials=credentials,
            enrolment=enrolment,
            notifier=notifier_for(self.settings.registration.sns_topic_arn, self.settings.registration.aws_region),
            rules=self.settings.session.rules,
            room=self.room,
            common_passwords=common_passwords(),
            clock=self.clock,
            challenges=self._challenges(devices),
        )
        return registration_routes.endpoints(desk)

    def _devices(
        self,
        bookkeeper: Bookkeeper,
        credentials: CredentialCheck,
        sessions: session_service.Desk,
        devices: DeviceDb,
        enrolment: Enrolment,
        trust: Trust,
    ) -> Sequence[Endpoint]:
        desk = device_service.Desk(
            bookkeeper=bookkeeper,
            devices=devices,
            enrolment=enrolment,
            trust=trust,
            credentials=credentials,
            pairing=pairing_token,
            entry=self._entry(sessions, devices, "device-takeover", self.where.url(Part.DEVICE, "/device/register")),
            rules=self.settings.session.rules,
            clock=self.clock,
            challenges=self._challenges(devices),
        )
        return device_routes.endpoints(desk)

    def _session_desk(self, bookkeeper: Bookkeeper, devices: DeviceDb) -> session_service.Desk:
        return session_service.Desk(
            bookkeeper=bookkeeper,
            sessions=SessionDb(self.store),
            access_tokens=AccessTokens(self.live_keys, self.where.issuer, self.where.issuer),
            refresh_tokens=MacTokens(partial(self.live_keys.macs, Purpose.REFRESH), "refresh"),
            names=devices.names,
            settings=self.settings.session,
            clock=self.clock,
            possessions=Possessions(
                MacTokens(partial(self.live_keys.macs, Purpose.TAKEOVER), "dpop-nonce"), self.clock
            ),
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
            device_tokens=MacTokens(partial(self.live_keys.macs, Purpose.DEVICE), "device"),
            is_revoked=devices.is_revoked,
            successor_of=devices.successor_of,
            challenges=self._challenges(devices),
        )

    def _challenges(self, devices: DeviceDb) -> Challenges:
        return Challenges(
            self.store,
            self.clock,
            secret=self.keys.macs["names"],
            issuer=self.where.issuer,
            keys_of=devices.keys_of,
            demanded=self.settings.login.device_proof,
        )

    def _entry(self, sessions: session_service.Desk, devices: DeviceDb, purpose: str, url: str) -> Entry:
        return Entry(
            decide=decide,
            create_session=partial(session_service.create_session, sessions),
            grant=partial(session_service.grant, sessions),
            names=devices.names,
            takeovers=MacTokens(partial(self.live_keys.macs, Purpose.TAKEOVER), purpose),
            takeover_url=url,
            challenges=self._challenges(devices),
            settings=self.settings.login,
            rules=self.settings.session.rules,
            clock=self.clock,
        )

    def _discovery(self) -> dict[str, object]:
        """Return what `/.well-known/ichidai.json` tells."""
        events = self.where.events and {"events_endpoint": self.where.events + "/session/events"}
        return {
            "issuer": self.where.issuer,
            "concurrency_mode": str(self.settings.login.mode),
            "max_concurrent_devices": self.settings.session.rules.limit,
            "device_proof": str(self.settings.login.device_proof),
            "tls_client_certificate_bound_access_tokens": self.settings.session.certificate_bound,
            "dpop_signing_alg_values_supported": [str(algorithm) for algorithm in dpop.ALGORITHMS],
            "registration_endpoint": self.where.url(Part.REGISTRATION, "/registration/"),
            "pairing_endpoint": self.where.url(Part.REGISTRATION, "/registration/request_pairing_token"),
            "login_endpoint": self.where.url(Part.LOGIN, "/login"),
            "takeover_endpoint": self.where.url(Part.LOGIN, "/login/takeover"),
            "challenge_endpoint": self.where.url(Part.LOGIN, "/login/challenge"),
            "challenge_verify_endpoint": self.where.url(Part.LOGIN, "/login/verify"),
            "verify_endpoint": self.where.url(Part.SESSION, "/session/verify"),
            "refresh_endpoint": self.where.url(Part.SESSION, "/session/refresh"),
            "logout_endpoint": self.where.url(Part.SESSION, "/session/logout"),
            "renewal_endpoint": self.where.url(Part.DEVICE, "/device/renew"),
            "device_endpoint": self.where.url(Part.DEVICE, "/device/register"),
            **(events or {}),
            "jwks_uri": self.where.url(Part.SESSION, "/.well-known/jwks.json"),
        }

    def _publisher(self, trust: Trust) -> Publisher | None:
        """Return what publishes what others need to judge devices' certificates, where a bucket is set for it."""
        aws = self.settings.registration
        return Publisher(trust, aws.s3_bucket, aws.aws_region) if aws.s3_bucket else None

    def _close(self) -> None:
        self.live_keys.close()
        self.store.close()

    def _is_ready(self) -> None:
        self.store.get(KEY_RING.key("ring"))


def common_passwords() -> frozenset[str]:
    """Return the folded passwords that everybody tries first, as registration ships them."""
    text = resources.files("registration").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(fold(line) for line in text.splitlines() if line)
