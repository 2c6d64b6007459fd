"""The suite's keys: made once, kept from others, and never exchanged unnoticed."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.crypto.jws import SigningKey
from common.keys.key_registry import open_keyring
from common.keys.keyring import FILE_NAME, KeyPurpose, KeyRing, KeyRingError
from common.keys.store_schema import digest_to_item
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, KEY_RING
from tests.support.processes import at_once
from tests.unit import keyring_workers
from tests.unit.builders import DAY, T0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Return a fresh store."""
    store = SqliteStore(tmp_path / "store.db", ALL, lambda: T0)
    yield store
    store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for keys that is not there yet."""
    return tmp_path / "keys"


def opened(folder: Path, store: SqliteStore) -> KeyRing:
    """Open the ring."""
    ring, _ = open_keyring(folder, store, T0)
    return ring


def test_a_ring_is_made_at_the_first_start_and_read_at_the_next(folder: Path, store: SqliteStore) -> None:
    """The same keys, the same name, the same authority."""
    made = opened(folder, store)
    read, _ = open_keyring(folder, store, T0 + DAY)
    assert made.digest() == read.digest()
    assert [key.kid for key in made.keys] == [key.kid for key in read.keys]
    assert made.authority.certificate == read.authority.certificate
    assert made.root_secret == read.root_secret


def test_each_purpose_has_a_key_of_its_own(folder: Path, store: SqliteStore) -> None:
    """256 bits each, and one that signs access tokens."""
    ring = opened(folder, store)
    assert [key.purpose for key in ring.keys] == list(KeyPurpose)
    macs = [ring.root_secret, *(key.secret for key in ring.keys if isinstance(key.secret, bytes))]
    assert len(set(macs)) == len(KeyPurpose)
    assert {len(key) for key in macs} == {32}


@pytest.mark.skipif(os.name == "nt", reason="only on POSIX: Windows has no such modes")
def test_nobody_else_may_read_it(folder: Path, store: SqliteStore) -> None:
    """Neither the file nor its folder."""
    opened(folder, store)
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_no_draft_is_left_beside_it(folder: Path, store: SqliteStore) -> None:
    """A second copy of the keys would be one too many."""
    opened(folder, store)
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_several_processes_at_once_make_one_ring(tmp_path: Path) -> None:
    """Six workers start together on nothing: all have the same keys, and one file lies there."""
    digests = at_once(6, keyring_workers.start, str(tmp_path))
    assert len(set(digests)) == 1
    assert [path.name for path in (tmp_path / "keys").iterdir()] == [FILE_NAME]


def test_two_rings_have_two_digests_that_tell_nothing(tmp_path: Path) -> None:
    """The digest is no key and holds none."""
    rings = []
    for name in ("one", "other"):
        store = SqliteStore(tmp_path / f"{name}.db", ALL, lambda: T0)
        rings.append(opened(tmp_path / name, store))
        store.close()
    one, other = rings
    assert one.digest() != other.digest()
    assert len(one.digest()) == 64


def test_the_store_keeps_the_digest_and_no_key(folder: Path, store: SqliteStore) -> None:
    """A copied database signs nothing."""
    ring = opened(folder, store)
    item = store.get(KEY_RING.key("ring"))
    assert item is not None
    assert item["digest"] == digest_to_item(ring.digest())
    assert_no_secret(ring, repr(item))


def assert_no_secret(ring: KeyRing, text: str) -> None:
    """No secret is there, however it is written."""
    secrets = [key.secret for key in ring.keys] + [ring.root_secret]
    for secret in secrets:
        raw = secret.private.private_numbers().private_value.to_bytes(32) if isinstance(secret, SigningKey) else secret  # type: ignore[union-attr]
        assert raw is not None
        assert not any(form in text for form in (repr(raw)[2:-1], raw.hex(), base64.b64encode(raw).decode()[:40]))
        assert base64.urlsafe_b64encode(raw).decode()[:40] not in text


def test_a_host_with_other_keys_does_not_start(tmp_path: Path, store: SqliteStore) -> None:
    """It is told what to do, and the store keeps the first digest."""
    first = opened(tmp_path / "first host", store)
    elsewhere = SqliteStore(tmp_path / "elsewhere.db", ALL, lambda: T0)
    opened(tmp_path / "second host", elsewhere)
    elsewhere.close()
    with pytest.raises(KeyRingError, match="copy it from the host that was there first"):
        opened(tmp_path / "second host", store)
    item = store.get(KEY_RING.key("ring"))
    assert item is not None
    assert item["digest"] == digest_to_item(first.digest())


def test_lost_keys_are_not_made_anew_for_a_store_that_knew_some(folder: Path, store: SqliteStore) -> None:
    """Every certificate and session would be void; the operator copies them instead."""
    opened(folder, store)
    (folder / FILE_NAME).unlink()
    with pytest.raises(KeyRingError, match=r"Copy keyring\.json"):
        opened(folder, store)
    assert not (folder / FILE_NAME).exists()


def test_restored_keys_are_taken_again(folder: Path, store: SqliteStore) -> None:
    """A copy of the file is all it takes."""
    kept = opened(folder, store)
    copy = (folder / FILE_NAME).read_bytes()
    (folder / FILE_NAME).unlink()
    (folder / FILE_NAME).write_bytes(copy)
    assert opened(folder, store).digest() == kept.digest()


def _damaged(content: dict[str, Any], path: list[Any], value: Any) -> str:
    place: Any = content
    for name in path[:-1]:
        place = place[name]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["format"], 3),
        (["format"], None),
        (["keys"], None),
        (["keys"], []),
        (["keys", 0, "secret"], "no PEM"),
        (["keys", 0, "secret"], "the authority's key"),
        (["keys", 0, "kid"], "another"),
        (["keys", 0, "purpose"], "refresh"),
        (["keys", 0, "purpose"], "unknown"),
        (["keys", 0, "signs_from"], "soon"),
        (["keys", 0, "signs_from"], 10**30),
        (["keys", 1, "secret"], "?"),
        (["keys", 1, "secret"], ""),
        (["keys", 1, "secret"], "c2hvcnQ="),
        (["authority", "key"], "the signing key"),
        (["authority", "certificate"], "no PEM"),
        (["authority"], []),
        (["authority", "certificate"], 5),
        (["macs"], None),
        (["macs", "names"], None),
        (["macs", "names"], "?"),
        (["macs", "names"], ""),
        (["macs", "names"], "c2hvcnQ="),
    ],
)
def test_a_damaged_ring_is_named_and_never_mended(
    folder: Path, store: SqliteStore, path: list[Any], value: Any
) -> None:
    """The operator restores it from a backup; what the file holds is not quoted."""
    opened(folder, store)
    file = folder / FILE_NAME
    content = json.loads(file.read_text(encoding="ascii"))
    meant = {"the signing key": content["keys"][0]["secret"], "the authority's key": content["authority"]["key"]}
    damaged = _damaged(content, path, meant.get(value, value) if isinstance(value, str) else value)
    file.write_text(damaged, encoding="ascii")
    said = "No key for access tokens" if value == [] and path == ["keys"] else "cannot be read"
    with pytest.raises(KeyRingError, match=said) as error:
        opened(folder, store)
    assert "PRIVATE KEY" not in str(error.value)
    assert file.read_text(encoding="ascii") == damaged


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", "\N{SNOWMAN}".encode()])
def test_a_file_that_is_no_ring_is_named(folder: Path, store: SqliteStore, content: bytes) -> None:
    """Such as one cut off by a full disk."""
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(content)
    with pytest.raises(KeyRingError, match="cannot be read"):
        opened(folder, store)


def test_a_folder_in_its_place_is_named(folder: Path, store: SqliteStore) -> None:
    """Such as a container makes of a file that is not there to be mounted."""
    (folder / FILE_NAME).mkdir(parents=True)
    with pytest.raises(KeyRingError, match="cannot be read"):
        opened(folder, store)
