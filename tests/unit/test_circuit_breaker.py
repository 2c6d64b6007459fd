"""The rest after somebody waited for a store in vain."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from common.storage import circuit_breaker
from common.storage.circuit_breaker import CircuitBreaker


def test_it_lasts_from_the_first_who_gave_up_and_any_success_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who give up while it is on do not make it longer."""
    now = [100.0]
    monkeypatch.setattr(circuit_breaker, "time", SimpleNamespace(monotonic=lambda: now[0]))
    resting = CircuitBreaker(1.0)
    assert not resting.is_open()
    resting.open()
    now[0] = 100.9
    assert resting.is_open()
    resting.open()
    now[0] = 101.0
    assert not resting.is_open()
    resting.open()
    assert resting.is_open()
    resting.close()
    assert not resting.is_open()


def test_none_at_all() -> None:
    """With no seconds there is no rest."""
    resting = CircuitBreaker(0.0)
    resting.open()
    assert not resting.is_open()
