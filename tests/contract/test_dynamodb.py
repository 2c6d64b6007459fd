"""What the DynamoDB engine makes of a network and a service that fail: real boto3, a misbehaving endpoint."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.ids import new_id
from common.patience import at_most
from common.storage.dynamodb import DynamoStore, Limits, Place, _opened, as_unavailable, make_client
from common.storage.dynamodb_faults import Kind, judge
from common.storage.http_line import Answer, HttpLine
from common.storage.port import Absent, Conflict, Item, OutcomeUnknown, Put, Store, StoreUnavailable
from common.storage.tables import LOGIN_HISTORY, PAIRING_TOKENS, USERS
from tests import dynamodb_local
from tests.engines import Engine
from tests.faulty_endpoint import (
    Fate,
    FaultyEndpoint,
    Forward,
    answer_late,
    cancel,
    fail_after,
    lose_answer,
    lose_request,
    refuse,
    say,
    truncate,
)
from tests.servers import until

ROOT = Path(__file__).parents[2]
LIMITS = Limits(connect=1.0, answer=1.0, wait=2.0, rest=0.0)
CAPACITY = {"ReturnConsumedCapacity": "TOTAL"}
IMPATIENT = Limits(connect=0.5, answer=0.8, wait=0.4, rest=0.0)
LOST: dict[str, Fate] = {
    "answer lost": lose_answer,
    "answer late": answer_late(1.5),
    "error after the write": fail_after,
    "answer cut in two": truncate,
    "502 of a proxy": lambda forward: (forward(), say(502, "<html>Bad Gateway</html>")(forward))[1],
    "200 of a stranger": lambda forward: (forward(), say(200, "<html>Welcome</html>")(forward))[1],
    "200 of nobody": lambda forward: (forward(), say(200, "{}")(forward))[1],
}
THROTTLES = {
    "throughput": refuse("ProvisionedThroughputExceededException"),
    "throttling": refuse("ThrottlingException"),
    "request limit": refuse("RequestLimitExceeded"),
    "table throttled inside the transaction": cancel("None", "ThrottlingError"),
    "partition throttled inside the transaction": cancel("ProvisionedThroughputExceeded", "None"),
    "another transaction": cancel("TransactionConflict", "TransactionConflict"),
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
def place(dynamodb: Engine, endpoint: FaultyEndpoint) -> Place:
    """Return the contract's tables as seen through the endpoint."""
    prefix = dynamodb.url.removeprefix("dynamodb://").partition("?")[0]
    return Place(dynamodb_local.REGION, prefix, endpoint.url)


@pytest.fixture(scope="module")
def faulty(place: Place) -> Iterator[Store]:
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
def impatient(place: Place) -> Iterator[Store]:
    """Return a store that goes through the endpoint and soon gives up."""
    store = DynamoStore(place, IMPATIENT)
    yield store
    store.close()


def first(own: str) -> list[Put]:
    """Return a commit that holds once: done twice, its condition fails."""
    return [Put(USERS, {"uuid": own, "version": 1}, Absent()), Put(USERS, {"uuid": own + "b"})]


def both(store: Store, own: str) -> list[Callable[[], object]]:
    """Return a commit and a read."""
    return [lambda: store.commit(first(own), new_id()), lambda: store.get(USERS.key(own))]


