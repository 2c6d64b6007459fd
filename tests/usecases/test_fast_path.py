"""The front before the app: for every kind of request its answer is the app's, and it asks the store as it should."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from msgspec.structs import replace
from werkzeug.test import Client, TestResponse

from common.account.book import AccountState
from common.storage.port import StoreUnavailable
from ichidai.apps import app_for, with_fast_path
from ichidai.topology import App
from tests.support.dpop import DpopKey
from tests.usecases.in_process_suite import MINUTE, SECOND, InProcessSuite, Login, Person, as_login
from tests.usecases.test_bound_tokens import try_login
from tests.usecases.test_certificate_bound import BINDING, log_in
from tests.usecases.test_forwarded_certificates import header
from tests.usecases.watched_store import StoreCall

Build = Callable[..., InProcessSuite]


@dataclass
class Both:
    """A suite with its app, and with the fast path before it."""

    suite: InProcessSuite
    with_fast: Client = field(init=False)
    passed_on: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Watch what reaches the app through the fast path."""
        app = app_for(App.ALL, self.suite.suite)
        inner = app.wsgi_app

        def watched(environ: dict[str, object], start: object) -> object:
            self.passed_on.append(str(environ["REQUEST_METHOD"]))
            return inner(environ, start)  # type: ignore[arg-type]

        app.wsgi_app = watched  # type: ignore[method-assign]
        self.with_fast = Client(with_fast_path(app, self.suite.suite), TestResponse)

    def ask(
        self, token: str | None, *, method: str = "GET", path: str = "/session/verify", **headers: str
    ) -> TestResponse:
        """Ask both; they must give the same answer."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token}")
        self.passed_on.clear()
        fast = self.with_fast.open(path, method=method, headers=sent, environ_base={"REMOTE_ADDR": "127.0.0.1"})
        app = self.suite.client.open(path, method=method, headers=sent)
        assert fast.status == app.status
        assert sorted(fast.headers) == sorted(app.headers)
        assert fast.data == app.data
        return fast

    @property
    def was_passed_on(self) -> bool:
        """Whether the last question was handed to the app."""
        return bool(self.passed_on)


@pytest.fixture
def both(suite: InProcessSuite) -> Both:
    """Return a suite with and without the fast path."""
    return Both(suite)


@pytest.fixture
def login(both: Both, anna: Person) -> Login:
    """Return a session of hers."""
    return both.suite.log_in(anna)


def test_a_good_token_is_answered_in_front(both: Both, login: Login) -> None:
    """Status, headers and body are the app's, which was not asked."""
    answer = both.ask(login.access)
    assert (answer.status_code, answer.get_json()["session_id"]) == (200, login.session_id)
    assert not both.was_passed_on


@pytest.mark.parametrize(
    "kind",
    [
        {"path": "/session/verify/"},
        {"path": "/session/verify?x=1"},
        {"Accept_Language": "ja"},
        {"Authorization": "Bearer  {}  "},
        {"X_Forwarded_For": "203.0.113.9"},
        {"X_Forwarded_Method": "POST", "X_Forwarded_Proto": "https", "X_Forwarded_Host": "h", "X_Forwarded_Uri": "/"},
        {"Content_Type": "application/json"},
        {"Cookie": "a=b"},
        {"If_None_Match": "*"},
    ],
)
def test_what_changes_nothing_is_answered_in_front(both: Both, login: Login, kind: Mapping[str, str]) -> None:
    """Neither way minds."""
    told = {name: text.format(login.access) for name, text in kind.items()}
    assert both.ask(login.access, **told).status_code == 200
    assert not both.was_passed_on


