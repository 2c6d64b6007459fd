"""What each operation asks of the store: calls, and DynamoDB's capacity units, for `docs/storage-operations.md`.

`python -m tests.proof.costs` measures on DynamoDB Local and writes the table anew. A new operation is a line in
`OPERATIONS` and a run of that.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from werkzeug.test import TestResponse

from common.storage.dynamodb.store import DynamoStore
from common.storage.tables import MAILS
from registration.mail_model import QUEUE, MailKind
from registration.mailing import MailLink, token_of
from tests.support.authenticator import Authenticator, scanned
from tests.support.benchmarks_page import ROOT, replace_section, table
from tests.support.client import bearer
from tests.support.engines import ENGINES
from tests.support.passkeys import Passkey, made_for
from tests.support.signing import given_keys
from tests.usecases.in_process_suite import HOUR, MINUTE, SECOND, HandClock, InProcessSuite, Login, Person

PAGE = ROOT / "docs" / "storage-operations.md"
HEAD = ("operation", "reads", "commits", "read units", "write units")

MAIL = {"ICHIDAI_MAIL": "smtp://127.0.0.1:25"}
"""Mails are queued, and sent by nobody here: what sending costs is the worker's."""

IDS_ARE_FORGOTTEN = 11 * SECOND
"""After so long a book has forgotten the ids of its changes (decision 39)."""

ASKING = {"ICHIDAI_TAKEOVER_APPROVAL": "ask"}
JOINING = {"ICHIDAI_JOIN_BY_APPROVAL": "true", "MAX_CONCURRENT_DEVICES": "2"}

Act = Callable[[], TestResponse]


@dataclass(frozen=True, slots=True)
class Cost:
    """Calls of the store, and units: a read unit is a strong read of 4 KB, a write unit a write of 1 KB."""

    reads: int
    commits: int
    read_units: float
    write_units: float


@dataclass(frozen=True, slots=True)
class Scene:
    """Anna with a phone and a laptop, the phone logged in; one device may be active."""

    suite: InProcessSuite
    anna: Person
    laptop: Any
    phone: Login

    def asked(self) -> TestResponse:
        """The laptop logs in, and is asked."""
        return self.suite.login(self.anna, self.laptop)


@dataclass(frozen=True, slots=True)
class Operation:
    """What is measured: `prepare` does what must have happened and returns the call; it is answered with `status`.

    `settings`: those of the suite that it needs.
    """

    name: str
    prepare: Callable[[Scene], Act]
    status: int = 200
    settings: Mapping[str, str] = field(default_factory=dict)


def _posting(path: str) -> Callable[[Scene], Act]:
    """Return the phone's call of a route."""
    return lambda scene: lambda: scene.suite.post(path, None, scene.phone.access)


def _getting(path: str) -> Callable[[Scene], Act]:
    return lambda scene: lambda: scene.suite.get(path, scene.phone.access)


def _register(scene: Scene) -> Act:
    body = {"username": "berta", "email": "berta@example.test", "password": scene.anna.password, "device_name": "Phone"}
    return lambda: scene.suite.post("/registration/", body)


def _joining(path: str, **more: Any) -> Callable[[Scene], Act]:
    """Return a new device's call with a QR code that the phone shows."""

    def prepare(scene: Scene) -> Act:
        person = {"username": scene.anna.username, "password": scene.anna.password, "device_name": "Tablet"}
        body = {**person, "qr_code": scene.suite.qr_code(scene.anna), **more}
        return lambda: scene.suite.post(path, body)

    return prepare


def _request_pairing(scene: Scene) -> Act:
    person = {"username": scene.anna.username, "password": scene.anna.password}
    body = {**person, "client_cert_fp": scene.anna.first.fingerprint}
    return lambda: scene.suite.post("/registration/request_pairing_token", body)


def _first_login(scene: Scene) -> Act:
    clara = scene.suite.register("clara")
    return lambda: scene.suite.login(clara)


def _guess(scene: Scene, username: str) -> Act:
    body = {"username": username, "password": "not the password", "client_cert_fp": "0" * 64}
    return lambda: scene.suite.post("/login", body)