class TestALostCommit:
    @pytest.mark.parametrize("fate", LOST.values(), ids=LOST.keys())
    def test_is_sent_again_with_the_same_token_and_done_once(
        self, faulty: Store, endpoint: FaultyEndpoint, own: str, fate: Fate
    ) -> None:
        """The caller sees a plain success, though the repetition's own condition no longer holds."""
        endpoint.expect([fate])
        faulty.commit(first(own), new_id())
        assert len(endpoint.bodies) == 2
        assert endpoint.bodies[0] == endpoint.bodies[1]
        assert faulty.get(USERS.key(own)) == {"uuid": own, "version": 1}

    @pytest.mark.parametrize("fate", LOST.values(), ids=LOST.keys())
    def test_is_unknown_while_no_answer_comes(
        self, impatient: Store, direct: Store, endpoint: FaultyEndpoint, own: str, fate: Fate
    ) -> None:
        """Past the wait it is unknown, neither conflict nor success; the same request later is a success, done once."""
        request_id = new_id()
        endpoint.expect(then=fate)
        began = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            impatient.commit(first(own), request_id)
        assert time.monotonic() - began < IMPATIENT.wait + IMPATIENT.connect + IMPATIENT.answer + 1.0
        direct.commit(first(own), request_id)
        assert direct.get(USERS.key(own)) == {"uuid": own, "version": 1}

    def test_that_never_arrived_may_turn_out_a_conflict(
        self, faulty: Store, direct: Store, endpoint: FaultyEndpoint, own: str
    ) -> None:
        """A request lost on its way is judged when it is repeated, against what lies there then."""

        def overtaken(_forward: Forward) -> None:
            direct.commit([Put(USERS, {"uuid": own, "version": 7})], new_id())

        endpoint.expect([overtaken])
        with pytest.raises(Conflict) as conflict:
            faulty.commit(first(own), new_id())
        assert conflict.value.failed == (0,)
        assert direct.get(USERS.key(own + "b")) is None

    @pytest.mark.parametrize(
        "then", [refuse("AccessDeniedException"), refuse("ThrottlingException")], ids=["refused", "throttled"]
    )
    def test_stays_unknown_whatever_else_is_answered(
        self, impatient: Store, direct: Store, endpoint: FaultyEndpoint, own: str, then: Fate
    ) -> None:
        """A refusal of the repetition says nothing about the first sending."""
        endpoint.expect([lose_answer], then=then)
        with pytest.raises(OutcomeUnknown):
            impatient.commit(first(own), new_id())
        assert direct.get(USERS.key(own)) == {"uuid": own, "version": 1}

    def test_still_at_work_is_unknown(self, impatient: Store, endpoint: FaultyEndpoint, own: str) -> None:
        """While DynamoDB says that the same request is in progress, nobody knows its end."""
        endpoint.expect(then=refuse("TransactionInProgressException"))
        with pytest.raises(OutcomeUnknown):
            impatient.commit(first(own), new_id())
        assert len(endpoint.bodies) > 2


class TestAThrottledCall:
    @pytest.mark.parametrize("fate", THROTTLES.values(), ids=THROTTLES.keys())
    def test_is_tried_again(self, faulty: Store, endpoint: FaultyEndpoint, own: str, fate: Fate) -> None:
        """Three refusals for now cost a few milliseconds; they are never a conflict."""
        endpoint.expect([fate] * 3)
        faulty.commit(first(own), new_id())
        assert len(endpoint.bodies) == 4
        assert len({body["ClientRequestToken"] for body in endpoint.bodies}) == 1

    @pytest.mark.parametrize("fate", THROTTLES.values(), ids=THROTTLES.keys())
    def test_is_unavailable_past_the_wait(
        self, impatient: Store, direct: Store, endpoint: FaultyEndpoint, own: str, fate: Fate
    ) -> None:
        """It is known that nothing was written."""
        endpoint.expect(then=fate)
        with pytest.raises(StoreUnavailable) as fault:
            impatient.commit(first(own), new_id())
        assert not isinstance(fault.value, OutcomeUnknown)
        assert direct.get(USERS.key(own)) is None

    def test_reads_are_tried_again_too(self, faulty: Store, endpoint: FaultyEndpoint, own: str) -> None:
        """So with a get and with every piece of a query."""
        endpoint.expect([THROTTLES["throttling"]])
        assert faulty.get(USERS.key(own)) is None
        endpoint.expect([THROTTLES["throughput"]])
        assert faulty.query(LOGIN_HISTORY, own).items == ()


class TestAConflict:
    def test_wins_over_other_reasons(self, faulty: Store, endpoint: FaultyEndpoint, own: str) -> None:
        """A condition that failed is told at once, though another write of the transaction was only throttled."""
        endpoint.expect([cancel("TransactionConflict", "ConditionalCheckFailed")])
        with pytest.raises(Conflict) as conflict:
            faulty.commit(first(own), new_id())
        assert conflict.value.failed == (1,)
        assert len(endpoint.bodies) == 1

    def test_asks_for_what_lay_there(self, faulty: Store, endpoint: FaultyEndpoint, own: str) -> None:
        """Every write is in one TransactWriteItems, named by aliases only, and asks for the item that failed it."""
        faulty.commit(first(own), new_id())
        put, other = (action["Put"] for action in endpoint.bodies[0]["TransactItems"])
        assert put["ConditionExpression"] == "attribute_not_exists(#a)"
        assert put["ExpressionAttributeNames"] == {"#a": "uuid"}
        assert "ConditionExpression" not in other
        assert {put["ReturnValuesOnConditionCheckFailure"], other["ReturnValuesOnConditionCheckFailure"]} == {"ALL_OLD"}


