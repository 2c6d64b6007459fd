"""Rotating keys: published before they sign, refused once retired, and never lost between file, list and backup."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.crypto.jws import Algorithm
from common.crypto.tokens import AccessTokens, Claims, ForgedToken, SignedTokens
from common.keys import key_provider, registry_item
from common.keys.key_provider import KeyProvider
from common.keys.key_registry import PUBLISHING, fetch_registry, open_keyring
from common.keys.keyring import FILE_NAME, KeyPurpose, KeyRingError, load_ring
from common.keys.rotation import retire, rotate, show
from common.keys.store_schema import marked
from common.storage.port import Item, Key, StoreUnavailable
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, KEY_RING
from tests.unit.builders import DAY, MINUTE, SECOND, T0

ISSUER = "https://accounts.example.test"
PLACE = KEY_RING.key("ring")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> datetime:
        """Return what time it is."""
        return self.now


class Host:
    """One host: its key folder, and one running process on it."""

    def __init__(self, folder: Path, store: SqliteStore, clock: Clock) -> None:
        self.folder, self.store, self.clock = folder, store, clock
        self.start()

    def start(self) -> None:
        """Start the process, or start it again."""
        ring, listed = open_keyring(self.folder, self.store, self.clock.now)
        self.keys = KeyProvider(self.folder, self.store, self.clock, ring, listed)
        self.access = AccessTokens(self.keys, ISSUER, ISSUER)
        self.refresh = SignedTokens(lambda: self.keys.macs(KeyPurpose.REFRESH), "refresh")

    def rotate(self, purpose: KeyPurpose = KeyPurpose.ACCESS, *, after: timedelta = MINUTE, **more: Any) -> str:
        """Rotate as the command does; return the new key's name."""
        algorithm = more.get("algorithm", Algorithm.ES256)
        return rotate(self.folder, self.store, purpose, algorithm, self.clock.now, after).kid

    def retire(self, kid: str) -> None:
        """Retire as the command does."""
        retire(self.folder, self.store, kid, self.clock.now)

    def token(self) -> str:
        """Return a new access token."""
        now = self.clock.now
        return self.access.sign(Claims("anna", "session", "phone", "anna", "token", now, now + 10 * MINUTE))

    def accepts(self, token: str) -> bool:
        """Say whether an access token is one of ours."""
        try:
            self.access.verify(token)
        except ForgedToken:
            return False
        return True

    def copy_ring_to(self, other: Host) -> None:
        """Do what the operator does."""
        (other.folder / FILE_NAME).write_bytes((self.folder / FILE_NAME).read_bytes())

    def kid(self, purpose: KeyPurpose) -> str:
        """Return the key that this host signs with now."""
        shown = show(self.folder, self.store, self.clock.now)
        return next(key.listed.kid for key in shown if key.signs and key.listed.purpose is purpose)


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[SqliteStore]:
    """Return a fresh store."""
    store = SqliteStore(tmp_path / "store.db", ALL, clock)
    yield store
    store.close()


@pytest.fixture
def host(tmp_path: Path, store: SqliteStore, clock: Clock) -> Host:
    """Return the first host."""
    return Host(tmp_path / "keys", store, clock)


