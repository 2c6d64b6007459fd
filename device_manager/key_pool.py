"""Device keys made ahead: a few key pairs in the memory of a process, for devices that bring none.

Nine tenths of making a device's keys is its KEM key, longer than a password's hash. So they are made while nobody waits
for a hash, and while the process has little else to do. They are nowhere but in memory, each is given out once, and a
forked process begins with none.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from msgspec import Struct

from common.account.devices import PrivateKeys
from common.crypto.device_keys import DevicePublicKey, new_signing_key, private_key_text
from common.crypto.kem import new_kem_key_pair

SIZE = 64
"""Key pairs kept ready: a burst of so many registrations in each worker; half a megabyte."""

_RESTS = 4
"""How many times as long as a pair took to make the maker rests: a fifth of a core at most, while it fills up."""

_LOOK_SECONDS = 0.25

_LOADED = 0.5
"""Of a core: while all else in this process takes more, no pair is made ahead."""

_log = logging.getLogger(__name__)


class MadeKeys(Struct, frozen=True):
    """A device's keys: the public signing key, the public KEM key as text, and the private halves."""

    signing: DevicePublicKey
    kem: str
    private: PrivateKeys


def made_keys() -> MadeKeys:
    """Make a device's keys now."""
    signing, kem = new_signing_key(), new_kem_key_pair()
    return MadeKeys(signing.public_key(), kem.public, PrivateKeys(private_key_text(signing), kem.private))


class KeyPool:
    """Keeps up to `size` keys ready, made while `is_busy` says no and the process has time. Any thread may take some.

    Until `start` every pair is made when it is asked for, within a `turn` at what takes a core for long.
    `processor_time`: seconds that this process has used so far, in all its threads.
    """

    def __init__(
        self,
        is_busy: Callable[[], bool],
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
        size: int = SIZE,
        make: Callable[[], MadeKeys] = made_keys,
        processor_time: Callable[[], float] = time.process_time,
    ) -> None:
        self._is_busy = is_busy
        self._turn = turn
        self._size = size
        self._make = make
        self._processor_time = processor_time
        self._is_loaded = False
        self._ready: deque[MadeKeys] = deque()
        self._owner = os.getpid()
        self._taken = threading.Event()
        self._closed = False

    def take(self) -> MadeKeys:
        """Return keys that nobody was given before; where none are ready they are made now. Raises as `turn`."""
        if self._owner == os.getpid():  # what a parent has ready may be given out there
            try:
                return self._ready.popleft()
            except IndexError:
                pass
            finally:
                self._taken.set()
        with self._turn():
            return self._make()

    def start(self) -> None:
        """Fill the pool in the background, until `close`."""
        self._owner = os.getpid()
        threading.Thread(target=self._fill, name="key-pool", daemon=True).start()

    def close(self) -> None:
        """Forget all keys and let the background end."""
        self._closed = True
        self._taken.set()
        self._ready.clear()

    def __len__(self) -> int:
        return len(self._ready)

    def _fill(self) -> None:
        while not self._closed:
            if len(self._ready) >= self._size:
                self._taken.clear()
                if len(self._ready) >= self._size and not self._closed:  # the clearing may have hidden the end
                    self._taken.wait()
            elif self._is_busy() or self._is_loaded:
                self._rest(_LOOK_SECONDS)
            else:
                self._add()
        self._ready.clear()

    def _add(self) -> None:
        begun = time.perf_counter()
        try:
            self._ready.append(self._make())
        except Exception:  # noqa: BLE001 - the next pair may succeed; a request that needs one meanwhile makes it
            _log.exception("a key pair could not be made ahead")
        self._rest(max(_RESTS * (time.perf_counter() - begun), 0.001))

    def _rest(self, seconds: float) -> None:
        """Do nothing for so long, and see how much the others do meanwhile."""
        begun, used = time.perf_counter(), self._processor_time()
        time.sleep(seconds)
        self._is_loaded = self._processor_time() - used > _LOADED * (time.perf_counter() - begun)
