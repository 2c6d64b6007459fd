"""The two engines give the same answers: one long script on each, compared body for body.

Both suites have a clock of the test's, which moves a second with every call, so that even the times must agree. What
cannot agree is replaced: an id or a fingerprint by its number in the order of appearance, a token, a key, a certificate
or a picture by its kind. The apps are served by a server in this process, because the clock is in it.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from common.errors import Code
from ichidai.wiring.services import Services
from tests.support.authenticator import scanned
from tests.support.client import PASSWORD, Account, Client, Device, Login, bearer, device_of, granted, login_of, refused
from tests.support.engines import ENGINES
from tests.support.in_process import PUBLIC, Clock, served
from tests.support.mail_server import Mailbox, serving_mail
from tests.support.passkeys import made_for

NOTHING = "00000000-0000-4000-8000-000000000000"

NEVER_SEEN = {Code.INTERNAL_ERROR, Code.STORE_UNAVAILABLE, Code.BUSY, Code.NOT_SUPPORTED}
"""Codes that no well-behaved store and no client of today can bring about."""

SEEN_ELSEWHERE = {
    Code.PROOF_REQUIRED, Code.PROOF_INVALID, Code.CHALLENGE_SPENT, Code.CSR_INVALID, Code.KEY_IN_USE,
    Code.INVALID_DPOP_PROOF, Code.USE_DPOP_NONCE, Code.SERVED_ELSEWHERE, Code.TOO_MANY_STREAMS,
    Code.ACCOUNT_DISABLED, Code.PASSKEY_INVALID, Code.TOO_MANY_PASSKEYS,
    Code.REQUEST_TIMEOUT, Code.HEAD_TOO_LARGE,
    Code.TOO_MANY_REGISTRATIONS, Code.REGISTRATION_CLOSED, Code.WORK_REQUIRED, Code.INVITATION_SPENT,
    Code.APPROVAL_REFUSED, Code.APPROVAL_SPENT, Code.DIGITS_WRONG,
    Code.ADMIN_KEY_INVALID, Code.ROLE_TOO_LOW, Code.FOREIGN_REQUEST,
}  # fmt: skip
"""Codes of what signs and what streams: no body can be foretold there, and test_proofs, test_bound_over_http and
test_events ask both engines, and test_accounts_command has accounts disabled and closed on both. The others come before
any engine is asked, need settings of their own, or (refused passkeys) are asked of SQLite alone."""

_SECRET = {
    "access_token", "refresh_token", "device_token", "pairing_token", "token", "qr_code", "qr_link", "qr_png",
    "client_cert",
    "pem", "serial", "secret", "uri", "enrolment", "recovery_codes", "signing", "kem", "kid", "x", "y",
    "request_id", "challenge", "id", "passkey_id", "reset_token",
}  # fmt: skip
_PASSING = {"x-request-id", "traceparent", "date", "server", "connection", "content-length"}
_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{64}\b")


class Recorder(Client):
    """A client that notes every answer, with what cannot be the same on two engines replaced."""

    def __init__(self, base: str, clock: Clock, language: str | None) -> None:
        super().__init__({"all": base})
        self.clock = clock
        self.answers: list[Any] = []
        self.codes: set[str] = set()
        self.mailbox = Mailbox()
        self.services: list[Services] = []
        self._base = base
        self._languages = {} if language is None else {"Accept-Language": language}
        self._names: dict[str, str] = {}

    def mailed(self, kind: str) -> str:
        """Send what waits, as a worker does; return the token of the newest link of a kind."""
        (services,) = self.services
        assert services.mailing.later.finish(20)
        while services.mail_queue.send_due():
            pass
        return self.mailbox.link(kind)

    def url(self, path: str) -> str:
        """Return the address of a path; what the suite calls its own address is this server."""
        return super().url(path).replace(PUBLIC, self._base)

    def call(self, method: str, path: str, *, token: str | None = None, **more: Any) -> requests.Response:
        """Call a route and note what it answered."""
        self.clock.go_on(seconds=1)
        headers = {**self._languages, **more.pop("headers", {})}
        reply = super().call(method, path, token=token, headers=headers, **more)
        is_json = reply.headers["Content-Type"].endswith("json")
        body = reply.json() if is_json else reply.text
        if is_json and "code" in body:
            self.codes.add(body["code"])
        kept = {name: value for name, value in reply.headers.items() if name.lower() not in _PASSING}
        self.answers.append(self._plain([f"{method} {path}", reply.status_code, kept, body]))
        return reply

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: f"<{name}>" if name in _SECRET and not isinstance(held, dict) else self._plain(held)
                for name, held in value.items()
            }
        if isinstance(value, list):
            return [self._plain(held) for held in value]
        if isinstance(value, str):
            text = re.sub(r"(?s)-----BEGIN .*-----END [A-Z ]+-----", "<pem>", value)
            return _ID.sub(lambda found: self._names.setdefault(found[0], f"<{len(self._names)}>"), text)
        return value


Script = Callable[[Recorder], None]


# --- The script --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class People:
    """Who plays: Alice has a phone, a laptop and a tablet, Bob a phone."""

    alice: Account
    laptop: Device
    tablet: Device
    bob: Account


def whole_script(client: Recorder) -> None:
    """Everything that the default settings allow and refuse."""
    strangers(client)
    bodies(client)
    people = pairings(client, *registrations(client))
    questions(client, people)
    takeovers(client, people)
    joining(client, people)
    devices(client, people)
    reading(client, people)
    codes(client, people)
    guesses(client, people)
    time_passes(client, people)
    a_year_passes(client, people)
    a_persons_year(client)
    leaving(client)


def strangers(client: Recorder) -> None:
    """Nobody is signed in."""
    for path in ("/health", "/ready", "/.well-known/ichidai.json", "/.well-known/jwks.json", "/device/ca"):
        assert client.get(path).status_code == 200
    for path in ("/nowhere", "/session", "/problems/made-up"):
        refused(client.get(path), 404, "not-found")
    refused(client.get("/session/refresh"), 405, "method-not-allowed")
    refused(client.get("/session/verify"), 401, "token-missing")
    refused(client.verify("junk"), 401, "invalid-token")
    refused(client.refresh("junk"), 401, "invalid-token")
    refused(client.post("/session/logout", token="junk"), 401, "invalid-token")
    refused(
        client.post("/login/takeover", {"takeover_token": "x", "client_cert_fp": "0" * 64}), 400, "takeover-invalid"
    )


def bodies(client: Recorder) -> None:
    """What cannot be read."""
    refused(client.post("/login"), 400, "invalid-request")
    refused(client.post("/session/refresh", {"refresh_token": 5}), 400, "invalid-request")
    refused(client.post("/login", {"username": "x" * 70_000}), 413, "body-too-large")
    text = {"Content-Type": "text/plain"}
    refused(client.call("POST", "/login", data=b"hello", headers=text), 415, "unsupported-media-type")
    refused(client.post("/registration/", {"username": "x"}), 400, "missing-fields")
    refused(client.post("/registration/", {"qr_code": "x"}), 400, "missing-fields")
    refused(client.post("/login", {"username": "x", "password": PASSWORD}), 400, "missing-fields")


def registrations(client: Recorder) -> tuple[Account, Account]:
    """Two people register; others may not."""
    alice = client.register("alice", email="alice@b.test")
    form = {"username": "carol", "email": "carol@b.test", "password": PASSWORD}
    for weak in ("short", "x" * 1025, "password1", "carol@b.test"):
        refused(client.post("/registration/", form | {"password": weak}), 400, "weak-password")
    refused(client.post("/registration/", form | {"username": "ALICE"}), 409, "username-taken")
    refused(client.post("/registration/", form | {"email": "Alice@b.test"}), 409, "email-taken")
    refused(client.post("/registration/", form | {"public_keys": {"signing": "A"}}), 400, "key-invalid")
    again = {"Idempotency-Key": "the same"}
    for _ in range(2):
        granted(client.post("/registration/", form, headers=again))
    refused(client.post("/registration/", form), 409, "username-taken")
    return alice, client.register("bob", email="bob@b.test")


def pairings(client: Recorder, alice: Account, bob: Account) -> People:
    """Alice brings in a laptop and a tablet; a fourth device is one too many."""
    first = alice.phone.answer["qr_code"]
    refused(alice.try_pair("junk"), 400, "qr-invalid")
    refused(bob.try_pair(first), 403, "pairing-token-foreign")
    laptop = device_of(granted(alice.try_pair(first, "Laptop")))
    refused(alice.try_pair(first), 410, "pairing-token-spent")
    unknown = {**alice.credentials, "client_cert_fp": "0" * 64}
    refused(client.post("/registration/request_pairing_token", unknown), 403, "device-unknown")
    tablet = alice.pair("Tablet", by=laptop)
    refused(alice.try_pair(alice.pairing()["qr_code"]), 409, "too-many-devices")
    late = bob.pairing()["qr_code"]
    client.clock.go_on(minutes=10)
    refused(bob.try_pair(late), 410, "pairing-token-spent")
    return People(alice, laptop, tablet, bob)


def questions(client: Recorder, people: People) -> None:
    """One is in, another asks, forces, comes again, and leaves."""
    alice, laptop = people.alice, people.laptop
    first = alice.login()
    refused(alice.try_login(password="wrong guess"), 401, "bad-credentials")
    refused(alice.try_login(username="nobody"), 401, "bad-credentials")
    refused(alice.try_login(client_cert_fp="0" * 64), 401, "certificate-mismatch")
    alice.question(laptop)
    granted(client.verify(first.access))
    forced = alice.login(laptop, "/login/force")
    is_out(client, first, "forced-out")
    again = alice.login(laptop, "/session/create")
    is_out(client, forced, "replaced")
    for _ in range(2):
        granted(client.post("/session/logout", token=again.access))
    is_out(client, again, "logged-out")


def is_out(client: Recorder, session: Login, reason: str) -> None:
    """Check that neither token opens anything, and that both say why."""
    for reply in (client.verify(session.access), client.refresh(session.refresh)):
        assert refused(reply, 401, "session-ended")["reason"] == reason


def takeovers(client: Recorder, people: People) -> None:
    """Consents: another device's, one for somebody who left, a good one, the same again, one that is too late."""
    alice, laptop, tablet = people.alice, people.laptop, people.tablet
    first = alice.login()
    asked = alice.question(laptop)
    refused(alice.take_over(asked, tablet), 403, "device-mismatch")
    granted(client.post("/session/logout", token=first.access))
    other = alice.login(tablet)
    refused(alice.take_over(asked, laptop), 409, "device-active")
    asked = alice.question(laptop)
    taken = login_of(alice.take_over(asked, laptop))
    is_out(client, other, "taken-over")
    assert login_of(alice.take_over(asked, laptop)).session_id == taken.session_id
    granted(client.refresh(taken.refresh))
    refused(alice.take_over(asked, laptop), 410, "takeover-spent")
    late = alice.question(alice.phone)
    client.clock.go_on(minutes=2)
    refused(alice.take_over(late, alice.phone), 410, "takeover-spent")
    granted(client.post("/session/revoke", {"session_id": taken.session_id}, token=taken.access))


