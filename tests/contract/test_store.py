"""The storage port's contract, the same for every engine: what its verbs promise to one caller."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from itertools import islice
from types import NoneType
from typing import Any

import pytest

from common.clock import system_clock, to_millis
from common.retry import RetryBudget
from common.storage.batches import put_each
from common.storage.bulk import bulk_store
from common.storage.engine_rules import size_of
from common.storage.enumeration import EnumerableStore
from common.storage.idempotent_commit import write_known, write_once
from common.storage.port import (
    Absent,
    Condition,
    Conflict,
    Delete,
    Equals,
    Item,
    Key,
    Put,
    Sort,
    Store,
    Table,
    Value,
    WritesRefused,
)
from common.storage.tables import DEVICES, LOGIN_HISTORY, NAMES, PAIRING_TOKENS, REVOCATIONS, USERS
from common.storage.write_guard import guard_writes
from tests.support.engines import Engine


def user(uuid: str, /, **attributes: Value) -> Item:
    """Return an item of UsersTable."""
    return {"uuid": uuid, **attributes}


def fill(store: Store, table: Table, partition: str, sorts: Sequence[Sort]) -> None:
    """Put an item at each sort key."""
    assert table.sort is not None
    put_each(store, [Put(table, {table.partition: partition, table.sort: sort}) for sort in sorts])


def sorts(table: Table, items: Sequence[Item]) -> list[Value]:
    """Return the sort keys of items, in their order."""
    assert table.sort is not None
    return [item[table.sort] for item in items]


class TestPutEach:
    def test_each_is_done_or_refused_for_itself(self, store: Store, own: str) -> None:
        """A conflict in the middle keeps none of the others out."""
        write_once(store, Put(USERS, user(f"{own}1", version=1)))
        outcomes = put_each(
            store,
            [
                Put(USERS, user(f"{own}0", version=1), Absent()),
                Put(USERS, user(f"{own}1", version=2), Absent()),
                Put(USERS, user(f"{own}1", version=3), Equals("version", 1)),
                Put(USERS, user(f"{own}1", version=4), Equals("version", 1)),
            ],
        )
        assert [type(outcome) for outcome in outcomes] == [NoneType, Conflict, NoneType, Conflict]
        assert store.get(USERS.key(f"{own}0")) == user(f"{own}0", version=1)
        assert store.get(USERS.key(f"{own}1")) == user(f"{own}1", version=3)

    def test_none_is_no_fault(self, store: Store) -> None:
        """Then nothing is asked."""
        assert list(put_each(store, [])) == []

    def test_one_that_breaks_the_bounds_is_refused(self, store: Store, own: str) -> None:
        """As by `put`."""
        with pytest.raises(ValueError, match="the key of a write"):
            put_each(store, [Put(USERS, {"uuid": own * 1024})])


class TestBulk:
    """For a move: many writes without conditions."""

    def test_all_of_them_are_done(self, store: Store, own: str) -> None:
        """Of two tables, more than an engine takes at once, over what lay there; what is to go is gone."""
        gone, other = [USERS.key(f"{own}-gone-{number}") for number in range(30)], USERS.key(f"{own}-other")
        for key in (*gone, other):
            write_once(store, Put(USERS, user(key.partition, version=1)))
        users = [user(f"{own}{number:03}", name="", version=2) for number in range(120)]
        write_once(store, Put(USERS, user(f"{own}007", version=1)))
        rows: list[Item] = [{"user_uuid": own, "change_no": number, "expires_at": None} for number in range(40)]
        puts = [*(Put(USERS, each) for each in users), *(Put(LOGIN_HISTORY, each) for each in rows)]
        bulk_store(store).write_bulk([*puts, *(Delete(key) for key in gone)])
        assert [store.get(put.key) for put in puts] == [put.item for put in puts]
        assert [store.get(key) for key in gone] == [None] * len(gone)
        assert store.get(other) == user(other.partition, version=1)

    def test_none_is_no_fault(self, store: Store) -> None:
        """Then nothing is asked."""
        bulk_store(store).write_bulk([])

    def test_what_no_engine_can_do_is_refused(self, store: Store, own: str) -> None:
        """A condition, or a key out of bounds: nothing is written then."""
        for refused in (
            Put(USERS, user(f"{own}b"), Absent()),
            Delete(USERS.key(own), Equals("a", 1)),
            Put(USERS, user("x" * 1025)),
        ):
            with pytest.raises(ValueError, match=r"bulk write|the key of a write"):
                bulk_store(store).write_bulk([Put(USERS, user(own)), refused])
        assert store.get(USERS.key(own)) is None

    def test_it_asks_whether_it_may_write(self, engine: Engine, own: str) -> None:
        """As every write does; nothing is written where it may not."""

        def refuse() -> None:
            raise WritesRefused("it is being moved")

        with closing(engine.open()) as store:
            guard_writes(store, refuse)
            with pytest.raises(WritesRefused):
                bulk_store(store).write_bulk([Put(USERS, user(own))])
            assert store.get(USERS.key(own)) is None


class TestGet:
    def test_finds_nothing_where_nothing_lies(self, store: Store, own: str) -> None:
        """An absent item is None, in a table with one key attribute and in one with two."""
        assert store.get(USERS.key(own)) is None
        assert store.get(DEVICES.key(own, "phone")) is None
        assert store.get(LOGIN_HISTORY.key(own, 1)) is None

    def test_returns_what_was_put(self, store: Store, own: str) -> None:
        """An item reads back equal, also through another store object."""
        write_once(store, Put(DEVICES, {"user_uuid": own, "device_id": "phone", "device_name": "電話"}))
        expected = {"user_uuid": own, "device_id": "phone", "device_name": "電話"}
        assert store.get(DEVICES.key(own, "phone")) == expected
        assert store.get(DEVICES.key(own, "other")) is None

    @pytest.mark.parametrize("text", ["", "x" * 1025, "\ud800"], ids=["empty", "long", "surrogate"])
    def test_finds_nothing_at_a_text_that_no_key_can_have(self, store: Store, own: str, text: str) -> None:
        """A stranger's text in a key is answered like any other unknown one."""
        assert store.get(USERS.key(text)) is None
        assert store.get(DEVICES.key(own, text)) is None
        assert store.query(DEVICES, text).items == ()

    def test_finds_nothing_at_a_number_that_no_key_can_have(self, store: Store, own: str) -> None:
        """So with numbers over 64 bits."""
        assert store.get(LOGIN_HISTORY.key(own, 2**63)) is None

    def test_refuses_a_key_of_the_wrong_shape(self, store: Store, own: str) -> None:
        """A missing, needless or mistyped sort key is a fault of the caller."""
        for key in (DEVICES.key(own), USERS.key(own, "x"), DEVICES.key(own, 1), LOGIN_HISTORY.key(own, "1")):
            with pytest.raises(ValueError, match="sort key"):
                store.get(key)