@pytest.mark.parametrize(
    "kind",
    [
        {"method": "HEAD"},
        {"method": "POST"},
        {"method": "OPTIONS"},
        {"method": "DELETE"},
        {"path": "/session/verify//"},
        {"path": "/session/Verify"},
        {"path": "/session/list"},
        {"Authorization": "bearer {}"},
        {"Authorization": "Basic {}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": ""},
        {"Authorization": "DPoP {}"},
        {"DPoP": "x"},
        {"Idempotency_Key": "x" * 300},
        {"Idempotency_Key": "good"},
        {"Origin": "https://elsewhere.test"},
        {"Authorization": "Bearer {}x"},
        {"Authorization": "Bearer x.y.z", "Accept_Language": "ja"},
        {"Authorization": "Bearer \u00e9"},
    ],
)
def test_what_is_not_plain_is_the_apps(both: Both, login: Login, kind: Mapping[str, str]) -> None:
    """It answers as if there were nothing in front."""
    told = {name: text.format(login.access) for name, text in kind.items()}
    both.ask(login.access, **told)
    assert both.was_passed_on


def test_without_a_token(both: Both) -> None:
    """The app says what is missing."""
    assert both.ask(None).status_code == 401


Ending = Callable[[Both, Person, Login], object]


def _disable(both: Both, anna: Person, _login: Login) -> None:
    both.suite.put_book(replace(both.suite.book(anna), state=AccountState.DISABLED))


def _unbind(both: Both, anna: Person, _login: Login) -> None:
    both.suite.put_book(replace(both.suite.book(anna), devices={}))


def _vanish(both: Both, anna: Person, _login: Login) -> None:
    both.suite.put_book(replace(both.suite.book(anna), sessions={}))


@pytest.mark.parametrize(
    "ending",
    [
        lambda both, _anna, login: both.suite.post("/session/logout", None, login.access),
        lambda both, anna, _login: both.suite.log_in(anna),
        lambda both, anna, _login: both.suite.log_in(anna, both.suite.pair(anna), force=True),
        lambda both, _anna, _login: both.suite.clock.move(timedelta(minutes=11)),
        lambda both, _anna, _login: both.suite.clock.move(timedelta(days=2)),
        lambda both, _anna, _login: both.suite.clock.move(timedelta(days=40)),
        _disable,
        _unbind,
        _vanish,
    ],
    ids=["logout", "replaced", "forced", "token expired", "idle", "ended", "disabled", "unbound", "vanished"],
)
@pytest.mark.requirement("R44")
def test_an_end_holds_at_the_very_next_request(both: Both, anna: Person, login: Login, ending: Ending) -> None:
    """However often the token was good before: nothing that is remembered answers for the book."""
    for _ in range(3):
        assert both.ask(login.access).status_code == 200
    ending(both, anna, login)
    for language in ("ja", "en"):
        assert both.ask(login.access, Accept_Language=language).status_code == 401


def test_a_lowered_limit_holds_for_a_token_that_was_good(build_suite: Build) -> None:
    """The later session is over the limit in the process that has the lower one."""
    two, one = Both(build_suite(MAX_CONCURRENT_DEVICES="2")), Both(build_suite())
    anna = two.suite.register()
    first, second = two.suite.log_in(anna), two.suite.log_in(anna, two.suite.pair(anna))
    assert [two.ask(each.access).status_code for each in (first, second)] == [200, 200]
    assert [one.ask(each.access).status_code for each in (first, second)] == [200, 401]


