"""The front before the app, for refreshes: whatever is sent, the answer is the app's, and so is what is left behind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import jwt
import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from common.book import AccountState
from common.history import Origin, Reason
from common.storage.port import StoreUnavailable
from tests.dpop import DpopKey
from tests.usecases.house import House, Login, Person, as_login
from tests.usecases.test_bound_tokens import try_login
from tests.usecases.test_certificate_bound import BINDING, log_in
from tests.usecases.test_forwarded_certificates import header
from tests.usecases.test_front import Both, Build
from tests.usecases.watched_store import StoreCall

PATH = "/session/refresh"
JSON = "application/json"
MINE = {"REMOTE_ADDR": "127.0.0.1"}


def sent(both: Both, body: bytes, kind: str = JSON, path: str = PATH, method: str = "POST", **headers: str) -> Any:
    """Send to both, to the front first; who comes second with a good token is told the same successor again."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    both.passed_on.clear()
    given: Any = {"method": method, "data": body, "content_type": kind, "headers": named, "environ_base": MINE}
    return both.fronted.open(path, **given), both.house.client.open(path, **given)


def said(answer: TestResponse) -> tuple[Any, ...]:
    """Return what an answer says; of an access token what is in it, but for its own id."""
    told = answer.get_json()
    token = told.pop("access_token", None) if isinstance(told, dict) else None
    claims = token and {
        **jwt.decode(token, options={"verify_signature": False}),
        **jwt.get_unverified_header(token),
        "jti": "",
    }
    return answer.status, sorted(answer.headers), list(told or ()), told, claims


def body_of(login: Login) -> bytes:
    """Return the plain body."""
    return json.dumps({"refresh_token": login.refresh}).encode()


@pytest.fixture
def both(house: House) -> Both:
    """Return a house with and without the front."""
    return Both(house)


@pytest.fixture
def login(both: Both, anna: Person) -> Login:
    """Return a session of hers."""
    return both.house.log_in(anna)


PLAIN: list[tuple[str, Mapping[str, str]]] = [
    ('{{"refresh_token":"{}"}}', {}),
    ('{{"refresh_token": "{}"}}', {"path": PATH + "/"}),
    ('{{"refresh_token": "{}"}}', {"path": PATH + "?x=1"}),
    (' \r\n{{\t"refresh_token" :\n"{}" }} ', {}),
    ('{{"refresh_token": "{}"}}', {"kind": "application/json; charset=utf-8"}),
    ('{{"refresh_token": "{}"}}', {"Accept_Language": "en", "Cookie": "a=b", "If_Match": "*", "User_Agent": "A/1"}),
    ('{{"refresh_token": "{}"}}', {"Authorization": "Bearer junk"}),
    ('{{"refresh_token": "{}"}}', {"X_Forwarded_For": "203.0.113.9"}),
]


@pytest.mark.parametrize(("body", "more"), PLAIN)
def test_a_good_token_is_answered_in_front(both: Both, login: Login, body: str, more: Mapping[str, str]) -> None:
    """Status, headers and body are the app's, which was not asked; the tokens are good."""
    front, app = sent(both, body.format(login.refresh).encode(), **more)
    assert not both.passed_on
    assert front.status_code == 200
    assert front.headers["Content-Length"] == str(len(front.data))
    assert said(front) == said(app)
    assert both.house.verify(as_login(front)).status_code == 200
    assert both.house.refresh(as_login(front).refresh).status_code == 200