@pytest.fixture
def other(host: Host, tmp_path: Path, store: SqliteStore, clock: Clock) -> Host:
    """Return a second host of the same store, with a copy of the ring."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FILE_NAME).write_bytes((host.folder / FILE_NAME).read_bytes())
    return Host(tmp_path / "other", store, clock)


def test_a_new_key_is_published_before_it_signs(host: Host, clock: Clock) -> None:
    """At once for those who verify; from its time on for those who sign; the old one stays good."""
    old, first = host.kid(KeyPurpose.ACCESS), host.token()
    new = host.rotate(after=MINUTE)
    assert [key["kid"] for key in host.access.jwks()["keys"]] == [old], "nobody has read the list yet"
    host.keys.reread()
    assert [key["kid"] for key in host.access.jwks()["keys"]] == [old, new]
    assert host.keys.signer().kid == old
    clock.now += MINUTE
    assert host.keys.signer().kid == new
    assert host.accepts(host.token())
    assert host.accepts(first)


def test_another_host_accepts_a_new_key_that_it_does_not_have(host: Host, other: Host, clock: Clock) -> None:
    """The public half is in the list; it signs with its old key until the operator has copied the ring."""
    old, new = host.kid(KeyPurpose.ACCESS), host.rotate(after=MINUTE)
    for each in (host, other):
        each.keys.reread()
    clock.now += MINUTE
    assert (host.keys.signer().kid, other.keys.signer().kid) == (new, old)
    assert other.accepts(host.token())
    assert host.accepts(other.token())
    other.start()
    assert other.keys.signer().kid == old, "a restart changes nothing"
    host.copy_ring_to(other)
    other.keys.reread()
    assert other.keys.signer().kid == new


def test_a_retired_key_is_refused_by_all(host: Host, other: Host, clock: Clock) -> None:
    """Once they have read the list; its secret is gone from the ring, its name is not."""
    old, token = host.kid(KeyPurpose.ACCESS), host.token()
    host.rotate(after=MINUTE)
    host.copy_ring_to(other)
    clock.now += MINUTE
    host.retire(old)
    for each in (host, other):
        assert each.accepts(token), "the list was not read yet"
        each.keys.reread()
        assert not each.accepts(token)
        assert each.accepts(host.token())
    assert old not in {key["kid"] for key in other.access.jwks()["keys"]}
    assert next(key for key in load_ring(host.folder / FILE_NAME).keys if key.kid == old).secret is None
    host.retire(old)
    assert {key.listed.kid: key.listed.retired_at for key in show(host.folder, host.store, clock.now)}[old] == clock.now


def test_the_key_that_signs_is_not_retired_before_another_does(host: Host, clock: Clock) -> None:
    """Otherwise nobody could log in."""
    only = host.kid(KeyPurpose.ACCESS)
    with pytest.raises(KeyRingError, match="rotate --for access"):
        host.retire(only)
    host.rotate(after=MINUTE)
    with pytest.raises(KeyRingError, match=r"signs from .*:01:00"):
        host.retire(only)
    with pytest.raises(KeyRingError, match="There is no key"):
        host.retire("nobody's")
    assert host.accepts(host.token())


@pytest.mark.parametrize("purpose", [KeyPurpose.REFRESH, KeyPurpose.SHORT_LIVED, KeyPurpose.DEVICE])
def test_mac_keys_rotate_too(host: Host, clock: Clock, purpose: KeyPurpose) -> None:
    """What the old key sealed opens until it is retired; what the new one seals does not open under the old one."""
    tokens = SignedTokens(lambda: host.keys.macs(purpose), str(purpose))
    old, sealed = host.kid(purpose), tokens.sign(["anna"])
    host.rotate(purpose, after=MINUTE)
    host.keys.reread()
    assert tokens.sign(["anna"]) == sealed, "the new key does not seal yet"
    clock.now += MINUTE
    assert tokens.sign(["anna"]) != sealed
    assert tokens.verify(sealed) == tokens.verify(tokens.sign(["anna"])) == ["anna"]
    host.retire(old)
    host.keys.reread()
    assert tokens.verify(tokens.sign(["anna"])) == ["anna"]
    with pytest.raises(ForgedToken):
        tokens.verify(sealed)


def test_a_host_without_a_new_mac_key_refuses_no_token_of_it(host: Host, other: Host, clock: Clock) -> None:
    """It cannot know, so it says "ask again"; and it does not start anew without the key."""
    host.rotate(KeyPurpose.REFRESH, after=MINUTE)
    for each in (host, other):
        each.keys.reread()
    clock.now += MINUTE
    with pytest.raises(StoreUnavailable, match=r"copy keyring\.json"):
        other.refresh.verify(host.refresh.sign(["anna"]))
    assert host.refresh.verify(other.refresh.sign(["anna"])) == ["anna"]
    with pytest.raises(KeyRingError, match=r"copy keyring\.json"):
        other.start()
    host.copy_ring_to(other)
    other.start()
    assert other.refresh.verify(host.refresh.sign(["anna"])) == ["anna"]


def test_hosts_may_rotate_each_by_itself(host: Host, other: Host, clock: Clock) -> None:
    """Two rings that grew apart: the list has both new keys, and each host accepts the other's tokens."""
    keys = {host.rotate(after=MINUTE), other.rotate(after=MINUTE)}
    clock.now += MINUTE
    for each in (host, other):
        each.keys.reread()
    assert {host.keys.signer().kid, other.keys.signer().kid} == keys
    assert host.accepts(other.token())
    assert other.accepts(host.token())


