"""Password hashes: Argon2id, its parameters beside each hash, compared in constant time."""

from __future__ import annotations

import hmac
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.crypto import passwords
from common.crypto.passwords import (
    CHEAP_FOR_TESTS,
    OWASP_MINIMUM,
    Argon2Cost,
    PasswordHash,
    decoy_hash,
    hash_password,
    new_password_hash,
)

SALT = b"0123456789abcdef"
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=50)


@pytest.mark.requirement("R11", "R19")
@pytest.mark.regression("X32")
def test_it_is_argon2id() -> None:
    """A vector of the reference implementation's own tests: 64 MiB, t = 2, p = 1."""
    known = "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"
    assert hash_password("password", b"somesalt", Argon2Cost(memory=2**16, iterations=2, lanes=1)) == known


@pytest.mark.requirement("R19")
def test_a_password_and_its_salt_are_all_it_takes() -> None:
    """The cost is the least that is recommended for people's passwords."""
    assert hash_password("correct horse", SALT) == hash_password("correct horse", SALT, OWASP_MINIMUM)
    assert (OWASP_MINIMUM.memory, OWASP_MINIMUM.iterations, OWASP_MINIMUM.lanes) == (19 * 1024, 2, 1)


@given(texts, texts)
def test_only_the_same_password_matches(password: str, other: str) -> None:
    """The empty one, one with NULs in it and one of any script included."""
    kept = new_password_hash(password, CHEAP_FOR_TESTS)
    assert kept.matches(password)
    assert kept.matches(other) is (other == password)


@pytest.mark.parametrize("tail", ["\0", " ", "x"])
def test_a_password_is_never_truncated(tail: str) -> None:
    """Neither at a NUL nor at any length."""
    for password in ("nul\0", "x" * 72, "x" * 1023):
        assert not new_password_hash(password, CHEAP_FOR_TESTS).matches(password + tail)


@pytest.mark.requirement("R18")
@given(texts)
def test_a_hash_reads_back_as_it_was_written(password: str) -> None:
    """With its own parameters and salt, so that they can be raised one day."""
    kept = new_password_hash(password, CHEAP_FOR_TESTS)
    assert PasswordHash.from_item(kept.to_item()) == kept


def test_every_hash_has_a_salt_of_its_own() -> None:
    """Two people with one password have two hashes."""
    one, other = (new_password_hash("correct horse", CHEAP_FOR_TESTS) for _ in range(2))
    assert len(one.salt) == 16
    assert (one.salt, one.digest) != (other.salt, other.digest)


def test_other_parameters_give_another_hash() -> None:
    """A hash is checked under those that are kept beside it."""
    kept = new_password_hash("correct horse", CHEAP_FOR_TESTS)
    assert not replace(kept, cost=replace(CHEAP_FOR_TESTS, iterations=2)).matches("correct horse")


@given(texts)
def test_no_password_matches_a_decoy(password: str) -> None:
    """It costs as much to find out as with a real one."""
    assert not decoy_hash(CHEAP_FOR_TESTS).matches(password)
    assert decoy_hash(OWASP_MINIMUM).cost == OWASP_MINIMUM


@pytest.mark.requirement("R29")
def test_hashes_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the library's comparison, right or wrong, with both whole digests."""
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return hmac.compare_digest(one, other)

    kept = new_password_hash("correct horse", CHEAP_FOR_TESTS)
    monkeypatch.setattr(passwords, "hmac", SimpleNamespace(compare_digest=compare))
    assert kept.matches("correct horse")
    assert not kept.matches("battery staple")
    assert [other for _, other in compared] == [kept.digest, kept.digest]
    assert all(len(one) == 64 for one, _ in compared)
