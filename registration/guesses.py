"""The tries of a password that a source and an account have left, kept in ThrottleTable.

A try is taken before the hash begins and put back when the password was right, so a thousand guesses at once are
bounded like a thousand in a row. The arithmetic is `common.throttle`'s.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from common.clock import Clock, from_millis, seconds_between, to_millis
from common.errors import Code, Refusal
from common.history import Origin
from common.ids import new_id
from common.patience import Patience
from common.storage.port import (
    Absent,
    Conflict,
    Delete,
    Equals,
    Item,
    Put,
    Store,
    StoreUnavailable,
    Write,
)
from common.storage.resolving import commit_known
from common.storage.tables import THROTTLE
from common.throttle import Exhausted, Quota, give_back, spend
from registration.config import RegistrationSettings

KNOWN_FOR = timedelta(days=30)
"""How long a device that logged in from a source keeps a bucket of its own there."""

_A_DAY_MS = 86_400_000

_log = logging.getLogger(__name__)


class Bucket(Struct, frozen=True):
    """A bucket by its name, and how much it holds."""

    name: str
    quota: Quota
    told_as: str | None = None
    """Which text of `too-many-attempts` tells that it is empty; None: the general one."""


class Guesses:
    """Takes tries and puts them back."""

    def __init__(self, store: Store, clock: Clock, settings: RegistrationSettings) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings

    def buckets_of(self, account_key: str, origin: Origin, device_mark: str | None) -> tuple[Bucket, ...]:
        """Return what a try takes from: the source, and the account's buckets or, for a known device, its own."""
        source = source_of(origin.ip)
        by_source = Bucket(f"source#{source}", self._settings.guesses_source)
        if device_mark is not None and self._is_known(account_key, device_mark, source):
            own = Bucket(
                f"device#{account_key}#{device_mark}#{source}",
                self._settings.guesses_account_source,
            )
            return (by_source, own)
        return (
            by_source,
            Bucket(f"account#{account_key}#{source}", self._settings.guesses_account_source),
            Bucket(f"account#{account_key}", self._settings.guesses_account),
        )

    def buckets_of_codes(self, user_uuid: str, origin: Origin, device_mark: str | None) -> tuple[Bucket, ...]:
        """Return what a try of a six-digit code takes from beside the password's: three in a million are right.

        A known device has a bucket of its own, so that whoever tries codes elsewhere does not lock it out.
        """
        quota, source = self._settings.guesses_otp, source_of(origin.ip)
        if device_mark is not None and self._is_known(user_uuid, device_mark, source):
            return (Bucket(f"otp-device#{user_uuid}#{device_mark}#{source}", quota, "otp"),)
        return (Bucket(f"otp#{user_uuid}", quota, "otp"),)

    def _is_known(self, account_key: str, device_mark: str, source: str) -> bool:
        item = self._store.get(THROTTLE.key(_known_name(account_key, device_mark, source)))
        return item is not None and _expiry(item) > to_millis(self._clock())

    def take(self, buckets: Sequence[Bucket]) -> None:
        """Take one try from every bucket, or from none.

        Raises Refusal(TOO_MANY_ATTEMPTS, retry_after=seconds), Refusal(BUSY), StoreUnavailable.
        """
        for _ in Patience():
            now = self._clock()
            writes: list[Write] = []
            for bucket in buckets:
                item = self._store.get(THROTTLE.key(bucket.name))
                outcome = spend(_tat(item), bucket.quota, now)
                if isinstance(outcome, Exhausted):
                    wait = max(1, seconds_between(now, outcome.retry_at))
                    raise Refusal(
                        Code.TOO_MANY_ATTEMPTS,
                        reason=bucket.name.split("#")[0],
                        variant=bucket.told_as,
                        retry_after=wait,
                    )
                writes.append(_bucket_put(bucket.name, to_millis(outcome.tat), item))
            if self._committed(writes):
                return
        raise Refusal(Code.BUSY, reason="the throttle's buckets", retry_after=1)

    def put_back(self, buckets: Sequence[Bucket]) -> None:
        """Put the tries back; if the store is away they come back with time, and the login goes on."""
        try:
            for _ in Patience():
                now = self._clock()
                writes = [write for bucket in buckets for write in self._refill(bucket, now)]
                if not writes or self._committed(writes):
                    return
        except StoreUnavailable as error:
            _log.warning("a try was not given back: %s", error)

    def remember(self, user_uuid: str, device_mark: str, origin: Origin) -> None:
        """Note that a device logged in from here. A store that is away is only logged: it must never fail a login."""
        now = self._clock()
        until = to_millis(now + KNOWN_FOR)
        name = _known_name(user_uuid, device_mark, source_of(origin.ip))
        try:
            known = self._store.get(THROTTLE.key(name))
            if known is None or _expiry(known) < until - _A_DAY_MS:
                self._store.commit([Put(THROTTLE, {"bucket": name, "expires_at": until})], new_id())
        except StoreUnavailable as error:
            _log.warning("a known device was not remembered: %s", error)

    def _refill(self, bucket: Bucket, now: datetime) -> tuple[Write, ...]:
        """Return the write that puts one try back, if there is anything to write.

        One that is full again is taken away: its time, written by a fast clock, would look like guesses to a slow one.
        """
        item = self._store.get(THROTTLE.key(bucket.name))
        if item is None:
            return ()
        tat = give_back(_tat(item), bucket.quota, now)
        if tat > now:
            return (_bucket_put(bucket.name, to_millis(tat), item),)
        return (Delete(THROTTLE.key(bucket.name), Equals("expires_at", item["expires_at"])),)

    def _committed(self, writes: Sequence[Write]) -> bool:
        try:
            commit_known(self._store, writes, Patience())
        except Conflict:
            return False
        return True


def source_of(ip: str) -> str:
    """Return the source that an address counts as: itself, or its /64 for IPv6 (an IPv4-mapped one is IPv4)."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


def _known_name(account_key: str, device_mark: str, source: str) -> str:
    return f"known#{account_key}#{device_mark}#{source}"


def _expiry(item: Item) -> int:
    value = item["expires_at"]
    return value if isinstance(value, int) else 0


def _tat(item: Item | None) -> datetime | None:
    return None if item is None else from_millis(_expiry(item))


def _bucket_put(name: str, tat: int, before: Item | None) -> Put:
    """Return the write of a bucket, good only if nobody else touched it. Its TAT is its expiry: it is full then."""
    condition = Absent() if before is None else Equals("expires_at", before["expires_at"])
    return Put(THROTTLE, {"bucket": name, "expires_at": tat}, condition)
