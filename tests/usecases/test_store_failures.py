"""A store that fails at any call of any operation: the answer is never wrong, and nothing is ever half done.

Each operation is run on the same prepared file once undisturbed, which tells how many calls it makes and what it does,
and then again with trouble at its first call, its second, and so on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from werkzeug.test import TestResponse

from common.account.book import Book
from common.account.claims import RESERVED_FOR
from common.account.feed import endings_in
from common.account.laying_down import LayingDown
from common.account.outbox import outbox_from_items
from common.account.tombstone import is_tombstone
from common.background import at_once
from tests.support.forgetting import forget_laid_down
from tests.support.signing import Keys, given_keys, p256_keys, requesting
from tests.usecases.in_process_suite import MINUTE, Device, HandClock, InProcessSuite, Login, Person
from tests.usecases.signers import Signer
from tests.usecases.watched_store import StoreCall, Watch, away_at, away_from, unknown_at

Outcome = tuple[int, str | None]


@dataclass
class Scene:
    """Anna is logged in on her phone; her laptop and her tablet are registered, and the tablet is too where two may be.

    Her phone has signed challenges. Bert has an account of his own; `keys` are nobody's yet.
    """

    suite: InProcessSuite
    anna: Person
    laptop: Device
    tablet: Device
    replaced: Login
    phone: Login
    on_tablet: Login | None
    question: TestResponse | None
    qr_code: str
    proofs: dict[str, dict[str, str]]
    keys: Keys
    copy: Path = field(default=Path())

    def keep(self) -> None:
        """Remember the file as it is now."""
        self.suite.close()
        self.copy = self.suite.file.with_suffix(".copy")
        shutil.copy(self.suite.file, self.copy)

    def begin_anew(self, before: Watch | None = None, after: Watch | None = None) -> None:
        """Put the file back as it was, and trouble the calls that come."""
        self.suite.close()
        for rest in self.suite.file.parent.glob("store.db-*"):
            rest.unlink()
        shutil.copy(self.copy, self.suite.file)
        forget_laid_down(self.suite.suite.erasure._laying)
        self.suite.store.watch(**{name: w for name, w in (("before", before), ("after", after)) if w is not None})


def scene_in(suite: InProcessSuite, clock: HandClock, *, two_may: bool) -> Scene:
    """Prepare the scene. Two minutes lie between the login and what comes, so that activity is worth writing down."""
    anna = suite.register()
    suite.register("bert")
    laptop, tablet = suite.pair(anna, "Laptop"), suite.pair(anna, "Tablet")
    replaced = suite.log_in(anna)
    phone = suite.log_in(anna)
    on_tablet = suite.log_in(anna, tablet) if two_may else None
    clock.move(2 * MINUTE)
    question = None if two_may else suite.login(anna, laptop)
    signer = Signer(suite, anna, anna.first, given_keys(anna.first.answer))
    proofs = {purpose: signer.prove(purpose) for purpose in ("login", "pair-issue")}
    qr_code, keys = suite.qr_code(anna), p256_keys()
    scene = Scene(suite, anna, laptop, tablet, replaced, phone, on_tablet, question, qr_code, proofs, keys)
    scene.keep()
    return scene


@dataclass(frozen=True)
class Operation:
    """A call of the suite, what it answers undisturbed, and what may fail without being noticed.

    `dispensable`: tables whose failure may cost something that the answer does not promise, such as a try given back.
    """

    send: Callable[[Scene], TestResponse]
    outcome: Outcome = (200, None)
    dispensable: frozenset[str] = frozenset({"ThrottleTable"})
    two_may: bool = False


def credentials(scene: Scene, **more: Any) -> dict[str, Any]:
    """Return anna's name and password with more fields."""
    return {"username": "anna", "password": scene.anna.password, **more}


def other(scene: Scene) -> Login:
    """Return the session of the second device that is in."""
    assert scene.on_tablet is not None
    return scene.on_tablet


def asked(scene: Scene) -> TestResponse:
    """Return the question that the laptop was asked."""
    assert scene.question is not None
    return scene.question