def joining(client: Recorder, people: People) -> None:
    """Bob's new device is registered and logged in at once: after a question, and by force."""
    bob = people.bob
    first, qr_code = bob.login(), bob.pairing()["qr_code"]
    refused(bob.try_join("junk"), 400, "qr-invalid")
    asked = refused(bob.try_join(qr_code), 409, "device-active")
    joined = login_of(bob.try_join(qr_code, takeover_token=asked["takeover"]["token"]))
    is_out(client, first, "taken-over")
    refused(bob.try_join(qr_code), 410, "pairing-token-spent")
    forced = login_of(bob.try_join(bob.pairing()["qr_code"], force=True))
    is_out(client, joined, "forced-out")
    for device_id in (joined.device_id, bob.phone.device_id):
        granted(client.post("/device/unbind", {"device_id": device_id}, token=forced.access))
    refused(client.post("/device/unbind", {"device_id": forced.device_id}, token=forced.access), 409, "last-device")
    refused(bob.try_login(), 401, "certificate-revoked")
    granted(client.post("/session/logout", token=forced.access))


def devices(client: Recorder, people: People) -> None:
    """Listed, renamed, unbound, with what is refused of each."""
    alice, laptop, tablet = people.alice, people.laptop, people.tablet
    session = alice.login(laptop)
    new = {"device_id": laptop.device_id, "device_name": "Notebook"}
    granted(client.post("/device/rename", new, token=session.access))
    refused(client.post("/device/rename", new | {"device_name": "\n"}, token=session.access), 400, "invalid-request")
    for path, name in (
        ("/device/rename", "device_id"),
        ("/device/unbind", "device_id"),
        ("/session/revoke", "session_id"),
    ):
        refused(client.post(path, {"device_name": "x", name: NOTHING}, token=session.access), 404, "not-found")
    granted(client.post("/device/unbind", {"device_id": tablet.device_id}, token=session.access))
    refused(alice.try_login(tablet), 401, "certificate-revoked")
    refused(alice.request_pairing(tablet), 403, "device-unknown")
    granted(client.post("/device/force_logout", token=session.access))


