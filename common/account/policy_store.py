"""Policy provider: the policy in force, read once a second, and before a decision that needs a later one.

A process that could not read it for four seconds decides nothing by it until it has read it: with the second between
two readings every process follows a change within five.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from common.account.audit_carried import carrying, lay_line
from common.account.book import Book
from common.account.policy import Policies, Policy
from common.account.policy_record import (
    POLICY_ID,
    PolicyChange,
    PolicyRecord,
    announced,
    change_from_item,
    change_to_item,
    first_record,
)
from common.account.policy_values import Values, to_policy
from common.config import SettingsError
from common.errors import Refusal
from common.retry import RetryBudget
from common.storage.idempotent_commit import write_known
from common.storage.optimistic import write_optimistically
from common.storage.port import Absent, Equals, Put, Store, StoreReplaced, StoreUnavailable
from common.storage.prompt import WouldWait
from common.storage.tables import KEY_RING

TRUSTED_SECONDS = 4.0
"""How old what was read may be."""

_KEY = KEY_RING.key(POLICY_ID)

_log = logging.getLogger(__name__)


class Generations(Protocol):
    """The store's generation: see `common.keys.generation_store.GenerationProvider`."""

    @property
    def number(self) -> int:
        """The generation's number."""

    @property
    def since(self) -> datetime | None:
        """When it began."""

    def reread(self) -> None:
        """Read it again. Raises StoreReplaced, StoreUnavailable."""

    def note_change(self) -> None:
        """Note that an account was changed."""

    def keep(self) -> None:
        """Mark the store's progress and keep what was seen of it. Raises StoreUnavailable."""

    def flush(self) -> None:
        """Mark the store's progress, if anything was changed. Raises StoreUnavailable."""


class PolicyProvider:
    """The policy in force, with the store's generation. It satisfies `common.account.policy.Policies`.

    Until `watch` is called what was read never grows too old: a command or a test reads nothing behind its own back.
    """

    def __init__(self, store: Store, policy: Policy, generations: Generations) -> None:
        self._store = store
        self._generations = generations
        self._policy = self._with_generation(policy)
        self._fault: str | None = None
        self._reading = threading.Lock()
        self._read_at = time.monotonic()
        self._watched = False

    def watch(self) -> None:
        """Trust what was read for four seconds from now on; a background thread calls `follow` once a second."""
        self._read_at = time.monotonic()
        self._watched = True

    def current(self) -> Policy:
        """See `Policies.current`."""
        if self.is_stale():
            self._refresh()
        return self._policy

    @property
    def last_read(self) -> Policy:
        """The policy as it was read last, however long ago: to tell of it, never to decide by it."""
        return self._policy

    def generation(self, told: int = 0) -> int:
        """See `Policies.generation`."""
        if self.current().generation < told:
            self.reread()
        return self._policy.generation

    def note_change(self) -> None:
        """See `Policies.note_change`."""
        self._generations.note_change()

    def of(self, book: Book) -> Policy:
        """See `Policies.of`."""
        if self.is_behind(book):
            self._refresh()
            if self.is_behind(book):
                raise StoreUnavailable(
                    f"an account was changed under policy {book.policy} in generation {book.generation}, and the store "
                    f"has {self._policy.number} in {self._policy.generation}: part of it is older than the rest"
                )
        return self._policy

    def is_behind(self, book: Book) -> bool:
        """Say whether the policy must be read before anything is decided about this book."""
        policy = self._policy
        return book.policy > policy.number or book.generation > policy.generation or self.is_stale()

    def is_stale(self) -> bool:
        """Say whether the policy must be read before anything is decided."""
        return self._fault is not None or (self._watched and time.monotonic() - self._read_at > TRUSTED_SECONDS)

    def reread(self) -> None:
        """Read the policy. Raises StoreUnavailable: also when it is gone, or one that this release does not know.

        Where the store is not the one that was served, nothing is decided until it is accepted.
        """
        with self._reading:
            begun = time.monotonic()
            try:
                self._generations.reread()
            except StoreReplaced as error:
                if self._fault is None:
                    _log.error("%s", error)
                self._fault, self._read_at = str(error), begun
                raise
            record = read_record(self._store)
            if record is None:
                raise StoreUnavailable("the store has no policy: start a server anew")
            if record.number != self._policy.number:
                self._policy = self._with_generation(_policy_of(record))
                _log.warning("policy %d is in force: %s", record.number, describe(record.change))
            if self._generations.number != self._policy.generation:
                self._policy = self._with_generation(self._policy)
            self._read_at, self._fault = begun, None

    def follow(self) -> None:
        """Read policy and generation, and mark how far the store has come: once a second. Raises as `reread`."""
        self.reread()
        self._generations.keep()

    def flush(self) -> None:
        """Mark the store's progress before this process ends. Raises StoreUnavailable."""
        self._generations.flush()

    def _refresh(self) -> None:
        """Read the policy; of a store that is known to be replaced once a second. Raises as `reread`."""
        if self._fault is not None and time.monotonic() - self._read_at < 1:
            raise StoreUnavailable(self._fault)
        self.reread()

    def _with_generation(self, policy: Policy) -> Policy:
        return replace(policy, generation=self._generations.number, generation_since=self._generations.since)

    def promptly(self) -> Policies:
        """Return the same policy for an event loop: where it must be read first, WouldWait is raised."""
        return _PromptPolicies(self)


