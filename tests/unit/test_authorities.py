"""The authorities: made once, found again, rotated in good order, and never exchanged unnoticed."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from common.crypto.certificates import CertificateAuthority, KeyKind, issuer_name, new_authority
from common.crypto.device_keys import DevicePublicKey, new_signing_key
from common.keys.authorities import Authorities, AuthorityMissing, open_authorities
from common.keys.authority_file import FILE_NAME
from common.keys.keyring import KeyRingError
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL
from tests.support.processes import at_once
from tests.unit import authority_workers
from tests.unit.builders import DAY, HOUR, SECOND, T0

USER, DEVICE = "2f5c1f0e-8a42-4d3b-9d0a-0c6d2f9f4a11", "b2a1c7de-5c53-4d0e-8a41-9b3f0e7d6c22"


@pytest.fixture(scope="module")
def founder() -> CertificateAuthority:
    """Return the root of the key ring."""
    return new_authority(T0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Return a fresh store."""
    store = SqliteStore(tmp_path / "store.db", ALL, lambda: T0)
    yield store
    store.close()


Opened = Callable[..., Authorities]


@pytest.fixture
def opened(tmp_path: Path, store: SqliteStore, founder: CertificateAuthority) -> Opened:
    """Return what opens the authorities as a process of a host does, by default of the first host."""

    def open_them(host: str = "host", root: CertificateAuthority = founder, now: datetime = T0) -> Authorities:
        return open_authorities(tmp_path / host, store, lambda: now, root)

    return open_them


def names(authorities: Authorities, now: datetime = T0) -> list[str]:
    """Return the names of those in force."""
    return [authority.name for authority in authorities.active(now)]


def key_of(kind: KeyKind) -> DevicePublicKey:
    """Return a device's new public key."""
    if kind is KeyKind.POST_QUANTUM:
        return new_signing_key().public_key()
    return ec.generate_private_key(ec.SECP256R1()).public_key()


def issued_by(authorities: Authorities, kind: KeyKind, now: datetime = T0) -> str:
    """Issue a certificate and return its issuer's name; it verifies under that one."""
    found = x509.load_der_x509_certificate(authorities.issue(USER, DEVICE, key_of(kind), now).der)
    by_name = {authority.name: authority for authority in authorities.active(now)}
    found.verify_directly_issued_by(by_name[issuer_name(found)].certificate)
    return issuer_name(found)


class TestOpening:
    def test_the_classical_one_is_made_at_the_first_start_and_read_at_the_next(
        self, opened: Opened, founder: CertificateAuthority
    ) -> None:
        """The founder first: the newest kind stands before the older one."""
        first = opened()
        assert [a.kind for a in first.active(T0)] == [KeyKind.POST_QUANTUM, KeyKind.CLASSICAL]
        assert names(opened()) == names(first)
        assert names(first)[0] == founder.name

    @pytest.mark.skipif(os.name == "nt", reason="only on POSIX: Windows has no such modes")
    def test_nobody_else_may_read_the_keys(self, opened: Opened, tmp_path: Path) -> None:
        """Before and after a rotation; and no draft is left beside them."""
        authorities = opened()
        for _ in range(2):
            assert [path.name for path in (tmp_path / "host").iterdir()] == [FILE_NAME]
            assert stat.S_IMODE((tmp_path / "host" / FILE_NAME).stat().st_mode) == 0o600
            authorities.rotate(KeyKind.CLASSICAL, T0)

    def test_several_processes_at_once_make_one(self, tmp_path: Path) -> None:
        """Four workers start together on nothing."""
        found = at_once(4, authority_workers.start, str(tmp_path))
        assert all(one == found[0] for one in found)
        assert len(found[0]) == 2

    def test_another_host_without_the_file_is_refused(self, opened: Opened, tmp_path: Path) -> None:
        """It says what to copy where; with the file it starts. It makes nothing by itself."""
        first = opened()
        with pytest.raises(KeyRingError, match=rf"{FILE_NAME}.*copy it from the host"):
            opened("another")
        assert not (tmp_path / "another").exists()
        shutil.copytree(tmp_path / "host", tmp_path / "another")
        assert names(opened("another")) == names(first)

    def test_a_host_with_another_founder_is_refused(self, opened: Opened) -> None:
        """Two hosts with two roots would be a silent disaster."""
        opened()
        with pytest.raises(KeyRingError, match="is in force and its key is not here"):
            opened(root=new_authority(T0))

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 2, "authorities": []}', '{"format": 1}'])
    def test_a_file_that_cannot_be_read_is_a_sentence(self, opened: Opened, tmp_path: Path, content: str) -> None:
        """And is left as it is."""
        opened()
        path = tmp_path / "host" / FILE_NAME
        path.write_text(content, encoding="ascii")
        with pytest.raises(KeyRingError, match="Restore the file from a backup"):
            opened()
        assert path.read_text(encoding="ascii") == content