def reading(client: Recorder, people: People) -> None:
    """All lists, and the history page by page."""
    session = people.alice.login(people.laptop)
    for path in ("/device/list", "/session/list", "/session/history", "/session/history?limit=3"):
        granted(client.get(path, token=session.access))
    page = granted(client.get("/session/history?limit=2", token=session.access))
    granted(client.get(f"/session/history?limit=2&before={page['events'][-1]['change_no']}", token=session.access))
    refused(client.get("/session/history?limit=0", token=session.access), 400, "invalid-request")
    assert client.get("/openapi.json", headers=bearer(session.access)).status_code == 200


def codes(client: Recorder, people: People) -> None:
    """A second factor, switched on and off, with what is refused on the way."""
    session = people.alice.login(people.laptop)
    right = {"password": PASSWORD}

    def post(what: str, body: dict[str, str]) -> requests.Response:
        return client.post(f"/registration/otp/{what}", body, token=session.access)

    refused(post("remove", right), 409, "otp-inactive")
    refused(post("begin", {"password": "wrong guess"}), 401, "bad-credentials")
    asked = granted(post("begin", right))
    phone, first = scanned(asked["uri"]), {"enrolment": asked["enrolment"]}
    refused(post("confirm", {"enrolment": "junk", "otp": "1"}), 410, "enrolment-spent")
    refused(post("confirm", {**first, "otp": "1"}), 401, "otp-invalid")
    recovery_codes = granted(post("confirm", {**first, "otp": phone.code(client.clock(), -1)}))["recovery_codes"]
    granted(client.get("/registration/otp", token=session.access))
    refused(post("begin", right), 409, "otp-active")
    refused(people.alice.try_login(people.laptop), 401, "otp-required")
    refused(people.alice.try_login(people.laptop, otp="000000"), 401, "otp-invalid")
    login_of(people.alice.try_login(people.laptop, otp=recovery_codes[0]))
    session = login_of(people.alice.try_login(people.laptop, otp=phone.code(client.clock())))
    client.clock.go_on(seconds=30)
    granted(client.get("/registration/otp", token=session.access))
    granted(post("remove", {**right, "otp": phone.code(client.clock())}))
    granted(client.get("/registration/otp", token=session.access))


