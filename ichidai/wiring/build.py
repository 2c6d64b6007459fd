"""Opening the store and the keys, joining everything, and what a serving process keeps running."""

from __future__ import annotations

import socket
from contextlib import suppress
from functools import cached_property, partial

from msgspec import Struct
from msgspec.structs import replace

from common.account.audit import AuditKind
from common.account.operator import Operator
from common.account.policy_store import announce_policy, open_policy, read_record
from common.background import RepeatingThread
from common.bounded_cache import BoundedCache
from common.clock import Clock, system_clock
from common.crypto.passwords import OWASP_MINIMUM, Argon2Cost
from common.crypto.tokens import AccessTokens
from common.ids import new_id
from common.keys.authorities import open_authorities
from common.keys.generation_store import check_witness, open_generation
from common.keys.key_provider import READ_EVERY_SECONDS, KeyProvider
from common.keys.key_registry import REGISTRY, open_keyring
from common.keys.store_move import check_writable
from common.keys.store_schema import check_schema
from common.keys.witness import WitnessFile
from common.storage.opening import open_store
from common.storage.port import Store, StoreUnavailable
from common.storage.prompt import prompt
from common.storage.store_clock import MEASURED_EVERY_SECONDS, StoreClock, measure_clock
from common.storage.write_guard import RereadingGuard, guard_writes
from common.web.client_info import CertificateHeader
from common.web.dispatch import HttpContext
from device_manager.publishing import Publisher
from ichidai.admin.admission import admitted_operator
from ichidai.admin.keys import AdminKeys
from ichidai.host import host_name
from ichidai.host_readiness import HostReadiness, has_served_lately
from ichidai.key_place import key_folder
from ichidai.settings import Settings
from ichidai.table_access import ACCESS
from ichidai.topology import WITH_STREAMS, App, addresses, port_of_events
from ichidai.wiring.apps import Apps
from ichidai.wiring.services import Services, SessionAuthenticator
from ichidai.wiring.shared import Shared
from registration.erasure import LOOK_SECONDS
from registration.hashing_pool import HashingPool
from session_manager import routes as session_routes
from session_manager import session_service
from session_manager.activity import LastSeenWriter, write_last_seen
from session_manager.event_poll import admitted_receiver
from session_manager.event_service import EventService


def build(
    settings: Settings,
    serving: App,
    port: int,
    *,
    clock: Clock | None = None,
    cost: Argon2Cost = OWASP_MINIMUM,
    store: Store | None = None,
    max_password_requests: int | None = None,
    announces: bool = True,
) -> Services:
    """Open the store and the keys and join everything.

    `announces`: the settings are this host's word on the session policy; False where its word was said already.

    `clock`: by default the store's, beside a given store the host's; a StoreClock is measured first.
    `cost` and `store` are for tests.
    `max_password_requests`: how many requests may be busy with passwords in a flood; None is any number.
    Raises StoreUrlError, StoreUnavailable, KeyRingError.
    """
    clock = clock or (StoreClock(system_clock) if store is None else system_clock)
    store = store or open_store(settings.store_url, clock, settings.registration.aws_region or None)
    measure_clock(clock, store)
    guard_writes(store, RereadingGuard(store, REGISTRY, check_writable).check)
    check_schema(store.get(REGISTRY))  # one that was moved away is no restored one
    witness = WitnessFile(settings.witness_file)
    check_witness(store, witness)
    folder = key_folder(settings, store)
    starting = Operator(f"start@{socket.gethostname()}", "", new_id(), settings.audit_kept)
    made = starting.line(AuditKind.KEYS_CREATED, clock())
    keys, listed = open_keyring(folder, store, clock(), settings.session.token_algorithm, made)
    key_provider = KeyProvider(folder, store, clock, keys, listed)
    generations = open_generation(store, witness, key_provider.version)
    where = addresses(settings.addresses, serving, port, settings.events_port)
    lists = where.url(App.DEVICE, "/device/crl")
    authorities = open_authorities(folder, store, clock, keys.authority, crl_base=lists)
    host = host_name(settings.keys_dir, serving)
    if announces and (serving is not App.ADMIN or read_record(store) is None):  # it serves nobody by the policy
        serve = partial(has_served_lately, store, clock)
        policies = announce_policy(store, settings.policy, host, clock(), serve, generations)
    else:
        policies = open_policy(store, settings.policy, generations)
    hashing = HashingPool(cost, max_password_requests)
    tables = tuple(ACCESS[serving])
    shared = Shared(settings, tables, store, keys, key_provider, policies, authorities, where, clock, hashing)
    return _Serving(shared, Apps(shared)).services()