NOTHING: frozenset[str] = frozenset()
TOUCH = frozenset({"SessionsTable"})
LAID_DOWN = frozenset({"FeedTable", "LoginHistory"})
NAMES = frozenset({"ThrottleTable", "DevicesTable"})
NEWCOMER = {"username": "carl", "email": "carl@example.test", "password": "a long enough phrase"}

OPERATIONS: dict[str, Operation] = {
    "register": Operation(lambda s: s.suite.post("/registration/", NEWCOMER), dispensable=NOTHING),
    "register a taken name": Operation(
        lambda s: s.suite.post("/registration/", {**NEWCOMER, "username": "ANNA"}), (409, "username-taken"), NOTHING
    ),
    "join": Operation(lambda s: s.suite.post("/registration/", credentials(s, qr_code=s.qr_code))),
    "ask for a pairing token": Operation(
        lambda s: s.suite.post(
            "/registration/request_pairing_token", credentials(s, client_cert_fp=s.anna.first.fingerprint)
        )
    ),
    "join with a key of its own": Operation(
        lambda s: s.suite.post("/registration/", credentials(s, qr_code=s.qr_code, csr=requesting(s.keys)))
    ),
    "ask for a pairing token with a proof": Operation(
        lambda s: s.suite.post(
            "/registration/request_pairing_token",
            credentials(s, client_cert_fp=s.anna.first.fingerprint, proof=s.proofs["pair-issue"]),
        )
    ),
    "ask for a challenge": Operation(
        lambda s: s.suite.post("/login/challenge", credentials(s, client_cert_fp=s.anna.first.fingerprint))
    ),
    "log in by a signature": Operation(lambda s: s.suite.post("/login/verify", s.proofs["login"])),
    "log in by a wrong signature": Operation(
        lambda s: s.suite.post("/login/verify", {**s.proofs["login"], "signature": "AAAA"}),
        (401, "proof-invalid"),
        dispensable=NOTHING,
    ),
    "log in with a proof": Operation(lambda s: s.suite.login(s.anna, proof=s.proofs["login"])),
    "log in": Operation(lambda s: s.suite.login(s.anna)),
    "log in with a wrong password": Operation(
        lambda s: s.suite.login(s.anna, password="wrong password"),
        (401, "bad-credentials"),
        frozenset({"ThrottleTable", "LoginHistory"}),
    ),
    "log in where another is active": Operation(lambda s: s.suite.login(s.anna, s.laptop), (409, "device-active")),
    "log in by force": Operation(lambda s: s.suite.login(s.anna, s.laptop, force=True), dispensable=NAMES),
    "log in on an unknown device": Operation(
        lambda s: s.suite.login(s.anna, Device("0" * 64, "", {})), (401, "certificate-mismatch")
    ),
    "take over": Operation(lambda s: s.suite.take_over(asked(s), s.laptop), dispensable=NAMES),
    "register a device where another is active": Operation(
        lambda s: s.suite.post("/device/register", credentials(s, qr_code=s.qr_code)), (409, "device-active")
    ),
    "register a device by force": Operation(
        lambda s: s.suite.post("/device/register", credentials(s, qr_code=s.qr_code, force=True)), dispensable=NAMES
    ),
    "verify": Operation(lambda s: s.suite.verify(s.phone), dispensable=TOUCH),
    "verify a session that has ended": Operation(
        lambda s: s.suite.verify(s.replaced), (401, "session-ended"), dispensable=frozenset({"DevicesTable"})
    ),
    "refresh": Operation(lambda s: s.suite.refresh(s.phone.refresh), dispensable=NOTHING),
    "refresh a session that has ended": Operation(
        lambda s: s.suite.refresh(s.replaced.refresh), (401, "session-ended"), dispensable=frozenset({"DevicesTable"})
    ),
    "log out": Operation(lambda s: s.suite.post("/session/logout", token=s.phone.access), dispensable=NOTHING),
    "list sessions": Operation(lambda s: s.suite.get("/session/list", s.phone.access), dispensable=NOTHING),
    "read the history": Operation(lambda s: s.suite.get("/session/history", s.phone.access), dispensable=NOTHING),
    "list devices": Operation(lambda s: s.suite.get("/device/list", s.phone.access), dispensable=NOTHING),
    "revoke a session": Operation(
        lambda s: s.suite.post("/session/revoke", {"session_id": other(s).session_id}, s.phone.access),
        dispensable=TOUCH,
        two_may=True,
    ),
    "unbind a device": Operation(
        lambda s: s.suite.post(
            "/device/unbind", {"device_id": s.tablet.device_id, "password": s.anna.password}, s.phone.access
        ),
        dispensable=TOUCH | {"ThrottleTable"},
        two_may=True,
    ),
    "rename a device": Operation(
        lambda s: s.suite.post("/device/rename", {"device_id": s.laptop.device_id, "device_name": "x"}, s.phone.access),
        dispensable=TOUCH,
    ),
    "log the others out": Operation(
        lambda s: s.suite.post("/device/force_logout", token=s.phone.access),
        dispensable=TOUCH | {"DevicesTable"},
        two_may=True,
    ),
}


