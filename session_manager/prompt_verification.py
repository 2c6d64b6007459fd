"""Verification on an event loop: it waits for nothing, and what was found good is found again by as little as it takes.

A request that brings a token again costs one strong read of the book, every time. Only where the very same book came
back, under the same rules, and time has ended nothing, is it answered by what is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from msgspec import Struct

from common.account.admission import Caller
from common.account.policy import Policy
from common.bounded_cache import BoundedCache
from common.proof.dpop_service import RequestCredentials
from session_manager.session_model import touch_due_at
from session_manager.session_service import (
    MOST_CALLERS,
    CachedVerification,
    SessionDependencies,
    read_access_token,
    verdict_on,
)

A = TypeVar("A")


class _Known(Struct, Generic[A], frozen=True):
    """That a token, which the key `kid` signed, is good under a policy as `verdict` says, and what is answered to it.

    `touch_from`: from when on its next request is activity that must be noted.
    """

    kid: str
    policy: Policy
    verdict: CachedVerification
    touch_from: datetime
    answer: A


class PromptVerification(Generic[A]):
    """Verifies bearers' tokens without waiting, and remembers what `write` answers to each.

    `dependencies` must not wait: where they would, they raise. `touch` notes activity.
    """

    def __init__(
        self, dependencies: SessionDependencies, touch: Callable[[Caller], None], write: Callable[[Caller], A]
    ) -> None:
        self._dependencies = dependencies
        self._get_book = dependencies.transactions.get_book
        self._is_published = dependencies.access_tokens.is_published
        self._clock = dependencies.clock
        self._policy = dependencies.policies.current
        self._touch = touch
        self._write = write
        self._known: BoundedCache[str, _Known[A]] = BoundedCache(MOST_CALLERS)

    def answer_to(self, token: str, certificate: str | None) -> A:
        """Return the answer to a good token beside the certificate that TLS proved; note that its session is active.

        Raises as `session_service.authenticate`, and what the store and the keys raise where they would wait.
        """
        known = self._known.get(token)
        if known is None or not self._is_published(known.kid):
            return self._anew(token, certificate)
        verdict = known.verdict
        book, now, policy = self._get_book(verdict.caller.user_uuid), self._clock(), self._policy()
        if (
            not verdict.is_from(book)
            or policy is not known.policy
            or certificate != verdict.certificate
            or now >= verdict.until
        ):
            verdict = verdict_on(self._dependencies, verdict.claims, book, certificate)
            known = self._keep(token, known.kid, policy, verdict)
        if now >= known.touch_from:
            self._touch(verdict.caller)
        return known.answer

    def _anew(self, token: str, certificate: str | None) -> A:
        claims = read_access_token(self._dependencies, RequestCredentials(token, certificate=certificate))
        policy = self._policy()
        verdict = verdict_on(self._dependencies, claims, self._get_book(claims.user_uuid), certificate)
        self._touch(verdict.caller)
        return self._keep(token, self._dependencies.access_tokens.read(token)[0], policy, verdict).answer

    def _keep(self, token: str, kid: str, policy: Policy, verdict: CachedVerification) -> _Known[A]:
        due = touch_due_at(verdict.caller.session, verdict.rules)
        return self._known.put(token, _Known(kid, policy, verdict, due, self._write(verdict.caller)))