UNUSUAL: list[tuple[str, Mapping[str, str]]] = [
    ("", {}),
    ("{{", {}),
    ("[]", {}),
    ('"{}"', {}),
    ("{{}}", {}),
    ('{{"refresh_token": ""}}', {}),
    ('{{"refresh_token": null}}', {}),
    ('{{"refresh_token": 1}}', {}),
    ('{{"refresh_token": ["{}"]}}', {}),
    ('{{"refresh_token": "{}", "more": 1}}', {}),
    ('{{"refresh_token": "{}", "refresh_token": "{}"}}', {}),
    ('{{"refresh_token": "junk", "refresh_token": "{}"}}', {}),
    ('{{"refresh_token": " {}"}}', {}),
    ('{{"refresh_token": "\\u002e{}"}}', {}),
    ('\ufeff{{"refresh_token": "{}"}}', {}),
    ('{{"refresh_token": "{}"}}\x00', {}),
    ('{{"refresh_token": "{}"}}\x0c', {}),
    ('{{"refresh_token": "{}"}} {{}}', {}),
    ('{{"Refresh_token": "{}"}}', {}),
    ('{{"refresh_token": "{}x"}}', {}),
    ('{{"refresh_token": "junk"}}', {}),
    ('{{"refresh_token": "a.b"}}', {"Accept_Language": "en"}),
    ('{{"refresh_token": "é{}"}}', {}),
    ('{{"refresh_token": "' + "x" * 5000 + '"}}', {}),
    ('{{"refresh_token": "{}"}}' + " " * 10_000, {}),
    ('{{"refresh_token": "{}"}}' + " " * 70_000, {}),
    ("refresh_token={}", {"kind": "application/x-www-form-urlencoded"}),
    ('{{"refresh_token": "{}"}}', {"kind": "text/plain"}),
    ('{{"refresh_token": "{}"}}', {"kind": "application/problem+json"}),
    ('{{"refresh_token": "{}"}}', {"kind": ""}),
    ('{{"refresh_token": "{}"}}', {"kind": "Application/JSON"}),
    ('{{"refresh_token": "{}"}}', {"Origin": "https://elsewhere.test"}),
    ('{{"refresh_token": "{}"}}', {"Idempotency_Key": "x"}),
    ('{{"refresh_token": "{}"}}', {"Idempotency_Key": "x" * 300}),
    ('{{"refresh_token": "{}"}}', {"DPoP": "x"}),
    ('{{"refresh_token": "{}"}}', {"method": "PUT"}),
    ('{{"refresh_token": "{}"}}', {"method": "GET"}),
    ('{{"refresh_token": "{}"}}', {"method": "OPTIONS"}),
    ('{{"refresh_token": "{}"}}', {"path": PATH + "//"}),
    ('{{"refresh_token": "{}"}}', {"path": "/session/Refresh"}),
]


@pytest.mark.parametrize(("body", "more"), UNUSUAL)
def test_what_is_not_plain_is_the_apps(both: Both, login: Login, body: str, more: Mapping[str, str]) -> None:
    """It reads the whole body and answers as if there were nothing in front."""
    front, app = sent(both, body.replace("{}", login.refresh).replace("{{", "{").replace("}}", "}").encode(), **more)
    assert both.passed_on
    assert said(front) == said(app)
    if front.status_code != 200:
        assert front.data == app.data


def test_a_body_of_unknown_length_is_the_apps(both: Both, login: Login) -> None:
    """So is one that ends before its length."""
    environ: Any = {"REQUEST_METHOD": "POST", "PATH_INFO": PATH, "CONTENT_TYPE": JSON, **MINE}
    for length in ("", "-1", "1_0", "٣", "9" * 30, str(len(body_of(login)) + 1)):
        given: Any = {"data": body_of(login), "environ_overrides": {**environ, "CONTENT_LENGTH": length}}
        both.passed_on.clear()
        front, app = both.fronted.post(PATH, **given), both.house.client.post(PATH, **given)
        assert both.passed_on, length
        assert said(front) == said(app), length


def test_a_refresh_is_one_read_and_one_commit(both: Both, login: Login) -> None:
    """In front as in the app."""
    both.house.store.watch()
    assert both.fronted.post(PATH, data=body_of(login), content_type=JSON).status_code == 200
    assert [call.verb for call in both.house.store.calls] == ["get", "commit"]


