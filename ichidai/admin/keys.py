"""Admin keys: who may use the admin app, and for what. The store keeps a hash of each, all in one item.

A key is `ichidai-admin_<name>_<secret>`, the secret 256 random bits: nobody guesses it, and a fast hash is enough.
Wrong keys are counted by source all the same. A key is read anew at each call, so one that is revoked is refused at
the next.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from common.account.audit_carried import carrying, lay_line
from common.clock import Clock, from_millis, to_millis
from common.errors import Code, Refusal
from common.ids import new_secret
from common.keys.registry_item import next_version
from common.rate_limit import Quota
from common.storage.optimistic import write_optimistically
from common.storage.port import Item, Put, Store
from common.storage.tables import KEY_RING
from common.stored_bucket import StoredBuckets, seconds_until
from registration.login_rate_limiter import source_of

WRONG_KEYS = Quota(10, timedelta(seconds=30))
"""How many wrong keys a source may show; then none of its calls is looked at until one is back."""

MOST = 200
"""How many keys are kept; the oldest that are revoked or expired are dropped first."""

NAME = r"[a-z0-9][a-z0-9.-]{0,62}"
"""What a key may be called: it stands in the audit log, where no system's user looks like it."""

_PLACE = KEY_RING.key("admin-keys")
_PREFIX = "ichidai-admin"


class Role(StrEnum):
    """What a key is good for; each role may do what those before it may."""

    READ = "read"
    SUPPORT = "support"
    OWNER = "owner"

    def covers(self, needed: Role) -> bool:
        """Say whether this role is enough where another is needed."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


class AdminKey(Struct, frozen=True):
    """A key as it is kept. `digest`: SHA-256 (hex) of its secret. None: it never expires; it is not revoked."""

    name: str
    role: Role
    digest: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Say whether it may be used."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class NameTaken(Exception):
    """A key of this name is in use already."""


class AdminKeys:
    """The keys of one store. Every method raises StoreUnavailable."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._wrong = StoredBuckets(store, clock, "the counters of wrong admin keys")

    def admit(self, text: str, needed: Role, ip: str) -> AdminKey:
        """Return the key that a caller shows, if it is enough.

        Raises Refusal: TOO_MANY_ATTEMPTS, ADMIN_KEY_INVALID, ROLE_TOO_LOW, BUSY.
        """
        bucket = f"admin-key#{source_of(ip)}"
        if exhausted := self._wrong.look(bucket, WRONG_KEYS):
            wait = seconds_until(exhausted)
            raise Refusal(Code.TOO_MANY_ATTEMPTS, reason="admin keys", variant="admin-key", retry_after=wait)
        key = self._known(text)
        if key is None:
            self._wrong.spend(bucket, WRONG_KEYS)
            raise Refusal(Code.ADMIN_KEY_INVALID)
        if not key.role.covers(needed):
            raise Refusal(Code.ROLE_TOO_LOW, reason=f"{key.name} is {key.role}", role=str(needed))
        return key

    def create(
        self, name: str, role: Role, lifetime: timedelta | None, created_by: str, line: Callable[[datetime], Put]
    ) -> tuple[AdminKey, str]:
        """Make a key; its text is returned once and kept nowhere. `line`: of the audit log.

        Raises ValueError for a name that none may have, NameTaken, Refusal(BUSY).
        """
        if not re.fullmatch(NAME, name):
            raise ValueError(name)
        secret = new_secret()

        def creating(known: Sequence[AdminKey], now: datetime) -> tuple[AdminKey, list[AdminKey]]:
            if any(key.name == name and key.is_good(now) for key in known):
                raise NameTaken(name)
            until = None if lifetime is None else now + lifetime
            key = AdminKey(name, role, _digest(secret), now, created_by, until)
            return key, [*(old for old in known if old.name != name), key]

        return self._changed(creating, line), f"{_PREFIX}_{name}_{secret}"

    def revoke(self, name: str, line: Callable[[datetime], Put]) -> AdminKey:
        """Let a key be refused from now on. Raises KeyError when there is none of this name, Refusal(BUSY)."""

        def revoking(known: Sequence[AdminKey], now: datetime) -> tuple[AdminKey, list[AdminKey]]:
            found = {key.name: key for key in known}[name]
            revoked = replace(found, revoked_at=found.revoked_at or now)
            return revoked, [revoked if key is found else key for key in known]

        return self._changed(revoking, line)

    def all(self) -> Sequence[AdminKey]:
        """Return all keys, oldest first, those that are not good any more included."""
        return _keys_in(self._store.get(_PLACE))

    def _known(self, text: str) -> AdminKey | None:
        prefix, _, rest = text.partition("_")
        name, _, secret = rest.partition("_")
        digest, now = _digest(secret), self._clock()
        found = [key for key in self.all() if key.name == name and hmac.compare_digest(key.digest, digest)]
        return found[0] if prefix == _PREFIX and found and found[0].is_good(now) else None

    def _changed(
        self,
        change: Callable[[Sequence[AdminKey], datetime], tuple[AdminKey, list[AdminKey]]],
        line: Callable[[datetime], Put],
    ) -> AdminKey:
        def decide() -> tuple[tuple[AdminKey, Put], Put]:
            item, now = self._store.get(_PLACE), self._clock()
            key, keys = change(_keys_in(item), now)
            said = line(now)
            return (key, said), carrying(self._store, _put(_bounded(keys, now), item), item, said)

        key, said = write_optimistically(self._store, decide, contended="the admin keys")
        lay_line(self._store, said)
        return key


def _bounded(keys: list[AdminKey], now: datetime) -> list[AdminKey]:
    """Return the keys, the oldest that are not good any more left out where there are too many."""
    over = len(keys) - MOST
    dropped = [key.name for key in keys if not key.is_good(now)][: max(over, 0)]
    return [key for key in keys if key.name not in dropped]


def _put(keys: Sequence[AdminKey], found: Item | None) -> Put:
    entries = [_to_item(key) for key in keys]
    return next_version(found, lambda version: {"id": _PLACE.partition, "version": version, "keys": entries})


def _to_item(key: AdminKey) -> dict[str, Any]:
    times = {"created_at": key.created_at, "expires_at": key.expires_at, "revoked_at": key.revoked_at}
    return {
        "name": key.name,
        "role": str(key.role),
        "digest": key.digest,
        "created_by": key.created_by,
        **{name: to_millis(at) for name, at in times.items() if at is not None},
    }


def _keys_in(item: Item | None) -> tuple[AdminKey, ...]:
    found: Any = () if item is None else item["keys"]
    return tuple(
        AdminKey(
            name=fields["name"],
            role=Role(fields["role"]),
            digest=fields["digest"],
            created_at=from_millis(fields["created_at"]),
            created_by=fields["created_by"],
            expires_at=from_millis(fields["expires_at"]) if "expires_at" in fields else None,
            revoked_at=from_millis(fields["revoked_at"]) if "revoked_at" in fields else None,
        )
        for fields in found
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