def guesses(client: Recorder, people: People) -> None:
    """Five wrong ones are judged, the sixth has to wait, and so has the right password then."""
    for _ in range(5):
        refused(people.bob.try_login(password="wrong guess"), 401, "bad-credentials")
    refused(people.bob.try_login(password="wrong guess"), 429, "too-many-attempts")
    refused(people.bob.request_pairing(), 429, "too-many-attempts")


def time_passes(client: Recorder, people: People) -> None:
    """Tokens run out, are renewed, and used too late; a password check grows old."""
    alice, laptop = people.alice, people.laptop
    session = alice.login(laptop)
    client.clock.go_on(minutes=10)
    refused(client.verify(session.access), 401, "token-expired")
    token = granted(client.refresh(session.refresh))["access_token"]
    granted(client.refresh(session.refresh))
    unbind = {"device_id": alice.phone.device_id}
    refused(client.post("/device/unbind", unbind, token=token), 403, "reauthenticate")
    refused(client.post("/device/unbind", unbind | {"password": "wrong guess"}, token=token), 403, "reauthenticate")
    client.clock.go_on(seconds=10)
    is_refused = refused(client.refresh(session.refresh), 401, "session-ended")
    assert is_refused["reason"] == "refresh-reused"


def a_year_passes(client: Recorder, people: People) -> None:
    """Sessions end by themselves, and certificates run out."""
    alice = people.alice
    session = alice.login()
    client.clock.go_on(days=1, minutes=1)  # the idle limit, and how late the last activity may be written
    is_out(client, session, "expired")
    client.clock.go_on(days=366)
    refused(alice.try_login(), 401, "certificate-expired")
    refused(alice.request_pairing(), 403, "device-unknown")


