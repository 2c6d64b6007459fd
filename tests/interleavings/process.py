"""The real use cases as clients of one account call them, with what surrounds them on the way from and to the wire.

Real are all functions of the four rooms, the bookkeeping and the rules. Stubbed, each behind the Protocol through which
it is handed in: the password check is one read of the account (does the password's number equal its epoch?), a
certificate is a new id on a ready-made one, an access token is its claims unsigned. None of them writes to the store.
Every client has a bookkeeper of its own, as if it were at a process of its own: nothing but the store orders them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Any

from msgspec.structs import replace

from common.admission import ConcurrencyMode, DeviceProof, Proven
from common.bookkeeping import Bookkeeper
from common.challenges import Challenges
from common.clock import from_millis, to_millis
from common.crypto.certificates import KeyKind, new_authority
from common.crypto.passwords import CHEAP_FOR_TESTS
from common.crypto.tokens import Claims, MacTokens
from common.devices import NewDevice, OwnKeys
from common.errors import Code, Refusal
from common.history import Origin
from common.ids import new_id
from common.liveness import SessionRules
from common.possession import Possessions
from common.storage.port import Absent, Put, Store
from common.storage.tables import NAMES
from device_manager import device_service
from device_manager.concurrency_policy import decide
from device_manager.device_db import DeviceDb, device_put, keys_put
from device_manager.device_model import Device, DeviceKeys
from device_manager.enrolment import Enrolment
from device_manager.revocation_db import RevocationDb
from device_manager.trust import Trust
from login_app import login
from login_app.config import LoginSettings
from login_app.entry import Entry
from registration import pairing_token, registration
from registration.account_db import AccountDb
from registration.email_sender import NoNotifier
from registration.hashing import HashingRoom
from session_manager import session_service
from session_manager.config import SessionSettings
from session_manager.session_db import SessionDb
from tests.signing import Keys, given_keys
from tests.unit.making import DAY, T0

HERE = Origin()
SECRET = b"k" * 32
USERNAME = "anna"
_TEXTS = ("user_uuid", "session_id", "device_id", "username", "token_id")


class OneRead:
    """A password check that costs one read: the password is its number, and right while it is the account's epoch."""

    def __init__(self, store: Store, user: str, clock: Callable[[], datetime]) -> None:
        self._accounts = AccountDb(store)
        self._user = user
        self._clock = clock

    def prove(self, name: str, password: str, origin: Origin, **_more: object) -> Proven:
        """See `CredentialCheck.prove`."""
        return self.prove_user(self._user, password, origin)

    def prove_user(self, user_uuid: str, password: str, origin: Origin, otp: str | None = None) -> Proven:
        """See `CredentialCheck.prove_user`."""
        account = self._accounts.find(user_uuid)
        if account is None or str(account.epoch) != password:
            raise Refusal(Code.BAD_CREDENTIALS)
        return Proven(account.uuid, account.username, account.epoch, self._clock())

    def remember(self, user_uuid: str, device_mark: str, origin: Origin) -> None:
        """See `CredentialCheck.remember`: nothing is kept."""


class PlainTokens:
    """Access tokens without a signature: what they say is all that these tests need."""

    def sign(self, claims: Claims) -> str:
        """Return the claims as text."""
        texts = [getattr(claims, name) for name in _TEXTS]
        return json.dumps([*texts, to_millis(claims.issued_at), to_millis(claims.expires_at), claims.certificate])

    def read(self, token: str) -> Claims:
        """Return the claims."""
        *texts, issued_at, expires_at, certificate = json.loads(token)
        return Claims(*texts, from_millis(issued_at), from_millis(expires_at), certificate=certificate)


class CheapEnrolment(Enrolment):
    """Enrols devices whose keys were made before: each has an id, rows and a fingerprint of its own.

    A renewed certificate is a real one.
    """

    def prepare(self, user_uuid: str, device_name: str, *, primary: bool, keys: OwnKeys | None = None) -> NewDevice:
        """See `Enrolment.prepare`."""
        made, device_id = _ready_made(), new_id()
        fingerprint = hashlib.sha256(device_id.encode()).hexdigest()
        row = replace(
            Device.from_item(made.row.item),
            user_uuid=user_uuid,
            device_id=device_id,
            device_name=device_name,
            fingerprint=fingerprint,
            serial=fingerprint[:32],
        )
        keys = replace(DeviceKeys.from_item(made.keys.item), user_uuid=user_uuid, device_id=device_id)
        bound = replace(made.bound, device_id=device_id, fingerprint=fingerprint)
        claim = Put(NAMES, {"claim": f"key#{device_id}", "uuid": user_uuid, "device_id": device_id}, Absent())
        return replace(made, bound=bound, row=device_put(row), keys=keys_put(keys), claim=claim)


