"""What the DynamoDB engine makes of a network and a service that fail: real boto3, a misbehaving endpoint."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from common.retry import RetryBudget, deadline
from common.storage.dynamodb.client import Limits, TableLocation, as_unavailable, make_client, open_client
from common.storage.dynamodb.codec import bulk_to_wire
from common.storage.dynamodb.errors import FailureKind, classify
from common.storage.dynamodb.http_connection import HttpConnection, HttpResponse
from common.storage.dynamodb.store import DynamoStore
from common.storage.eventual_reads import get_eventual
from common.storage.idempotent_commit import write_known
from common.storage.port import Absent, Conflict, Delete, Equals, Item, OutcomeUnknown, Put, Store, StoreUnavailable
from common.storage.tables import LOGIN_HISTORY, PAIRING_TOKENS, USERS
from tests.support import dynamodb_local
from tests.support.engines import Engine
from tests.support.faulty_endpoint import (
    Answer,
    Fate,
    FaultyEndpoint,
    Forward,
    answer_late,
    fail_after,
    lose_answer,
    lose_request,
    refuse,
    say,
    truncate,
)
from tests.support.servers import until

ROOT = Path(__file__).parents[2]
LIMITS = Limits(connect=1.0, answer=1.0, wait=5.0, cooldown=0.0)
CAPACITY = {"ReturnConsumedCapacity": "TOTAL"}
IMPATIENT = Limits(connect=0.5, answer=0.8, wait=0.4, cooldown=0.0)
LOST: dict[str, Fate] = {
    "answer lost": lose_answer,
    "answer late": answer_late(1.5),
    "error after the write": fail_after,
    "answer cut in two": truncate,
    "502 of a proxy": lambda forward: (forward(), say(502, "<html>Bad Gateway</html>")(forward))[1],
    "200 of a stranger": lambda forward: (forward(), say(200, "<html>Welcome</html>")(forward))[1],
    "200 of nobody": lambda forward: (forward(), say(200, "{}")(forward))[1],
}
SLOW = 5.0
"""How much longer than it was told a store may take on a shared machine."""

THROTTLES = {
    "throughput": refuse("ProvisionedThroughputExceededException"),
    "throttling": refuse("ThrottlingException"),
    "request limit": refuse("RequestLimitExceeded"),
}


@pytest.fixture(scope="module")
def endpoint(dynamodb: Engine) -> Iterator[FaultyEndpoint]:
    """Return an endpoint in front of DynamoDB Local."""
    assert dynamodb.region
    endpoint = FaultyEndpoint(dynamodb_local.shared().endpoint)
    yield endpoint
    endpoint.stop()


@pytest.fixture(autouse=True)
def in_order(endpoint: FaultyEndpoint) -> None:
    """Let the endpoint begin every test in order."""
    endpoint.expect()


@pytest.fixture(scope="module")
def place(dynamodb: Engine, endpoint: FaultyEndpoint) -> TableLocation:
    """Return the contract's tables as seen through the endpoint."""
    prefix = dynamodb.url.removeprefix("dynamodb://").partition("?")[0]
    return TableLocation(dynamodb_local.REGION, prefix, endpoint.url)


@pytest.fixture(scope="module")
def faulty(place: TableLocation) -> Iterator[Store]:
    """Return a store that goes through the endpoint."""
    store = DynamoStore(place, LIMITS)
    yield store
    store.close()


@pytest.fixture(scope="module")
def direct(dynamodb: Engine) -> Iterator[Store]:
    """Return a store that goes around the endpoint."""
    store = dynamodb.open()
    yield store
    store.close()


@pytest.fixture(scope="module")
def impatient(place: TableLocation) -> Iterator[Store]:
    """Return a store that goes through the endpoint and soon gives up."""
    store = DynamoStore(place, IMPATIENT)
    yield store
    store.close()


