"""Every route of every app: it is there, it has the guard it should have, and no GET changes anything."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from common.crypto.passwords import CHEAP_FOR_TESTS
from common.storage.tables import ALL
from common.web.guards import Guard
from ichidai.apps import app_for
from ichidai.settings import read_settings
from ichidai.topology import DEV_PORTS, DOMAINS, App
from ichidai.wiring.build import build
from ichidai.wiring.services import Services

OPEN, BEARER, SIGNED_IN, OPTIONAL = Guard.OPEN, Guard.BEARER, Guard.SIGNED_IN, Guard.OPTIONAL

PROMISED = {
    App.REGISTRATION: {
        ("GET", "/registration/work"): OPEN,
        ("POST", "/registration/"): OPEN,
        ("POST", "/registration/request_pairing_token"): OPEN,
        ("POST", "/registration/password"): SIGNED_IN,
        ("GET", "/registration/account"): SIGNED_IN,
        ("GET", "/registration/export"): SIGNED_IN,
        ("POST", "/registration/username"): SIGNED_IN,
        ("POST", "/registration/close"): SIGNED_IN,
        ("POST", "/registration/reopen"): OPEN,
        ("POST", "/registration/recovery-codes"): SIGNED_IN,
        ("POST", "/registration/recover"): OPEN,
        ("GET", "/registration/passkeys"): SIGNED_IN,
        ("POST", "/registration/passkeys/begin"): SIGNED_IN,
        ("POST", "/registration/passkeys/finish"): SIGNED_IN,
        ("DELETE", "/registration/passkeys/<passkey_id>"): SIGNED_IN,
        ("POST", "/registration/password/forgot"): OPEN,
        ("POST", "/registration/password/reset"): OPEN,
        ("POST", "/registration/email"): SIGNED_IN,
        ("POST", "/registration/email/confirm"): OPEN,
        ("POST", "/registration/objection"): OPTIONAL,
        ("GET", "/registration/otp"): SIGNED_IN,
        ("POST", "/registration/otp/begin"): SIGNED_IN,
        ("POST", "/registration/otp/confirm"): SIGNED_IN,
        ("POST", "/registration/otp/remove"): SIGNED_IN,
        ("POST", "/registration/otp/recovery_codes"): SIGNED_IN,
        ("POST", "/registration/join"): OPEN,
    },
    App.LOGIN: {
        ("POST", "/login"): OPEN,
        ("POST", "/login/force"): OPEN,
        ("POST", "/login/takeover"): OPEN,
        ("POST", "/login/approval"): OPEN,
        ("GET", "/login/approvals"): SIGNED_IN,
        ("POST", "/login/approval/answer"): SIGNED_IN,
        ("POST", "/login/challenge"): OPEN,
        ("POST", "/login/verify"): OPEN,
        ("POST", "/login/passkey/begin"): OPEN,
        ("POST", "/login/passkey/finish"): OPEN,
    },
    App.SESSION: {
        ("POST", "/session/create"): OPEN,
        ("GET", "/session/verify"): SIGNED_IN,
        ("POST", "/session/refresh"): OPEN,
        ("POST", "/session/logout"): BEARER,
        ("GET", "/session/list"): SIGNED_IN,
        ("POST", "/session/revoke"): SIGNED_IN,
        ("POST", "/session/end-all"): SIGNED_IN,
        ("GET", "/session/history"): SIGNED_IN,
        ("GET", "/session/events"): SIGNED_IN,
        ("POST", "/session/security-events"): Guard.RECEIVER,
        ("GET", "/.well-known/jwks.json"): OPEN,
        ("GET", "/.well-known/ichidai.json"): OPEN,
    },
    App.DEVICE: {
        ("POST", "/device/register"): OPEN,
        ("GET", "/device/list"): SIGNED_IN,
        ("POST", "/device/unbind"): SIGNED_IN,
        ("POST", "/device/force_logout"): SIGNED_IN,
        ("POST", "/device/rename"): SIGNED_IN,
        ("POST", "/device/revoke_certificate"): SIGNED_IN,
        ("POST", "/device/renew"): OPEN,
        ("GET", "/device/ca"): OPEN,
        ("GET", "/device/crl"): OPEN,
    },
}
"""The wire contract's routes by the app that serves them, those of later issues left out, and who may call each."""

