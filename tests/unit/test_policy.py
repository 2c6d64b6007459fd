"""The policy's rules: what values make, what a host's start changes, which limit an older book is under."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from common.account.admission import ConcurrencyMode
from common.account.book import Book
from common.account.liveness import end_reason
from common.account.policy import Policy
from common.account.policy_record import PolicyRecord, announced, first_record
from common.account.policy_values import DEFAULTS, LIMIT, read_values, to_policy
from common.config import SettingsError, SettingsReader
from tests.unit.builders import MINUTE, T0, a_book, a_session

IDLE = "ICHIDAI_IDLE_SECONDS"


def values(**said: str) -> dict[str, str]:
    """Return the values that an environment says."""
    return read_values(SettingsReader(said))


def record(**said: str) -> PolicyRecord:
    """Return the first record of a store, made by host a."""
    return first_record(values(**said), "a", T0)


def limits(found: PolicyRecord) -> list[int]:
    """Return the limit that a book is under, by the number of the policy under which it was changed last."""
    policy = found.policy()
    return [policy.rules_for(Book("anna", policy=number)).limit for number in range(1, found.number + 1)]


def test_what_nothing_is_said_of_is_the_default() -> None:
    """Of the values and of the rules alike."""
    assert to_policy({}) == to_policy(DEFAULTS) == Policy()


def test_a_record_is_read_as_it_was_written_with_what_a_later_release_added() -> None:
    """Its members are carried through our writes."""
    made = record(MAX_CONCURRENT_DEVICES="3").changed({LIMIT: "1"}, who="me", why="so", now=T0 + MINUTE)
    item = {**made.to_item(), "quorum": {"of": 3}}
    found = PolicyRecord.from_item(item)
    assert found.to_item() == item
    changed = found.changed({LIMIT: "2"}, who="me", why="so", now=T0)
    assert changed.to_item()["quorum"] == {"of": 3}


def test_a_value_of_a_later_release_is_no_policy_of_ours() -> None:
    """It is never taken for one that we know."""
    made = record()
    later = PolicyRecord.from_item({**made.to_item(), "values": {**DEFAULTS, "ICHIDAI_CONCURRENCY_MODE": "vote"}})
    with pytest.raises(SettingsError):
        later.policy()


class TestLowerLimits:
    """A session that a limit refused is not brought back by a higher one."""

    def test_a_book_is_under_the_lowest_limit_since_its_last_change(self) -> None:
        """Of all that were in force after it."""
        found = record(MAX_CONCURRENT_DEVICES="3")
        for limit in ("1", "4", "2", "5"):
            found = found.changed({LIMIT: limit}, who="me", why="so", now=T0)
        assert limits(found) == [1, 1, 2, 2, 5]

    def test_no_limit_is_the_highest(self) -> None:
        """0 drops nothing of what was lower, and is dropped by anything."""
        found = record(MAX_CONCURRENT_DEVICES="0")
        for limit in ("2", "0", "3"):
            found = found.changed({LIMIT: limit}, who="me", why="so", now=T0)
        assert limits(found) == [2, 2, 3, 3]

    def test_it_keeps_no_more_than_there_are_limits(self) -> None:
        """However often it is changed."""
        found = record()
        for turn in range(500):
            found = found.changed({LIMIT: str(turn * 7 % 21)}, who="me", why="so", now=T0)
        assert len(found.lower) <= 20

    def test_a_session_refused_by_a_limit_stays_refused(self) -> None:
        """Under the raised limit the book of before is still judged by the lower one."""
        book = a_book(a_session("first", 1), a_session("second", 2))
        found = record(MAX_CONCURRENT_DEVICES="3").changed({LIMIT: "1"}, who="me", why="so", now=T0)
        raised = found.changed({LIMIT: "3"}, who="me", why="so", now=T0).policy()
        old = replace(book, policy=1)
        assert end_reason(old, old.sessions["second"], raised.rules_for(old), T0) == "over-limit"
        new = replace(book, policy=3)
        assert end_reason(new, new.sessions["second"], raised.rules_for(new), T0) is None


class TestAStart:
    """Unmanaged, a changed setting makes policy; a start alone does not."""

    def test_a_host_that_starts_unchanged_follows_and_is_warned(self) -> None:
        """Also when the policy is not what its settings say."""
        found = record(MAX_CONCURRENT_DEVICES="3").with_host("b", {})
        again, warning = announced(found, "b", values(), T0, others_serve=True)
        assert again is found
        assert warning is not None
        assert "MAX_CONCURRENT_DEVICES is 3, not 1" in warning

    def test_a_host_whose_setting_changed_sets_the_policy_of_all(self) -> None:
        """Of that setting alone: another difference of this host is not its change."""
        found = record(MAX_CONCURRENT_DEVICES="3", ICHIDAI_IDLE_SECONDS="100").with_host("b", {})
        changed, warning = announced(found, "b", values(MAX_CONCURRENT_DEVICES="2"), T0, others_serve=True)
        assert (changed.number, changed.values[LIMIT], changed.values[IDLE]) == (2, "2", "100")
        assert (changed.change.who, changed.change.was) == ("b", {LIMIT: "3"})
        assert warning is not None
        assert LIMIT not in warning
        assert announced(changed, "b", values(MAX_CONCURRENT_DEVICES="2"), T0, others_serve=True)[0] is changed

    def test_a_new_host_beside_others_follows(self) -> None:
        """It is remembered, so that a change of its settings counts later."""
        found, warning = announced(record(), "b", values(MAX_CONCURRENT_DEVICES="9"), T0, others_serve=True)
        assert (found.number, found.said_by("b")) == (1, {LIMIT: "9"})
        assert warning is not None

    def test_a_new_host_where_no_other_serves_sets_the_policy(self) -> None:
        """It took the others' place."""
        found, warning = announced(record(), "b", values(MAX_CONCURRENT_DEVICES="9"), T0, others_serve=False)
        assert (found.number, found.values[LIMIT], warning) == (2, "9", None)

    def test_a_setting_that_goes_back_to_its_default_is_a_change(self) -> None:
        """Whether it is taken out or written out."""
        found, _ = announced(record(MAX_CONCURRENT_DEVICES="3"), "a", values(), T0, others_serve=True)
        assert (found.number, found.values[LIMIT]) == (2, "1")

    def test_in_a_managed_policy_settings_only_warn(self) -> None:
        """What the host says is noted all the same."""
        managed = PolicyRecord.from_item({**record().to_item(), "managed": True})
        found, warning = announced(managed, "a", values(MAX_CONCURRENT_DEVICES="3"), T0, others_serve=False)
        assert (found.number, found.said_by("a")) == (1, {LIMIT: "3"})
        assert warning is not None

    def test_settings_that_do_not_go_with_the_policy_are_not_taken(self) -> None:
        """No device proof, while other hosts ask for signatures after evictions."""
        found = record(ICHIDAI_EVICTIONS_BEFORE_SIGNATURE="3").with_host("b", {})
        changed, warning = announced(found, "b", values(ICHIDAI_DEVICE_PROOF="none"), T0, others_serve=True)
        assert changed.number == 1
        assert warning is not None

    def test_only_so_many_hosts_are_remembered(self) -> None:
        """Those that changed last: names of machines that come and go do not fill the item."""
        found = record()
        for number in range(100):
            found = found.with_host(f"host{number}", {})
        assert len(found.hosts) == 64
        assert found.said_by("host99") == {}


def test_an_operators_change_is_validated_whole() -> None:
    """With the values that stay."""
    with pytest.raises(SettingsError, match="there are no keys"):
        record(ICHIDAI_DEVICE_PROOF="none").changed(
            {"ICHIDAI_EVICTIONS_BEFORE_SIGNATURE": "2"}, who="me", why="so", now=T0
        )
    with pytest.raises(SettingsError, match="whole number from 0 to 20"):
        record().changed({LIMIT: "21"}, who="me", why="so", now=T0)


def test_every_value_has_its_place_in_the_policy() -> None:
    """None is read and dropped."""
    for name, value in DEFAULTS.items():
        changed = {"ask": "evict", "fingerprint": "signature", "true": "false", "off": "ask"}.get(value) or str(
            int(value) + 7
        )
        assert to_policy({**DEFAULTS, name: changed}) != Policy(), name
    assert to_policy({"ICHIDAI_CONCURRENCY_MODE": "reject"}).mode is ConcurrencyMode.REJECT
