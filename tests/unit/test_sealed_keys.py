"""Keys sealed in the store: made once by many, opened by one key alone, and never as an older one that was put back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from moto import mock_aws

from common.crypto.jws import Algorithm
from common.crypto.passwords import CHEAP_FOR_TESTS
from common.keys import rotation
from common.keys.authorities import open_authorities
from common.keys.authority_file import FILE_NAME as AUTHORITIES
from common.keys.key_encryption import LocalKey, new_key_text, read_key_encrypting_key
from common.keys.key_provider import KeyProvider
from common.keys.key_registry import REGISTRY, open_keyring
from common.keys.keyring import FILE_NAME, KeyPurpose, KeyRingError
from common.keys.sealed_files import PLACE, SealedFolder, _opened
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL
from ichidai.cli.keys import app as commands
from ichidai.gauges import SEALING_KEY, read_sealing_key
from ichidai.key_place import key_folder
from ichidai.settings import read_settings
from ichidai.topology import DEV_PORTS, App
from ichidai.wiring.build import build
from tests.usecases.in_process_suite import T0, HandClock

SECRETS = (b"PRIVATE KEY", b"MII")
AFTER = timedelta(seconds=5)


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock()


@pytest.fixture
def store(tmp_path: Path, clock: HandClock) -> Iterator[SqliteStore]:
    """Return a store."""
    with closing(SqliteStore(tmp_path / "ichidai.sqlite", ALL, clock)) as store:
        yield store


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    """Let each test's process begin with no key unwrapped."""
    _opened.clear()
    yield
    _opened.clear()


def folder_of(store: SqliteStore, key: LocalKey) -> SealedFolder:
    """Return the place of the keys as another host sees it."""
    return SealedFolder(store, key)


def test_five_hosts_at_once_on_empty_tables(store: SqliteStore, clock: HandClock) -> None:
    """With nothing but the key-encrypting key: all have one ring and the same authorities, and the dump holds none."""
    key = LocalKey(b"k" * 32)

    def start(_: int) -> tuple[str, str, tuple[str, ...]]:
        folder = folder_of(store, key)
        ring, listed = open_keyring(folder, store, T0)
        authorities = open_authorities(folder, store, clock, ring.authority)
        return ring.digest(), ",".join(listed), tuple(sorted(each.name for each in authorities.entries()))

    with ThreadPoolExecutor(5) as threads:
        started = set(threads.map(start, range(5)))
    assert len(started) == 1


def test_a_dump_holds_no_private_key(store: SqliteStore, clock: HandClock, tmp_path: Path) -> None:
    """Neither a PEM, nor the bytes of any secret, in whatever coding."""
    folder = folder_of(store, LocalKey(b"k" * 32))
    ring, _ = open_keyring(folder, store, T0)
    open_authorities(folder, store, clock, ring.authority)
    with closing(sqlite3.connect(tmp_path / "ichidai.sqlite")) as connection:
        dump = "\n".join(connection.iterdump()).encode()
    text = folder.read(FILE_NAME)
    assert text is not None
    assert SECRETS[0].decode() in text
    hidden = [ring.root_secret, *(key.secret for key in ring.keys if isinstance(key.secret, bytes))]
    for secret in (*SECRETS[:1], *hidden, *(s.hex().encode() for s in hidden)):
        assert secret not in dump
    assert b"sealed-keys" in dump


def test_another_key_does_not_open_them(store: SqliteStore) -> None:
    """Nor does a name that was forged: it says which key is needed, and never the key."""
    open_keyring(folder_of(store, LocalKey(b"k" * 32)), store, T0)
    _opened.clear()
    with pytest.raises(KeyRingError, match="not for the key of this host"):
        open_keyring(folder_of(store, LocalKey(b"x" * 32)), store, T0)
    item: Any = store.get(PLACE)
    (wrapped,) = item["wraps"].values()
    written(store, {**item, "wraps": {LocalKey(b"x" * 32).name: wrapped}})
    with pytest.raises(KeyRingError, match="does not open"):
        open_keyring(folder_of(store, LocalKey(b"x" * 32)), store, T0)