def _guessed_out(scene: Scene) -> Act:
    guess = _guess(scene, scene.anna.username)
    for _ in range(10):
        guess()
    return guess


def _asked_again(scene: Scene) -> Act:
    scene.suite.log_in(scene.anna, scene.laptop, force=True)
    scene.suite.log_in(scene.anna, force=True)
    return scene.asked


def _taking_over(scene: Scene) -> Act:
    question = scene.asked()
    return lambda: scene.suite.take_over(question, scene.laptop)


def _taking_over_again(scene: Scene) -> Act:
    question = _asked_again(scene)()
    return lambda: scene.suite.take_over(question, scene.laptop)


def _challenge(scene: Scene, purpose: str = "login") -> Act:
    body = {"username": scene.anna.username, "password": scene.anna.password, "purpose": purpose}
    return lambda: scene.suite.post("/login/challenge", {**body, "client_cert_fp": scene.anna.first.fingerprint})


def _signing(scene: Scene) -> Act:
    keys, asked = given_keys(scene.anna.first.answer), _challenge(scene)().get_json()
    proof = keys.proof(asked, "login", scene.anna.uuid, scene.anna.first.device_id)
    return lambda: scene.suite.post("/login/verify", proof)


def _renewing(scene: Scene) -> Act:
    keys, asked = given_keys(scene.anna.first.answer), _challenge(scene, "renew")().get_json()
    proof = keys.proof(asked, "renew", scene.anna.uuid, scene.anna.first.device_id)
    body = {"proof": proof, "client_cert_fp": scene.anna.first.fingerprint}
    return lambda: scene.suite.post("/device/renew", body)


def _renewing_again(scene: Scene) -> Act:
    assert _renewing(scene)().status_code == 200
    return _renewing(scene)


def _verify_after_a_minute(scene: Scene) -> Act:
    scene.suite.clock.move(2 * MINUTE)

    def act() -> TestResponse:
        answer = scene.suite.verify(scene.phone)
        scene.suite.wait_a_second()
        return answer

    return act


def _verify_evicted(scene: Scene) -> Act:
    scene.suite.log_in(scene.anna, scene.laptop, force=True)
    return lambda: scene.suite.verify(scene.phone)


def _refresh_again(scene: Scene) -> Act:
    scene.suite.refresh(scene.phone.refresh)
    return lambda: scene.suite.refresh(scene.phone.refresh)


def _about_laptop(path: str) -> Callable[[Scene], Act]:
    """Return the phone's call about the laptop."""

    def prepare(scene: Scene) -> Act:
        body = {"device_id": scene.laptop.device_id, "device_name": "Notebook"}
        return lambda: scene.suite.post(path, body, scene.phone.access)

    return prepare


def _beginning(scene: Scene) -> Act:
    return lambda: scene.suite.post("/registration/otp/begin", {"password": scene.anna.password}, scene.phone.access)


def _changing_password(scene: Scene) -> Act:
    body = {"password": scene.anna.password, "new_password": "an altogether new phrase"}
    return lambda: scene.suite.post("/registration/password", body, scene.phone.access)


def _renaming(scene: Scene) -> Act:
    body = {"password": scene.anna.password, "username": "another name"}
    return lambda: scene.suite.post("/registration/username", body, scene.phone.access)


def _closing(scene: Scene) -> Act:
    return lambda: scene.suite.post("/registration/close", {"password": scene.anna.password}, scene.phone.access)


def _reopening(scene: Scene) -> Act:
    assert _closing(scene)().status_code == 200
    body = {"username": scene.anna.username, "password": scene.anna.password}
    return lambda: scene.suite.post("/registration/reopen", body)


def _ending_all(scene: Scene) -> Act:
    return lambda: scene.suite.post("/session/end-all", {"password": scene.anna.password}, scene.phone.access)


def _making_codes(scene: Scene) -> Act:
    body = {"password": scene.anna.password}
    return lambda: scene.suite.post("/registration/recovery-codes", body, scene.phone.access)


