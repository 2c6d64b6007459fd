"""Joining the rooms: one store, one key ring, and each room's desk with what it needs of its neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from importlib import resources

from msgspec import Struct

from common.bookkeeping import Bookkeeper
from common.challenges import Challenges
from common.clock import Clock, system_clock
from common.crypto.authorities import Authorities, open_authorities
from common.crypto.keylist import open_keyring
from common.crypto.keyring import KeyRing, Purpose
from common.crypto.livekeys import LiveKeys
from common.crypto.otp import FactorKeys
from common.crypto.passwords import OWASP_MINIMUM, Argon2Cost
from common.crypto.tokens import AccessTokens, MacTokens
from common.errors import Refusal
from common.granting import Caller, Grant
from common.history import Origin
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
from ichidai.discovery import discovery
from ichidai.settings import Settings
from ichidai.topology import WITH_STREAMS, Addresses, Part, addresses, port_of_events
from login_app import login
from login_app import routes as login_routes
from login_app.entry import Entry
from registration import pairing_token, registration, second_factor
from registration import routes as registration_routes
from registration.account_db import AccountDb
from registration.credentials import CredentialCheck
from registration.email_sender import notifier_for
from registration.factors import Factors
from registration.guesses import Guesses
from registration.hashing import HashingRoom
from session_manager import routes as session_routes
from session_manager import session_service
from session_manager.event_service import EventService
from session_manager.session_db import SessionDb


class Suite(Struct, frozen=True):
    """The joined suite: its routes by domain, and what an app needs beside them.

    `refresh` gives a refresh token, and the fingerprint of the certificate beside it, its grant, plainly.
    `watch_keys` lets a serving process learn which keys were rotated and retired; a server's worker must call it.
    """

    endpoints: Callable[[Part], Sequence[Endpoint]]
    events: EventService
    edge: Edge
    refresh: Callable[[str, str | None], Grant]
    addresses: Addresses
    settings: Settings
    is_ready: Callable[[], None]
    publisher: Publisher | None
    watch_keys: Callable[[], None]
    close: Callable[[], None]


class Doorkeeper(Struct, frozen=True):
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


class _Joiner(Struct, frozen=True, dict=True):
    """Makes the desks. A part that several of them share is made once, when the first of them asks for it."""

    settings: Settings
    store: Store
    keys: KeyRing
    live_keys: LiveKeys
    authorities: Authorities
    where: Addresses
    clock: Clock
    room: HashingRoom

    def suite(self) -> Suite:
        return Suite(
            endpoints=self._rooms().__getitem__,
            events=EventService(self._sessions),
            edge=Edge(
                Doorkeeper(self._sessions, self.room.hear),
                self.settings.trusted_proxies,
                self.where.url_of,
                CertificateHeader(self.settings.client_cert_header, self.settings.trusted_proxies),
            ),
            refresh=lambda token, certificate: session_service.refresh(
                self._sessions, token, Origin(), certificate, plainly=True
            ),
            addresses=self.where,
            settings=self.settings,
            is_ready=self._is_ready,
            publisher=self._publisher(),
            watch_keys=self.live_keys.watch,
            close=self._close,
        )

    def _rooms(self) -> Mapping[Part, Sequence[Endpoint]]:
        logins, proof = self._login_desk(), self.settings.login.device_proof
        create = login_routes.login_endpoint("/session/create", logins, proof)
        told = discovery(self.settings, self.where)
        return {
            Part.REGISTRATION: registration_routes.endpoints(self._registration_desk(), self._factor_desk()),
            Part.LOGIN: login_routes.endpoints(logins, proof),
            Part.SESSION: session_routes.endpoints(self._sessions, create, told, self.where.events),
            Part.DEVICE: device_routes.endpoints(self._device_desk()),
        }

    def _registration_desk(self) -> registration.Desk:
        return registration.Desk(
            store=self.store,
            bookkeeper=self._bookkeeper,
            accounts=AccountDb(self.store),
            credentials=self._credentials,
            enrolment=self._enrolment,
            notifier=notifier_for(self.settings.registration.sns_topic_arn, self.settings.registration.aws_region),
            rules=self.settings.session.rules,
            room=self.room,
            common_passwords=common_passwords(),
            clock=self.clock,
            challenges=self._challenges,
        )

    def _factor_desk(self) -> second_factor.Desk:
        return second_factor.Desk(
            bookkeeper=self._bookkeeper,
            accounts=AccountDb(self.store),
            credentials=self._credentials,
            factors=self._factors,
            keys=self._factor_keys,
            enrolments=self._mac_tokens(Purpose.TAKEOVER, "otp-enrolment"),
            rules=self.settings.session.rules,
            clock=self.clock,
            issuer=self.settings.registration.otp_issuer,
        )

    def _device_desk(self) -> device_service.Desk:
        return device_service.Desk(
            bookkeeper=self._bookkeeper,
            devices=self._devices,
            enrolment=self._enrolment,
            trust=self._trust,
            credentials=self._credentials,
            pairing=pairing_token,
            entry=self._entry("device-takeover", self.where.url(Part.DEVICE, "/device/register")),
            rules=self.settings.session.rules,
            clock=self.clock,
            challenges=self._challenges,
        )

    def _login_desk(self) -> login.Desk:
        return login.Desk(
            bookkeeper=self._bookkeeper,
            credentials=self._credentials,
            entry=self._entry("takeover", self.where.url(Part.LOGIN, "/login/takeover")),
            device_tokens=self._mac_tokens(Purpose.DEVICE, "device"),
            is_revoked=self._devices.is_revoked,
            successor_of=self._devices.successor_of,
            challenges=self._challenges,
        )

    def _entry(self, purpose: str, url: str) -> Entry:
        return Entry(
            decide=decide,
            create_session=partial(session_service.create_session, self._sessions),
            grant=partial(session_service.grant, self._sessions),
            names=self._devices.names,
            takeovers=self._mac_tokens(Purpose.TAKEOVER, purpose),
            takeover_url=url,
            challenges=self._challenges,
            settings=self.settings.login,
            rules=self.settings.session.rules,
            clock=self.clock,
        )

    @cached_property
    def _sessions(self) -> session_service.Desk:
        return session_service.Desk(
            bookkeeper=self._bookkeeper,
            sessions=SessionDb(self.store),
            access_tokens=AccessTokens(self.live_keys, self.where.issuer, self.where.issuer),
            refresh_tokens=self._mac_tokens(Purpose.REFRESH, "refresh"),
            names=self._devices.names,
            settings=self.settings.session,
            clock=self.clock,
            possessions=Possessions(self._mac_tokens(Purpose.TAKEOVER, "dpop-nonce"), self.clock),
        )

    @cached_property
    def _bookkeeper(self) -> Bookkeeper:
        return Bookkeeper(self.store, self.clock)

    @cached_property
    def _devices(self) -> DeviceDb:
        return DeviceDb(self.store)

    @cached_property
    def _credentials(self) -> CredentialCheck:
        guesses = Guesses(self.store, self.clock, self.settings.registration)
        return CredentialCheck(self.store, self.clock, guesses, self.room, self.keys.macs["names"], self._factors)

    @cached_property
    def _factors(self) -> Factors:
        return Factors(self.store, self.clock, self._bookkeeper, self._factor_keys)

    @cached_property
    def _factor_keys(self) -> FactorKeys:
        return FactorKeys(self.keys.macs["names"])

    @cached_property
    def _challenges(self) -> Challenges:
        return Challenges(
            self.store,
            self.clock,
            secret=self.keys.macs["names"],
            issuer=self.where.issuer,
            keys_of=self._devices.keys_of,
            demanded=self.settings.login.device_proof,
        )

    @cached_property
    def _enrolment(self) -> Enrolment:
        most, proof = self.settings.device.max_devices, self.settings.login.device_proof
        return Enrolment(self.authorities, most, self.clock, self.where.issuer, proof)

    @cached_property
    def _trust(self) -> Trust:
        return Trust(self.authorities, RevocationDb(self.store), self.clock)

    def _mac_tokens(self, keys: Purpose, purpose: str) -> MacTokens:
        return MacTokens(partial(self.live_keys.macs, keys), purpose)

    def _publisher(self) -> Publisher | None:
        """Return what publishes what others need to judge devices' certificates, where a bucket is set for it."""
        aws = self.settings.registration
        return Publisher(self._trust, aws.s3_bucket, aws.aws_region) if aws.s3_bucket else None

    def _close(self) -> None:
        self.live_keys.close()
        self.store.close()

    def _is_ready(self) -> None:
        self.store.get(KEY_RING.key("ring"))


def common_passwords() -> frozenset[str]:
    """Return the passwords that everybody tries first, as registration ships them: folded, one a line."""
    text = resources.files("registration").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.splitlines())
