"""One policy for all processes of a store, whatever their own settings say."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from common.account.policy_store import TRUSTED_SECONDS, PolicyProvider, read_record, set_policy
from common.account.policy_values import LIMIT
from common.keys.keyring import FILE_NAME
from common.storage.tables import KEY_RING
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import T0, HandClock, InProcessSuite, code_of, ended

OtherHost = Callable[..., InProcessSuite]


@pytest.fixture
def other_host(tmp_path: Path, keys: Path, clock: HandClock) -> OtherHost:
    """Return what builds a suite on the same store with keys of its own folder: another host."""
    folder = tmp_path / "other-keys"
    folder.mkdir()

    def build(**settings: Any) -> InProcessSuite:
        for file in keys.iterdir():
            if file.is_file() and file.name != "host":
                shutil.copy(file, folder / file.name)
        assert (folder / FILE_NAME).exists()
        return InProcessSuite(tmp_path, folder, clock, **settings)

    return build


def change(suite: InProcessSuite, **values: str) -> None:
    """Set the policy as the operator does."""
    set_policy(suite.store.inner, values, who="operator", why="a test", now=T0)


def serving(suite: InProcessSuite) -> None:
    """Say that a server was ready on the store just now."""
    suite.suite.readiness.refresh()


def policies_of(suite: InProcessSuite) -> PolicyProvider:
    """Return where a suite knows the policy."""
    found = suite.suite.policies
    assert isinstance(found, PolicyProvider)
    return found


def test_two_hosts_with_different_settings_give_the_same_answers(build_suite: Build, other_host: OtherHost) -> None:
    """The one that came later follows the policy, and says so nowhere but in the log."""
    first = build_suite(MAX_CONCURRENT_DEVICES="2")
    serving(first)
    second = other_host(MAX_CONCURRENT_DEVICES="1", ICHIDAI_CONCURRENCY_MODE="evict")
    anna = first.register()
    laptop, tablet = first.pair(anna, "Laptop"), first.pair(anna, "Tablet")
    phone = first.log_in(anna)
    second.log_in(anna, laptop)
    assert first.verify(phone).status_code == second.verify(phone).status_code == 200
    assert code_of(first.login(anna, tablet)) == code_of(second.login(anna, tablet)) == (409, "device-active")
    about = [suite.get("/.well-known/ichidai.json").get_json() for suite in (first, second)]
    assert [(each["max_concurrent_devices"], each["concurrency_mode"]) for each in about] == [(2, "ask")] * 2


def test_a_changed_setting_is_policy_for_all(build_suite: Build, other_host: OtherHost) -> None:
    """A process that knows an earlier one learns of it from the account that was changed under it."""
    first = build_suite(MAX_CONCURRENT_DEVICES="2")
    serving(first)
    anna = first.register()
    laptop = first.pair(anna)
    phone, other = first.log_in(anna), first.log_in(anna, laptop)
    other_host(MAX_CONCURRENT_DEVICES="2").close()
    second = other_host(MAX_CONCURRENT_DEVICES="1")
    assert policies_of(first).current().number == 1
    assert ended(second.verify(other)) == "over-limit"
    assert first.verify(other).status_code == 200, "its word counts until it has read the policy"
    assert second.refresh(phone.refresh).status_code == 200
    assert first.book(anna).policy == 2
    assert ended(first.verify(other)) == "over-limit", "the book told it of a later policy"
    assert policies_of(first).current().rules.limit == 1


def test_what_is_over_the_limit_leaves_with_the_next_change_and_never_comes_back(build_suite: Build) -> None:
    """Neither after the change, nor when the limit is raised before there was one."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="2")
    anna, ben = suite.register("anna"), suite.register("ben")
    annas = suite.log_in(anna), suite.log_in(anna, suite.pair(anna))
    bens = suite.log_in(ben), suite.log_in(ben, suite.pair(ben))
    change(suite, **{LIMIT: "1"})
    policies_of(suite).reread()
    assert [ended(suite.verify(each)) for each in (annas[1], bens[1])] == ["over-limit"] * 2
    assert suite.refresh(annas[0].refresh).status_code == 200
    assert list(suite.book(anna).sessions) == [annas[0].session_id], "a refresh is a change"
    assert suite.endings(anna)[-1][:2] == (annas[1].session_id, "over-limit")
    change(suite, **{LIMIT: "3"})
    policies_of(suite).reread()
    assert [ended(suite.verify(each)) for each in (annas[1], bens[1])] == ["over-limit"] * 2
    assert suite.refresh(bens[0].refresh).status_code == 200
    assert list(suite.book(ben).sessions) == [bens[0].session_id]
    assert suite.log_in(ben, suite.pair(ben, "Tablet"))
    assert suite.verify(bens[0]).status_code == 200, "the higher limit holds for whoever comes now"