def _recovering(scene: Scene) -> Act:
    code = _making_codes(scene)().get_json()["recovery_codes"][0]
    body = {"username": scene.anna.username, "password": scene.anna.password, "recovery_code": code}
    body["new_password"] = "an altogether new phrase"
    return lambda: scene.suite.post("/registration/recover", body)


def _begun(scene: Scene) -> tuple[Authenticator, dict[str, str]]:
    """Return the app, and what is to be confirmed with its first code."""
    asked = _beginning(scene)().get_json()
    app = scanned(asked["uri"])
    return app, {"enrolment": asked["enrolment"], "otp": app.code(scene.suite.clock())}


def _confirming(scene: Scene) -> Act:
    _, body = _begun(scene)
    return lambda: scene.suite.post("/registration/otp/confirm", body, scene.phone.access)


def _codes(scene: Scene) -> tuple[str, str]:
    """Switch the second factor on; return the app's next code, and a recovery code.

    A refresh lies between, as mostly: until its next write a book carries the row that followed from it.
    """
    app, body = _begun(scene)
    answer = scene.suite.post("/registration/otp/confirm", body, scene.phone.access).get_json()
    scene.suite.clock.move(IDS_ARE_FORGOTTEN)
    assert scene.suite.refresh(scene.phone.refresh).status_code == 200
    scene.suite.clock.move(IDS_ARE_FORGOTTEN)
    return app.code(scene.suite.clock(), 1), answer["recovery_codes"][0]


def _login_with(otp: Callable[[tuple[str, str]], str] | None) -> Callable[[Scene], Act]:
    """Return the phone's login to an account with a second factor."""

    def prepare(scene: Scene) -> Act:
        codes = _codes(scene)
        more: dict[str, Any] = {} if otp is None else {"otp": otp(codes)}
        return lambda: scene.suite.login(scene.anna, **more)

    return prepare


def _first_login_with_code(scene: Scene) -> Act:
    code, _ = _codes(scene)
    return lambda: scene.suite.login(scene.anna, scene.laptop, force=True, otp=code)


def _switching_off(scene: Scene) -> Act:
    body = {"password": scene.anna.password, "otp": _codes(scene)[0]}
    return lambda: scene.suite.post("/registration/otp/remove", body, scene.phone.access)


def _beginning_passkey(scene: Scene) -> Act:
    body = {"password": scene.anna.password}
    return lambda: scene.suite.post("/registration/passkeys/begin", body, scene.phone.access)


def _made(scene: Scene) -> tuple[Passkey, dict[str, Any]]:
    """Return a passkey, and what enters it into the account."""
    options = _beginning_passkey(scene)().get_json()["options"]
    passkey = made_for(options)
    return passkey, {"passkey": passkey.attestation(options)}


def _finishing_passkey(scene: Scene) -> Act:
    _, body = _made(scene)
    return lambda: scene.suite.post("/registration/passkeys/finish", body, scene.phone.access)


def _with_passkey(scene: Scene) -> dict[str, Any]:
    """Make a passkey; return its answer to a question of now."""
    passkey, body = _made(scene)
    scene.suite.post("/registration/passkeys/finish", body, scene.phone.access)
    asked = scene.suite.post("/login/passkey/begin").get_json()["options"]
    return {"passkey": passkey.assertion(asked)}


def _login_by_passkey(scene: Scene) -> Act:
    body = {**_with_passkey(scene), "client_cert_fp": scene.anna.first.fingerprint}
    return lambda: scene.suite.post("/login/passkey/finish", body)


def _removing_passkey(scene: Scene) -> Act:
    body = _with_passkey(scene)
    (listed,) = scene.suite.get("/registration/passkeys", scene.phone.access).get_json()["passkeys"]
    path = f"/registration/passkeys/{listed['id']}"
    return lambda: scene.suite.client.delete(path, json=body, headers=bearer(scene.phone.access))


def _link(kind: MailKind, path: str, **more: str) -> Callable[[Scene], Act]:
    """Return the call by the link of a mail."""

    def prepare(scene: Scene) -> Act:
        email = f"{scene.anna.username}@example.test"
        token = token_of(scene.suite.suite.mailing, MailLink(kind, scene.anna.uuid, email, "", 0))
        return lambda: scene.suite.post(path, {"token": token, **more})

    return prepare


