"""What a look at the feed costs on DynamoDB while many sessions end."""

from __future__ import annotations

import math
import random
from datetime import timedelta
from typing import Any

from common.account.feed import Ending, FeedReader, feed_put
from common.account.history import Reason
from common.ids import new_id
from common.storage.port import Page
from tests.interleavings.memory_store import MemoryStore
from tests.unit.builders import SECOND, T0
from tests.unit.test_book import READ_UNIT, item_size

SECONDS = 60


class Counted(MemoryStore):
    """A store that counts the read units of its queries: whole ones of 4 KB each, and one where nothing is found."""

    units = 0

    def query(self, *arguments: Any, **more: Any) -> Page:
        """Query, and count."""
        page = super().query(*arguments, **more)
        self.units += max(1, math.ceil(sum(map(item_size, page.items)) / READ_UNIT))
        return page


def test_at_54_endings_a_second_a_look_costs_six_units_at_most() -> None:
    """On the average over a minute, its turn included; the looks that read all within reach count too."""
    store, chance, now = Counted(), random.Random(54), T0
    reader, before = FeedReader(store), 20
    for second in range(before + SECONDS):
        for _ in range(54):
            at = now + timedelta(milliseconds=chance.randrange(1000))
            put = feed_put([Ending(new_id(), new_id(), Reason.EXPIRED, at)], chance.randrange(1, 999), at)
            store.put(put.table, put.item)
        now += SECOND
        store.units = 0 if second == before else store.units
        reader.look(now)
    assert store.units / SECONDS <= 6
