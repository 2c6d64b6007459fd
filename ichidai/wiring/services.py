"""What the joined suite offers to those who serve it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from common.account.admission import Caller
from common.account.heartbeat import HeartbeatWriter
from common.account.liveness import SessionGone
from common.account.policy_store import PolicyProvider
from common.background import BackgroundThread, RepeatingThread
from common.errors import Refusal
from common.keys.key_provider import KeyProvider
from common.proof.dpop_service import DpopProofUse, RequestCredentials
from common.web.credentials import Target
from common.web.dispatch import HttpContext
from common.web.endpoints import Endpoint
from device_manager.key_pool import KeyPool
from device_manager.publishing import Publisher
from ichidai.host_readiness import HostReadiness
from ichidai.settings import Settings
from ichidai.topology import Addresses, App
from registration.dependencies import RegistrationDependencies
from registration.erasure import Erasure
from registration.mail_queue import MailQueue
from registration.mailing import MailingDependencies
from session_manager import session_service
from session_manager.activity import LastSeenWriter
from session_manager.event_poll import PollDependencies
from session_manager.event_push import EventPusher
from session_manager.event_service import EventService


class Services(Struct, frozen=True):
    """The joined suite: its routes by domain, and what an app needs beside them.

    `discovery`: the route that apps have beside those of their domain; the session domain has it among its own.
    `readiness` must be watched by a server's worker.
    `prompt_sessions` never wait: where they would, they raise (None: they always would).
    `watch_store` lets a serving process learn which keys were rotated and retired, and which policy is in force; a
    server's worker must call it.
    `last_seen` notes activity; a worker that verifies must `start` it. `close` writes what it has noted.
    `key_pool` has device keys ready where a worker that registers devices has called its `start`.
    `erasing` erases closed accounts whose days are over, as `erasure` does, once it is `start`ed.
    `background` does what no answer waits for once it is `start`ed; until then answers wait.
    `heartbeat` must be started before that, by every process that changes accounts.
    """

    endpoints: Callable[[App], Sequence[Endpoint]]
    discovery: Endpoint
    registration: RegistrationDependencies
    events: EventService
    context: HttpContext
    prompt_sessions: session_service.SessionDependencies | None
    addresses: Addresses
    settings: Settings
    is_ready: Callable[[], None]
    readiness: HostReadiness
    policies: PolicyProvider
    publisher: Publisher | None
    watch_store: Callable[[], None]
    last_seen: LastSeenWriter
    key_pool: KeyPool
    key_provider: KeyProvider
    background: BackgroundThread
    heartbeat: HeartbeatWriter
    mailing: MailingDependencies
    mail_queue: MailQueue
    event_pusher: EventPusher
    event_polls: PollDependencies
    erasure: Erasure
    erasing: RepeatingThread
    close: Callable[[], None]


class SessionAuthenticator(Struct, frozen=True):
    """The session manager as the web layer needs it: it satisfies `common.web.guards.Authenticator`."""

    dependencies: session_service.SessionDependencies
    note_traffic: Callable[[], None]
    last_seen: LastSeenWriter

    def authenticate(self, credentials: RequestCredentials) -> Caller:
        """See `session_service.authenticate`. The hashing pool is told of each request."""
        self.note_traffic()
        return session_service.authenticate(self.dependencies, credentials)

    def verify_dpop_proof(self, proof: str, target: Target) -> DpopProofUse:
        """See `DpopVerifier.verify_proof`."""
        return self.dependencies.dpop.verify_proof(proof, target.method, target.url)

    def nonce(self) -> str:
        """See `DpopVerifier.nonce`."""
        return self.dependencies.dpop.nonce()

    def explain(self, gone: SessionGone) -> Refusal:
        """See `session_service.explain`."""
        return session_service.explain(self.dependencies, gone)

    def touch(self, caller: Caller) -> None:
        """See `LastSeenWriter.touch`."""
        self.last_seen.touch(caller)