def put_first(store: Store, own: str) -> None:
    """Write what holds once: done twice, its condition fails."""
    store.put(USERS, {"uuid": own, "version": 1}, Absent())


def both(store: Store, own: str) -> list[Callable[[], object]]:
    """Return a write and a read."""
    return [lambda: put_first(store, own), lambda: store.get(USERS.key(own))]


class TestALostWrite:
    """Of one item: there is no token; the condition alone lets it happen once."""

    @pytest.mark.parametrize("fate", LOST.values(), ids=LOST.keys())
    def test_whose_condition_fails_when_it_is_sent_again_is_unknown(
        self, faulty: Store, endpoint: FaultyEndpoint, own: str, fate: Fate
    ) -> None:
        """It is no conflict: the first sending may be why. `write_known` finds out that it was."""
        endpoint.expect([fate])
        with pytest.raises(OutcomeUnknown):
            faulty.put(USERS, {"uuid": own, "version": 1}, Absent())
        assert endpoint.bodies[0] == endpoint.bodies[1]
        assert faulty.get(USERS.key(own)) == {"uuid": own, "version": 1}
        endpoint.expect([fate])
        write_known(faulty, Put(USERS, {"uuid": own, "version": 2}, Equals("version", 1)), RetryBudget())
        assert faulty.get(USERS.key(own)) == {"uuid": own, "version": 2}
        endpoint.expect([fate])
        write_known(faulty, Delete(USERS.key(own), Equals("version", 2)), RetryBudget())
        assert faulty.get(USERS.key(own)) is None

    def test_that_never_arrived_is_done_when_it_is_sent_again(
        self, faulty: Store, endpoint: FaultyEndpoint, own: str
    ) -> None:
        """Its condition holds still."""
        endpoint.expect([lose_request])
        faulty.put(USERS, {"uuid": own, "version": 1}, Absent())
        assert faulty.get(USERS.key(own)) == {"uuid": own, "version": 1}

    def test_that_was_overtaken_is_a_conflict(
        self, faulty: Store, direct: Store, endpoint: FaultyEndpoint, own: str
    ) -> None:
        """What lies there is another's."""
        was_overtaken = threading.Event()

        def overtaken(_forward: Forward) -> None:
            direct.put(USERS, {"uuid": own, "version": 7})
            was_overtaken.set()

        def after_it(forward: Forward) -> Answer:
            assert was_overtaken.wait(60)
            return forward()

        endpoint.expect([overtaken], then=after_it)
        with pytest.raises(Conflict):
            write_known(faulty, Put(USERS, {"uuid": own, "version": 1}, Absent()), RetryBudget())
        assert direct.get(USERS.key(own)) == {"uuid": own, "version": 7}

    @pytest.mark.parametrize("fate", LOST.values(), ids=LOST.keys())
    def test_is_unknown_while_no_answer_comes(
        self, impatient: Store, direct: Store, endpoint: FaultyEndpoint, own: str, fate: Fate
    ) -> None:
        """Past the wait it is unknown, neither conflict nor success; so it is past the caller's deadline."""
        endpoint.expect(then=fate)
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            put_first(impatient, own)
        assert time.monotonic() - began < IMPATIENT.wait + IMPATIENT.connect + IMPATIENT.answer + SLOW
        with pytest.raises(OutcomeUnknown):
            write_known(impatient, Put(USERS, {"uuid": own + "b"}, Absent()), RetryBudget(0.2))
        assert direct.get(USERS.key(own)) == {"uuid": own, "version": 1}

    @pytest.mark.parametrize(
        "then", [refuse("AccessDeniedException"), refuse("ThrottlingException")], ids=["refused", "throttled"]
    )
    def test_stays_unknown_whatever_else_is_answered(
        self, impatient: Store, direct: Store, endpoint: FaultyEndpoint, own: str, then: Fate
    ) -> None:
        """A refusal of the repetition says nothing about the first sending."""
        endpoint.expect([lose_answer], then=then)
        with pytest.raises(OutcomeUnknown):
            put_first(impatient, own)
        assert direct.get(USERS.key(own)) == {"uuid": own, "version": 1}

    def test_that_was_only_refused_for_now_was_not_done(
        self, impatient: Store, direct: Store, endpoint: FaultyEndpoint, own: str
    ) -> None:
        """A throttled write is known not to have happened."""
        endpoint.expect(then=THROTTLES["throttling"])
        with pytest.raises(StoreUnavailable) as fault:
            impatient.put(USERS, {"uuid": own, "version": 1}, Absent())
        assert not isinstance(fault.value, OutcomeUnknown)
        assert direct.get(USERS.key(own)) is None