@cache
def _ready_made() -> NewDevice:
    enrolment = Enrolment(_authority(), 10, lambda: T0, "", DeviceProof.FINGERPRINT)
    return enrolment.prepare(new_id(), "a device", primary=False)


@cache
def issuer_of_all() -> str:
    """Return the name of the authority whose certificates all devices have."""
    return _ready_made().certificate.issuer


def keys_of_all() -> Keys:
    """Return the keys that every device here has."""
    private = _ready_made().private_keys
    assert private is not None
    return given_keys({"private_keys": {"signing": private.signing, "kem": private.kem}})


Bend = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Bends:
    """Where a planted bug goes in: each bends one part that is handed to the use cases; by default none is bent."""

    store: Bend = lambda store: store
    decide: Bend = lambda decide: decide
    credentials: Bend = lambda credentials: credentials
    verifying: Bend = lambda bookkeeper: bookkeeper
    refreshing: Bend = lambda bookkeeper: bookkeeper


STRAIGHT = Bends()


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of a world. `bound`: devices show their certificates in TLS, and tokens are bound to them."""

    limit: int = 1
    mode: ConcurrencyMode = ConcurrencyMode.ASK
    max_devices: int = 10
    bound: bool = False


class Desks:
    """One process: the desks of all rooms over one store, joined as `ichidai.wiring` joins them."""

    def __init__(self, store: Store, user: str, rules: Rules, clock: Callable[[], datetime], bends: Bends) -> None:
        store = bends.store(store)
        session_rules = SessionRules(rules.limit, DAY)
        self.keeper = Bookkeeper(store, clock, deadline=3600, pause=lambda _seconds: None)
        self.accounts = AccountDb(store)
        devices = DeviceDb(store)
        self.credentials = bends.credentials(OneRead(store, user, clock))
        settings = SessionSettings(session_rules, 30 * DAY, timedelta(minutes=10), certificate_bound=rules.bound)
        self.sessions = session_service.Desk(
            self.keeper,
            SessionDb(store),
            PlainTokens(),
            MacTokens(SECRET, "refresh"),
            devices.names,
            settings,
            clock,  # type: ignore[arg-type]
            Possessions(MacTokens(SECRET, "dpop-nonce"), clock),
        )
        self.verifying = replace(self.sessions, bookkeeper=bends.verifying(self.keeper))
        self.refreshing = replace(self.sessions, bookkeeper=bends.refreshing(self.keeper))
        self.challenges = Challenges(
            store, clock, secret=SECRET, issuer="", keys_of=devices.keys_of, demanded=DeviceProof.FINGERPRINT
        )
        enrolment = CheapEnrolment(_authority(), rules.max_devices, clock, "", DeviceProof.FINGERPRINT)

        def entry(purpose: str) -> Entry:
            return Entry(
                decide=bends.decide(decide),
                create_session=partial(session_service.create_session, self.sessions),
                grant=partial(session_service.grant, self.sessions),
                names=devices.names,
                takeovers=MacTokens(SECRET, purpose),
                takeover_url="",
                challenges=self.challenges,
                settings=LoginSettings(
                    rules.mode,
                    allow_force=True,
                    device_proof=DeviceProof.FINGERPRINT,
                    certificate_bound=rules.bound,
                ),
                rules=session_rules,
                clock=clock,
            )

        self.logins = login.Desk(
            self.keeper,
            self.credentials,
            entry("takeover"),
            MacTokens(SECRET, "device"),
            devices.is_revoked,
            devices.successor_of,
            self.challenges,
        )
        self.devices = device_service.Desk(
            self.keeper,
            devices,
            enrolment,
            Trust(_NoAuthorities(), RevocationDb(store), clock),
            self.credentials,
            pairing_token,
            entry("device"),
            session_rules,
            clock,
            self.challenges,
        )
        self.bound = rules.bound
        self.registration = registration.Desk(
            store=store,
            bookkeeper=self.keeper,
            accounts=self.accounts,
            credentials=self.credentials,
            enrolment=enrolment,
            notifier=NoNotifier(),
            rules=session_rules,
            room=HashingRoom(CHEAP_FOR_TESTS),
            common_passwords=frozenset(),
            clock=clock,
            challenges=self.challenges,
        )


class _NoAuthorities:
    """Authorities that nobody asks for here."""

    def refresh(self) -> None:
        """See `trust.Authorities`."""

    def glance(self) -> None:
        """See `trust.Authorities`."""

    def named(self, name: str, now: datetime) -> None:
        """See `trust.Authorities`."""

    def in_force(self, now: datetime) -> tuple[()]:
        """See `trust.Authorities`."""
        return ()


@cache
def _authority() -> Any:
    return new_authority(T0, KeyKind.CLASSICAL)  # the quicker one: a renewal issues a real certificate


def clock_at(moment: datetime) -> Callable[[], datetime]:
    """Return a clock that stands still."""
    return lambda: moment
