"""A device's session: calls under its access token, one refresh when that has expired, and its end."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

from ichidai.client.dpop_prover import DpopProver, auth_by
from ichidai.client.errors import Answer, NoDevice, NotLoggedIn, Problem, SessionEnded
from ichidai.client.http_transport import Auth, HttpTransport, bearer
from ichidai.client.state import State, StateStore, Tokens

_EXPIRED = "token-expired"


class Session:
    """The session in a state store. Threads may share it, and processes the store.

    Of several that find the token expired one refreshes, and the others use its tokens: they read them out of the
    store, or the server gives them the same ones.
    """

    def __init__(self, state_store: StateStore, transport: HttpTransport) -> None:
        self._state_store = state_store
        self._transport = transport
        self._lock = Lock()
        self._tokens: Tokens | None = None
        self._prover: DpopProver | None = None

    def begin(self, answer: Answer, prover: DpopProver | None) -> None:
        """Keep the session of a login's answer; `prover` proved the key that it was asked to be bound to."""
        self._prover = prover
        self._keep(answer, prover)

    def call(self, method: str, path: str, body: Answer | None = None) -> Answer:
        """Return what a signed-in call answers; on 401 `token-expired` it is refreshed and sent again, once.

        Raises SessionEnded (what is left of the session here is forgotten), NotLoggedIn, Problem, Unreachable.
        """
        tokens = self._current()
        try:
            return self._sent(tokens, method, path, body)
        except Problem as problem:
            if problem.code != _EXPIRED:
                raise
        return self._sent(self.refreshed(tokens), method, path, body)

    def refreshed(self, stale: Tokens | None = None) -> Tokens:
        """Return tokens that are newer than `stale` (None: than those in the store). Raises as `call`."""
        with self._lock:
            kept = self._read()
            if stale is None or kept.access_token == stale.access_token:
                return self._exchanged(kept)
            self._tokens = kept
            return kept

    def _exchanged(self, kept: Tokens) -> Tokens:
        prover = self._prover_of(kept)
        body = {"refresh_token": kept.refresh_token}
        try:
            answer = self._transport.call("POST", "/session/refresh", body, auth=auth_by(prover), idempotent=True)
        except SessionEnded:
            self.forget(kept)
            raise
        return self._keep(answer, prover)

    def end(self) -> None:
        """Log out. It is forgotten only once the server has ended it. Raises NotLoggedIn, Problem, Unreachable."""
        tokens = self._current()
        self._transport.call("POST", "/session/logout", {}, auth=self._authority(tokens), idempotent=True)
        self.forget(tokens)

    def forget(self, tokens: Tokens) -> None:
        """Forget a session, and no other that may have begun since."""
        self._tokens = None
        state = self._state_store.read()
        if state is not None and state.session is not None and state.session.session_id == tokens.session_id:
            self._state_store.write(replace(state, session=None))

    def _sent(self, tokens: Tokens, method: str, path: str, body: Answer | None) -> Answer:
        try:
            return self._transport.call(method, path, body, auth=self._authority(tokens), idempotent=method == "GET")
        except SessionEnded:
            self.forget(tokens)
            raise

    def _authority(self, tokens: Tokens) -> Auth:
        prover = self._prover_of(tokens)
        return prover.auth(tokens.access_token) if prover else bearer(tokens.access_token)

    def _prover_of(self, tokens: Tokens) -> DpopProver | None:
        """Return what proves the key that these tokens are bound to; None for a bearer's."""
        if not tokens.bound_at:
            return None
        if self._prover is None or self._prover.public != tokens.bound_at:
            self._prover = DpopProver.of(
                state_of(self._state_store).keys.signing, self._transport.addresses, tokens.bound_at
            )
        return self._prover

    def _current(self) -> Tokens:
        if self._tokens is None:
            self._tokens = self._read()
        return self._tokens

    def _read(self) -> Tokens:
        tokens = state_of(self._state_store).session
        if tokens is None:
            raise NotLoggedIn("Nobody is logged in on this device.")
        return tokens

    def _keep(self, answer: Answer, prover: DpopProver | None) -> Tokens:
        names = ("session_id", "login_at", "access_token", "refresh_token")
        bound_at = prover.public if prover and answer.get("token_type") == "DPoP" else ""
        self._tokens = Tokens(**{name: str(answer[name]) for name in names}, bound_at=bound_at)
        self._state_store.write(replace(state_of(self._state_store), session=self._tokens))
        return self._tokens


def state_of(state_store: StateStore) -> State:
    """Return what a state store holds. Raises NoDevice."""
    state = state_store.read()
    if state is None:
        raise NoDevice("There is no device here yet: register, or join an account.")
    return state