CONSOLE = {
    "/",
    "/login",
    "/registration/",
    *(f"/console/{name}.html" for name in ("factor", "account", "recover", "links", "approval")),
}
"""The pages for people, which anyone may look at; the registration app and the combined one have them."""

LEADING = {App.LOGIN: {"/", "/login"}, App.SESSION: {"/"}, App.DEVICE: {"/"}}
"""Where the other apps lead there."""

EVERYWHERE = {
    "/health",
    "/ready",
    "/problems/<code>",
    "/openapi.json",
    "/docs",
    "/docs/start.js",
    "/docs/<path:asset>",
}
BRAND = {"/console/brand.css", "/console/brand-logo"}
ASSETS = "/console/<path:filename>"


@dataclass(frozen=True)
class Served:
    """An app with the suite behind it and the file that it stores in."""

    part: App
    suite: Services
    app: Flask
    file: Path

    @property
    def domains(self) -> tuple[App, ...]:
        """The domains whose routes it serves."""
        return DOMAINS if self.part is App.ALL else (self.part,)

    @property
    def promised(self) -> dict[tuple[str, str], Guard]:
        """The contract's routes that it has to serve."""
        return {route: guard for domain in self.domains for route, guard in PROMISED[domain].items()}

    @property
    def pages(self) -> set[str]:
        """The paths of its pages."""
        return LEADING.get(self.part, CONSOLE)

    @property
    def routes(self) -> set[tuple[str, str]]:
        """All routes of its URL map, without the methods that every GET brings along."""
        rules = self.app.url_map.iter_rules()
        return {
            (method, rule.rule) for rule in rules for method in rule.methods or () if method not in ("HEAD", "OPTIONS")
        }

    def content(self) -> dict[str, list[Any]]:
        """Return all that lies in the store."""
        with closing(sqlite3.connect(self.file)) as connection:
            return {
                table.name: sorted(connection.execute(f'SELECT partition, sort, item FROM "{table.name}"'))  # noqa: S608
                for table in ALL
            }