def events_port_of(settings: Settings, serving: App, port: int) -> int:
    """Return the port on which event streams are served beside an app, or 0 where they are not."""
    if serving not in WITH_STREAMS:
        return 0
    return port_of_events(port) if settings.events_port is None else settings.events_port


class _Serving(Struct, frozen=True, dict=True):
    """What watches, writes and closes while the suite is served."""

    shared: Shared
    apps: Apps

    def services(self) -> Services:
        return Services(
            endpoints=self.apps.endpoints().__getitem__,
            discovery=session_routes.discovery_endpoint(self.apps.discovery),
            registration=self.apps.registration,
            events=EventService(
                self.shared.sessions,
                self.shared.asked_approvals.asking,
                self.shared.settings.registration.join_by_approval,
            ),
            context=HttpContext(
                SessionAuthenticator(self.shared.sessions, self.shared.hashing_pool.note_traffic, self._last_seen),
                self.shared.settings.trusted_proxies,
                self.shared.where.url_of,
                CertificateHeader(self.shared.settings.client_cert_header, self.shared.settings.trusted_proxies),
                partial(admitted_operator, AdminKeys(self.shared.store, self.shared.clock)),
                partial(admitted_receiver, self.shared.settings.event_receivers),
            ),
            prompt_sessions=self._prompt_sessions(),
            addresses=self.shared.where,
            settings=self.shared.settings,
            is_ready=self._readiness.check,
            readiness=self._readiness,
            policies=self.shared.policies,
            publisher=self._publisher(),
            watch_store=self._watch_store,
            last_seen=self._last_seen,
            key_pool=self.shared.key_pool,
            key_provider=self.shared.key_provider,
            background=self.shared.background,
            heartbeat=self.shared.heartbeat,
            mailing=self.shared.mailing,
            mail_queue=self.shared.mail_queue,
            event_pusher=self.shared.event_pusher,
            event_polls=self.shared.event_polls,
            erasure=self.shared.erasure,
            erasing=self._erasing,
            close=self._close,
        )

    def _prompt_sessions(self) -> session_service.SessionDependencies | None:
        """Return what verifies on an event loop: over the same store and keys as others see them."""
        store = prompt(self.shared.store)
        if store is None:
            return None
        issuer, policies = self.shared.where.issuer, self.shared.policies.promptly()
        return replace(
            self.shared.sessions,
            transactions=self.shared.sessions.transactions.promptly(store, policies),
            policies=policies,
            access_tokens=AccessTokens(self.shared.key_provider.promptly(), issuer, issuer),
            verdicts=BoundedCache(session_service.MOST_CALLERS),
        )

    @cached_property
    def _readiness(self) -> HostReadiness:
        return HostReadiness(
            self.shared.store,
            self.shared.tables,
            self.shared.key_provider.signer,
            self.shared.clock,
            self.shared.policies.current,
        )

    @cached_property
    def _last_seen(self) -> LastSeenWriter:
        write = partial(write_last_seen, self.shared.sessions)
        return LastSeenWriter(lambda: self.shared.policies.current().rules, self.shared.clock, write)

    @cached_property
    def _policy_thread(self) -> RepeatingThread:
        return RepeatingThread("policy", READ_EVERY_SECONDS, self.shared.policies.follow)

    @cached_property
    def _erasing(self) -> RepeatingThread:
        return RepeatingThread("closed accounts", LOOK_SECONDS, self.shared.erasure.erase_due)

    @cached_property
    def _clock_thread(self) -> RepeatingThread:
        return RepeatingThread(
            "clock", MEASURED_EVERY_SECONDS, partial(measure_clock, self.shared.clock, self.shared.store)
        )

    def _watch_store(self) -> None:
        if isinstance(self.shared.clock, StoreClock):
            self.shared.clock.watch()
            self._clock_thread.start()
        self.shared.key_provider.watch()
        guard_writes(self.shared.store, self.shared.key_provider.check_writable)
        self.shared.policies.watch()
        self._policy_thread.start()

    def _publisher(self) -> Publisher | None:
        """Return what publishes what others need to judge devices' certificates, where a bucket is set for it."""
        bucket, region = self.shared.settings.device.s3_bucket, self.shared.settings.registration.aws_region
        return Publisher(self.shared.trust, bucket, region) if bucket else None

    def _close(self) -> None:
        self.shared.mailing.later.close()
        self.shared.mail_queue.close()
        self.shared.event_pusher.close()
        self._erasing.close()
        self._last_seen.close()
        self.shared.key_pool.close()
        self._readiness.close()
        self.shared.background.close()
        self.shared.heartbeat.close()
        self._policy_thread.close()
        self._clock_thread.close()
        with suppress(StoreUnavailable):
            self.shared.policies.flush()
        self.shared.key_provider.close()
        self.shared.store.close()