VALUES: dict[str, Value] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "negative": -7,
    "milliseconds": 1_795_251_600_250,
    "beyond a double": 2**53 + 1,
    "largest": 2**63 - 1,
    "smallest": -(2**63),
    "empty text": "",
    "Japanese": "一台だけの端末",
    "emoji": "👩‍👩‍👧‍👦 🏴",
    "line ends and NUL": "a\r\nb\x00c\x7f\u2028",
    "digits": "007",
    "list": ["a", 1, None, [], ["", [True]]],
    "map": {"uuid": "x", "名": {"deep": [{"deeper": {}}]}},
    "empty list": [],
    "empty map": {},
    "long": "é" * 500,
}


STRANGE: dict[str, Any] = {
    "float": 1.5,
    "whole float": [1.0],
    "bytes": b"x",
    "set": {1},
    "object": object(),
    "over 64 bits": 2**63,
    "under 64 bits": -(2**63) - 1,
    "half a surrogate pair": "\ud800",
    "half a pair inside": {"x": ["\udfff"]},
    "name of nothing": {"": 1},
    "name that is a number": {1: 1},
}


class TestValues:
    @pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
    def test_come_back_as_they_went(self, store: Store, own: str, value: Value) -> None:
        """Every kind of value keeps its type and content; True stays a bool and 1 an int."""
        write_once(store, Put(USERS, user(own, value=value, nested={"value": [value]})))
        found = store.get(USERS.key(own))
        assert found == user(own, value=value, nested={"value": [value]})
        assert type(found["value"]) is type(value)

    def test_reserved_words_are_names_like_others(self, store: Store, own: str) -> None:
        """Attribute names that an engine's own language uses are stored, compared and read back."""
        names = ("name", "state", "token", "size", "key", "status", "sort", "item", "a.b", "#x", ":y", "端末")
        item = user(own, **dict.fromkeys(names, "x"))
        write_once(store, Put(USERS, item))
        for name in names:
            write_once(store, Put(USERS, item, Equals(name, "x")))
        assert store.get(USERS.key(own)) == item

    @pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE.keys())
    def test_that_the_port_does_not_know_are_refused(self, store: Store, own: str, value: Any) -> None:
        """A float, bytes, a number over 64 bits or half a surrogate pair is an error, and nothing is written."""
        with pytest.raises((TypeError, ValueError)):
            write_once(store, Put(USERS, user(own, value=value)))
        assert store.get(NAMES.key(own)) is None
        with pytest.raises((TypeError, ValueError)):
            write_once(store, Put(USERS, user(own), Equals("value", value)))

    def test_may_lie_32_deep_and_no_deeper(self, store: Store, own: str) -> None:
        """The depth is bounded where DynamoDB bounds it."""
        deep: Value = "bottom"
        for _ in range(31):
            deep = [deep]
        write_once(store, Put(USERS, user(own, deep=deep)))
        assert store.get(USERS.key(own)) == user(own, deep=deep)
        with pytest.raises(ValueError, match="deep"):
            write_once(store, Put(USERS, user(own, deep=[deep])))


