"""The use cases once more, over an engine that loses answers and deletes what has expired in the same millisecond.

A module here takes the tests of one there, of those in which most is changed. What counts store calls is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.unkind_store import Unkindness, UnkindStore
from tests.usecases.conftest import Build, anna, clock, keys, laptop, suite
from tests.usecases.in_process_suite import HandClock, InProcessSuite

__all__ = ["anna", "clock", "keys", "laptop", "suite"]

MANY_TRIES = {f"ICHIDAI_LOGIN_ATTEMPTS_{name}": "1000000" for name in ("ACCOUNT", "ACCOUNT_SOURCE", "SOURCE", "OTP")}
"""A take whose answer was lost is made again and counts twice; that is tested where tries are."""


@pytest.fixture
def build_suite(tmp_path: Path, keys: Path, clock: HandClock) -> Iterator[Build]:
    """Return what builds a suite that has the unkind engine before its file."""
    with ExitStack() as suites:

        def build(its_clock: HandClock = clock, **more: Any) -> InProcessSuite:
            wrap = partial(UnkindStore, clock=its_clock, how=Unkindness(losing=True, at_once=True))
            return suites.enter_context(
                closing(InProcessSuite(tmp_path, keys, its_clock, wrap=wrap, **MANY_TRIES, **more))
            )

        yield build


COUNTING = {
    "test_an_account_comes_with_its_first_device_in_one_commit",
    "test_guesses_are_counted",
    "test_the_new_one_is_over_the_same_key_and_the_old_one_is_out",
    "test_wrong_ones_are_counted",
    "test_wrong_tries_are_counted",
    "test_everything_of_it_changes_in_one_commit",
    "test_its_session_ends_and_its_certificate_is_revoked_in_one_change",
    "test_then_a_wrong_password_does_not_and_is_counted",
}
"""Tests that count what a lost answer makes more of: commits, and tries of a password."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave them out."""
    here = Path(__file__).parent
    items[:] = [
        item for item in items if item.path.parent != here or getattr(item, "originalname", item.name) not in COUNTING
    ]