def written(store: SqliteStore, item: Any) -> None:
    """Put an item over whatever is there, as a restore of some items would."""
    store.put(PLACE.table, item)


def test_rotation_reaches_every_host_without_copying(store: SqliteStore, clock: HandClock) -> None:
    """A host that runs signs with the new key when it is due, and loses the retired one."""
    key = LocalKey(b"k" * 32)
    folder = folder_of(store, key)
    ring, listed = open_keyring(folder, store, clock())
    other = KeyProvider(folder_of(store, key), store, clock, ring, listed)
    first = other.signer().kid
    new = rotation.rotate(folder_of(store, key), store, KeyPurpose.ACCESS, Algorithm.ES256, clock(), AFTER)
    clock.move(AFTER)
    other.reread()
    assert other.signer().kid == new.kid
    rotation.retire(folder_of(store, key), store, first, clock())
    other.reread()
    assert other.verifier(first) is None
    assert {status.is_here for status in rotation.show(folder_of(store, key), store, clock())} == {True, False}


def test_an_older_ring_that_is_put_back_is_refused(store: SqliteStore, clock: HandClock) -> None:
    """At a start, because the list says the least version; and so is one under another version or name."""
    key = LocalKey(b"k" * 32)
    open_keyring(folder_of(store, key), store, clock())
    old: Any = store.get(PLACE)
    rotation.rotate(folder_of(store, key), store, KeyPurpose.REFRESH, Algorithm.ES256, clock(), AFTER)
    new: Any = store.get(PLACE)
    written(store, old)
    with pytest.raises(KeyRingError, match=r"older keyring\.json was put back"):
        open_keyring(folder_of(store, key), store, clock())
    box = old["files"][FILE_NAME]["box"]
    dressed = {**new["files"][FILE_NAME], "box": box}
    written(store, {**new, "files": {**new["files"], FILE_NAME: dressed}})
    with pytest.raises(KeyRingError, match="not this store's, or was altered"):
        open_keyring(folder_of(store, key), store, clock())
    written(store, {**new, "files": {**new["files"], AUTHORITIES: new["files"][FILE_NAME]}})
    with pytest.raises(KeyRingError, match="not this store's, or was altered"):
        folder_of(store, key).read(AUTHORITIES)
    written(store, {**new, "store": "another"})
    _opened.clear()
    with pytest.raises(KeyRingError, match="does not open"):
        open_keyring(folder_of(store, key), store, clock())
    written(store, new)
    open_keyring(folder_of(store, key), store, clock())


def test_who_changes_keys_at_once_is_told(store: SqliteStore, clock: HandClock) -> None:
    """A ring that was read before another's change is not written over it."""
    key = LocalKey(b"k" * 32)
    folder = folder_of(store, key)
    open_keyring(folder, store, clock())
    folder.read(FILE_NAME)
    rotation.rotate(folder_of(store, key), store, KeyPurpose.REFRESH, Algorithm.ES256, clock(), AFTER)
    with pytest.raises(KeyRingError, match="at the same time"):
        folder.replace(FILE_NAME, "{}")


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """Return the settings of a host."""
    return {"ICHIDAI_DATA_DIR": str(tmp_path), **more}