class TestQuery:
    NUMBERS = (-(2**63), -10, -9, 0, 1, 2, 9, 10, 11, 99, 100, 2**53 + 1, 2**63 - 1)
    TEXTS = ("!", "10", "9", "A", "Z", "a", "aa", "b", "é", "日", "ｚ", "😀")

    def test_numbers_are_ordered_as_numbers(self, store: Store, own: str) -> None:
        """10 comes after 9, and every 64-bit number has its place."""
        fill(store, LOGIN_HISTORY, own, self.NUMBERS[::-1])
        assert sorts(LOGIN_HISTORY, store.query(LOGIN_HISTORY, own).items) == list(self.NUMBERS)

    def test_texts_are_ordered_by_their_bytes(self, store: Store, own: str) -> None:
        """Texts follow each other as their UTF-8 bytes do."""
        fill(store, DEVICES, own, self.TEXTS[::-1])
        assert sorts(DEVICES, store.query(DEVICES, own).items) == list(self.TEXTS)

    @pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
    @pytest.mark.parametrize("limit", [1, 3, 4, 12, 13, 100])
    def test_pages_in_both_directions(self, store: Store, own: str, limit: int, *, descending: bool) -> None:
        """Following `after` page by page gives every item once, in order; `more` is true until the last page."""
        fill(store, LOGIN_HISTORY, own, self.NUMBERS)
        found: list[Value] = []
        after: Sort | None = None
        while True:
            page = store.query(LOGIN_HISTORY, own, after=after, limit=limit, descending=descending)
            found += sorts(LOGIN_HISTORY, page.items)
            assert page.more == (len(found) < len(self.NUMBERS))
            if not page.more:
                break
            assert len(page.items) == limit
            last = found[-1]
            assert isinstance(last, int)
            after = last
        assert found == sorted(self.NUMBERS, reverse=descending)

    def test_begins_beyond_after_whether_it_lies_there_or_not(self, store: Store, own: str) -> None:
        """`after` is a place in the order, not an item."""
        fill(store, DEVICES, own, ["b", "d", "f"])
        assert sorts(DEVICES, store.query(DEVICES, own, after="b").items) == ["d", "f"]
        assert sorts(DEVICES, store.query(DEVICES, own, after="c").items) == ["d", "f"]
        assert sorts(DEVICES, store.query(DEVICES, own, after="d", descending=True).items) == ["b"]
        assert sorts(DEVICES, store.query(DEVICES, own, after="e", descending=True).items) == ["d", "b"]
        assert store.query(DEVICES, own, after="f").items == ()

    def test_keeps_to_its_partition(self, store: Store, own: str) -> None:
        """Items of other partitions are not seen, not even of one whose name begins alike."""
        fill(store, DEVICES, own, ["a"])
        fill(store, DEVICES, own + "#failures", ["b"])
        page = store.query(DEVICES, own)
        assert (sorts(DEVICES, page.items), page.more) == (["a"], False)
        assert store.query(DEVICES, own[:-1]).items == ()

    def test_reads_beyond_a_megabyte(self, store: Store, own: str) -> None:
        """An engine that answers in pieces puts them together."""
        pad = "x" * 31_000
        for number in range(50):
            write_once(store, Put(LOGIN_HISTORY, {"user_uuid": own, "change_no": number, "pad": pad}))
        page = store.query(LOGIN_HISTORY, own, limit=49, descending=True)
        assert (sorts(LOGIN_HISTORY, page.items), page.more) == (list(range(49, 0, -1)), True)

    def test_refuses_impossible_questions(self, store: Store, own: str) -> None:
        """A page of no items, and a place of the wrong kind, are faults of the caller."""
        for limit in (0, -1):
            with pytest.raises(ValueError, match="at least one"):
                store.query(DEVICES, own, limit=limit)
        with pytest.raises(ValueError, match="sort key"):
            store.query(LOGIN_HISTORY, own, after="1")
        for table, after in ((LOGIN_HISTORY, 2**63), (DEVICES, ""), (DEVICES, "x" * 1025)):
            with pytest.raises(ValueError, match="after"):
                store.query(table, own, after=after)