def test_a_token_of_long_ago_ends_the_session_once(build_house: Build) -> None:
    """It is the app that ends it, and that writes down from where: with a front and without it is the same."""
    both, told = Both(build_house(ICHIDAI_TRUSTED_PROXIES="127.0.0.1")), []
    for asked, name in ((both.fronted, "anna"), (both.house.client, "bert")):
        person = both.house.register(name)
        login = both.house.log_in(person)
        both.house.refresh(as_login(both.house.refresh(login.refresh)).refresh)
        headers = {"X-Forwarded-For": "203.0.113.9", "User-Agent": "Thief/1", "Accept-Language": "en"}
        both.house.store.watch()
        answer = asked.post(PATH, data=body_of(login), content_type=JSON, headers=headers, environ_base=MINE)
        assert [call.verb for call in both.house.store.calls].count("commit") == 1
        entry = both.house.history(person)[-1]
        told.append((answer.status, answer.data, entry.origin, [event.reason for event in entry.events]))
    assert told[0] == told[1]
    assert told[0][2:] == (Origin("203.0.113.9", "Thief/1"), [Reason.REFRESH_REUSED])


Ending = Callable[[Both, Person, Login], object]


def _disable(both: Both, anna: Person, _login: Login) -> None:
    both.house.put_book(replace(both.house.book(anna), state=AccountState.DISABLED))


@pytest.mark.parametrize(
    "ending",
    [
        lambda both, _anna, login: both.house.post("/session/logout", None, login.access),
        lambda both, anna, _login: both.house.log_in(anna),
        lambda both, anna, _login: both.house.log_in(anna, both.house.pair(anna), force=True),
        lambda both, _anna, _login: both.house.clock.move(timedelta(days=2)),
        lambda both, _anna, _login: both.house.clock.move(timedelta(days=40)),
        _disable,
    ],
    ids=["logout", "replaced", "forced", "idle", "ended", "disabled"],
)
def test_an_ended_session_is_not_refreshed(both: Both, anna: Person, login: Login, ending: Ending) -> None:
    """And both tell why."""
    login = as_login(both.fronted.post(PATH, data=body_of(login), content_type=JSON))
    ending(both, anna, login)
    front, app = sent(both, body_of(login))
    assert front.status_code == 401
    assert (front.data, said(front)) == (app.data, said(app))


def test_a_session_that_is_bound_to_a_key_needs_its_proof(both: Both) -> None:
    """The app asks for it, and takes it."""
    person, key = both.house.register(), DpopKey()
    login = as_login(try_login(both.house, person, person.first, key))
    front, app = sent(both, body_of(login))
    assert front.get_json()["code"] == "invalid-dpop-proof"
    assert front.data == app.data


def test_a_session_that_is_bound_to_a_certificate(build_house: Build) -> None:
    """Beside it the front refreshes; beside any other, or none, the app says what is wrong."""
    both = Both(build_house(**BINDING))
    anna, bert = both.house.register(), both.house.register("bert")
    login = as_login(log_in(both.house, anna, anna.first))
    for shown in ({}, {"Client_Cert": header(bert.first)}, {"Client_Cert": "junk"}):
        front, app = sent(both, body_of(login), **shown)
        assert front.status_code == 401
        assert front.data == app.data
    front, app = sent(both, body_of(login), Client_Cert=header(anna.first))
    assert not both.passed_on
    assert front.status_code == 200
    assert said(front) == said(app)
    assert jwt.decode(front.get_json()["access_token"], options={"verify_signature": False})["cnf"]


def test_while_the_store_is_away(both: Both, login: Login) -> None:
    """503 by both; afterwards the token is as good as it was."""

    def away(_call: StoreCall) -> None:
        raise StoreUnavailable("by a test")

    both.house.store.before = away
    front, app = sent(both, body_of(login))
    assert front.status_code == app.status_code == 503
    both.house.store.before = lambda _call: None
    assert sent(both, body_of(login))[0].status_code == 200


def test_across_origins(build_house: Build) -> None:
    """With allowed origins, too, the two agree."""
    both = Both(build_house(ICHIDAI_CORS_ORIGINS="https://app.test,https://other.test"))
    login = both.house.log_in(both.house.register())
    for more in ({"Origin": "https://app.test"}, {"Origin": "https://evil.test"}, {}):
        front, app = sent(both, body_of(login), **more)
        assert said(front) == said(app)
    assert not both.passed_on