def test_an_ml_dsa_key_signs_when_it_was_asked_for(host: Host, clock: Clock) -> None:
    """Each key has its own algorithm: both kinds of token are good."""
    first = host.token()
    host.rotate(algorithm=Algorithm.ML_DSA_44)
    clock.now += MINUTE
    host.keys.reread()
    token = host.token()
    assert len(token) > 3000
    assert host.accepts(token)
    assert host.accepts(first)
    assert [key["kty"] for key in host.access.jwks()["keys"]] == ["EC", "AKP"]


def test_a_key_whose_announcement_was_lost_is_published_at_the_next_start(host: Host, store: SqliteStore) -> None:
    """The ring was written, the list was not: until then nobody signs with it, and then not at once."""
    item = store.get(PLACE)
    new = host.rotate(after=MINUTE)
    assert item is not None
    store.put(KEY_RING, item)
    host.keys.reread()
    assert new not in {key["kid"] for key in host.access.jwks()["keys"]}
    host.clock.now += DAY
    host.start()
    assert fetch_registry(store)[new].signs_from == host.clock.now + PUBLISHING
    assert host.keys.signer().kid != new


def test_a_restored_store_brings_no_retired_key_back(host: Host, store: SqliteStore, clock: Clock) -> None:
    """The ring remembers what was retired; and what the store has forgotten is published again."""
    old, token, backup = host.kid(KeyPurpose.ACCESS), host.token(), store.get(PLACE)
    new = host.rotate(after=MINUTE)
    clock.now += MINUTE
    host.retire(old)
    assert backup is not None
    store.put(KEY_RING, backup)
    clock.now += PUBLISHING
    with pytest.raises(KeyRingError, match="No key for access"):
        Host(host.folder, store, Clock())
    host.start()
    assert not host.accepts(token)
    clock.now += PUBLISHING
    assert host.keys.signer().kid == new


def test_a_store_without_a_list_and_a_ring_of_the_first_format_are_taken(host: Host, store: SqliteStore) -> None:
    """What was made before keys could be rotated: every token stays good, and the next command writes today's form."""
    token, sealed = host.token(), host.refresh.sign(["anna"])
    make_old(host, store)
    host.start()
    assert host.accepts(token)
    assert host.refresh.verify(sealed) == ["anna"]
    new = host.rotate(after=MINUTE)
    host.start()
    assert host.accepts(token)
    assert new in fetch_registry(store)


def make_old(host: Host, store: SqliteStore) -> None:
    """Write ring and list as the first format had them."""
    path = host.folder / FILE_NAME
    ring, content = load_ring(path), json.loads(path.read_text(encoding="ascii"))
    secret = {fields["purpose"]: fields["secret"] for fields in content["keys"]}
    macs = {**content["macs"], **{p: secret[p] for p in ("refresh", "takeover", "device")}}
    old = {"format": 1, "authority": content["authority"], "signing": secret["access"], "macs": macs}
    path.write_text(json.dumps(old), encoding="ascii")
    store.put(KEY_RING, marked({"id": "ring", "digest": ring.first_digest()}, migrating=False))


def test_an_old_store_with_other_keys_is_still_noticed(host: Host, store: SqliteStore, tmp_path: Path) -> None:
    """The old digest counts."""
    make_old(host, store)
    elsewhere = SqliteStore(tmp_path / "elsewhere.db", ALL, host.clock)
    Host(tmp_path / "stranger", elsewhere, host.clock)
    elsewhere.close()
    with pytest.raises(KeyRingError, match="are not those this store"):
        Host(tmp_path / "stranger", store, host.clock)


def test_a_key_cannot_be_made_to_sign_before_all_know_it(host: Host) -> None:
    """Less than the time to read the list is refused, and nothing is made."""
    before = (host.folder / FILE_NAME).read_bytes()
    with pytest.raises(KeyRingError, match="at least 5 seconds"):
        host.rotate(after=4 * SECOND)
    assert (host.folder / FILE_NAME).read_bytes() == before