CONDITIONS: list[tuple[str, Item | None, Condition, bool]] = [
    ("nothing asked, nothing there", None, None, True),
    ("nothing asked, an item there", {}, None, True),
    ("absent, nothing there", None, Absent(), True),
    ("absent, an item there", {}, Absent(), False),
    ("equal", {"version": 3}, Equals("version", 3), True),
    ("not equal", {"version": 4}, Equals("version", 3), False),
    ("no item", None, Equals("version", 3), False),
    ("no attribute", {}, Equals("version", 3), False),
    ("no attribute, null asked", {}, Equals("version", None), False),
    ("null", {"version": None}, Equals("version", None), True),
    ("null, another asked", {"version": None}, Equals("version", ""), False),
    ("empty text", {"version": ""}, Equals("version", ""), True),
    ("empty text, null asked", {"version": ""}, Equals("version", None), False),
    ("true", {"version": True}, Equals("version", True), True),  # noqa: FBT003
    ("true is not one", {"version": True}, Equals("version", 1), False),
    ("one is not true", {"version": 1}, Equals("version", True), False),  # noqa: FBT003
    ("zero is not false", {"version": 0}, Equals("version", False), False),  # noqa: FBT003
    ("a number is not a text", {"version": 1}, Equals("version", "1"), False),
    ("large", {"version": 2**53 + 1}, Equals("version", 2**53), False),
    ("text by its bytes", {"version": "é"}, Equals("version", "e\u0301"), False),
    ("list", {"version": [1, [True, ""]]}, Equals("version", [1, [True, ""]]), True),
    ("tuple for a list", {"version": [1, 2]}, Equals("version", (1, 2)), True),
    ("list in another order", {"version": [1, 2]}, Equals("version", [2, 1]), False),
    ("map", {"version": {"a": 1, "b": None}}, Equals("version", {"b": None, "a": 1}), True),
    ("map with true for one", {"version": {"a": 1}}, Equals("version", {"a": True}), False),
    ("the key itself", {}, Equals("user_uuid", "@own"), True),
]


class TestConditions:
    @pytest.mark.parametrize(("there", "when", "holds"), [c[1:] for c in CONDITIONS], ids=[c[0] for c in CONDITIONS])
    @pytest.mark.parametrize("delete", [False, True], ids=["put", "delete"])
    def test_decide_about_a_write(
        self, store: Store, own: str, there: Item | None, when: Condition, *, holds: bool, delete: bool
    ) -> None:
        """A put and a delete happen exactly if their condition holds; else everything stays as it was."""
        key = DEVICES.key(own, "d")
        if isinstance(when, Equals) and when.value == "@own":
            when = Equals(when.attribute, own)
        before: Item | None = None if there is None else {"user_uuid": own, "device_id": "d", **there}
        if before is not None:
            write_once(store, Put(DEVICES, before))
        after: Item = {"user_uuid": own, "device_id": "d", "new": 1}
        asked = Delete(key, when) if delete else Put(DEVICES, after, when)
        if not holds:
            with pytest.raises(Conflict):
                write_once(store, asked)
            assert store.get(key) == before
        else:
            write_once(store, asked)
            assert store.get(key) == (None if delete else after)

    def test_look_at_the_item_and_not_at_the_new_one(self, store: Store, own: str) -> None:
        """A condition judges what lies there, not what is to be written."""
        write_once(store, Put(USERS, user(own, version=1)))
        with pytest.raises(Conflict):
            write_once(store, Put(USERS, user(own, version=2), Equals("version", 2)))