def a_persons_year(client: Recorder) -> None:
    """Another name and password, a passkey, lost devices, a change that is taken back, leaving and coming back."""
    frank = client.register("frank", email="frank@b.test")
    right, new = {"password": PASSWORD}, {"new_password": "an altogether new phrase"}
    session = frank.login()

    def post(path: str, body: object) -> requests.Response:
        return client.post(f"/registration/{path}", body, token=session.access)

    refused(post("password", {"password": "wrong guess", **new}), 401, "bad-credentials")
    granted(post("username", {**right, "username": "francis"}))
    options = granted(post("passkeys/begin", right))["options"]
    granted(post("passkeys/finish", {"passkey": made_for(options).attestation(options, origin=PUBLIC)}))
    granted(client.get("/registration/passkeys", token=session.access))
    recovery_codes = granted(post("recovery-codes", right))["recovery_codes"]
    granted(client.get("/registration/account", token=session.access))
    granted(client.post("/session/end-all", {**right, "this_session": True}, token=session.access))
    is_out(client, session, "revoked")

    lost = {"username": "francis", **right, **new, "device_name": "New phone"}
    refused(client.post("/registration/recover", {**lost, "recovery_code": "AAAA-BBBB"}), 401, "recovery-code-invalid")
    found = granted(client.post("/registration/recover", {**lost, "recovery_code": recovery_codes[0]}))
    frank = dataclasses.replace(frank, password=new["new_password"])
    session, right = frank.login(device_of(found)), {"password": frank.password}
    granted(post("recovery-codes", right))
    newest = granted(client.get("/session/history", token=session.access))["events"][0]
    granted(post("objection", {**right, "change_no": newest["change_no"]}))


def leaving(client: Recorder) -> None:
    """A password that is changed, and an account that is closed, reopened, and gone after its days."""
    grace = client.register("grace", email="grace@b.test")
    changed = {"password": PASSWORD, "new_password": "an altogether new phrase"}
    granted(client.post("/registration/password", changed, token=grace.login().access))
    grace = dataclasses.replace(grace, password=changed["new_password"])
    session = grace.login()
    granted(client.post("/registration/close", {"password": grace.password}, token=session.access))
    is_out(client, session, "revoked")
    refused(grace.try_login(), 403, "account-closed")
    granted(client.post("/registration/reopen", grace.credentials))
    granted(client.get("/registration/export", token=grace.login().access))


def no_questions(client: Recorder) -> None:
    """Mode reject without force: the earlier login stays whatever is tried."""
    account = client.register("dave", email="dave@b.test")
    laptop, session = account.pair(), account.login()
    assert "takeover" not in account.question(laptop)
    refused(account.try_login(laptop, force=True), 403, "force-disabled")
    refused(account.try_login(laptop, "/login/force"), 403, "force-disabled")
    granted(client.verify(session.access))


def browsers(client: Recorder) -> None:
    """Mode evict, two at once, no device proof: the earliest goes, and a browser with its token is the same device."""
    account = client.register("erin", email="erin@b.test")
    replies = [client.post("/login", account.credentials) for _ in range(3)]
    first, second, third = [login_of(reply) for reply in replies]
    is_out(client, first, "evicted")
    device_token = third.answer["device_token"]
    again = login_of(client.post("/login", {**account.credentials, "device_token": device_token}))
    is_out(client, third, "replaced")
    granted(client.get("/session/list", token=again.access))
    kept = granted(client.post("/device/force_logout", token=again.access))
    assert kept["kept"]["session_id"] == second.session_id
    is_out(client, again, "forced-out")
    granted(client.get("/session/history", token=second.access))


