"""Identifiers and secrets: random, of full length, and recognised in one spelling only."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ids import is_id, new_change_id, new_id, new_secret
from tests.unit.builders import uuids


@pytest.mark.requirement("B15", "B29")
@pytest.mark.regression("X13")
def test_an_id_is_a_random_uuid() -> None:
    """122 random bits: no two are alike."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {uuid.UUID(each).version for each in ids} == {4}
    assert all(is_id(each) for each in ids)


def test_a_secret_has_256_bits() -> None:
    """In 43 characters that fit a URL."""
    secrets = {new_secret() for _ in range(1000)}
    assert len(secrets) == 1000
    assert {len(secret) for secret in secrets} == {43}


def test_the_id_of_a_change_has_72_bits() -> None:
    """In 12 characters, for a book carries up to 32 of them."""
    ids = {new_change_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(each) for each in ids} == {12}


@given(uuids)
def test_other_spellings_are_no_ids(text: str) -> None:
    """Upper case, braces, or without dashes."""
    assert is_id(text)
    for other in (text.upper(), f"{{{text}}}", text.replace("-", ""), f"urn:uuid:{text}", f" {text}"):
        assert other == text or not is_id(other)


@given(st.text())
def test_any_text_can_be_asked_about(text: str) -> None:
    """Junk is no id."""
    assert not is_id(text) or str(uuid.UUID(text)) == text