class TestOneItem:
    """`put` and `delete`, beside what TestConditions says of them."""

    def test_replace_and_remove_whole_items(self, store: Store, own: str) -> None:
        """A put leaves nothing of what lay there; removing nothing is no fault."""
        store.put(USERS, user(own, old=1))
        store.put(USERS, user(own, new=2))
        assert store.get(USERS.key(own)) == user(own, new=2)
        for _ in range(2):
            store.delete(USERS.key(own))
        assert store.get(USERS.key(own)) is None

    @pytest.mark.parametrize("value", STRANGE.values(), ids=STRANGE.keys())
    def test_refuse_values_that_the_port_does_not_know(self, store: Store, own: str, value: Any) -> None:
        """In the item and in the condition; nothing is written."""
        for write in (Put(USERS, user(own, value=value)), Delete(USERS.key(own), Equals("value", value))):
            with pytest.raises((TypeError, ValueError)):
                write_once(store, write)
        assert store.get(USERS.key(own)) is None

    @pytest.mark.parametrize("table", [USERS, REVOCATIONS], ids=lambda table: table.name)
    def test_refuse_an_item_beyond_its_tables_largest(self, store: Store, own: str, table: Table) -> None:
        """To the byte, and the same on every engine; what lies there stays."""
        item: dict[str, Value] = dict.fromkeys(filter(None, (table.partition, table.sort)), own)
        fits = {**item, "pad": "x" * (table.largest - size_of({**item, "pad": ""}))}
        store.put(table, fits)
        larger = Put(table, {**fits, "pad": f"{fits['pad']}x"})
        with pytest.raises(ValueError, match="bytes, more than"):
            write_once(store, larger)
        assert store.get(table.key_of(fits)) == fits

    def test_refuse_a_key_that_no_item_can_have(self, store: Store, own: str) -> None:
        """An empty or long one, and one that is missing."""
        for text in ("", "x" * 1025):
            with pytest.raises(ValueError, match="key"):
                store.put(USERS, user(text))
            with pytest.raises(ValueError, match="key"):
                store.delete(USERS.key(text))
        with pytest.raises(KeyError):
            store.put(DEVICES, {"user_uuid": own})
        with pytest.raises(TypeError):
            store.put(DEVICES, {"user_uuid": own, "device_id": ["d"]})

    def test_of_many_at_once_one_holds(self, engine: Engine, own: str) -> None:
        """The condition is judged where the item is written: of 16 that saw the same version one is written."""
        stores = [engine.open() for _ in range(4)]
        stores[0].put(USERS, user(own, version=1))

        def rival(number: int) -> bool:
            try:
                write_known(
                    stores[number % 4], Put(USERS, user(own, version=2, by=number), Equals("version", 1)), RetryBudget()
                )
            except Conflict:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            won = [number for number, did in enumerate(pool.map(rival, range(16))) if did]
        assert len(won) == 1
        assert stores[0].get(USERS.key(own)) == user(own, version=2, by=won[0])
        for store in stores:
            store.close()