def test_activity_alone_takes_what_is_over_the_limit_out(build_suite: Build) -> None:
    """What the background writes is a change like any other."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="2", ICHIDAI_LAST_SEEN_SECONDS="1")
    anna = suite.register()
    phone, laptop = suite.log_in(anna), suite.log_in(anna, suite.pair(anna))
    change(suite, **{LIMIT: "1"})
    policies_of(suite).reread()
    suite.clock.now = T0.replace(minute=5)
    assert suite.verify(phone).status_code == 200
    suite.wait_a_second()
    assert list(suite.book(anna).sessions) == [phone.session_id]
    assert ended(suite.verify(laptop)) == "over-limit"


def test_without_the_policy_nothing_is_decided(build_suite: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """After four seconds without it requests are answered 503, and the policy's being gone is no policy either."""
    suite = build_suite()
    anna = suite.register()
    phone = suite.log_in(anna)
    policies = policies_of(suite)
    policies.watch()
    later = time.monotonic() + TRUSTED_SECONDS + 0.5
    assert suite.verify(phone).status_code == 200
    item = suite.store.inner.get(KEY_RING.key("policy"))
    assert item is not None
    suite.store.inner.delete(KEY_RING.key("policy"))
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert code_of(suite.verify(phone)) == (503, "store-unavailable")
    assert code_of(suite.login(anna)) == (503, "store-unavailable")
    suite.store.inner.put(KEY_RING, item)
    assert suite.verify(phone).status_code == 200


def test_an_account_of_a_policy_that_the_store_does_not_have_is_not_judged(build_suite: Build) -> None:
    """A part of the store is older than the rest: nobody is told a guess."""
    suite = build_suite()
    anna = suite.register()
    phone = suite.log_in(anna)
    suite.put_book(replace(suite.book(anna), policy=7))
    assert code_of(suite.verify(phone)) == (503, "store-unavailable")


def test_every_change_is_kept_with_who_and_why(build_suite: Build) -> None:
    """The last in the record, those before it under their numbers."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="2")
    store = suite.store.inner
    for limit in ("1", "3"):
        set_policy(store, {LIMIT: limit}, who="eve", why=f"{limit} is better", now=T0)
    record = read_record(store)
    assert record is not None
    assert (record.number, record.managed, record.change.why) == (3, True, "3 is better")
    kept = store.get(KEY_RING.key("policy#2"))
    assert kept is not None
    assert (kept["who"], kept["why"], kept["was"], kept["became"]) == ("eve", "1 is better", {LIMIT: "2"}, {LIMIT: "1"})
    assert store.get(KEY_RING.key("policy#1")) is not None


def test_the_device_proof_changes_while_it_runs(build_suite: Build) -> None:
    """What a login must show is the policy's to say, at every request."""
    suite = build_suite()
    anna = suite.register()
    assert code_of(suite.post("/login", {"username": "anna", "password": anna.password})) == (400, "missing-fields")
    change(suite, ICHIDAI_DEVICE_PROOF="none")
    policies_of(suite).reread()
    assert suite.post("/login", {"username": "anna", "password": anna.password}).status_code == 200
    change(suite, ICHIDAI_DEVICE_PROOF="signature")
    policies_of(suite).reread()
    assert code_of(suite.login(anna, force=True)) == (401, "proof-required")