@pytest.fixture(params=OPERATIONS)
def name(request: pytest.FixtureRequest) -> str:
    """Return each operation's name in turn."""
    return str(request.param)


@pytest.fixture
def operation(name: str) -> Operation:
    """Return the operation of that name."""
    return OPERATIONS[name]


@pytest.fixture(scope="module")
def scenes(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[bool, Scene]]:
    """Return the two scenes, where one device may be active and where two may: made once, begun anew each time."""
    with ExitStack() as suites:
        scenes = {}
        for two_may in (False, True):
            clock, folder = HandClock(), tmp_path_factory.mktemp("scene")
            suite = InProcessSuite(folder, keys, clock, MAX_CONCURRENT_DEVICES="2" if two_may else "1")
            suites.enter_context(closing(suite))
            scenes[two_may] = scene_in(suite, clock, two_may=two_may)
        yield scenes


@pytest.fixture
def scene(operation: Operation, scenes: dict[bool, Scene]) -> Scene:
    """Return the scene that the operation is run on."""
    return scenes[operation.two_may]


def outcome_of(answer: TestResponse) -> Outcome:
    """Return status and code."""
    return answer.status_code, (answer.get_json() or {}).get("code")


def claims_that_count(rows: dict[str, Any]) -> list[Any]:
    """Return the claims of accounts and devices that there are: a reservation of one that was refused is nothing."""
    known = {book["user_uuid"] for book in rows["SessionsTable"]}
    devices = {device["device_id"] for device in rows["DevicesTable"]}

    def counts(claim: dict[str, Any]) -> bool:
        return claim["device_id"] in devices if "device_id" in claim else claim["uuid"] in known

    return [claim for claim in rows["NamesTable"] if "reservation" not in claim or counts(claim)]


PREPARED = ("UsersTable", "DevicesTable", "DeviceKeysTable", "PairingTokensTable")
"""Where new items may lie that mean nothing: the book whose they would have been was not put."""


def left_behind(scene: Scene, before: Any) -> Any:
    """Return what lies in the store, but for reservations, which others take over, and for what was prepared."""
    content = dict(scene.suite.content(failures=True))
    for name in PREPARED:
        there = {row[:2] for row in before[name]}
        content[name] = [row for row in content[name] if row[:2] in there]
    content["NamesTable"] = [row for row in content["NamesTable"] if "reservation" not in orjson.loads(row[2])]
    return content


def without_orphans(rows: dict[str, Any]) -> None:
    """Forget what was prepared for books that were never put: users, devices and their codes."""
    devices = {(book["user_uuid"], device) for book in rows["SessionsTable"] for device in book["devices"]}
    users = {book["user_uuid"] for book in rows["SessionsTable"]}
    rows["UsersTable"] = [row for row in rows["UsersTable"] if row["uuid"] in users]
    rows["DevicesTable"] = [
        row
        for row in rows["DevicesTable"]
        if (row["user_uuid"], row["device_id"]) in devices or row["revoked_at"] is not None
    ]
    known = devices | {(row["user_uuid"], row["device_id"]) for row in rows["DevicesTable"]}
    rows["DeviceKeysTable"] = [
        row for row in rows["DeviceKeysTable"] if (row["user_uuid"], row["device_id"].partition("#")[0]) in known
    ]
    issued = {(row["user_uuid"], row["device_id"]): row for row in rows["PairingTokensTable"]}
    rows["PairingTokensTable"] = [row for place, row in issued.items() if place in known]