def test_files_are_taken_over_and_wrapped_anew_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`keys seal` keeps every key; a host without files serves; `rewrap` moves to another key without a gap."""
    build(read_settings(environment(tmp_path)), App.ALL, DEV_PORTS[App.ALL], cost=CHEAP_FOR_TESTS).close()
    first, second, runner = new_key_text(), new_key_text(), CliRunner()
    (tmp_path / "second").write_text(second)

    def run(key: str, *arguments: str, expect: int = 0) -> str:
        monkeypatch.setenv("ICHIDAI_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("ICHIDAI_SEALING_KEY", key)
        _opened.clear()
        result = runner.invoke(commands, arguments)
        assert result.exit_code == expect, (result.output, result.exception)
        return result.output

    assert "keys seal" in run(first, "show", expect=2)
    monkeypatch.delenv("ICHIDAI_SEALING_KEY")
    before = runner.invoke(commands, ["show"]).output
    run(first, "seal", "--reason", "a fleet")
    assert "already" in run(first, "seal", expect=2)
    for name in (FILE_NAME, AUTHORITIES):
        (tmp_path / "keys" / name).unlink()
    assert run(first, "show") == before
    sealed = environment(tmp_path, ICHIDAI_SEALING_KEY=first)
    build(read_settings(sealed), App.ALL, DEV_PORTS[App.ALL], cost=CHEAP_FOR_TESTS).close()
    assert not (tmp_path / "keys" / FILE_NAME).exists()
    run(first, "rewrap", "--to", f"file:{tmp_path / 'second'}")
    assert run(first, "show") == run(second, "show") == before
    assert "local:" in run(second, "rewrap", "--alone")
    assert run(second, "show") == before
    assert "not for the key of this host" in run(first, "show", expect=2)
    monkeypatch.delenv("ICHIDAI_SEALING_KEY")
    assert runner.invoke(commands, ["seal"]).exit_code == 2
    for wrong in ("short", "file:/no/such/file", "kms:"):
        said = run(wrong, "show", expect=2)
        assert "ICHIDAI_SEALING_KEY" in said
        assert "short" not in said


class TestKms:
    """By AWS KMS, imitated: away at the start is a sentence; away while running is a gauge, and nothing is missed."""

    @pytest.fixture
    def key_id(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
        """Return a key of an imitated KMS."""
        import boto3  # noqa: PLC0415 - as only this test needs it

        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        with mock_aws():
            client: Any = boto3.session.Session().client("kms", region_name="eu-central-1")
            yield client.create_key()["KeyMetadata"]["Arn"]

    def test_keys_are_made_and_opened_by_it(
        self, key_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: HandClock
    ) -> None:
        """And a process that has them goes on while it is away."""
        settings = read_settings(environment(tmp_path, ICHIDAI_SEALING_KEY=f"kms:{key_id}"))
        suite = build(settings, App.ALL, DEV_PORTS[App.ALL], cost=CHEAP_FOR_TESTS)
        store = SqliteStore(tmp_path / "ichidai.sqlite", ALL, clock)
        read_sealing_key(suite.key_provider)
        assert SEALING_KEY.snapshot()[()] == (1,)
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")  # nobody is there
        rotation.rotate(key_folder(settings, store), store, KeyPurpose.REFRESH, Algorithm.ES256, T0, AFTER)
        suite.is_ready()
        suite.close()
        replaced = build(settings, App.ALL, DEV_PORTS[App.ALL], cost=CHEAP_FOR_TESTS, announces=False)
        read_sealing_key(replaced.key_provider)
        assert SEALING_KEY.snapshot()[()] == (0,)  # which an alert tells
        replaced.is_ready()
        replaced.close()
        store.close()

    def test_away_at_the_start_is_a_sentence(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Which says what to check."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
        named = environment(tmp_path, ICHIDAI_SEALING_KEY="kms:alias/ichidai", AWS_REGION="eu-central-1")
        with pytest.raises(KeyRingError, match="AWS KMS does not open the keys"):
            build(read_settings(named), App.ALL, DEV_PORTS[App.ALL], cost=CHEAP_FOR_TESTS)

    def test_what_another_store_had_wrapped_is_refused(self, key_id: str) -> None:
        """The encryption context is the store's id."""
        key = read_key_encrypting_key(f"kms:{key_id}")
        wrapped = key.wrap(b"d" * 32, "one")
        assert key.unwrap(wrapped, "one") == b"d" * 32
        with pytest.raises(KeyRingError, match="InvalidCiphertext"):
            key.unwrap(wrapped, "another")


def test_the_list_tells_the_least_version(store: SqliteStore, clock: HandClock) -> None:
    """So that every process learns of a new one by the item that it reads each second."""
    open_keyring(folder_of(store, LocalKey(b"k" * 32)), store, clock())
    item: Any = store.get(REGISTRY)
    assert item["sealed"] == {FILE_NAME: 1}
