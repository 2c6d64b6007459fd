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

from tests.signing import Keys, given_keys, p256_keys, requesting
from tests.usecases.house import MINUTE, Device, HandClock, House, Login, Person
from tests.usecases.signers import Signer
from tests.usecases.watched_store import StoreCall, Watch, away_at, away_from, unknown_at

Outcome = tuple[int, str | None]


@dataclass
class Scene:
    """Anna is logged in on her phone; her laptop and her tablet are registered, and the tablet is too where two may be.

    Her phone has signed challenges. Bert has an account of his own; `keys` are nobody's yet.
    """

    house: House
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
        self.house.close()
        self.copy = self.house.file.with_suffix(".copy")
        shutil.copy(self.house.file, self.copy)

    def begin_anew(self, before: Watch | None = None, after: Watch | None = None) -> None:
        """Put the file back as it was, and trouble the calls that come."""
        self.house.close()
        for rest in self.house.file.parent.glob("store.db-*"):
            rest.unlink()
        shutil.copy(self.copy, self.house.file)
        self.house.store.watch(**{name: w for name, w in (("before", before), ("after", after)) if w is not None})


def scene_in(house: House, clock: HandClock, *, two_may: bool) -> Scene:
    """Prepare the scene. Two minutes lie between the login and what comes, so that activity is worth writing down."""
    anna = house.register()
    house.register("bert")
    laptop, tablet = house.pair(anna, "Laptop"), house.pair(anna, "Tablet")
    replaced = house.log_in(anna)
    phone = house.log_in(anna)
    on_tablet = house.log_in(anna, tablet) if two_may else None
    clock.move(2 * MINUTE)
    question = None if two_may else house.login(anna, laptop)
    signer = Signer(house, anna, anna.first, given_keys(anna.first.answer))
    proofs = {purpose: signer.prove(purpose) for purpose in ("login", "pair-issue")}
    qr_code, keys = house.qr_code(anna), p256_keys()
    scene = Scene(house, anna, laptop, tablet, replaced, phone, on_tablet, question, qr_code, proofs, keys)
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
NAMES = frozenset({"ThrottleTable", "DevicesTable"})
NEWCOMER = {"username": "carl", "email": "carl@example.test", "password": "a long enough phrase"}

