"""The session policy: what decides about sessions, one frozen value for all processes of a store. Pure.

It is an item of the store (`policy_store`), so that every process decides alike whatever its own settings say. Each
change has a number, and a book carries the number of the policy under which it was changed last.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct, field

from common.account.admission import ConcurrencyMode, DeviceProof
from common.account.book import Book
from common.account.liveness import VOID_RULES, SessionRules

_USUAL_RULES = SessionRules(limit=1, idle=timedelta(days=1), seen_every=timedelta(minutes=1))


class Policy(Struct, frozen=True):
    """The policy of a number. `rules`: which sessions are live; `mode`, `allow_force`: what happens at the limit.

    `device_proof`: what a device must show; `max_devices`: how many may be bound; `evictions_before_signature`: how
    many evictions within ten minutes need no signature (0: none ever does for being one of many).
    `asks_active`: the users of active devices are asked before a takeover, and nobody is forced out.
    `lower`: the limits of earlier policies that were lower than all that came later, each with its number, ascending.
    `generation`: the store's, which began at `generation_since` (None: the first); what was given out before is void.
    """

    rules: SessionRules = _USUAL_RULES
    mode: ConcurrencyMode = ConcurrencyMode.ASK
    device_proof: DeviceProof = DeviceProof.FINGERPRINT
    allow_force: bool = True
    max_devices: int = 10
    session_lifetime: timedelta = timedelta(days=30)
    access_token_lifetime: timedelta = timedelta(minutes=10)
    evictions_before_signature: int = 0
    asks_active: bool = False
    number: int = 0
    lower: tuple[tuple[int, SessionRules], ...] = ()
    generation: int = 0
    generation_since: datetime | None = None

    def rules_for(self, book: Book) -> SessionRules:
        """Return the rules by which the book's sessions live: those of this policy, with the lowest limit since.

        A session beyond a limit that was in force after the book's last change was refused by then, and a higher limit
        does not bring it back. In a book of an earlier generation no session is live.
        """
        if book.generation < self.generation:
            return VOID_RULES
        for number, rules in self.lower:
            if number >= book.policy:
                return rules
        return self.rules


class Policies(Protocol):
    """Where the policy in force is known."""

    def current(self) -> Policy:
        """Return the policy as it was read last. Raises StoreUnavailable when that was too long ago."""

    def of(self, book: Book) -> Policy:
        """Return the policy for a book: never one before that under which the book was changed last.

        Raises StoreUnavailable.
        """

    def generation(self, told: int = 0) -> int:
        """Return the store's generation, never one before that which a token of ours tells. Raises StoreUnavailable."""

    def note_change(self) -> None:
        """Note that an account was changed: the store has come further."""


class FixedPolicy(Struct, frozen=True):
    """A policy that never changes: for rules on their own, where no store keeps one."""

    policy: Policy = field(default_factory=Policy)

    def current(self) -> Policy:
        """Return it."""
        return self.policy

    def of(self, book: Book) -> Policy:  # noqa: ARG002 - see `Policies`
        """Return it, whatever the book says."""
        return self.policy

    def generation(self, told: int = 0) -> int:  # noqa: ARG002 - see `Policies`
        """Return that of the policy."""
        return self.policy.generation

    def note_change(self) -> None:
        """Do nothing."""


UNLIMITED = FixedPolicy(Policy(rules=SessionRules(0, _USUAL_RULES.idle, _USUAL_RULES.seen_every)))
"""For transactions that are given no policy: nothing is over a limit."""