def _objecting(scene: Scene) -> Act:
    _making_codes(scene)()
    (newest, *_) = scene.suite.get("/session/history", scene.phone.access).get_json()["events"]
    body = {"change_no": newest["change_no"], "password": scene.anna.password}
    return lambda: scene.suite.post("/registration/objection", body, scene.phone.access)


def _list_again(scene: Scene) -> Act:
    scene.suite.get("/device/crl")
    return lambda: scene.suite.get("/device/crl")


def _asking_for_address(scene: Scene) -> Act:
    body = {"email": f"{scene.anna.username}@another.test", "password": scene.anna.password}
    return lambda: scene.suite.post("/registration/email", body, scene.phone.access)


def _link_to(scene: Scene, address: str, what: str) -> str:
    """Return the token of the one link to do `what` that waits in a mail to an address."""
    settle(scene.suite)
    mails: Any = scene.suite.store.inner.query(MAILS, QUEUE).items
    (link,) = [mail["link"] for mail in mails if mail["to"] == address and f"#{what}=" in mail["link"]]
    return str(link.partition("=")[2])


def _confirming_address(scene: Scene) -> Act:
    assert _asking_for_address(scene)().status_code == 200
    token = _link_to(scene, f"{scene.anna.username}@another.test", "confirm")
    return lambda: scene.suite.post("/registration/email/confirm", {"token": token})


def _forgetting(scene: Scene) -> Act:
    assert _link(MailKind.CONFIRM, "/registration/email/confirm")(scene)().status_code == 200
    return lambda: scene.suite.post("/registration/password/forgot", {"username": scene.anna.username})


def _resetting(scene: Scene) -> Act:
    assert _forgetting(scene)().status_code == 200
    token = _link_to(scene, f"{scene.anna.username}@example.test", "reset")
    body = {"token": token, "new_password": "an altogether new phrase"}
    return lambda: scene.suite.post("/registration/password/reset", body)


def _asking_approval(scene: Scene) -> Act:
    body = {"approval_token": scene.asked().get_json()["approval"]["token"]}
    return lambda: scene.suite.post("/login/approval", body)


def _answering(asking: Callable[[Scene], Act], *, refuse: bool = False) -> Callable[[Scene], Act]:
    """Return the phone's answer to what another device asks for."""

    def prepare(scene: Scene) -> Act:
        waiting = asking(scene)().get_json()
        said = {"refuse": True} if refuse else {"digits": waiting["digits"]}
        body = {"approval_id": waiting["approval_id"], **said}
        return lambda: scene.suite.post("/login/approval/answer", body, scene.phone.access)

    return prepare


def _shown_approvals(scene: Scene) -> Act:
    assert _asking_approval(scene)().status_code == 202
    return lambda: scene.suite.get("/login/approvals", scene.phone.access)


def _agreed(scene: Scene) -> Act:
    ask = _asking_approval(scene)
    assert _answering(lambda _scene: ask)(scene)().status_code == 200
    return ask


def _taking_over_agreed(scene: Scene) -> Act:
    agreed = _agreed(scene)()
    return lambda: scene.suite.take_over(agreed, scene.laptop)


def _asking_to_join(scene: Scene) -> Act:
    return lambda: scene.suite.post("/registration/join", {"username": scene.anna.username, "device_name": "Browser"})


def _joining_agreed(scene: Scene) -> Act:
    body = {"username": scene.anna.username, "device_name": "Browser"}
    begun = _asking_to_join(scene)()
    assert _answering(lambda _scene: lambda: begun)(scene)().status_code == 200
    return lambda: scene.suite.post("/registration/join", {**body, "join_token": begun.get_json()["join_token"]})