class _PromptPolicies(Struct, frozen=True):
    """The policy as it was read last, and never read here."""

    provider: PolicyProvider

    def current(self) -> Policy:
        provider = self.provider
        if provider.is_stale():
            raise WouldWait
        return provider._policy  # noqa: SLF001 - the same module; `current` may read

    def of(self, book: Book) -> Policy:
        if self.provider.is_behind(book):
            raise WouldWait
        return self.provider._policy  # noqa: SLF001 - as above

    def generation(self, told: int = 0) -> int:
        if self.current().generation < told:
            raise WouldWait
        return self.provider.generation(told)

    def note_change(self) -> None:
        self.provider.note_change()


def read_record(store: Store) -> PolicyRecord | None:
    """Return the policy's record; None where there is none yet. Raises StoreUnavailable."""
    item = store.get(_KEY)
    return None if item is None else PolicyRecord.from_item(item)


def open_policy(store: Store, values: Values, generations: Generations) -> PolicyProvider:
    """Return the policy of a store without saying anything to it; where there is none yet, the one of these values.

    Raises StoreUnavailable, SettingsError.
    """
    record = read_record(store)
    return PolicyProvider(store, to_policy(values) if record is None else _policy_of(record), generations)


def announce_policy(
    store: Store,
    values: Values,
    host: str,
    now: datetime,
    others_serve: Callable[[], bool],
    generations: Generations,
) -> PolicyProvider:
    """Say a host's settings at its start, and return the policy that is in force then; see `policy_record.announced`.

    Raises StoreUnavailable.
    """

    def saying(record: PolicyRecord | None) -> tuple[PolicyRecord, str | None]:
        if record is None:
            return first_record(values, host, now), None
        return announced(record, host, values, now, others_serve=others_serve())

    record, warning = _write(store, saying)
    if warning is not None:
        _log.warning("%s", warning)
    return PolicyProvider(store, _policy_of(record), generations)


def set_policy(
    store: Store, values: Values, *, who: str, why: str, now: datetime, line: Put | None = None
) -> PolicyRecord:
    """Change the policy by an operator's command: it is managed from then on. `line`: of the audit log.

    Raises SettingsError for values that do not go; StoreUnavailable; KeyError where no server has run on the store.
    """

    def setting(record: PolicyRecord | None) -> tuple[PolicyRecord, None]:
        if record is None:
            raise KeyError(POLICY_ID)
        return replace(record.changed(values, who=who, why=why, now=now), managed=True), None

    record = _write(store, setting, line)[0]
    lay_line(store, line)
    return record


def recent_changes(store: Store, record: PolicyRecord, most: int = 20) -> list[PolicyChange]:
    """Return the last changes, newest first. Raises StoreUnavailable."""
    items = (store.get(KEY_RING.key(_change_id(number))) for number in range(record.number - 1, 0, -1)[: most - 1])
    return [record.change, *(change_from_item(item) for item in items if item is not None)]


def describe(change: PolicyChange) -> str:
    """Return a change as text."""
    parts = (f"{name}={value} (was {change.was.get(name, '-')})" for name, value in change.became.items())
    return f"{', '.join(parts) or 'defaults'}; by {change.who}: {change.why}"


def _write(
    store: Store,
    change: Callable[[PolicyRecord | None], tuple[PolicyRecord, str | None]],
    line: Put | None = None,
) -> tuple[PolicyRecord, str | None]:
    """Return what `change` made of the record, once it is written; the change before it is kept under its number."""

    def decide() -> tuple[tuple[PolicyRecord, str | None], Put | None]:
        record = read_record(store)
        changed, said = change(record)
        if changed is record:
            return (changed, said), None
        if record is None:
            return (changed, said), Put(KEY_RING, changed.to_item(), Absent())
        if changed.number != record.number:  # before its place is taken; another process that tries writes the same
            before = {"id": _change_id(record.number), **change_to_item(record.change)}
            write_known(store, Put(KEY_RING, before), RetryBudget())
        written = replace(changed, version=record.version + 1)
        put = Put(KEY_RING, written.to_item(), Equals("version", record.version))
        return (written, said), carrying(store, put, record.more, line)

    try:
        return write_optimistically(store, decide, contended="the policy")
    except Refusal as busy:
        raise StoreUnavailable(f"the policy: {busy.reason}") from busy


def _policy_of(record: PolicyRecord) -> Policy:
    try:
        return record.policy()
    except SettingsError as error:
        raise StoreUnavailable(f"policy {record.number} is of a later release: {error}") from error


def _change_id(number: int) -> str:
    return f"{POLICY_ID}#{number}"