def links(client: Recorder) -> None:
    """What the links of mails do: an address confirmed and changed, a forgotten password, a change taken back."""
    heidi = client.register("heidi", email="heidi@b.test")
    granted(client.post("/registration/email/confirm", {"token": client.mailed("confirm")}))
    for name in ({"username": "heidi"}, {"email": "heidi@b.test"}, {"username": "nobody"}):
        granted(client.post("/registration/password/forgot", name))
    new = {"new_password": "an altogether new phrase", "device_name": "Found"}
    form = {**new, "token": client.mailed("reset")}
    refused(client.post("/registration/password/reset", {**form, "token": "junk"}), 400, "invalid-request")
    found = granted(client.post("/registration/password/reset", form))
    refused(client.post("/registration/password/reset", form), 410, "link-spent")
    heidi = dataclasses.replace(heidi, password=new["new_password"])
    session, right = heidi.login(device_of(found)), {"password": heidi.password}

    def post(path: str, body: object) -> requests.Response:
        return client.post(f"/registration/{path}", body, token=session.access)

    granted(post("email", {**right, "email": "other@b.test"}))
    granted(client.post("/registration/email/confirm", {"token": client.mailed("confirm")}))
    options = granted(post("passkeys/begin", right))["options"]
    passkey = made_for(options)
    granted(post("passkeys/finish", {"passkey": passkey.attestation(options, origin=PUBLIC)}))
    asked = granted(client.post("/login/passkey/begin"))["options"]
    entering = {"passkey": passkey.assertion(asked, origin=PUBLIC), "device_name": "Browser", "force": True}
    login_of(client.post("/login/passkey/finish", entering))
    is_out(client, session, "forced-out")
    taken_back = granted(client.post("/registration/objection", {"token": client.mailed("object")}))
    refused(heidi.try_login(device_of(found)), 403, "password-reset-required")
    granted(client.post("/registration/password/reset", {**form, "token": taken_back["reset_token"]}))


# --- Compared ----------------------------------------------------------------------------------------------------

SCRIPTS: dict[str, tuple[Script, dict[str, str]]] = {
    "the whole script": (whole_script, {"ICHIDAI_MAX_DEVICES": "3", "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": "5"}),
    "links": (links, {"ICHIDAI_MAIL": ""}),
    "no questions": (no_questions, {"ICHIDAI_CONCURRENCY_MODE": "reject", "ICHIDAI_ALLOW_FORCE": "false"}),
    "browsers": (
        browsers,
        {"ICHIDAI_CONCURRENCY_MODE": "evict", "ICHIDAI_DEVICE_PROOF": "none", "MAX_CONCURRENT_DEVICES": "2"},
    ),
}

Run = tuple[list[Any], set[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, str | None], Run]:
    """Return a function that plays a script on an engine in a language and gives its answers and error codes."""

    def run(engine: str, name: str, language: str | None) -> Run:
        script, settings = SCRIPTS[name]
        folder, services = tmp_path_factory.mktemp("served"), list[Services]()
        with serving_mail() as (address, mailbox):
            mail = {"ICHIDAI_MAIL": address} if "ICHIDAI_MAIL" in settings else {}
            with served(ENGINES[engine](folder), folder, {**settings, **mail}, services.append) as (base, clock):
                client = Recorder(base, clock, language)
                client.mailbox, client.services = mailbox, services
                script(client)
                return client.answers, client.codes

    return functools.cache(run)


@pytest.mark.requirement("R31", "D29")
@pytest.mark.regression("X47", "X69")
@pytest.mark.parametrize("language", [None, "ja", "en"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_body_for_body(run: Callable[..., Run], script: str, language: str | None) -> None:
    """Status, headers and body of every answer agree, times included."""
    on_sqlite, on_dynamodb = (run(engine, script, language)[0] for engine in ("sqlite", "dynamodb"))
    for one, other in itertools.zip_longest(on_sqlite, on_dynamodb):
        assert one == other


def test_no_refusal_is_left_out(run: Callable[..., Run]) -> None:
    """The scripts meet every code that there is, but for those that need a fault of the store or of ours."""
    seen = {code for script in SCRIPTS for code in run("sqlite", script, None)[1]}
    assert seen == set(Code) - NEVER_SEEN - SEEN_ELSEWHERE