OPERATIONS = (
    Operation("register (the first device)", _register),
    Operation("request a pairing token", _request_pairing),
    Operation("redeem it: a second device", _joining("/registration/")),
    Operation("redeem it and log in at once (device/register, force)", _joining("/device/register", force=True)),
    Operation("device/register, asked: 409", _joining("/device/register"), 409),
    Operation("log in, for the first time from a place", _first_login),
    Operation("log in again (a known device)", lambda scene: lambda: scene.suite.login(scene.anna)),
    Operation("log in, asked: 409", lambda scene: scene.asked, 409),
    Operation("log in again, asked: 409 (a known device)", _asked_again, 409),
    Operation("log in by takeover", _taking_over),
    Operation("log in by takeover again (a known device)", _taking_over_again),
    Operation("log in by force", lambda scene: lambda: scene.suite.login(scene.anna, scene.laptop, force=True)),
    Operation("log in, wrong password: 401", lambda scene: _guess(scene, scene.anna.username), 401),
    Operation("log in, unknown name: 401", lambda scene: _guess(scene, "nobody"), 401),
    Operation("log in, no try left: 429", _guessed_out, 429),
    Operation("ask for a challenge", _challenge),
    Operation("log in by signing it", _signing),
    Operation("verify", lambda scene: lambda: scene.suite.verify(scene.phone)),
    Operation("verify, last seen over a minute ago", _verify_after_a_minute),
    Operation("verify an evicted session: 401", _verify_evicted, 401),
    Operation("refresh", lambda scene: lambda: scene.suite.refresh(scene.phone.refresh)),
    Operation("refresh again (the answer was lost)", _refresh_again),
    Operation("log out", _posting("/session/logout")),
    Operation("list the sessions", _getting("/session/list")),
    Operation("history, a page", _getting("/session/history")),
    Operation("list the devices", _getting("/device/list")),
    Operation("rename a device", _about_laptop("/device/rename")),
    Operation("unbind a device", _about_laptop("/device/unbind")),
    Operation("revoke a device's certificate", _about_laptop("/device/revoke_certificate")),
    Operation("renew a certificate by signing a challenge", _renewing),
    Operation("renew it again (the answer was lost)", _renewing_again),
    Operation("the list of revoked certificates, signed", lambda scene: lambda: scene.suite.get("/device/crl")),
    Operation("the list of revoked certificates, again", _list_again),
    Operation("keep the earliest (force_logout), nobody to end", _posting("/device/force_logout")),
    Operation("sign out everywhere else, nobody to end", _ending_all),
    Operation("change the password", _changing_password),
    Operation("change the username", _renaming),
    Operation("close the account", _closing),
    Operation("reopen the account", _reopening),
    Operation("the account", _getting("/registration/account")),
    Operation("make recovery codes, without a second factor", _making_codes),
    Operation("recover the account by a recovery code", _recovering),
    Operation("log in again, with a code of the second factor", _login_with(otp=lambda codes: codes[0])),
    Operation("log in by force, for the first time from a place, with a code", _first_login_with_code),
    Operation("log in again, with a recovery code", _login_with(otp=lambda codes: codes[1])),
    Operation("log in, a code is asked for: 401", _login_with(otp=None), 401),
    Operation("log in, wrong code: 401", _login_with(otp=lambda _codes: "000000"), 401),
    Operation("switch a second factor on: begin", _beginning),
    Operation("switch a second factor on: confirm", _confirming),
    Operation("switch it off", _switching_off),
    Operation("make a passkey: begin", _beginning_passkey),
    Operation("make a passkey: finish", _finishing_passkey),
    Operation("log in again, by a passkey", _login_by_passkey),
    Operation("remove a passkey, by itself", _removing_passkey),
    Operation("confirm the mail address by its link", _link(MailKind.CONFIRM, "/registration/email/confirm")),
    Operation(
        "a new password by the link of a mail",
        _link(MailKind.RESET, "/registration/password/reset", new_password="an altogether new phrase"),
    ),
    Operation("with mail on, change the mail address: a link is sent", _asking_for_address, settings=MAIL),
    Operation("with mail on, change the mail address: its link", _confirming_address, settings=MAIL),
    Operation("with mail on, forgot the password: a link is sent", _forgetting, settings=MAIL),
    Operation("with mail on, forgot the password: a new one by its link", _resetting, settings=MAIL),
    Operation("ask the active device: 202", _asking_approval, 202, ASKING),
    Operation("what the active device is asked", _shown_approvals, settings=ASKING),
    Operation("the active device agrees", _answering(_asking_approval), settings=ASKING),
    Operation("the active device refuses", _answering(_asking_approval, refuse=True), settings=ASKING),
    Operation("ask how it stands: all have agreed", _agreed, settings=ASKING),
    Operation("log in by takeover, as they agreed", _taking_over_agreed, settings=ASKING),
    Operation("ask to join by approval: 202", _asking_to_join, 202, JOINING),
    Operation("the active device agrees to the joining", _answering(_asking_to_join), settings=JOINING),
    Operation("join by approval and be logged in", _joining_agreed, settings=JOINING),
    Operation("take a change back, in a session", _objecting),
    Operation("all that is kept, as a file", _getting("/registration/export")),
)