def test_two_commands_at_once_do_not_lose_a_key(host: Host) -> None:
    """The second is told that another is at work."""
    lock = host.folder / f"{FILE_NAME}.lock"
    lock.touch()
    with pytest.raises(KeyRingError, match="Another command"):
        host.rotate()
    lock.unlink()
    host.rotate()
    assert not lock.exists()


def test_a_ring_that_became_another_is_not_taken(host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A running process keeps what it has, and says so; so it does when the file cannot be read."""
    token = host.token()
    elsewhere = SqliteStore(tmp_path / "elsewhere.db", ALL, host.clock)
    stranger = Host(tmp_path / "stranger", elsewhere, host.clock)
    elsewhere.close()
    stranger.copy_ring_to(host)
    host.keys.reread()
    assert host.accepts(token)
    assert host.accepts(host.token())
    (host.folder / FILE_NAME).write_text("{")
    host.keys.reread()
    assert host.accepts(host.token())
    assert caplog.text.count("is not taken") == 2
    assert "PRIVATE" not in caplog.text


class AwayStore:
    """A store that can be gone."""

    def __init__(self, inner: SqliteStore) -> None:
        self.inner, self.away = inner, False

    def get(self, key: Key) -> Item | None:
        """See `Store.get`."""
        if self.away:
            raise StoreUnavailable("away")
        return self.inner.get(key)


def test_no_token_is_accepted_by_a_process_that_cannot_read_the_list(
    host: Host, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After four seconds: what it knows may be of yesterday. The public keys are still told; then all is well again."""
    away: Any = AwayStore(store)
    ring, listed = open_keyring(host.folder, store, host.clock.now)
    monkeypatch.setattr(key_provider, "READ_EVERY_SECONDS", 3600)
    host.keys = KeyProvider(host.folder, away, host.clock, ring, listed)
    host.access = AccessTokens(host.keys, ISSUER, ISSUER)
    token, sealed = host.token(), host.refresh.sign([])
    host.keys.watch()
    away.away = True
    assert host.accepts(token)
    monkeypatch.setattr(key_provider, "TRUSTED_SECONDS", -1)
    for refused in (host.token, lambda: host.accepts(token), lambda: host.refresh.verify(sealed)):
        with pytest.raises(StoreUnavailable):
            refused()
    assert host.access.jwks()["keys"]
    away.away = False
    assert host.accepts(token)
    host.keys.close()


def test_a_running_process_reads_the_list_by_itself(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, beside its requests, also after a fault that nobody foresaw."""
    readings = threading.Semaphore(0)

    def fail() -> None:
        readings.release()
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(key_provider, "READ_EVERY_SECONDS", 0.01)
    monkeypatch.setattr(host.keys, "reread", fail)
    host.keys.watch()
    assert readings.acquire(timeout=30)
    assert readings.acquire(timeout=30)
    host.keys.close()


@pytest.mark.regression("Z08")
def test_a_retired_key_is_refused_within_five_seconds() -> None:
    """What is documented, as numbers: read every second, believed for four."""
    assert (key_provider.READ_EVERY_SECONDS, key_provider.TRUSTED_SECONDS) == (1.0, 4.0)


def test_what_was_read_is_as_old_as_the_question(
    host: Host, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store took ten seconds to answer: by then the answer is ten seconds old, and is not believed."""
    seconds, readings = [1000.0], []

    class Hanging(AwayStore):
        def get(self, key: Key) -> Item | None:
            item = super().get(key)
            readings.append(seconds[0])
            seconds[0] += 10 if len(readings) == 1 else 0
            return item

    ring, listed = open_keyring(host.folder, store, host.clock.now)
    monkeypatch.setattr(key_provider, "READ_EVERY_SECONDS", 3600)
    monkeypatch.setattr(registry_item.time, "monotonic", lambda: seconds[0])
    hanging: Any = Hanging(store)
    keys = KeyProvider(host.folder, hanging, host.clock, ring, listed)
    keys.watch()
    keys.reread()
    assert keys.verifier(host.kid(KeyPurpose.ACCESS)) is not None
    assert readings == [1000.0, 1010.0], "it was read again before it was believed"
    keys.close()
