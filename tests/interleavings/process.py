"""The real use cases as clients of one account call them, with what surrounds them on the way from and to the wire.

Real are all functions of the four packages, the transactions and the rules. Stubbed, each behind the Protocol through
which it is injected: the password check is one read of the account (does the password's number equal its epoch?), a
certificate is a new id on a ready-made one, an access token is its claims unsigned. None of them writes to the store.
Every client has account transactions of its own, as if in a process of its own: nothing but the store orders them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property, partial
from typing import Any

from msgspec.structs import replace

from common.account.admission import AuthenticatedUser, ConcurrencyMode
from common.account.claim_store import ClaimStore
from common.account.claims import Claim
from common.account.devices import NewDevice, OwnKeys
from common.account.history import ClientInfo
from common.account.laying_down import LayingDown
from common.account.liveness import SessionRules
from common.account.policy import UNLIMITED, FixedPolicy, Policy
from common.account.transactions import AccountTransactions
from common.background import at_once
from common.clock import from_millis, to_millis
from common.crypto.certificates import KeyKind, certified_key, new_authority
from common.crypto.passkeys import PasskeyAssertion
from common.crypto.passwords import CHEAP_FOR_TESTS
from common.crypto.tokens import Claims, SignedTokens
from common.errors import Code, Refusal
from common.ids import new_id
from common.proof.challenge_service import ChallengeService
from common.proof.dpop_service import DpopClient, DpopVerifier
from common.retry import RetryBudget
from common.storage.port import Store
from common.storage.tables import NAMES
from device_manager import device_service
from device_manager.concurrency_policy import decide
from device_manager.device_db import DeviceDb, device_put, keys_put
from device_manager.device_model import Device, DeviceKeys
from device_manager.enrolment import Enrolment
from device_manager.revocation_db import RevocationDb
from device_manager.trust import Trust
from ichidai.settings import read_settings
from login_app import device_login
from login_app.admission import LoginAdmission
from login_app.config import LoginSettings
from login_app.consent import Consents
from login_app.login_result import LoginResults
from registration import pairing_token
from registration.account_db import AccountDb, names_in
from registration.account_model import Account
from registration.closing import ClosingDependencies
from registration.dependencies import RegistrationDependencies
from registration.email_sender import NoNotifier, notify_of_device
from registration.factors import Factors
from registration.hashing_pool import HashingPool
from registration.password_change import PasswordChangeDependencies
from registration.registration_limit import RegistrationLimit
from registration.renaming import RenamingDependencies
from registration.work import WorkChallenges
from session_manager import session_service
from session_manager.activity import LastSeenWriter, write_last_seen
from session_manager.config import SessionSettings
from session_manager.session_db import SessionDb
from tests.interleavings.approval_process import ApprovalUseCases
from tests.interleavings.memory_store import MemoryStore
from tests.interleavings.owners_process import OwnersUseCases, factors_over
from tests.support.forgetting import forget_laid_down
from tests.support.signing import Keys, given_keys
from tests.unit.builders import DAY, MINUTE, T0

HERE = DpopClient()
SECRET = b"k" * 32
USERNAME = "anna"
CLOSED_FOR = 14 * DAY
_TEXTS = ("user_uuid", "session_id", "device_id", "username", "token_id")


class OneRead:
    """A password check that costs one read: the password is its number, and right while it is the account's epoch.

    A recovery code and a passkey's signature are judged by the real `Factors`.
    """

    def __init__(self, store: Store, user: str, clock: Callable[[], datetime], factors: Factors) -> None:
        self._accounts = AccountDb(store)
        self._user = user
        self._clock = clock
        self._factors = factors

    def authenticate(self, name: str, password: str, client: ClientInfo, **_more: object) -> AuthenticatedUser:
        """See `CredentialCheck.prove`."""
        return self.reauthenticate(self._user, password, client)

    def reauthenticate(
        self,
        user_uuid: str,
        password: str,
        client: ClientInfo,
        otp: str | None = None,
        *,
        renewing: bool = False,
        **_more: object,
    ) -> AuthenticatedUser:
        """See `CredentialCheck.reauthenticate`."""
        account = self._accounts.find(user_uuid)
        if account is None or str(account.credential_version) != password:
            raise Refusal(Code.BAD_CREDENTIALS)
        if account.reset_required and not renewing:
            raise Refusal(Code.PASSWORD_RESET_REQUIRED)
        return self._proven(account)

    def authenticate_for_recovery(self, name: str, password: str, code: str, client: ClientInfo) -> AuthenticatedUser:
        """See `CredentialCheck.authenticate_for_recovery`: every password of before is one that was so lately."""
        account, is_code = self._accounts.find(self._user), self._factors.holds(self._user, code)
        if account is None or account.credential_version < int(password):
            raise Refusal(Code.BAD_CREDENTIALS)
        if not is_code:
            raise Refusal(Code.RECOVERY_CODE_INVALID)
        return self._proven(account)

    def authenticate_by_passkey(
        self, assertion: PasskeyAssertion, client: ClientInfo, device_hint: str | None = None
    ) -> AuthenticatedUser:
        """See `CredentialCheck.authenticate_by_passkey`."""
        self._factors.use_passkey(self._user, assertion, alone=True)
        account = self._accounts.find(self._user)
        assert account is not None
        return self._proven(account)

    def _proven(self, account: Account) -> AuthenticatedUser:
        return AuthenticatedUser(account.uuid, account.username, account.credential_version, self._clock())

    def remember(self, user_uuid: str, device_hint: str, client: ClientInfo, counted_as: str | None = None) -> None:
        """See `CredentialCheck.remember`: nothing is kept."""


class PlainTokens:
    """Access tokens without a signature: what they say is all that these tests need."""

    def sign(self, claims: Claims) -> str:
        """Return the claims as text."""
        texts = [getattr(claims, name) for name in _TEXTS]
        return json.dumps([*texts, to_millis(claims.issued_at), to_millis(claims.expires_at), claims.certificate])

    def verify(self, token: str) -> Claims:
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
        own = replace(DeviceKeys.from_item(made.keys.item), user_uuid=user_uuid, device_id=device_id)
        bound = replace(made.bound, device_id=device_id, fingerprint=fingerprint)
        (key,) = self.claims_of(keys) or (NAMES.key(f"key#{device_id}"),)
        claim = Claim(key.partition, user_uuid, device_id)
        return replace(made, bound=bound, row=device_put(row), keys=keys_put(own), claim=claim)


@cache
def _ready_made() -> NewDevice:
    enrolment = Enrolment(_authority(), lambda: T0, "", UNLIMITED)
    return enrolment.prepare(new_id(), "a device", primary=False)


@cache
def issuer_of_all() -> str:
    """Return the name of the authority whose certificates all devices have."""
    return _ready_made().certificate.issuer


def own_keys() -> OwnKeys:
    """Return a key that devices bring themselves, always the same one."""
    return OwnKeys(certified_key(_ready_made().certificate.der), None, USERNAME, key_proven=True)


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
    takeovers: Bend = lambda tokens: tokens
    verifying: Bend = lambda transactions: transactions
    refreshing: Bend = lambda transactions: transactions
    in_background: Bend = lambda _task: None
    """By default nothing is laid down: every process is too slow, or dies before; all stays in the outbox."""
    claims: Bend = lambda claims: claims


STRAIGHT = Bends()


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of a world. `bound`: devices show their certificates in TLS, and tokens are bound to them.

    `asks_active`: the users of active devices are asked before a takeover.
    """

    limit: int = 1
    mode: ConcurrencyMode = ConcurrencyMode.ASK
    max_devices: int = 10
    bound: bool = False
    asks_active: bool = False


