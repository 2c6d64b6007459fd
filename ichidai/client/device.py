"""A device of a user's account, as a product's program uses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from common.crypto.certificates import KeyKind
from common.proof.statements import Purpose
from ichidai.client import enrolment
from ichidai.client.approval import Ask, ShowDigits, approved_takeover, join_by_approval
from ichidai.client.dpop_prover import DpopProver, auth_by, prover_for
from ichidai.client.enrolment import PairingCode, Person
from ichidai.client.errors import Answer, DeviceActive, NoDevice, ServerIdentityError
from ichidai.client.http_transport import MAX_WAIT_SECONDS, AskCode, HttpTransport
from ichidai.client.session import Session, state_of
from ichidai.client.state import Identity, State, StateStore

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class LoginResult:
    """A login that succeeded: since when, and the names of the devices whose sessions it ended."""

    session_id: str
    login_at: str
    ended: Sequence[str]


class Device:
    """A device whose keys, certificate and session lie in a state store. It proves itself by its key on every endpoint.

    A session of a device with a P-256 key is bound to it: its tokens are useless without the key.

    `url`: where the suite is, if not as stored. Every method raises Problem for a refusal, Unreachable when
    no answer comes, and NoDevice before the device has registered or joined. `otp` asks the user for a code, where
    the account has a second factor; without it that is Problem `otp-required`.
    """

    def __init__(
        self,
        state_store: StateStore,
        url: str | None = None,
        *,
        language: str | None = None,
        max_wait: float = MAX_WAIT_SECONDS,
        otp: AskCode | None = None,
    ) -> None:
        state = state_store.read()
        self._state_store = state_store
        self._transport = HttpTransport(
            url or (state.url if state else DEFAULT_URL), language=language, max_wait=max_wait, otp=otp
        )
        self._session = Session(state_store, self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The session lives on."""
        self._transport.close()

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
        invitation: str | None = None,
    ) -> PairingCode:
        """Make an account with this device as its first; it is not logged in yet. Returns a code for the next device.

        `invitation`: one that an operator handed out, or the link that ends with it.

        If the answer is lost, the same call once more gives the same device. Raises DeviceExistsError, DeviceFileError.
        """
        return enrolment.register(
            self._transport, self._state_store, Person(username, password, device_name, email), keys, invitation
        )

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

        It is not logged in yet. Raises UnreadableCode, DeviceExistsError, DeviceFileError.
        """
        return enrolment.join(self._transport, self._state_store, code, Person(username, password, device_name), keys)

    def join_by_approval(
        self,
        username: str,
        show_digits: ShowDigits,
        *,
        ask: Ask | None = None,
        device_name: str | None = None,
        keys: KeyKind = KeyKind.POST_QUANTUM,
    ) -> LoginResult:
        """Make this a further device of an account without its password, and log it in; only where the suite allows it.

        `show_digits` is told what the users of the active devices have to type there, and the call waits for them.
        At the limit the question goes to `ask`, as in `log_in`. Raises Problem `approval-refused` after half a minute
        if not all have agreed, DeviceActive where nobody consents, DeviceExistsError, DeviceFileError: nothing is kept.
        """
        person = {"username": username} | ({"device_name": device_name} if device_name else {})
        joined = join_by_approval(self._transport, self._state_store, person, keys, show_digits, ask)
        return self._enter(*joined)

    def pairing_code(self, password: str) -> PairingCode:
        """Return a code for another device: good for ten minutes, and once."""
        _, me = self._enrolled()
        form = {"username": me.username, "password": password, "client_cert_fp": me.fingerprint}
        proof = self._proof(password, Purpose.PAIR_ISSUE)
        return PairingCode.of(self._post("/registration/request_pairing_token", {**form, "proof": proof}))

    def log_in(self, password: str, *, ask: Ask | None = None, show_digits: ShowDigits | None = None) -> LoginResult:
        """Log in by a signed challenge.

        When the account is in use elsewhere, `ask` shows that to the user. On consent just the sessions shown are
        ended; if another device has logged in meanwhile, it asks again. Raises DeviceActive without `ask`, when the
        user declines, and where the concurrency mode allows no takeover: nothing has changed then.
        Where the active devices' users are asked first, `show_digits` is told what they have to type, and the call
        waits for them; `ask` is asked before, and again if they are silent. One refusal is Problem `approval-refused`.
        """
        prover = self._prover()
        attempt: Callable[[], Answer] = partial(self._signed_login, password, prover)
        while True:
            try:
                return self._enter(attempt(), prover)
            except DeviceActive as question:
                approvable = question.approval is not None and show_digits is not None
                if ask is None or not (question.takeover or approvable) or not ask(question):
                    raise
                if question.takeover is not None:
                    attempt = partial(self._consent, question, password, prover)
                elif show_digits is not None:
                    attempt = partial(self._approved, question, show_digits, password, prover)

    def take_over(self, question: DeviceActive, password: str) -> LoginResult:
        """Log in instead of the sessions that a question showed; only after the user has consented.

        Where no answer came it may be called again within the question's two minutes: it gives the same session.
        Raises DeviceActive anew when a session was live that had not been shown.
        """
        prover = self._prover()
        return self._enter(self._consent(question, password, prover), prover)

    def approvals(self) -> Sequence[Mapping[str, Any]]:
        """Return the devices that want this one's place, or to join (`joins`): its user may type their digits."""
        asked: Sequence[Mapping[str, Any]] = self.get("/login/approvals")["approvals"]
        return asked

    def approve(self, approval_id: str, digits: str) -> None:
        """Let another device take this one's place or join, by the digits it shows. Raises Problem `digits-wrong`."""
        self.post("/login/approval/answer", {"approval_id": approval_id, "digits": digits})

    def refuse(self, approval_id: str) -> None:
        """Let another device neither take this one's place nor join; it may ask again after ten minutes."""
        self.post("/login/approval/answer", {"approval_id": approval_id, "refuse": True})

    def verify(self) -> Answer:
        """Return whose session this is, as the suite sees it. It counts as activity."""
        return self.get("/session/verify")

    def get(self, path: str) -> Answer:
        """Call a signed-in route. Raises SessionEnded, NotLoggedIn."""
        return self._session.call("GET", path)

    def post(self, path: str, body: Answer | None = None) -> Answer:
        """Call a signed-in route. Raises SessionEnded, NotLoggedIn."""
        return self._session.call("POST", path, body or {})

    def delete(self, path: str, body: Answer | None = None) -> Answer:
        """Call a signed-in route. Raises SessionEnded, NotLoggedIn."""
        return self._session.call("DELETE", path, body or {})

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
        pem, fingerprint = enrolment.certified(state, answer)
        renewed = replace(me, certificate=pem, fingerprint=fingerprint)
        self._state_store.write(replace(self._enrolled()[0], identity=renewed))
        return renewed

    def close_account(self, password: str) -> str:
        """Close the account: every session ends. Return until when it can be reopened (RFC 3339)."""
        return str(self.post("/registration/close", {"password": password})["reopen_until"])

    def reopen_account(self, password: str) -> None:
        """Let the closed account be used again. Log in afterwards."""
        self._post("/registration/reopen", {"username": self.identity.username, "password": password})

    def object_to(self, change_no: int) -> None:
        """Say that a change of the account was not its user's: what was done since is taken back, within seven days.

        By this device's signature alone, which joined before that change; logged in or not. Then a new password is
        set by a mail's link or a recovery code. Raises Problem `proof-invalid`, `link-spent`, `not-found`.
        """
        state, me = self._enrolled()
        signature = state.keys.sign_objection(change_no, me.issuer, me.user_uuid, me.device_id)
        proof = {"device_id": me.device_id, "signature": signature}
        self._post("/registration/objection", {"user_uuid": me.user_uuid, "change_no": change_no, "proof": proof})

    def log_out(self) -> None:
        """End the session, here and there. Raises NotLoggedIn."""
        self._session.end()

    def _prover(self) -> DpopProver | None:
        return prover_for(self._enrolled()[0].keys.signing, self._transport)

    def _signed_login(self, password: str, prover: DpopProver | None) -> Answer:
        return self._post("/login/verify", self._proof(password, Purpose.LOGIN), prover)

    def _consent(self, question: DeviceActive, password: str, prover: DpopProver | None) -> Answer:
        takeover = question.takeover
        if takeover is None:
            raise question
        return self._take(takeover, question.spend_challenge(), password, prover)

    def _approved(
        self, question: DeviceActive, show_digits: ShowDigits, password: str, prover: DpopProver | None
    ) -> Answer:
        """Wait for the active devices' users, and take over. Raises DeviceActive where one is silent."""
        takeover = approved_takeover(self._transport, question, show_digits, prover)
        return self._take(takeover, takeover.get("challenge"), password, prover)

    def _take(self, takeover: Answer, challenge: Answer | None, password: str, prover: DpopProver | None) -> Answer:
        me, token = self.identity, str(takeover["token"])
        challenge = challenge or self._challenge(password, Purpose.TAKEOVER)
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
            raise ServerIdentityError(
                f"{self._transport.base} speaks for {challenge['issuer']}; this device joined {me.issuer}."
            )
        return state.keys.sign_challenge(challenge, purpose, me.user_uuid, me.device_id, token)

    def _enter(self, answer: Answer, prover: DpopProver | None) -> LoginResult:
        self._state_store.write(
            replace(state_of(self._state_store), url=self._transport.base)
        )  # it is reached there, as we see
        self._session.begin(answer, prover)
        ended = [str(each.get("device_name") or "") for each in answer.get("evicted", ())]
        return LoginResult(answer["session_id"], answer["login_at"], ended)

    def _post(self, path: str, body: Answer, prover: DpopProver | None = None) -> Answer:
        return self._transport.call("POST", path, body, auth=auth_by(prover))

    def _enrolled(self) -> tuple[State, Identity]:
        state = state_of(self._state_store)
        if state.identity is None:
            raise NoDevice("This device has not joined an account yet: its registration did not come to an end.")
        return state, state.identity