class TestIssuing:
    @pytest.mark.parametrize("kind", list(KeyKind))
    def test_each_kind_of_key_has_its_authority(self, opened: Opened, kind: KeyKind) -> None:
        """So that a TLS stack that knows P-256 alone finds nothing else in the chain."""
        authorities = opened()
        assert issued_by(authorities, kind) == authorities.issuing(kind, T0).name
        assert authorities.get(kind, T0) == authorities.issuing(kind, T0)

    @pytest.mark.parametrize("key", [MLDSA65PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())])
    def test_no_other_key_is_certified(self, opened: Opened, key: MLDSA65PrivateKey) -> None:
        """A weaker one least of all."""
        with pytest.raises(ValueError, match="algorithm"):
            opened().issue(USER, DEVICE, key.public_key(), T0)  # type: ignore[arg-type]


class TestRotation:
    @pytest.mark.parametrize("kind", list(KeyKind))
    def test_the_new_one_is_told_at_once_and_issues_later(self, opened: Opened, kind: KeyKind) -> None:
        """The old one verifies its leaves until the last of them has ended."""
        running, operator = opened(), opened()
        old = running.issuing(kind, T0).name
        new = operator.rotate(kind, T0 + DAY).name
        assert issued_by(running, kind) == old, "a running process reads the file again, and goes on with the old one"
        assert set(names(running)) >= {old, new}
        assert issued_by(running, kind, T0 + DAY) == new
        for process in (running, operator, opened()):
            assert names(process, T0 + DAY).count(old) == 1
            assert old in names(process, T0 + 366 * DAY - SECOND)
            assert old not in names(process, T0 + 366 * DAY)
            assert new in names(process, T0 + 366 * DAY)

    def test_only_looking_it_is_seen_within_a_minute(
        self, tmp_path: Path, store: SqliteStore, founder: CertificateAuthority
    ) -> None:
        """The route that shows them asks the store no more often."""
        now = T0
        looking = open_authorities(tmp_path / "host", store, lambda: now, founder)
        new = open_authorities(tmp_path / "host", store, lambda: T0, founder).rotate(KeyKind.CLASSICAL, T0).name
        looking.refresh_if_stale()
        assert new not in names(looking)
        now = T0 + 60 * SECOND
        looking.refresh_if_stale()
        assert new in names(looking)

    def test_one_at_a_time(self, opened: Opened) -> None:
        """While a new one waits there is no newer one; of the other kind there may be."""
        authorities = opened()
        authorities.rotate(KeyKind.CLASSICAL, T0 + HOUR)
        with pytest.raises(KeyRingError, match="does not issue yet"):
            authorities.rotate(KeyKind.CLASSICAL, T0 + DAY)
        authorities.rotate(KeyKind.POST_QUANTUM, T0 + DAY)

    def test_a_running_host_without_the_key_issues_nothing_until_it_is_there(
        self, opened: Opened, tmp_path: Path
    ) -> None:
        """No certificate comes of an authority that the others have left."""
        opened()
        shutil.copytree(tmp_path / "host", tmp_path / "another")
        another = opened("another")
        new = opened().rotate(KeyKind.CLASSICAL, T0).name
        for _ in range(2):
            with pytest.raises(AuthorityMissing, match=FILE_NAME):
                another.issue(USER, DEVICE, key_of(KeyKind.CLASSICAL), T0)
        with pytest.raises(KeyRingError, match=FILE_NAME):
            opened("another")
        shutil.copy(tmp_path / "host" / FILE_NAME, tmp_path / "another" / FILE_NAME)
        assert issued_by(another, KeyKind.CLASSICAL) == new

    def test_two_hosts_cannot_rotate_past_each_other(self, opened: Opened, tmp_path: Path) -> None:
        """The one that has not the other's key is told to copy it."""
        opened()
        shutil.copytree(tmp_path / "host", tmp_path / "another")
        another = opened("another")
        opened().rotate(KeyKind.CLASSICAL, T0)
        with pytest.raises(AuthorityMissing, match=FILE_NAME):
            another.rotate(KeyKind.CLASSICAL, T0)

    def test_a_crash_between_file_and_list_costs_nothing(
        self, opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file has a key that nobody lists; the next rotation clears it away."""
        operator = opened()
        with monkeypatch.context() as patched:
            patched.setattr("common.keys.authorities._write_list", _crash)
            with pytest.raises(KeyboardInterrupt):
                operator.rotate(KeyKind.CLASSICAL, T0)
        assert names(opened()) == names(operator)
        before = (tmp_path / "host" / FILE_NAME).read_text(encoding="ascii").count("PRIVATE KEY")
        opened().rotate(KeyKind.CLASSICAL, T0)
        assert (tmp_path / "host" / FILE_NAME).read_text(encoding="ascii").count("PRIVATE KEY") == before


def _crash(*_: object) -> None:
    raise KeyboardInterrupt
