"""The tries of a password that a source, an account and a known device have left, kept in ThrottleTable.

A try is taken before the hash begins and put back when the password was right, so a thousand guesses at once are
bounded like a thousand in a row. A write whose answer was lost counts as spent: a take is made again, a return is not.
The items of a source and an account are read eventually consistent, at half the price: the write holds only if nothing
newer lies there, and nothing is refused before a strong read.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
from datetime import timedelta

from msgspec import Struct

from common.account.history import ClientInfo
from common.clock import Clock
from common.errors import Code, Refusal
from common.rate_limit import Exhausted
from common.storage.port import Conflict, Item, Store, StoreUnavailable
from common.storage.tables import THROTTLE
from registration.attempts import Attempts, Quotas
from registration.config import RegistrationSettings
from registration.counters import Counter, Counters, Forgotten

KNOWN_FOR = timedelta(days=30)
"""How long a device that logged in from a source keeps a counter of its own there."""

_A_DAY = timedelta(days=1)
_NAME_DIGITS = 16

_log = logging.getLogger(__name__)


class Taken(Struct, frozen=True):
    """The tries that were taken: from which source, and the counters, each with its item as it was written then.

    `code`: the one of which a try of a code was taken too. `no_code`: it was asked for and there was none left, which
    is not told before the password was right.
    """

    source: str
    written: tuple[tuple[Counter, Item], ...] = ()
    code: Counter | None = None
    no_code: Exhausted | None = None

    @property
    def counted_as(self) -> str:
        """The item of the known device that was counted by itself; empty where none was."""
        return next((_name_of(counter) for counter, _ in self.written if counter.is_device), "")


class LoginRateLimiter:
    """Counts login attempts: `acquire` before the hash, `refund` when the password was right."""

    def __init__(self, store: Store, clock: Clock, settings: RegistrationSettings) -> None:
        self._clock = clock
        self._counters = Counters(store, clock)
        by_source, codes = settings.login_attempts_account_source, settings.login_attempts_otp
        self._of_source = Quotas(settings.login_attempts_source)
        self._of_account = Quotas(settings.login_attempts_account, codes, by_source)
        self._of_device = Quotas(by_source, codes)

    def acquire(self, account_key: str, client: ClientInfo, device_hint: str | None, *, code: bool) -> Taken:
        """Take one try of a password, and with `code` one of a six-digit code, from all that count it, or from none.

        A device that is known from this source has a limit of its own: guesses from elsewhere do not lock it out.
        Raises Refusal(TOO_MANY_ATTEMPTS, retry_after=seconds) where no try of a password is left; Refusal(BUSY),
        StoreUnavailable.
        """
        source = source_of(client.ip)
        if device_hint is not None:
            own = self._device(account_key, device_hint, source)
            item = self._counters.read(own)
            if self._counters.is_known(item):
                try:
                    return self._take(source, (own,), (item,), code=code)
                except Forgotten:
                    pass
        elsewhere = (
            Counter(THROTTLE.key(f"from#{source}"), self._of_source),
            Counter(THROTTLE.key(f"of#{account_key}"), self._of_account),
        )
        return self._take(source, elsewhere, tuple(map(self._counters.glance, elsewhere)), code=code)

    def require_code(self, taken: Taken) -> None:
        """Raise Refusal(TOO_MANY_ATTEMPTS) where no try of a code was left to take."""
        if taken.no_code is not None:
            raise _too_many(taken.no_code, "codes", "otp")

    def refund(self, taken: Taken) -> None:
        """Refund all attempts. What cannot be written leaks with time, and the login continues."""
        for counter, item in taken.written:
            self._put_back(taken, counter, item, password=True)

    def put_back_code(self, taken: Taken) -> None:
        """Put the try of a code back, if one was taken: nobody looked at the code. The password's stays spent."""
        for counter, item in taken.written:
            if counter is taken.code:
                self._put_back(taken, counter, item, password=False)

    def remember(self, user_uuid: str, device_hint: str, client: ClientInfo, counted_as: str | None = None) -> None:
        """Note that a device logged in from here. A store that is down is only logged: it must never fail a login.

        `counted_as`: see `AuthenticatedUser`. What was counted by this very item is known: its refund noted it.
        """
        counter, until = self._device(user_uuid, device_hint, source_of(client.ip)), self._clock() + KNOWN_FOR
        if counted_as == _name_of(counter):
            return
        try:
            self._counters.remember(counter, until, until - _A_DAY, is_new=counted_as == "")
        except Conflict:
            pass  # another login of this device runs at this moment, and notes it
        except StoreUnavailable as error:
            _log.warning("a known device was not remembered: %s", error)

    def _device(self, account_key: str, device_hint: str, source: str) -> Counter:
        """Return a device's counter. Its key is a hash: an account that goes leaves nothing that names it."""
        named = f"{account_key}#{device_hint}#{source}"
        key = THROTTLE.key(f"at#{hashlib.sha256(named.encode()).hexdigest()}")
        return Counter(key, self._of_device, is_device=True)

    def _take(self, source: str, counters: tuple[Counter, ...], items: tuple[Item | None, ...], *, code: bool) -> Taken:
        """Take from every counter; all are looked at before the first is written."""
        looked_at = [
            self._look(counter, item, source, code=code) for counter, item in zip(counters, items, strict=True)
        ]
        taken = Taken(source)
        try:
            for counter, item in zip(counters, looked_at, strict=True):
                taken = self._take_one(taken, counter, item, code=code and counter.quotas.codes is not None)
        except Refusal:
            self.refund(taken)
            raise
        return taken

    def _look(self, counter: Counter, found: Item | None, source: str, *, code: bool) -> Item | None:
        """Return the item to take from: as it was found, or read strongly where by a glance none is left.

        Raises Refusal(TOO_MANY_ATTEMPTS), Forgotten, StoreUnavailable.
        """
        outcome = self._counters.counted(counter, found).with_password(counter.quotas, source)
        if code and not isinstance(outcome, Exhausted):
            outcome = outcome.with_code(counter.quotas)
        if not isinstance(outcome, Exhausted):
            return found
        item = found if counter.is_device else self._counters.read(counter)
        _with_password(self._counters.counted(counter, item), counter, source)
        return item

    def _take_one(self, taken: Taken, counter: Counter, item: Item | None, *, code: bool) -> Taken:
        no_code: Exhausted | None = None

        def spent(attempts: Attempts) -> Attempts:
            nonlocal no_code
            kept = _with_password(attempts, counter, taken.source)
            outcome = kept.with_code(counter.quotas) if code else kept
            no_code = outcome if isinstance(outcome, Exhausted) else None
            return kept if isinstance(outcome, Exhausted) else outcome

        written = self._counters.take(counter, item, spent)
        of_code = counter if code and no_code is None else taken.code
        return Taken(taken.source, (*taken.written, (counter, written)), of_code, no_code)

    def _put_back(self, taken: Taken, counter: Counter, item: Item, *, password: bool) -> None:
        """Put tries back to one counter. A password that was right makes a known device known for longer."""

        def kept(attempts: Attempts) -> Attempts:
            attempts = attempts.without_password(counter.quotas, taken.source) if password else attempts
            return attempts.without_code(counter.quotas) if counter is taken.code else attempts

        until = self._clock() + KNOWN_FOR if counter.is_device and password else None
        try:
            self._counters.refund(counter, item, kept, until)
        except (Forgotten, Refusal, StoreUnavailable) as error:
            _log.warning("a try was not given back: %s", error)


def _name_of(counter: Counter) -> str:
    """Return what tells a device's item from others, short enough for a token."""
    return counter.key.partition[: len("at#") + _NAME_DIGITS]


def _with_password(attempts: Attempts, counter: Counter, source: str) -> Attempts:
    """Return what a counter has after one more try of a password. Raises Refusal(TOO_MANY_ATTEMPTS)."""
    outcome = attempts.with_password(counter.quotas, source)
    if isinstance(outcome, Exhausted):
        raise _too_many(outcome, counter.key.partition.split("#")[0])
    return outcome


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


def _too_many(exhausted: Exhausted, reason: str, variant: str | None = None) -> Refusal:
    return Refusal(
        Code.TOO_MANY_ATTEMPTS,
        reason=reason,
        variant=variant,
        retry_after=max(1, math.ceil(exhausted.wait / timedelta(seconds=1))),
    )