class TestAThrottledCall:
    @pytest.mark.parametrize("fate", THROTTLES.values(), ids=THROTTLES.keys())
    def test_is_tried_again(self, faulty: Store, endpoint: FaultyEndpoint, own: str, fate: Fate) -> None:
        """Three refusals for now cost a few milliseconds; they are never a conflict."""
        endpoint.expect([fate] * 3)
        put_first(faulty, own)
        assert len(endpoint.bodies) == 4

    @pytest.mark.parametrize("fate", THROTTLES.values(), ids=THROTTLES.keys())
    def test_is_unavailable_past_the_wait(
        self, impatient: Store, direct: Store, endpoint: FaultyEndpoint, own: str, fate: Fate
    ) -> None:
        """It is known that nothing was written."""
        endpoint.expect(then=fate)
        with pytest.raises(StoreUnavailable) as fault:
            put_first(impatient, own)
        assert not isinstance(fault.value, OutcomeUnknown)
        assert direct.get(USERS.key(own)) is None

    def test_reads_are_tried_again_too(self, faulty: Store, endpoint: FaultyEndpoint, own: str) -> None:
        """So with a get and with every piece of a query."""
        endpoint.expect([THROTTLES["throttling"]])
        assert faulty.get(USERS.key(own)) is None
        endpoint.expect([THROTTLES["throughput"]])
        assert faulty.query(LOGIN_HISTORY, own).items == ()


class TestABulkWrite:
    """Of a move: BatchWriteItem answers what it has not done, which is no fault."""

    @pytest.fixture
    def puts(self, own: str) -> list[Put]:
        """Return what is to be written: one request."""
        return [Put(USERS, {"uuid": f"{own}{number}", "version": number}) for number in range(20)]

    @staticmethod
    def left(puts: list[Put], place: TableLocation) -> Fate:
        """Answer that these were not done; the request does not arrive."""
        unprocessed = bulk_to_wire(puts, place.prefix)
        return say(200, json.dumps({"UnprocessedItems": unprocessed, "ConsumedCapacity": []}))

    def test_sends_what_was_left_again(
        self, faulty: DynamoStore, direct: Store, endpoint: FaultyEndpoint, puts: list[Put], place: TableLocation
    ) -> None:
        """That alone, as often as it is left."""
        endpoint.expect([self.left(puts, place), self.left(puts[5:], place), self.left(puts[5:], place)])
        faulty.write_bulk(puts)
        sent = [body["RequestItems"][f"{place.prefix}UsersTable"] for body in endpoint.bodies]
        assert [len(each) for each in sent] == [20, 20, 15, 15]
        assert [direct.get(put.key) for put in puts] == [None] * 5 + [put.item for put in puts[5:]]

    @pytest.mark.parametrize("fate", LOST.values(), ids=LOST.keys())
    def test_is_sent_again_when_its_answer_is_lost(
        self, faulty: DynamoStore, direct: Store, endpoint: FaultyEndpoint, puts: list[Put], fate: Fate
    ) -> None:
        """Done twice it is as done once."""
        endpoint.expect([fate, THROTTLES["throttling"]])
        faulty.write_bulk(puts)
        assert [direct.get(put.key) for put in puts] == [put.item for put in puts]

    def test_is_unknown_once_nothing_more_is_done(
        self, endpoint: FaultyEndpoint, puts: list[Put], place: TableLocation
    ) -> None:
        """For as long as the store waits; some of it may be done."""
        endpoint.expect(then=self.left(puts, place))
        waiting = Limits(connect=0.5, answer=5.0, wait=2.0, cooldown=0.0)  # time for several on a busy machine
        with closing(DynamoStore(place, waiting)) as store, pytest.raises(OutcomeUnknown, match="takes no more"):
            store.write_bulk(puts)
        assert len(endpoint.bodies) > 2