def test_a_key_that_is_retired_takes_its_tokens_along(
    both: Both, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That a signature was good is believed only while its key is published."""
    assert both.ask(login.access).status_code == 200
    dependencies = both.suite.suite.context.authenticator.dependencies  # type: ignore[attr-defined]
    monkeypatch.setattr(type(dependencies.access_tokens._keys), "verifier", lambda _self, _kid: None)
    assert both.ask(login.access).get_json()["code"] == "invalid-token"


def test_a_bound_token_needs_its_proof(both: Both) -> None:
    """Shown as a bearer's it is refused by both; with a proof it is the app's to check."""
    person, key = both.suite.register(), DpopKey()
    token = try_login(both.suite, person, person.first, key).get_json()["access_token"]
    assert both.ask(token).status_code == 401
    proof = key.proof("GET", "http://127.0.0.1:8000/session/verify", token, now=both.suite.clock.now.timestamp())
    assert both.ask(token, Authorization=f"DPoP {token}", DPoP=proof).get_json()["code"] == "use-dpop-nonce"


def test_a_token_that_is_bound_to_a_certificate(build_suite: Build) -> None:
    """Good beside it, in front too; beside anything else, and from anybody else, the app says what is wrong."""
    both = Both(build_suite(**BINDING))
    anna = both.suite.register()
    bert, login = both.suite.register("bert"), as_login(log_in(both.suite, anna, anna.first))
    both.suite.store.watch()
    assert both.ask(login.access, Client_Cert=header(anna.first)).status_code == 200
    assert not both.was_passed_on
    assert len(both.suite.store.calls) == 2, "one read each"
    for shown in ({}, {"Client_Cert": header(bert.first)}, {"Client_Cert": "junk"}, {"Client_Cert": ""}):
        assert both.ask(login.access, **shown).get_json()["code"] == "invalid-token"
        assert both.was_passed_on
    stranger = {"Authorization": f"Bearer {login.access}", "Client-Cert": header(anna.first)}
    answer = both.with_fast.get("/session/verify", headers=stranger, environ_base={"REMOTE_ADDR": "192.0.2.1"})
    assert answer.status_code == 401


def test_across_origins(build_suite: Build) -> None:
    """With allowed origins, too, the two agree, with and without an Origin header."""
    both = Both(build_suite(ICHIDAI_CORS_ORIGINS="https://app.test,https://other.test"))
    login = both.suite.log_in(both.suite.register())
    assert both.ask(login.access, Origin="https://app.test").headers["Access-Control-Allow-Origin"]
    both.ask(login.access, Origin="https://evil.test")
    assert both.ask(login.access).status_code == 200
    assert not both.was_passed_on


def test_a_verification_is_one_read_and_no_write(both: Both, login: Login) -> None:
    """Counted, for the first and for a later one."""
    for _ in range(2):
        both.suite.store.watch()
        assert (
            both.with_fast.get("/session/verify", headers={"Authorization": f"Bearer {login.access}"}).status_code
            == 200
        )
        assert [call.verb for call in both.suite.store.calls] == ["get"]
        assert both.suite.store.calls[0].tables == ("SessionsTable",)


def test_a_refresh_is_the_apps(both: Both, login: Login) -> None:
    """Nothing reads a body in front of it."""
    both.passed_on.clear()
    assert both.with_fast.post("/session/refresh", json={"refresh_token": login.refresh}).status_code == 200
    assert both.was_passed_on


def test_activity_is_noted(both: Both, anna: Person, login: Login) -> None:
    """As the app does it, and written in the background."""
    both.suite.clock.move(MINUTE + SECOND)
    both.suite.store.watch()
    assert both.ask(login.access).status_code == 200
    assert both.suite.store.commits == []
    both.suite.wait_a_second()
    assert both.suite.book(anna).sessions[login.session_id].last_seen_at == both.suite.clock.now
    assert both.ask(login.access).status_code == 200


def test_while_the_store_is_away(both: Both, login: Login) -> None:
    """503 by both, never what was remembered."""
    assert both.ask(login.access).status_code == 200

    def away(_call: StoreCall) -> None:
        raise StoreUnavailable("by a test")

    both.suite.store.before = away
    assert both.ask(login.access).status_code == 503


def test_another_name_in_a_token_is_told(both: Both, anna: Person, login: Login) -> None:
    """Two tokens of one session may differ in what they say; each is answered for itself."""
    dependencies = both.suite.suite.context.authenticator.dependencies  # type: ignore[attr-defined]
    claims = dependencies.access_tokens.verify(login.access)
    other = dependencies.access_tokens.sign(replace(claims, username="anna-b"))
    for token, name in ((login.access, "anna"), (other, "anna-b"), (login.access, "anna")):
        assert both.ask(token).get_json()["username"] == name
        assert not both.was_passed_on
