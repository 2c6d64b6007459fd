"""Who may register an account, and how many: switched off, counted by source and in all, or for some work.

A registration is counted before anything is hashed, and given back when it comes to no account and found no name or
mail taken: trying names out counts like making accounts. The arithmetic is `common.rate_limit`'s.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from msgspec import Struct

from common.clock import Clock, from_millis, to_millis
from common.errors import Code, Refusal
from common.ids import new_id
from common.rate_limit import NOTHING, Exhausted, Level, Quota, latest, leak, refund, spend
from common.storage.optimistic import write_optimistically
from common.storage.port import Absent, Equals, Item, Put, Store, StoreUnavailable
from common.storage.tables import THROTTLE
from registration.config import RegistrationMode, RegistrationSettings
from registration.login_rate_limiter import source_of
from registration.work import LIFETIME, Unproven, WorkChallenges

FREE_OF_WORK = Quota(3, timedelta(minutes=20))
"""Accounts that a source may register without work where work is asked for: three an hour."""

_MILLISECOND = timedelta(milliseconds=1)
_CONTENDED = "the counters of registrations"
_log = logging.getLogger(__name__)


class Counted(Struct, frozen=True):
    """A registration that was counted: in which buckets, so that it can be given back."""

    buckets: tuple[tuple[str, Quota], ...]


class RegistrationLimit:
    """Lets registrations pass, and counts them."""

    def __init__(self, store: Store, clock: Clock, settings: RegistrationSettings, work: WorkChallenges) -> None:
        self._store = store
        self._clock = clock
        self._mode = settings.registration
        self._quota, self._in_all = settings.registrations_source, settings.registrations
        self._work = work

    def admit(self, ip: str, work: str | None, *, invited: bool = False) -> Counted:
        """Count a registration from an address. `work`: what it sent as proof of work.

        One that is `invited` passes where registration is closed, and needs no work.

        Raises Refusal: REGISTRATION_CLOSED, TOO_MANY_REGISTRATIONS (`retry_after`), WORK_REQUIRED (`challenge`), BUSY;
        StoreUnavailable. Then nothing is counted, and no work is used up.
        """
        if self._mode is RegistrationMode.CLOSED and not invited:
            raise Refusal(Code.REGISTRATION_CLOSED)
        source = source_of(ip)
        taken: list[tuple[str, Quota]] = []
        try:
            for bucket in self._buckets(source):
                self._changed(partial(self._take, *bucket))
                taken.append(bucket)
            if self._mode is RegistrationMode.WORK and not invited:
                if self._changed(partial(self._taken_free, source)):
                    taken.append(_free(source))
                else:
                    self._changed(partial(self._use, work, source))
        except (Refusal, StoreUnavailable):
            self.give_back(Counted(tuple(taken)))
            raise
        return Counted(tuple(taken))

    def give_back(self, counted: Counted) -> None:
        """Take a registration out of the count. While the store is unavailable it comes back with time."""
        for bucket in counted.buckets:
            try:
                self._changed(partial(self._refilled, *bucket))
            except (Refusal, StoreUnavailable) as error:
                _log.warning("a registration was not given back: %s", error)

    def _changed(self, decide: Callable[[datetime], Put | None]) -> bool:
        """Change one item, or none; say which."""

        def changed() -> tuple[bool, Put | None]:
            put = decide(self._clock())
            return put is not None, put

        return write_optimistically(self._store, changed, contended=_CONTENDED)

    def _taken_free(self, source: str, now: datetime) -> Put | None:
        """Return the write that takes a registration without work, if the source has one left."""
        spent = self._spent(*_free(source), now)
        return spent if isinstance(spent, Put) else None

    def challenge(self, ip: str) -> tuple[bool, dict[str, Any]]:
        """Return whether the next registration of an address needs work, and the challenge to do it for."""
        if self._mode is not RegistrationMode.WORK:
            return False, {}
        source, now = source_of(ip), self._clock()
        return not isinstance(self._spent(*_free(source), now), Put), self._asked(source, now)

    def _asked(self, source: str, now: datetime) -> dict[str, Any]:
        return {"challenge": self._work.new(source, now), "expires_in": int(LIFETIME.total_seconds())}

    def _buckets(self, source: str) -> tuple[tuple[str, Quota], ...]:
        of_source = (f"registrations#{source}", self._quota)
        return (of_source,) if self._in_all is None else (of_source, ("registrations", self._in_all))

    def _take(self, name: str, quota: Quota, now: datetime) -> Put:
        spent = self._spent(name, quota, now)
        if isinstance(spent, Put):
            return spent
        wait = max(1, math.ceil(spent.wait.total_seconds()))
        raise Refusal(Code.TOO_MANY_REGISTRATIONS, reason=name.split("#", maxsplit=1)[0], retry_after=wait)

    def _spent(self, name: str, quota: Quota, now: datetime) -> Put | Exhausted:
        item = self._store.get(THROTTLE.key(name))
        outcome = spend(_level(item, now), quota)
        return outcome if isinstance(outcome, Exhausted) else _put(name, outcome, item, now)

    def _refilled(self, name: str, quota: Quota, now: datetime) -> Put | None:
        item = self._store.get(THROTTLE.key(name))
        return None if item is None else _put(name, refund(_level(item, now), quota), item, now)

    def _use(self, payload: str | None, source: str, now: datetime) -> Put:
        """Return the write that uses work up. Raises Refusal(WORK_REQUIRED)."""
        try:
            done = None if payload is None else self._work.check(payload, source, now)
        except Unproven:
            done = None
        if done is None or self._store.get(hint := THROTTLE.key(f"work#{done.nonce}")) is not None:
            raise Refusal(Code.WORK_REQUIRED, **self._asked(source, now))
        return Put(THROTTLE, {"bucket": hint.partition, "expires_at": to_millis(done.until)}, Absent())


def _free(source: str) -> tuple[str, Quota]:
    return f"registrations-free#{source}", FREE_OF_WORK


def _level(item: Item | None, now: datetime) -> Level:
    """Return how much of a bucket is spent by now."""
    return NOTHING if item is None else leak(_number(item, "level") * _MILLISECOND, _since(item), now)


def _put(name: str, level: Level, before: Item | None, now: datetime) -> Put:
    """Return the write of a bucket, good only if nobody else changed it. Once it is unused again it may be purged."""
    since = now if before is None else latest(_since(before), now)
    counted = {"level": level // _MILLISECOND, "since": to_millis(since), "expires_at": to_millis(since + level)}
    condition = Absent() if before is None else Equals("version", before["version"])
    return Put(THROTTLE, {**(before or {}), "bucket": name, "version": new_id(), **counted}, condition)


def _since(item: Item) -> datetime:
    return from_millis(_number(item, "since"))


def _number(item: Item, name: str) -> int:
    value = item[name]
    return value if isinstance(value, int) else 0