class TestAConflict:
    def test_is_told_at_once(self, faulty: Store, endpoint: FaultyEndpoint, own: str) -> None:
        """A condition that failed is not asked for again, and attributes are named by aliases only."""
        put_first(faulty, own)
        endpoint.expect()
        with pytest.raises(Conflict):
            put_first(faulty, own)
        (sent,) = endpoint.bodies
        assert sent["ConditionExpression"] == "attribute_not_exists(#a)"
        assert sent["ExpressionAttributeNames"] == {"#a": "uuid"}


class TestARead:
    @pytest.mark.parametrize("fate", [*LOST.values(), lose_request], ids=[*LOST.keys(), "request lost"])
    def test_is_asked_again(self, faulty: Store, direct: Store, endpoint: FaultyEndpoint, own: str, fate: Fate) -> None:
        """A lost, late, cut or foreign answer is no answer, and above all not "there is nothing"."""
        direct.put(USERS, {"uuid": own, "version": 1, "pad": "x" * 500})
        endpoint.expect([fate])
        found = faulty.get(USERS.key(own))
        assert found is not None
        assert found["version"] == 1

    @pytest.mark.parametrize("fate", [*LOST.values(), lose_request], ids=[*LOST.keys(), "request lost"])
    def test_is_unavailable_past_the_wait(
        self, impatient: Store, direct: Store, endpoint: FaultyEndpoint, own: str, fate: Fate
    ) -> None:
        """Never None, never unknown, and not much later than the wait."""
        direct.put(LOGIN_HISTORY, {"user_uuid": own, "change_no": 1})
        endpoint.expect(then=fate)
        for read in (lambda: impatient.get(LOGIN_HISTORY.key(own, 1)), lambda: impatient.query(LOGIN_HISTORY, own)):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable) as fault:
                read()
            assert time.monotonic() - began < IMPATIENT.wait + IMPATIENT.connect + IMPATIENT.answer + SLOW
            assert not isinstance(fault.value, OutcomeUnknown)


ADVICE = {
    "ResourceNotFoundException": "ichidai tables create",
    "AccessDeniedException": "permission",
    "UnrecognizedClientException": "credentials",
    "InvalidSignatureException": "clock",
    "ExpiredTokenException": "credentials",
}


