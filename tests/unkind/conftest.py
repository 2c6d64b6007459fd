"""The use cases once more, over an engine that loses answers and deletes what has expired in the same millisecond.

A module here takes the tests of one there; `ELSEWHERE` says of each other one why it has none. What counts writes, or
tries that a lost answer spends too, runs where no answer is lost.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from common.storage.port import Store
from tests.support.unkind_store import Unkindness, UnkindStore
from tests.usecases.conftest import Build, anna, build_suite, clock, keys, laptop, suite
from tests.usecases.in_process_suite import HandClock, InProcessSuite

__all__ = ["anna", "build_suite", "clock", "keys", "laptop", "suite"]

MANY_TRIES = {f"ICHIDAI_LOGIN_ATTEMPTS_{name}": "1000000" for name in ("ACCOUNT", "ACCOUNT_SOURCE", "SOURCE", "OTP")}
"""A take whose answer was lost is made again and counts twice; that is tested where tries are."""

COUNTING = {
    "test_activity",
    "test_guessed_codes",
    "test_known_devices",
    "test_an_account_comes_with_its_first_device_in_one_commit",
    "test_every_ending_is_in_the_feed_as_it_is_in_the_history",
    "test_everything_of_it_changes_in_one_commit",
    "test_guesses_are_counted",
    "test_its_session_ends_and_its_certificate_is_revoked_in_one_change",
    "test_several_endings_of_one_change_are_one_item",
    "test_the_new_one_is_over_the_same_key_and_the_old_one_is_out",
    "test_then_a_wrong_password_does_not_and_is_counted",
    "test_wrong_ones_are_counted",
    "test_wrong_tries_are_counted",
}
"""Modules and tests that count what a lost answer makes more of: writes, and tries of a password or code;
or what is tried again a second later."""

LEFT_OUT = {
    "test_elsewhere_two_items_are_taken_from_and_given_back_to": "it counts calls, and the engine's deletes are some",
    "test_a_challenge_that_was_changed_is_not_ours": "it is refused before anything is stored, and takes long",
    "test_what_is_refused_at_enrolment": "it is refused before anything is stored, and takes long",
    "test_killed_at_any_write_it_is_taken_up_again": "it kills below the engine, at each write, and takes long",
}
"""Tests of a module that runs here otherwise, each with its reason."""

ELSEWHERE = {
    "accounts_command": "a command opens its store itself",
    "admin_app": "its app stands on the store below the suite",
    "audit_of_keys": "a command opens its store itself",
    "check_store": "a command opens its store itself",
    "clock_skew": "processes on one store, each with a clock; the engine deletes by one",
    "components": "parts without a suite",
    "doctor": "a command opens its store itself",
    "embedded": "a program opens its store itself",
    "fast_path": "it compares the calls of two paths",
    "forward_auth_methods": "how proxies ask; nothing is stored",
    "forwarded_certificates": "what proxies tell; nothing is stored",
    "idle_reads": "it counts reads",
    "log_canaries": "it looks at what is logged, by all modules of the suite",
    "move": "it moves between stores that commands open themselves",
    "on_loop": "prompt reads, which only SQLite has",
    "one_time": "processes on one store, each with a clock; the engine deletes by one",
    "policy": "a command opens its store itself",
    "readiness": "it counts probes, and plants its own failures",
    "sweep": "it has the unkind engine below a command, of its own",
    "store_failures": "it plants its own failures at each call",
}
"""Modules of use cases that do not run here, each with its reason."""


@pytest.fixture
def new_suite(request: pytest.FixtureRequest) -> Build:
    """Return what makes a suite that has the unkind engine before its store."""
    is_counting = not COUNTING.isdisjoint({request.path.stem, getattr(request.node, "originalname", "")})
    how = Unkindness(losing=not is_counting, at_once=True)

    def make(
        folder: Path, its_keys: Path, its_clock: HandClock, store: Store | None = None, **settings: Any
    ) -> InProcessSuite:
        wrap = partial(UnkindStore, clock=its_clock, how=how)
        tries = MANY_TRIES if how.losing else {}
        return InProcessSuite(folder, its_keys, its_clock, store, wrap, **{**tries, **settings})

    return make


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave tests out, and what would run over DynamoDB Local: the unkind engine stands for it, in less time."""
    here = Path(__file__).parent
    items[:] = [item for item in items if item.path.parent != here or not _is_left_out(item)]


def _is_left_out(item: pytest.Item) -> bool:
    called_with = getattr(item, "callspec", None)
    given = [] if called_with is None else list(called_with.params.values())
    return getattr(item, "originalname", item.name) in LEFT_OUT or "dynamodb" in given