OPERATIONS: dict[str, Operation] = {
    "register": Operation(lambda s: s.house.post("/registration/", NEWCOMER), dispensable=NOTHING),
    "register a taken name": Operation(
        lambda s: s.house.post("/registration/", {**NEWCOMER, "username": "ANNA"}), (409, "username-taken"), NOTHING
    ),
    "join": Operation(lambda s: s.house.post("/registration/", credentials(s, qr_code=s.qr_code))),
    "ask for a pairing token": Operation(
        lambda s: s.house.post(
            "/registration/request_pairing_token", credentials(s, client_cert_fp=s.anna.first.fingerprint)
        )
    ),
    "join with a key of its own": Operation(
        lambda s: s.house.post("/registration/", credentials(s, qr_code=s.qr_code, csr=requesting(s.keys)))
    ),
    "ask for a pairing token with a proof": Operation(
        lambda s: s.house.post(
            "/registration/request_pairing_token",
            credentials(s, client_cert_fp=s.anna.first.fingerprint, proof=s.proofs["pair-issue"]),
        )
    ),
    "ask for a challenge": Operation(
        lambda s: s.house.post("/login/challenge", credentials(s, client_cert_fp=s.anna.first.fingerprint))
    ),
    "log in by a signature": Operation(lambda s: s.house.post("/login/verify", s.proofs["login"])),
    "log in by a wrong signature": Operation(
        lambda s: s.house.post("/login/verify", {**s.proofs["login"], "signature": "AAAA"}),
        (401, "proof-invalid"),
        dispensable=NOTHING,
    ),
    "log in with a proof": Operation(lambda s: s.house.login(s.anna, proof=s.proofs["login"])),
    "log in": Operation(lambda s: s.house.login(s.anna)),
    "log in with a wrong password": Operation(
        lambda s: s.house.login(s.anna, password="wrong password"),
        (401, "bad-credentials"),
        frozenset({"ThrottleTable", "LoginHistory"}),
    ),
    "log in where another is active": Operation(lambda s: s.house.login(s.anna, s.laptop), (409, "device-active")),
    "log in by force": Operation(lambda s: s.house.login(s.anna, s.laptop, force=True), dispensable=NAMES),
    "log in on an unknown device": Operation(
        lambda s: s.house.login(s.anna, Device("0" * 64, "", {})), (401, "certificate-mismatch")
    ),
    "take over": Operation(lambda s: s.house.take_over(asked(s), s.laptop), dispensable=NAMES),
    "register a device where another is active": Operation(
        lambda s: s.house.post("/device/register", credentials(s, qr_code=s.qr_code)), (409, "device-active")
    ),
    "register a device by force": Operation(
        lambda s: s.house.post("/device/register", credentials(s, qr_code=s.qr_code, force=True)), dispensable=NAMES
    ),
    "verify": Operation(lambda s: s.house.verify(s.phone), dispensable=TOUCH),
    "verify a session that has ended": Operation(
        lambda s: s.house.verify(s.replaced), (401, "session-ended"), dispensable=frozenset({"DevicesTable"})
    ),
    "refresh": Operation(lambda s: s.house.refresh(s.phone.refresh), dispensable=NOTHING),
    "refresh a session that has ended": Operation(
        lambda s: s.house.refresh(s.replaced.refresh), (401, "session-ended"), dispensable=frozenset({"DevicesTable"})
    ),
    "log out": Operation(lambda s: s.house.post("/session/logout", token=s.phone.access), dispensable=NOTHING),
    "list sessions": Operation(lambda s: s.house.get("/session/list", s.phone.access), dispensable=NOTHING),
    "read the history": Operation(lambda s: s.house.get("/session/history", s.phone.access), dispensable=NOTHING),
    "list devices": Operation(lambda s: s.house.get("/device/list", s.phone.access), dispensable=NOTHING),
    "revoke a session": Operation(
        lambda s: s.house.post("/session/revoke", {"session_id": other(s).session_id}, s.phone.access),
        dispensable=TOUCH,
        two_may=True,
    ),
    "unbind a device": Operation(
        lambda s: s.house.post(
            "/device/unbind", {"device_id": s.tablet.device_id, "password": s.anna.password}, s.phone.access
        ),
        dispensable=TOUCH | {"ThrottleTable"},
        two_may=True,
    ),
    "rename a device": Operation(
        lambda s: s.house.post("/device/rename", {"device_id": s.laptop.device_id, "device_name": "x"}, s.phone.access),
        dispensable=TOUCH,
    ),
    "log the others out": Operation(
        lambda s: s.house.post("/device/force_logout", token=s.phone.access),
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
    with ExitStack() as houses:
        scenes = {}
        for two_may in (False, True):
            clock, folder = HandClock(), tmp_path_factory.mktemp("scene")
            house = House(folder, keys, clock, MAX_CONCURRENT_DEVICES="2" if two_may else "1")
            houses.enter_context(closing(house))
            scenes[two_may] = scene_in(house, clock, two_may=two_may)
        yield scenes


@pytest.fixture
def scene(operation: Operation, scenes: dict[bool, Scene]) -> Scene:
    """Return the scene that the operation is run on."""
    return scenes[operation.two_may]


def outcome_of(answer: TestResponse) -> Outcome:
    """Return status and code."""
    return answer.status_code, (answer.get_json() or {}).get("code")


def shape(house: House) -> dict[str, Any]:
    """Return what lies in the store without what differs from run to run: ids, secrets, and how often it was seen."""
    rows = {name: [orjson.loads(row[2]) for row in found] for name, found in house.content().items()}
    books = [
        (
            book["change_no"],
            book["epoch"],
            len(book["devices"]),
            sorted(session.get("g", 0) for session in book["sessions"].values()),
            len(book["spent"]),
        )
        for book in rows["SessionsTable"]
    ]
    told = [[(event["kind"], event.get("reason")) for event in entry["events"]] for entry in rows["LoginHistory"]]
    return {
        "counts": {name: len(found) for name, found in rows.items()},
        "books": sorted(books),
        "history": sorted(told),
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


def versions(house: House) -> list[int]:
    """Return how often each book was written."""
    return sorted(orjson.loads(row[2])["version"] for row in house.content()["SessionsTable"])


def undisturbed(scene: Scene, operation: Operation) -> Undisturbed:
    """Run an operation without any trouble."""
    scene.begin_anew()
    before = scene.house.content(failures=True)
    answer = operation.send(scene)
    assert outcome_of(answer) == operation.outcome, answer.get_data(as_text=True)
    return Undisturbed(tuple(scene.house.store.calls), before, shape(scene.house), versions(scene.house))


def check_refusal_or_success(
    scene: Scene, operation: Operation, expected: Undisturbed, answer: TestResponse, number: int
) -> None:
    """Assert that an operation that met a store which was away was refused whole, or went as if nothing had been."""
    at = place(expected, number)
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) >= 1, at
        assert answer.get_json()["code"] == "store-unavailable", at
        left = scene.house.content(failures=True)
        book_was_only_touched = {**left, "SessionsTable": expected.before["SessionsTable"]} == expected.before
        assert left == expected.before or (book_was_only_touched and "SessionsTable" in operation.dispensable), at
        scene.house.store.watch()
        answer = operation.send(scene)
        at = f"again after {at}"
    else:
        assert number > 1, f"without an answer to its first question nothing can be said: {at}"
        assert set(expected.calls[number - 1].tables) <= operation.dispensable, at
    assert outcome_of(answer) == operation.outcome, at
    assert shape(scene.house) == expected.after, at


@pytest.mark.pitfall("X48", "X62", "X68")
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
    for number in (call.number for call in expected.calls if call.verb == "commit"):
        scene.begin_anew(**{"after" if lost == "the answer" else "before": unknown_at(number)})
        answer = operation.send(scene)
        at = place(expected, number)
        assert outcome_of(answer) == operation.outcome, at
        assert shape(scene.house) == expected.after, at
        assert versions(scene.house) == expected.versions, at
        if "access_token" in (answer.get_json() or {}):
            login = answer.get_json()
            assert scene.house.get("/session/verify", login["access_token"]).status_code == 200, at


def test_a_store_that_is_away_is_not_ready(house: House) -> None:
    """`/ready` says so, and `/health` does not care; both are well again at once when it is back."""
    house.store.watch(before=away_from(1))
    assert house.get("/ready").status_code == 503
    assert house.get("/health").status_code == 200
    house.store.watch()
    assert house.get("/ready").status_code == 200


def test_public_documents_need_no_store(house: House) -> None:
    """Who verifies by himself can go on."""
    house.store.watch(before=away_from(1))
    for path in ("/.well-known/jwks.json", "/.well-known/ichidai.json", "/device/ca", "/openapi.json"):
        assert house.get(path).status_code == 200
    assert not house.store.calls