class Meter:
    """Adds up what DynamoDB says that each call consumed."""

    def __init__(self, store: DynamoStore) -> None:
        self.reads = self.writes = 0.0
        self._answer = store._clients.answer
        store._clients.answer = self._noted  # type: ignore[method-assign]

    def _noted(self, verb: str, request: Any) -> Any:
        answer = self._answer(verb, request)
        told = answer["ConsumedCapacity"]
        if verb in ("put_item", "delete_item"):
            self.writes += told["CapacityUnits"]
        else:
            self.reads += told["CapacityUnits"]
        return answer


def settle(suite: InProcessSuite) -> None:
    """Wait for what is done after answers."""
    assert suite.suite.mailing.later.finish(60)


def measured(operation: Operation, suite: InProcessSuite) -> Cost:
    """Do an operation in a scene of its own, an hour after the last one, and count. Units are DynamoDB's to tell.

    The account was made an hour before and logged in some seconds before, as it mostly is: a book that has just been
    changed several times carries their ids, and a used pairing token.
    """
    suite.store.watch()
    suite.clock.move(HOUR)
    anna = suite.register(f"anna{OPERATIONS.index(operation):02}")
    laptop = suite.pair(anna)
    suite.clock.move(HOUR)
    phone = suite.log_in(anna)
    suite.clock.move(IDS_ARE_FORGOTTEN)
    act = operation.prepare(Scene(suite, anna, laptop, phone))
    meter = Meter(suite.store.inner) if isinstance(suite.store.inner, DynamoStore) else None
    settle(suite)
    suite.store.watch()
    answer = act()
    settle(suite)
    assert answer.status_code == operation.status, f"{operation.name}: {answer.get_data(as_text=True)}"
    commits = len(suite.store.commits)
    return Cost(len(suite.store.calls) - commits, commits, meter.reads if meter else 0, meter.writes if meter else 0)


@contextmanager
def suites_on(kind: str) -> Iterator[Callable[[Operation], InProcessSuite]]:
    """Give what opens the suite that an operation needs, once, on an engine; skips where DynamoDB Local cannot run."""
    opened: dict[str, InProcessSuite] = {}
    with ExitStack() as stack:

        def suite_for(operation: Operation) -> InProcessSuite:
            settings: Any = operation.settings
            key = str(settings)
            if key not in opened:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                store = None if kind == "sqlite" else ENGINES[kind](folder).open()
                suite = InProcessSuite(folder, folder, HandClock(), store, **settings)
                opened[key] = stack.enter_context(closing(suite))
            return opened[key]

        yield suite_for


def row(operation: Operation, cost: Cost) -> tuple[str, ...]:
    """Return an operation's line of the table."""
    return (operation.name, str(cost.reads), str(cost.commits), f"{cost.read_units:g}", f"{cost.write_units:g}")


def main() -> int:
    """Measure all and write the table."""
    with suites_on("dynamodb") as suite_for:
        rows = [row(operation, measured(operation, suite_for(operation))) for operation in OPERATIONS]
    replace_section("costs", table(HEAD, rows), PAGE)
    print(f"{len(rows)} operations written to {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