def shape(suite: InProcessSuite) -> dict[str, Any]:
    """Return what lies in the store without what differs from run to run: ids, secrets, and how often it was seen.

    What a book's outbox carries counts as laid down.
    """
    rows = {name: [orjson.loads(row[2]) for row in found] for name, found in suite.content().items()}
    rows["SessionsTable"] = [book for book in rows["SessionsTable"] if not is_tombstone(book)]
    without_orphans(rows)
    laid_down = [entry for entry in rows["LoginHistory"] if not entry["user_uuid"].endswith("#failures")]
    books = [
        (
            book["change_no"],
            book["epoch"],
            len(book["devices"]),
            sorted(session.get("g", 0) for session in book["sessions"].values()),
            book["admissions"],
        )
        for book in rows["SessionsTable"]
    ]
    rows["NamesTable"] = claims_that_count(rows)
    records = {(e["user_uuid"], e["change_no"]): [(f["kind"], f.get("reason")) for f in e["events"]] for e in laid_down}
    told = {tuple(item["id"].split("#")[1:]) for item in rows["FeedTable"]}
    for book in rows["SessionsTable"]:
        for record in outbox_from_items(book.get("outbox", ())):
            key = (book["user_uuid"], record.change_no)
            records[key] = [(str(event.kind), event.reason and str(event.reason)) for event in record.events]
            if endings_in(book["user_uuid"], record.events):
                told.add((book["user_uuid"][:8], str(record.change_no)))
    return {
        "counts": {name: len(found) for name, found in rows.items() if name not in LAID_DOWN},
        "books": sorted(books),
        "history": sorted(records.values()),
        "told": len(told),
        "pairing tokens": sorted(token["state"] for token in rows["PairingTokensTable"]),
        "challenges": sorted((row["purpose"], row["bad"]) for row in rows["ChallengesTable"]),
        "devices": sorted((row["device_name"], row["revoked_at"] is None) for row in rows["DevicesTable"]),
    }


@dataclass(frozen=True)
class Undisturbed:
    """How an operation goes when nothing fails: its calls, and what lies in the store before and after."""

    calls: tuple[StoreCall, ...]
    before: Any
    after: dict[str, Any]
    versions: list[int]


def place(expected: Undisturbed, number: int) -> str:
    """Name a call of an operation among the others, for whoever reads a failure."""
    calls = [f"{call.verb} {'+'.join(call.tables)}" for call in expected.calls]
    return f"call {number} of {calls}"


def versions(suite: InProcessSuite) -> list[int]:
    """Return how often each book was written."""
    return sorted(orjson.loads(row[2])["version"] for row in suite.content()["SessionsTable"])


def undisturbed(scene: Scene, operation: Operation) -> Undisturbed:
    """Run an operation without any trouble."""
    scene.begin_anew()
    before = scene.suite.content(failures=True)
    answer = operation.send(scene)
    assert outcome_of(answer) == operation.outcome, answer.get_data(as_text=True)
    return Undisturbed(tuple(scene.suite.store.calls), before, shape(scene.suite), versions(scene.suite))


def was_made(expected: Undisturbed, number: int) -> bool:
    """Say whether a call comes after the book's put, which made the change: then its rows are laid down by others."""
    puts = [call.number for call in expected.calls if call.is_write and "SessionsTable" in call.tables]
    return bool(puts) and number > max(puts)