class TestPages:
    """The enumeration of a table, for maintenance."""

    def test_give_every_item_once(self, store: EnumerableStore, own: str) -> None:
        """Page by page, however small the pages are; other tables' items are not among them."""
        fill(store, DEVICES, own, [f"d{number}" for number in range(25)])
        store.put(USERS, user(own))
        pages = list(store.pages(DEVICES, limit=10))
        found = sorted(str(item["device_id"]) for page in pages for item in page if item["user_uuid"] == own)
        assert found == sorted(f"d{number}" for number in range(25))
        assert len(pages) > 2
        assert any(item == user(own) for page in store.pages(USERS) for item in page)

    def test_go_on_beyond_a_key_whether_it_lies_there_or_not(self, store: EnumerableStore, own: str) -> None:
        """So a page may be asked for by a request of its own, and each item is given once all the same."""
        people = sorted(f"{own}-{number}" for number in range(7))
        for person in people:
            store.put(USERS, user(person))
        found: list[str] = []
        after: Key | None = None
        while items := [item for page in islice(store.pages(USERS, 2, after), 1) for item in page]:
            found += [str(item["uuid"]) for item in items]
            after = USERS.key_of(items[-1])
            if items[-1]["uuid"] == people[3]:
                store.delete(after)
        assert sorted(uuid for uuid in found if uuid in people) == people
        store.put(DEVICES, {"user_uuid": own, "device_id": "d1"})
        rest = [item for page in store.pages(DEVICES, 3, DEVICES.key(own, "d1")) for item in page]
        assert [item for item in rest if (item["user_uuid"], item["device_id"]) == (own, "d1")] == []

    def test_bear_that_what_was_given_is_written_and_removed(self, store: EnumerableStore, own: str) -> None:
        """As maintenance does: nothing that stays is left out."""
        fill(store, DEVICES, own, [f"d{number:02}" for number in range(25)])
        seen = []
        for page in store.pages(DEVICES, limit=10):
            for item in page:
                if item["user_uuid"] != own:
                    continue
                seen.append(str(item["device_id"]))
                if item["device_id"] == "d07":
                    store.delete(DEVICES.key_of(item))
                else:
                    store.put(DEVICES, {**item, "swept": True})
        assert sorted(set(seen)) == [f"d{number:02}" for number in range(25)]


class TestExpiry:
    def test_an_expired_item_is_there_or_not_but_never_comes_back(self, store: Store, own: str) -> None:
        """An engine may purge late or never; what is gone stays gone, and conditions agree with what is read."""
        past = to_millis(system_clock() - timedelta(days=1))
        item: Item = {"token_hash": own, "expires_at": past, "state": "open"}
        write_once(store, Put(PAIRING_TOKENS, item))
        seen = []
        for number in range(12):
            write_once(store, Put(USERS, user(f"{own}{number}")))
            seen.append(store.get(PAIRING_TOKENS.key(own)))
        assert all(found in (item, None) for found in seen)
        assert None not in seen or all(found is None for found in seen[seen.index(None) :])
        newer: Item = {**item, "state": "new"}
        if seen[-1] is None:
            write_once(store, Put(PAIRING_TOKENS, newer, Absent()))
        else:
            write_once(store, Put(PAIRING_TOKENS, newer, Equals("state", "open")))
        assert store.get(PAIRING_TOKENS.key(own)) in (newer, None)

    def test_an_item_that_lives_is_never_purged(self, store: Store, own: str) -> None:
        """Neither a future end nor none at all is touched, and the item reads back without anything added."""
        future = to_millis(system_clock() + timedelta(minutes=10)) + 1
        lasting: list[Item] = [
            {"token_hash": own + "a", "expires_at": future},
            {"token_hash": own + "b", "expires_at": None},
            {"token_hash": own + "c"},
            {"token_hash": own + "d", "expires_at": True},
            {"token_hash": own + "e", "expires_at": ["never"]},
        ]
        put_each(store, [Put(PAIRING_TOKENS, item) for item in lasting])
        for number in range(12):
            write_once(store, Put(USERS, user(f"{own}{number}")))
        assert [store.get(PAIRING_TOKENS.key_of(item)) for item in lasting] == lasting

    def test_other_tables_may_hold_the_attribute_too(self, store: Store, own: str) -> None:
        """In a table that does not expire, `expires_at` and `ttl` are attributes like others."""
        item = user(own, expires_at=1, ttl=2)
        write_once(store, Put(USERS, item))
        for number in range(12):
            write_once(store, Put(USERS, user(f"{own}{number}")))
        assert store.get(USERS.key(own)) == item


class TestClose:
    def test_a_closed_store_opens_again(self, store: Store, own: str) -> None:
        """`close` lets go; a later call works as before, and closing twice is no fault."""
        write_once(store, Put(USERS, user(own)))
        store.close()
        store.close()
        assert store.get(USERS.key(own)) == user(own)