@pytest.fixture(scope="module", params=(App.ALL, *DOMAINS))
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Return each app in turn."""
    folder = tmp_path_factory.mktemp(str(request.param))
    suite = build(
        read_settings({"ICHIDAI_DATA_DIR": str(folder)}), request.param, DEV_PORTS[request.param], cost=CHEAP_FOR_TESTS
    )
    yield Served(request.param, suite, app_for(request.param, suite), folder / "ichidai.sqlite")
    suite.close()


@pytest.mark.requirement("D02", "R02", "R06", "B21", "B23")
def test_every_route_of_the_contract_is_served_under_its_guard(served: Served) -> None:
    """By the combined app and by the app of its own domain."""
    declared = {
        (endpoint.method, endpoint.rule): endpoint.guard
        for domain in served.domains
        for endpoint in served.suite.endpoints(domain)
    }
    assert declared == served.promised
    assert declared.keys() <= served.routes


@pytest.mark.regression("X01", "X15", "X42", "X75")
def test_there_is_no_route_beside_them(served: Served) -> None:
    """But pages for people, health, and documents, none of which takes anything but GET."""
    beside = served.routes - served.promised.keys() - {("GET", "/.well-known/ichidai.json")}
    assert {method for method, _ in beside} == {"GET"}
    assert {path for _, path in beside} == EVERYWHERE | served.pages | {ASSETS, *BRAND}


def _signed_in_and_bearer() -> list[Any]:
    return [
        pytest.param(method, path, id=path)
        for routes in PROMISED.values()
        for (method, path), guard in routes.items()
        if guard is not OPEN
    ]


@pytest.mark.regression("X01", "X15")
@pytest.mark.parametrize(("method", "path"), _signed_in_and_bearer())
@pytest.mark.parametrize(
    ("header", "code"),
    [
        pytest.param(None, "token-missing", id="none"),
        pytest.param("", "token-missing", id="empty"),
        pytest.param("Bearer", "token-missing", id="no token"),
        pytest.param("Bearer  ", "token-missing", id="a blank token"),
        pytest.param("Basic YW5uYTpwdw==", "token-missing", id="another scheme"),
        pytest.param("Bearer junk", "invalid-token", id="junk"),
        pytest.param("bearer junk", "invalid-token", id="junk under a small letter"),
        pytest.param("Bearer a.b.c, Bearer d.e.f", "invalid-token", id="two tokens"),
        pytest.param("Bearer \xe9", "invalid-token", id="no ASCII"),
    ],
)
def test_without_a_token_of_ours_a_guarded_route_answers_401(
    served: Served, method: str, path: str, header: str | None, code: str
) -> None:
    """Before it looks at anything else, a token in the URL or the body included, and nothing is changed."""
    if (method, path) not in served.promised or (header is None and served.promised[method, path] is OPTIONAL):
        return
    before = served.content()
    headers = {} if header is None else {"Authorization": header}
    body = {"json": {"device_id": "x", "session_id": "x"}} if method == "POST" else {}
    answer = served.app.test_client().open(
        path, method=method, headers=headers, query_string={"access_token": "x", "token": "x"}, **body
    )
    assert (answer.status_code, answer.get_json()["code"]) == (401, code)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert served.content() == before


@pytest.mark.parametrize("body", ["{", "[]", '{"device_id": 5}', ""])
def test_who_calls_is_asked_before_what_is_sent(served: Served, body: str) -> None:
    """A stranger learns nothing of a guarded route's shape."""
    for (method, path), guard in served.promised.items():
        if method == "POST" and guard is SIGNED_IN:
            answer = served.app.test_client().post(path, data=body, content_type="application/json")
            assert answer.status_code == 401


def test_no_get_changes_anything(served: Served) -> None:
    """A POST's address asked by GET is a page or a 405, and the store stays as it was."""
    before = served.content()
    client, seen = served.app.test_client(), 302 if served.part in LEADING else 200
    for method, path in served.promised:
        if method == "POST":
            answer = client.get(path, query_string={"username": "anna", "password": "correct horse"})
            assert answer.status_code == (seen if path in served.pages else 405), path
        else:
            client.get(path)
    for path in EVERYWHERE - {"/problems/<code>", "/docs/<path:asset>"}:
        assert client.get(path).status_code == 200, path
    for path in served.pages:
        assert client.get(path).status_code == seen, path
    assert served.content() == before


@pytest.mark.regression("X76")
def test_no_cookie_is_ever_set(served: Served) -> None:
    """No authority travels by itself, so no other site can use it."""
    client = served.app.test_client()
    for method, path in sorted(served.routes):
        answer = client.open(
            path.replace("<code>", "busy").replace("<path:asset>", "x").replace("<path:filename>", "x"), method=method
        )
        assert "Set-Cookie" not in answer.headers
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.requirement("R35")
def test_every_path_answers_with_and_without_its_trailing_slash(served: Served) -> None:
    """Alike, and without a redirect."""
    client = served.app.test_client()
    for method, path in sorted(served.promised):
        one, other = (client.open(p, method=method) for p in (path.rstrip("/"), path.rstrip("/") + "/"))
        assert one.status_code == other.status_code not in (301, 302, 307, 308, 404, 405), path


def test_a_route_cannot_be_declared_without_a_guard() -> None:
    """It is no option with a default."""
    from common.web.endpoints import Answer, Endpoint  # noqa: PLC0415 - what is tested

    with pytest.raises(TypeError, match="guard"):
        Endpoint("GET", "/free", lambda _call: Answer())  # type: ignore[call-arg]
