"""A device of somebody's account, as a product's program uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from common.crypto.certificates import KeyKind
from common.proofs import Purpose
from ichidai.client import enrolling
from ichidai.client.enrolling import PairingCode, Person
from ichidai.client.failures import Answer, DeviceActive, NoDevice, Untrustworthy
from ichidai.client.prover import Prover, prover_for
from ichidai.client.session import Session, state_of
from ichidai.client.state import Identity, State, Vault
from ichidai.client.wire import PATIENCE_SECONDS, AskCode, Wire

Ask = Callable[[DeviceActive], bool]
"""Shows the question to the person, and returns whether they consent."""

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Entered:
    """A login that succeeded: since when, and the names of the devices whose sessions it ended."""

    session_id: str
    login_at: str
    ended: Sequence[str]


class Device:
    """A device whose keys, certificate and session lie in a vault. It proves itself by its key at every door.

    A session of a device with a P-256 key is bound to it: its tokens are of no use to anybody else.

    `url`: where the suite is, if not where the vault says. Every method raises Problem for a refusal, Unreachable when
    no answer comes, and NoDevice before the device has registered or joined. `otp` asks the person for a code, where
    the account has a second factor; without it that is Problem `otp-required`.
    """

    def __init__(
        self,
        vault: Vault,
        url: str | None = None,
        *,
        language: str | None = None,
        patience: float = PATIENCE_SECONDS,
        otp: AskCode | None = None,
    ) -> None:
        state = vault.read()
        self._vault = vault
        self._wire = Wire(url or (state.url if state else DEFAULT_URL), language=language, patience=patience, otp=otp)
        self._session = Session(vault, self._wire)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The session lives on."""
        self._wire.close()

    @property
    def identity(self) -> Identity:
        """Who this device is."""
        return self._enrolled()[1]

    def register(
        self,
        username: str,
        email: str,
        password: str,
        *,
        device_name: str | None = None,
        keys: KeyKind = KeyKind.POST_QUANTUM,
    ) -> PairingCode:
        """Make an account with this device as its first; it is not logged in yet. Returns a code for the next device.

        If the answer is lost, the same call once more gives the same device. Raises HasDevice, DeviceFileFault.
        """
        return enrolling.register(self._wire, self._vault, Person(username, password, device_name, email), keys)

    def join(
        self,
        code: str,
        username: str,
        password: str,
        *,
        device_name: str | None = None,
        keys: KeyKind = KeyKind.POST_QUANTUM,
    ) -> PairingCode:
        """Make this a further device of an account, by a code that one of its devices shows.

        It is not logged in yet. Raises UnreadableCode, HasDevice, DeviceFileFault.
        """
        return enrolling.join(self._wire, self._vault, code, Person(username, password, device_name), keys)

    def pairing_code(self, password: str) -> PairingCode:
        """Return a code for another device: good for ten minutes, and once."""
        _, me = self._enrolled()
        form = {"username": me.username, "password": password, "client_cert_fp": me.fingerprint}
        proof = self._proof(password, Purpose.PAIR_ISSUE)
        return PairingCode.of(self._post("/registration/request_pairing_token", {**form, "proof": proof}))

    def log_in(self, password: str, *, ask: Ask | None = None) -> Entered:
        """Log in by a signed challenge.

        When the account is in use elsewhere, `ask` shows that to the person. On consent just the sessions shown are
        ended; if somebody else has come meanwhile, it asks again. Raises DeviceActive when nobody can be asked, when
        the person would rather not, and where the suite lets nobody switch: nothing has changed then.
        """
        prover = self._prover()
        attempt: Callable[[], Answer] = partial(self._prove_login, password, prover)
        while True:
            try:
                return self._enter(attempt(), prover)
            except DeviceActive as question:
                if ask is None or question.takeover is None or not ask(question):
                    raise
                attempt = partial(self._consent, question, password, prover)

    def take_over(self, question: DeviceActive, password: str) -> Entered:
        """Log in instead of the sessions that a question showed; only after the person has consented.

        Raises DeviceActive anew when somebody was there who had not been shown.
        """
        prover = self._prover()
        return self._enter(self._consent(question, password, prover), prover)

    def verify(self) -> Answer:
        """Return whose session this is, as the suite sees it. It counts as activity."""
        return self.get("/session/verify")

    def get(self, path: str) -> Answer:
        """Call a signed-in route. Raises SessionEnded, NotLoggedIn."""
        return self._session.call("GET", path)

    def post(self, path: str, body: Answer | None = None) -> Answer:
        """Call a signed-in route. Raises SessionEnded, NotLoggedIn."""
        return self._session.call("POST", path, body or {})

    def refresh(self) -> None:
        """Get new tokens. The other calls do it by themselves when it is time. Raises SessionEnded, NotLoggedIn."""
        self._session.refreshed()

    def devices(self) -> Sequence[Mapping[str, Any]]:
        """Return the account's devices as `GET /device/list` has them."""
        listed: Sequence[Mapping[str, Any]] = self.get("/device/list")["devices"]
        return listed

    def unbind(self, device_id: str, password: str | None = None) -> None:
        """Take a device off the account: its session ends, its certificate is revoked.

        Raises Problem `reauthenticate` where the last check of the password is too old; then it is needed.
        """
        self.post("/device/unbind", {"device_id": device_id} | ({"password": password} if password else {}))

    def renew(self, password: str) -> Identity:
        """Get a new certificate over the same key; the session lives on."""
        state, me = self._enrolled()
        proof = self._proof(password, Purpose.RENEW)
        answer = self._post("/device/renew", {"client_cert_fp": me.fingerprint, "proof": proof})
        pem, fingerprint = enrolling.certified(state, answer)
        renewed = replace(me, certificate=pem, fingerprint=fingerprint)
        self._vault.write(replace(self._enrolled()[0], identity=renewed))
        return renewed

    def log_out(self) -> None:
        """End the session, here and there. Raises NotLoggedIn."""
        self._session.end()

    def _prover(self) -> Prover | None:
        return prover_for(self._enrolled()[0].keys.signing, self._wire)

    def _prove_login(self, password: str, prover: Prover | None) -> Answer:
        return self._post("/login/verify", self._proof(password, Purpose.LOGIN), prover)

    def _consent(self, question: DeviceActive, password: str, prover: Prover | None) -> Answer:
        takeover = question.takeover
        if takeover is None:
            raise question
        me, token = self.identity, str(takeover["token"])
        challenge = question.challenge or self._challenge(password, Purpose.TAKEOVER)
        proof = self._signed(challenge, Purpose.TAKEOVER, token)
        body = {"takeover_token": token, "client_cert_fp": me.fingerprint, "proof": proof}
        return self._post("/login/takeover", body, prover)

    def _proof(self, password: str, purpose: Purpose) -> Answer:
        return self._signed(self._challenge(password, purpose), purpose)

    def _challenge(self, password: str, purpose: Purpose) -> Answer:
        me = self.identity
        form = {"username": me.username, "password": password, "client_cert_fp": me.fingerprint, "purpose": purpose}
        return self._post("/login/challenge", form)

    def _signed(self, challenge: Answer, purpose: Purpose, token: str | None = None) -> Answer:
        """Sign a challenge, if it comes from whom this device has joined: a signature is good nowhere else."""
        state, me = self._enrolled()
        if challenge["issuer"] != me.issuer:
            raise Untrustworthy(f"{self._wire.base} speaks for {challenge['issuer']}; this device joined {me.issuer}.")
        return state.keys.prove(challenge, purpose, me.user_uuid, me.device_id, token)

    def _enter(self, answer: Answer, prover: Prover | None) -> Entered:
        self._vault.write(replace(state_of(self._vault), url=self._wire.base))  # it is reached there, as we see
        self._session.begin(answer, prover)
        ended = [str(each.get("device_name") or "") for each in answer.get("evicted", ())]
        return Entered(answer["session_id"], answer["login_at"], ended)

    def _post(self, path: str, body: Answer, prover: Prover | None = None) -> Answer:
        return self._wire.call("POST", path, body, auth=prover.auth() if prover else None)

    def _enrolled(self) -> tuple[State, Identity]:
        state = state_of(self._vault)
        if state.identity is None:
            raise NoDevice("This device has not joined an account yet: its registration did not come to an end.")
        return state, state.identity
