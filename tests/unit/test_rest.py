"""The rest after somebody waited for a store in vain."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from common.storage import rest
from common.storage.rest import Rest


def test_it_lasts_from_the_first_who_gave_up_and_any_success_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who give up while it is on do not make it longer."""
    now = [100.0]
    monkeypatch.setattr(rest, "time", SimpleNamespace(monotonic=lambda: now[0]))
    resting = Rest(1.0)
    assert not resting.is_on()
    resting.begin()
    now[0] = 100.9
    assert resting.is_on()
    resting.begin()
    now[0] = 101.0
    assert not resting.is_on()
    resting.begin()
    assert resting.is_on()
    resting.end()
    assert not resting.is_on()


def test_none_at_all() -> None:
    """With no seconds there is no rest."""
    resting = Rest(0.0)
    resting.begin()
    assert not resting.is_on()