def check_refusal_or_success(
    scene: Scene, operation: Operation, expected: Undisturbed, answer: TestResponse, number: int
) -> None:
    """Assert that an operation that met a store which was away was refused whole, or went as if nothing had been."""
    at = place(expected, number)
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) >= 1, at
        assert answer.get_json()["code"] == "store-unavailable", at
        if was_made(expected, number):
            scene.suite.store.watch()
            laying = LayingDown(scene.suite.store, scene.suite.clock, at_once)  # as the process that reads it next
            books = [orjson.loads(row[2]) for row in scene.suite.content()["SessionsTable"]]
            assert all(laying.lay_down(Book.from_item(book)) for book in books if not is_tombstone(book)), at
            assert shape(scene.suite) == expected.after, at
            return
        left = left_behind(scene, expected.before)
        book_was_only_touched = {**left, "SessionsTable": expected.before["SessionsTable"]} == expected.before
        assert left == expected.before or (book_was_only_touched and "SessionsTable" in operation.dispensable), at
        scene.suite.store.watch()
        clock, now = scene.suite.clock, scene.suite.clock.now
        clock.move(RESERVED_FOR)
        answer = operation.send(scene)
        clock.now = now
        at = f"again after {at}"
    else:
        assert number > 1, f"without an answer to its first question nothing can be said: {at}"
        call = expected.calls[number - 1]
        is_laying_down = call.verb in ("get", "put") and set(call.tables) <= LAID_DOWN
        is_confirmation = call.is_write and call.tables == ("NamesTable",)  # the next that meets the claim does it
        assert is_laying_down or is_confirmation or set(call.tables) <= operation.dispensable, at
    assert outcome_of(answer) == operation.outcome, at
    assert shape(scene.suite) == expected.after, at


@pytest.mark.regression("X48", "X62", "X68")
@pytest.mark.parametrize("trouble", [away_at, away_from], ids=["for one call", "from then on"])
def test_a_store_that_is_away_is_a_503_and_nothing_is_half_done(
    scene: Scene, operation: Operation, trouble: Callable[[int], Watch]
) -> None:
    """At whichever call: 503 with Retry-After and nothing changed, and the same request, sent again, goes as ever.

    Never a 200 for what did not happen, never a 401, no token burnt. Only where what failed is no part of the answer (a
    try given back, a known device remembered, activity, the name of an evicted device) is the answer as ever.
    """
    expected = undisturbed(scene, operation)
    for number in range(1, len(expected.calls) + 1):
        scene.begin_anew(before=trouble(number))
        answer = operation.send(scene)
        check_refusal_or_success(scene, operation, expected, answer, number)


@pytest.mark.parametrize("lost", ["the answer", "the request"])
def test_a_commit_of_which_nobody_knows_is_found_out(scene: Scene, operation: Operation, lost: str) -> None:
    """Whether it took effect or not, the answer is right, never a conflict that was none, and nothing is doubled."""
    expected = undisturbed(scene, operation)
    for number in (call.number for call in expected.calls if call.is_write):
        scene.begin_anew(**{"after" if lost == "the answer" else "before": unknown_at(number)})
        answer = operation.send(scene)
        at = place(expected, number)
        assert outcome_of(answer) == operation.outcome, at
        assert shape(scene.suite) == expected.after, at
        assert versions(scene.suite) == expected.versions, at
        if "access_token" in (answer.get_json() or {}):
            login = answer.get_json()
            assert scene.suite.get("/session/verify", login["access_token"]).status_code == 200, at


def test_a_store_that_is_away_is_not_ready(suite: InProcessSuite) -> None:
    """`/ready` says so, and `/health` does not care; both are well again at once when it is back."""
    suite.store.watch(before=away_from(1))
    assert suite.get("/ready").status_code == 503
    assert suite.get("/health").status_code == 200
    suite.store.watch()
    assert suite.get("/ready").status_code == 200


def test_public_documents_need_no_store(suite: InProcessSuite) -> None:
    """Who verifies by himself can go on."""
    suite.store.watch(before=away_from(1))
    for path in ("/.well-known/jwks.json", "/.well-known/ichidai.json", "/device/ca", "/openapi.json"):
        assert suite.get(path).status_code == 200
    assert not suite.store.calls