class TestARefusal:
    @pytest.mark.parametrize(("code", "advice"), ADVICE.items())
    def test_says_what_to_do_and_is_not_repeated(
        self, faulty: Store, endpoint: FaultyEndpoint, own: str, code: str, advice: str
    ) -> None:
        """What waiting does not mend is told at once, with advice; nothing was written.

        A read is asked once more by boto3's client, which knows what the refusal means.
        """
        for call, sent in zip(both(faulty, own), (1, 2), strict=True):
            endpoint.expect(then=refuse(code))
            with pytest.raises(StoreUnavailable, match=advice) as fault:
                call()
            assert not isinstance(fault.value, OutcomeUnknown)
            assert len(endpoint.bodies) == sent

    @pytest.mark.parametrize(
        "fate",
        [refuse("ValidationException"), refuse("SerializationException")],
        ids=["validation", "serialization"],
    )
    def test_of_a_wrong_request_is_a_fault_of_ours(
        self, faulty: Store, endpoint: FaultyEndpoint, own: str, fate: Fate
    ) -> None:
        """It is raised as such, not hidden behind "try again later"."""
        endpoint.expect(then=fate)
        with pytest.raises(ValueError, match="DynamoDB"):
            put_first(faulty, own)

    def test_for_want_of_tables(self, place: TableLocation, own: str) -> None:
        """With another prefix nothing is there, and the text says how to make it."""
        empty = DynamoStore(replace(place, prefix="nowhere_"), LIMITS)
        for call in both(empty, own):
            with pytest.raises(StoreUnavailable, match="ichidai tables create"):
                call()
        empty.close()

    def test_for_want_of_credentials(
        self, place: TableLocation, endpoint: FaultyEndpoint, own: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing is sent without credentials, and the text names the variables."""
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        poor = DynamoStore(place, LIMITS)
        for call in both(poor, own):
            with pytest.raises(StoreUnavailable, match="AWS_ACCESS_KEY_ID") as fault:
                call()
            assert not isinstance(fault.value, OutcomeUnknown)
        assert endpoint.bodies == []


def test_nobody_listening_is_unavailable_until_somebody_does(own: str, dynamodb: Engine, place: TableLocation) -> None:
    """With the service away each call ends soon, nothing is written or unknown; once it is back all is well at once."""
    away = FaultyEndpoint(dynamodb_local.shared().endpoint)
    store = DynamoStore(replace(place, endpoint=away.url), LIMITS)
    assert store.get(USERS.key(own)) is None
    away.stop()
    for call in both(store, own):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable) as fault:
            call()
        assert not isinstance(fault.value, OutcomeUnknown)
        assert time.monotonic() - began < LIMITS.wait + LIMITS.connect + SLOW
    back = FaultyEndpoint(dynamodb_local.shared().endpoint, port=away.port)
    put_first(store, own)
    assert store.get(USERS.key(own)) == {"uuid": own, "version": 1}
    store.close()
    back.stop()


class TestAfterSilence:
    """Once somebody has waited in vain nobody else waits, for a moment."""

    @pytest.fixture
    def resting(self, place: TableLocation) -> Iterator[DynamoStore]:
        """Return a store that rests for long."""
        store = DynamoStore(place, replace(IMPATIENT, cooldown=60.0))
        yield store
        store.close()

    def test_nobody_is_sent(self, resting: DynamoStore, endpoint: FaultyEndpoint, own: str) -> None:
        """Both verbs are unavailable at once, and a write that was not sent is not unknown."""
        endpoint.expect(then=answer_late(1.5))
        with pytest.raises(StoreUnavailable):
            resting.get(USERS.key(own))
        endpoint.expect()
        for call in both(resting, own):
            with pytest.raises(StoreUnavailable, match="a moment ago") as fault:
                call()
            assert not isinstance(fault.value, OutcomeUnknown)
        assert endpoint.bodies == []

    @pytest.mark.parametrize("fate", [*THROTTLES.values(), fail_after], ids=[*THROTTLES, "500"])
    def test_an_error_is_an_answer(self, resting: DynamoStore, endpoint: FaultyEndpoint, own: str, fate: Fate) -> None:
        """Who is refused for now is not silent: the others go on asking."""
        endpoint.expect(then=fate)
        with pytest.raises(StoreUnavailable):
            put_first(resting, own)
        endpoint.expect()
        resting.put(USERS, {"uuid": own})
        assert resting.get(USERS.key(own)) == {"uuid": own}

    def test_it_is_over_by_itself(self, place: TableLocation, endpoint: FaultyEndpoint, own: str) -> None:
        """A moment later somebody is sent again, and an answer is an answer."""
        store = DynamoStore(place, replace(IMPATIENT, cooldown=0.2))
        endpoint.expect(then=answer_late(1.5))
        with pytest.raises(StoreUnavailable):
            store.get(USERS.key(own))
        endpoint.expect()
        until(lambda: not store._circuit.is_open(), "the rest is over")
        assert store.get(USERS.key(own)) is None
        store.close()


def test_nothing_is_sent_when_a_requests_time_is_up(faulty: Store, endpoint: FaultyEndpoint, own: str) -> None:
    """Neither a read nor a write, which is then not unknown."""
    with deadline(0.0):
        for call in both(faulty, own):
            with pytest.raises(StoreUnavailable) as fault:
                call()
            assert not isinstance(fault.value, OutcomeUnknown)
    assert endpoint.bodies == []


def test_boto3_repeats_nothing_on_its_own(place: TableLocation, endpoint: FaultyEndpoint, own: str) -> None:
    """Without a wait of ours one call is one request, whatever comes back."""
    store = DynamoStore(place, replace(IMPATIENT, wait=0.0))
    for fate in (lose_request, *LOST.values(), *THROTTLES.values()):
        endpoint.expect(then=fate)
        with pytest.raises(StoreUnavailable):
            put_first(store, own)
        assert len(endpoint.bodies) == 1
        endpoint.expect(then=fate)
    store.close()


def test_the_end_of_an_item_is_told_in_seconds(direct: Store, place: TableLocation, own: str) -> None:
    """DynamoDB's TTL wants whole seconds: rounded up, in an attribute of its own that nobody else sees."""
    item: Item = {"token_hash": own, "expires_at": 1_795_251_600_001}
    direct.put(PAIRING_TOKENS, item)
    client = make_client(place)
    raw = client.get_item(TableName=place.prefix + PAIRING_TOKENS.name, Key={"token_hash": {"S": own}})["Item"]
    client.close()
    assert raw["ttl"] == {"N": "1795251601"}
    assert raw["expires_at"] == {"N": "1795251600001"}
    assert direct.get(PAIRING_TOKENS.key(own)) == item
    assert direct.query(PAIRING_TOKENS, own).items == (item,)
    with pytest.raises(ValueError, match="ttl"):
        direct.put(PAIRING_TOKENS, {**item, "ttl": 1})


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only on systems that fork")
def test_a_forked_child_makes_its_own_client(dynamodb: Engine, own: str) -> None:
    """Parent and child go on after a fork, neither with the other's connections."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.forking_dynamodb", dynamodb.url, str(dynamodb.region), own],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["4", "4"]), done.stderr


def test_an_unknown_refusal_is_unavailable_and_an_unknown_breakage_unknown() -> None:
    """What is not in our list errs on the safe side."""
    assert classify("NewException", 400, "").kind is FailureKind.REFUSED
    assert classify("NewException", 503, "").kind is FailureKind.UNKNOWN_OUTCOME


def test_a_stranger_in_an_item_is_told(direct: Store, place: TableLocation, own: str) -> None:
    """An attribute that this program never writes is an error, not half an item; so is a number with a fraction."""
    client = make_client(place)
    for strange in ({"SS": ["a"]}, {"N": "1.5"}, {"B": b"x"}):
        client.put_item(TableName=place.prefix + USERS.name, Item={"uuid": {"S": own}, "strange": strange})
        with pytest.raises(ValueError, match=r"kind|invalid"):
            direct.get(USERS.key(own))
    client.close()


def test_a_parameter_that_boto3_refuses_is_a_fault_of_ours() -> None:
    """Nothing was sent, and trying again would not help."""
    with pytest.raises(StoreUnavailable, match="Parameter validation"), as_unavailable():
        make_client(TableLocation("ap-northeast-1")).get_item(TableName="a", Key={"id": {"X": 1}})


class TestALeanRead:
    """A `get` goes past boto3's client, and nobody can tell by the answer."""

    @pytest.fixture
    def busy(self, direct: Store, own: str) -> Item:
        """Return an item with all kinds of attributes, that is in the store."""
        item: Item = {"uuid": own, "empty": "", "no": None, "is": True, "n": 7, "m": {"B": "a", "l": ["", 1]}}
        direct.put(USERS, item)
        return item

    def test_is_one_request(self, faulty: Store, endpoint: FaultyEndpoint, own: str, busy: Item) -> None:
        """Items that are there and items that are not cost one read each."""
        for key, there in ((USERS.key(own), busy), (USERS.key(own + "x"), None)):
            endpoint.expect()
            assert faulty.get(key) == there
            assert len(endpoint.bodies) == 1
            assert endpoint.bodies[0]["ConsistentRead"] is True

    def test_may_be_eventually_consistent(self, faulty: Store, endpoint: FaultyEndpoint, own: str, busy: Item) -> None:
        """It is another verb, which whoever asks must name; a key that no item can have finds nothing."""
        for key, there in ((USERS.key(own), busy), (USERS.key(own + "x"), None), (USERS.key(""), None)):
            assert get_eventual(faulty, key) == there
        assert [body["ConsistentRead"] for body in endpoint.bodies] == [False, False]

    def test_answers_as_the_client_does(self, place: TableLocation, own: str, busy: Item) -> None:
        """Down to the bytes that stand for an empty text."""
        opened, table = open_client(place, LIMITS), place.prefix + USERS.name
        request: Any = {"TableName": table, "Key": {"uuid": {"S": own}}, "ConsistentRead": True} | CAPACITY
        assert opened.fast_get is not None
        lean, clients = opened.fast_get.get(request), opened.client.get_item(**request)
        assert lean is not None
        assert lean["Item"] == clients["Item"]
        assert lean["ConsumedCapacity"]["CapacityUnits"] == clients["ConsumedCapacity"]["CapacityUnits"] == 1
        opened.close()

    def test_goes_on_over_a_new_line_when_the_server_closed_an_old_one(
        self, faulty: Store, endpoint: FaultyEndpoint, own: str, busy: Item
    ) -> None:
        """A connection that was not used for long is closed by the service without a word."""
        assert faulty.get(USERS.key(own)) == busy
        for line in list(endpoint._lines):
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        endpoint.expect()
        assert faulty.get(USERS.key(own)) == busy
        assert len(endpoint.bodies) == 1

    def test_with_a_wrong_checksum_is_no_answer(
        self, place: TableLocation, monkeypatch: pytest.MonkeyPatch, own: str, busy: Item
    ) -> None:
        """The client is asked."""
        opened = open_client(place, LIMITS)
        assert opened.fast_get is not None
        request = {"TableName": place.prefix + USERS.name, "Key": {"uuid": {"S": own}}, **CAPACITY}
        ask = HttpConnection.request

        def damaged(line: HttpConnection, message: bytes) -> HttpResponse:
            answer = ask(line, message)
            return replace(answer, headers={**answer.headers, b"x-amz-crc32": b"1"})

        monkeypatch.setattr(HttpConnection, "request", damaged)
        assert opened.fast_get.get(request) is None
        assert opened.send("get_item", request)["Item"]["n"] == {"N": "7"}
        opened.close()

    def test_is_left_to_the_client_behind_a_proxy(self, place: TableLocation, monkeypatch: pytest.MonkeyPatch) -> None:
        """What leads through others is boto3's to find."""
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert open_client(place, LIMITS).fast_get is None

    def test_carries_the_token_of_temporary_credentials(
        self, place: TableLocation, monkeypatch: pytest.MonkeyPatch, own: str
    ) -> None:
        """A role's credentials are good only with it; it is signed like the rest."""
        monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary")
        reads = open_client(place, LIMITS).fast_get
        assert reads is not None
        message = reads._signed(b"{}").decode()
        assert "\r\nX-Amz-Security-Token: temporary\r\n" in message
        assert "x-amz-security-token" in message.partition("SignedHeaders=")[2].partition(",")[0]