class UseCases:
    """One process: the dependencies of all packages over one store, joined as `ichidai.wiring` joins them."""

    def __init__(self, store: Store, user: str, rules: Rules, clock: Callable[[], datetime], bends: Bends) -> None:
        self.store = store = bends.store(store)
        session_rules = SessionRules(rules.limit, DAY, MINUTE)
        laying = self._laying = LayingDown(store, clock, bends.in_background)
        policies = FixedPolicy(
            Policy(rules=session_rules, mode=rules.mode, max_devices=rules.max_devices, asks_active=rules.asks_active)
        )
        self.keeper = AccountTransactions(
            store, clock, deadline=3600, pause=lambda _seconds: None, laying=laying, policies=policies
        )
        self.accounts = AccountDb(store)
        self.claims = bends.claims(ClaimStore(store, self.keeper, clock, names_in, few_tries))
        devices = DeviceDb(store)
        factors = factors_over(store, clock, self.keeper)
        self.credentials = bends.credentials(OneRead(store, user, clock, factors))
        settings = SessionSettings(certificate_bound=rules.bound)
        self.sessions = session_service.SessionDependencies(
            self.keeper,
            SessionDb(store),
            PlainTokens(),
            SignedTokens(SECRET, "refresh"),
            devices.names,
            settings,
            policies,
            clock,  # type: ignore[arg-type]
            DpopVerifier(SignedTokens(SECRET, "dpop-nonce"), clock),
        )
        self.last_seen = LastSeenWriter(lambda: session_rules, clock, partial(write_last_seen, self.sessions))
        self.verifying = replace(self.sessions, transactions=bends.verifying(self.keeper))
        self.refreshing = replace(self.sessions, transactions=bends.refreshing(self.keeper))
        self.challenges = ChallengeService(
            store, clock, secret=SECRET, issuer="", keys_of=devices.keys_of, policies=policies
        )
        enrolment = CheapEnrolment(_authority(), clock, "", policies)

        admission = LoginAdmission(
            decide=bends.decide(decide),
            create_session=session_service.create_session,
            requires_signature=self.challenges.requires_signature,
            settings=LoginSettings(certificate_bound=rules.bound),
        )
        results = LoginResults(devices.names, partial(session_service.issue_tokens, self.sessions), lambda _: False)

        def consents(purpose: str, challenges: ChallengeService | None) -> Consents:
            tokens = bends.takeovers(SignedTokens(SECRET, purpose))
            approvals = SignedTokens(SECRET, f"{purpose}-approval")
            return Consents(tokens, "", devices.names, challenges, clock, approvals, "")

        self.logins = device_login.LoginDependencies(
            self.keeper,
            self.credentials,
            admission,
            consents("takeover", self.challenges),
            results,
            SignedTokens(SECRET, "device"),
            devices.is_revoked,
            devices.successor_of,
            self.challenges,
        )
        self.devices = device_service.DeviceDependencies(
            self.keeper,
            devices,
            self.claims,
            enrolment,
            Trust(_NoAuthorities(), RevocationDb(store), clock),
            self.credentials,
            pairing_token,
            admission,
            consents("device", None),
            results,
            policies,
            clock,
            self.challenges,
            partial(notify_of_device, NoNotifier()),
        )
        self.bound = rules.bound
        self.registration = RegistrationDependencies(
            store=store,
            transactions=self.keeper,
            accounts=self.accounts,
            claims=self.claims,
            credentials=self.credentials,
            enrolment=enrolment,
            notifier=NoNotifier(),
            policies=policies,
            hashing_pool=HashingPool(CHEAP_FOR_TESTS),
            common_passwords=frozenset(),
            clock=clock,
            challenges=self.challenges,
            limit=RegistrationLimit(  # what it counts is another account's business
                MemoryStore(), clock, read_settings({}).registration, WorkChallenges(SECRET)
            ),
        )
        self.passwords = PasswordChangeDependencies(
            transactions=self.keeper,
            accounts=self.accounts,
            credentials=self.credentials,
            hashing_pool=HashingPool(CHEAP_FOR_TESTS),
            common_passwords=frozenset(),
            issue_tokens=partial(session_service.issue_tokens, self.sessions),
        )
        self.closing = ClosingDependencies(self.keeper, self.credentials, clock, CLOSED_FOR)  # type: ignore[arg-type]
        self.renaming = RenamingDependencies(
            transactions=self.keeper,
            accounts=self.accounts,
            credentials=self.credentials,
            claims=self.claims,
            issue_tokens=partial(session_service.issue_tokens, self.sessions),
            clock=clock,  # type: ignore[arg-type]
        )
        self._make_approvals = partial(
            ApprovalUseCases,
            store,
            clock,
            self.keeper,
            admission=admission,
            devices=self.devices,
            consents=(self.logins.consents, self.devices.consents, consents("join", None)),
        )
        self._make_owner = partial(
            OwnersUseCases,
            store,
            clock,
            self.keeper,
            credentials=self.credentials,
            claims=self.claims,
            factors=factors,
            enrolment=enrolment,
            keys_of=devices.keys_of,
            sessions=self.sessions,
        )

    @cached_property
    def owner(self) -> OwnersUseCases:
        """What an owner may ask beside logging in; made when it is first asked for."""
        return self._make_owner()

    @cached_property
    def approvals(self) -> ApprovalUseCases:
        """How the users of active devices are asked; made when it is first asked for."""
        return self._make_approvals()

    def forget(self) -> None:
        """Know no more what was laid down or is still to be noted: it was so in another order."""
        self.last_seen._noted.clear()
        forget_laid_down(self._laying)

    def lay_down(self, user: str) -> None:
        """Lay down what others left in the book, as maintenance does."""
        book = self.keeper.get_book(user)
        assert book is None or LayingDown(self.store, lambda: T0, at_once).lay_down(book)


class few_tries(RetryBudget):  # noqa: N801 - made where a budget is, without arguments
    """A budget of three tries in a row: whoever waits for another one's claim gives up while that one stands still."""

    def __init__(self) -> None:
        super().__init__(pause=lambda _seconds: None)
        self._tries = 3

    def wait(self) -> bool:
        """Say whether there is a try left."""
        self._tries -= 1
        return self._tries > 0


class _NoAuthorities:
    """Authorities that nobody asks for here."""

    def refresh(self) -> None:
        """See `trust.Authorities`."""

    def refresh_if_stale(self) -> None:
        """See `trust.Authorities`."""

    def get(self, name: str, now: datetime) -> None:
        """See `trust.Authorities`."""

    def active(self, now: datetime) -> tuple[()]:
        """See `trust.Authorities`."""
        return ()


@cache
def _authority() -> Any:
    return new_authority(T0, KeyKind.CLASSICAL)  # the quicker one: a renewal issues a real certificate


def clock_at(moment: datetime) -> Callable[[], datetime]:
    """Return a clock that stands still."""
    return lambda: moment