class TestARead:
    @pytest.mark.parametrize("fate", [*LOST.values(), lose_request], ids=[*LOST.keys(), "request lost"])
    def test_is_asked_again(self, faulty: Store, direct: Store, endpoint: FaultyEndpoint, own: str, fate: Fate) -> None:
        """A lost, late, cut or foreign answer is no answer, and above all not "there is nothing"."""
        direct.commit([Put(USERS, {"uuid": own, "version": 1, "pad": "x" * 500})], new_id())
        endpoint.expect([fate])
        found = faulty.get(USERS.key(own))
        assert found is not None
        assert found["version"] == 1

    @pytest.mark.parametrize("fate", [*LOST.values(), lose_request], ids=[*LOST.keys(), "request lost"])
    def test_is_unavailable_past_the_wait(
        self, impatient: Store, direct: Store, endpoint: FaultyEndpoint, own: str, fate: Fate
    ) -> None:
        """Never None, never unknown, and not much later than the wait."""
        direct.commit([Put(LOGIN_HISTORY, {"user_uuid": own, "change_no": 1})], new_id())
        endpoint.expect(then=fate)
        for read in (lambda: impatient.get(LOGIN_HISTORY.key(own, 1)), lambda: impatient.query(LOGIN_HISTORY, own)):
            began = time.monotonic()
            with pytest.raises(StoreUnavailable) as fault:
                read()
            assert time.monotonic() - began < IMPATIENT.wait + IMPATIENT.connect + IMPATIENT.answer + 1.0
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
        [refuse("ValidationException"), refuse("SerializationException"), cancel("ValidationError", "None")],
        ids=["validation", "serialization", "validation of a write"],
    )
    def test_of_a_wrong_request_is_a_fault_of_ours(
        self, faulty: Store, endpoint: FaultyEndpoint, own: str, fate: Fate
    ) -> None:
        """It is raised as such, not hidden behind "try again later"."""
        endpoint.expect(then=fate)
        with pytest.raises(ValueError, match="DynamoDB"):
            faulty.commit(first(own), new_id())

    def test_for_want_of_tables(self, place: Place, own: str) -> None:
        """With another prefix nothing is there, and the text says how to make it."""
        empty = DynamoStore(replace(place, prefix="nowhere_"), LIMITS)
        for call in both(empty, own):
            with pytest.raises(StoreUnavailable, match="ichidai tables create"):
                call()
        empty.close()

    def test_for_want_of_credentials(
        self, place: Place, endpoint: FaultyEndpoint, own: str, monkeypatch: pytest.MonkeyPatch
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


def test_nobody_listening_is_unavailable_until_somebody_does(own: str, dynamodb: Engine, place: Place) -> None:
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
        assert time.monotonic() - began < LIMITS.wait + LIMITS.connect
    back = FaultyEndpoint(dynamodb_local.shared().endpoint, port=away.port)
    store.commit(first(own), new_id())
    assert store.get(USERS.key(own)) == {"uuid": own, "version": 1}
    store.close()
    back.stop()


class TestAfterSilence:
    """Once somebody has waited in vain nobody else waits, for a moment."""

    @pytest.fixture
    def resting(self, place: Place) -> Iterator[DynamoStore]:
        """Return a store that rests for long."""
        store = DynamoStore(place, replace(IMPATIENT, rest=60.0))
        yield store
        store.close()

    def test_nobody_is_sent(self, resting: DynamoStore, endpoint: FaultyEndpoint, own: str) -> None:
        """Both verbs are unavailable at once, and a commit that was not sent is not unknown."""
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
            resting.commit(first(own), new_id())
        endpoint.expect()
        resting.commit([Put(USERS, {"uuid": own})], new_id())
        assert resting.get(USERS.key(own)) == {"uuid": own}

    def test_it_is_over_by_itself(self, place: Place, endpoint: FaultyEndpoint, own: str) -> None:
        """A moment later somebody is sent again, and an answer is an answer."""
        store = DynamoStore(place, replace(IMPATIENT, rest=0.2))
        endpoint.expect(then=answer_late(1.5))
        with pytest.raises(StoreUnavailable):
            store.get(USERS.key(own))
        endpoint.expect()
        until(lambda: not store._rest.is_on(), "the rest is over", seconds=5)
        assert store.get(USERS.key(own)) is None
        store.close()


def test_nothing_is_sent_when_a_requests_time_is_up(faulty: Store, endpoint: FaultyEndpoint, own: str) -> None:
    """Neither a read nor a commit, which is then not unknown."""
    with at_most(0.0):
        for call in both(faulty, own):
            with pytest.raises(StoreUnavailable) as fault:
                call()
            assert not isinstance(fault.value, OutcomeUnknown)
    assert endpoint.bodies == []


def test_boto3_repeats_nothing_on_its_own(place: Place, endpoint: FaultyEndpoint, own: str) -> None:
    """Without a wait of ours one call is one request, whatever comes back."""
    store = DynamoStore(place, replace(IMPATIENT, wait=0.0))
    for fate in (lose_request, *LOST.values(), *THROTTLES.values()):
        endpoint.expect(then=fate)
        with pytest.raises(StoreUnavailable):
            store.commit(first(own), new_id())
        assert len(endpoint.bodies) == 1
        endpoint.expect(then=fate)
    store.close()


def test_the_end_of_an_item_is_told_in_seconds(direct: Store, place: Place, own: str) -> None:
    """DynamoDB's TTL wants whole seconds: rounded up, in an attribute of its own that nobody else sees."""
    item: Item = {"token_hash": own, "expires_at": 1_795_251_600_001}
    direct.commit([Put(PAIRING_TOKENS, item)], new_id())
    client = make_client(place)
    raw = client.get_item(TableName=place.prefix + PAIRING_TOKENS.name, Key={"token_hash": {"S": own}})["Item"]
    client.close()
    assert raw["ttl"] == {"N": "1795251601"}
    assert raw["expires_at"] == {"N": "1795251600001"}
    assert direct.get(PAIRING_TOKENS.key(own)) == item
    assert direct.query(PAIRING_TOKENS, own).items == (item,)
    with pytest.raises(ValueError, match="ttl"):
        direct.commit([Put(PAIRING_TOKENS, {**item, "ttl": 1})], new_id())


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
    assert judge("NewException", 400, "", ()).kind is Kind.REFUSED
    assert judge("NewException", 503, "", ()).kind is Kind.LOST
    assert judge("TransactionCanceledException", 400, "", ()).kind is Kind.OURS


def test_a_stranger_in_an_item_is_told(direct: Store, place: Place, own: str) -> None:
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
        make_client(Place("ap-northeast-1")).get_item(TableName="a", Key={"id": {"X": 1}})


class TestALeanRead:
    """A `get` goes past boto3's client, and nobody can tell by the answer."""

    @pytest.fixture
    def busy(self, direct: Store, own: str) -> Item:
        """Return an item with all kinds of attributes, that is in the store."""
        item: Item = {"uuid": own, "empty": "", "no": None, "is": True, "n": 7, "m": {"B": "a", "l": ["", 1]}}
        direct.commit([Put(USERS, item)], new_id())
        return item

    def test_is_one_request(self, faulty: Store, endpoint: FaultyEndpoint, own: str, busy: Item) -> None:
        """Items that are there and items that are not cost one read each."""
        for key, there in ((USERS.key(own), busy), (USERS.key(own + "x"), None)):
            endpoint.expect()
            assert faulty.get(key) == there
            assert len(endpoint.bodies) == 1
            assert endpoint.bodies[0]["ConsistentRead"] is True

    def test_answers_as_the_client_does(self, place: Place, own: str, busy: Item) -> None:
        """Down to the bytes that stand for an empty text."""
        opened, table = _opened(place, LIMITS), place.prefix + USERS.name
        request = {"TableName": table, "Key": {"uuid": {"S": own}}, "ConsistentRead": True} | CAPACITY
        assert opened.reads is not None
        lean, clients = opened.reads.get(request), opened.client.get_item(**request)
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
        self, place: Place, monkeypatch: pytest.MonkeyPatch, own: str, busy: Item
    ) -> None:
        """The client is asked."""
        opened = _opened(place, LIMITS)
        assert opened.reads is not None
        request = {"TableName": place.prefix + USERS.name, "Key": {"uuid": {"S": own}}, **CAPACITY}
        ask = HttpLine.ask

        def damaged(line: HttpLine, message: bytes) -> Answer:
            answer = ask(line, message)
            return replace(answer, headers={**answer.headers, b"x-amz-crc32": b"1"})

        monkeypatch.setattr(HttpLine, "ask", damaged)
        assert opened.reads.get(request) is None
        assert opened.send("get_item", request)["Item"]["n"] == {"N": "7"}
        opened.close()

    def test_is_left_to_the_client_behind_a_proxy(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        """What leads through others is boto3's to find."""
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert _opened(place, LIMITS).reads is None

    def test_carries_the_token_of_temporary_credentials(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, own: str
    ) -> None:
        """A role's credentials are good only with it; it is signed like the rest."""
        monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary")
        reads = _opened(place, LIMITS).reads
        assert reads is not None
        message = reads._signed(b"{}").decode()
        assert "\r\nX-Amz-Security-Token: temporary\r\n" in message
        assert "x-amz-security-token" in message.partition("SignedHeaders=")[2].partition(",")[0]
