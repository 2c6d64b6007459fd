"""The peers: how each is installed, started, signed in to, asked to verify and told to log out.

Each has the set-up that its own documentation gives for a revocation that holds at once, and otherwise its defaults.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from benchmarks import environments
from benchmarks.load import Ask
from benchmarks.servers import THREADS, WORKERS, Server, ServerFailed

APPS = Path(__file__).parent / "apps"
PASSWORD = "correct horse 42 battery"  # noqa: S105 - of nobody
_SECONDS = 30

_FLASK = ("granian==2.8.7", "flask==3.1.3")
_NODE = ("better-auth@1.7.6", "better-sqlite3@12.11.1", "oidc-provider@9.13.3")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session at a peer: what verifies it, and what ends it."""

    verify: Ask
    end: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer. `app` is a WSGI target of granian, or a program of node; `sign_in` takes the server's address.

    `alive` tells from the answer to a verification whether the session is good.
    """

    name: str
    packages: Sequence[str]
    app: str
    sign_in: Callable[[str], SignedIn]
    alive: Callable[[requests.Response], bool] = field(default=lambda answer: answer.status_code == 200)

    def started(self, folder: Path) -> Server:
        """Install and start it, its data in a folder. Raises CannotInstall, ServerFailed."""
        folder.mkdir(parents=True, exist_ok=True)
        on_node = self.app.endswith(".mjs")
        return (_on_node if on_node else _on_granian)(self, folder)


def granian(python: str, target: str, port: int, workers: int = WORKERS, interface: str = "wsgi") -> list[str]:
    """Return the command that serves an app: by WSGI with as many threads as the suite has, by RSGI on its loop."""
    own = ("--blocking-threads", str(THREADS)) if interface == "wsgi" else ("--loop", "auto", "--http", "1")
    size = ("--workers", str(workers), *own, "--log-level", "error")
    return [
        python,
        "-m",
        "granian",
        "--interface",
        interface,
        *size,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        target,
    ]


def empty(folder: Path, target: str = "empty:app", workers: int = WORKERS, interface: str = "wsgi") -> Server:
    """Start the unit of measure with our own libraries' Flask and granian."""
    return _waited(Server(lambda port: granian(sys.executable, target, port, workers, interface), folder, {}, APPS))


def _on_granian(peer: Peer, folder: Path) -> Server:
    python = environments.python_with(peer.app.partition(":")[0], [*_FLASK, *peer.packages])
    environment = {"DATA": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    module = APPS / f"{peer.app.partition(':')[0]}.py"
    made = subprocess.run(
        [python, module], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise ServerFailed(made.stderr[-2000:])
    return _waited(Server(lambda port: granian(str(python), peer.app, port), folder, environment, APPS))


def _on_node(peer: Peer, folder: Path) -> Server:
    modules = environments.node_with("node", peer.packages)
    environment = {"DATA": str(folder), "NODE_FOLDER": str(modules), "NODE_ENV": "production"}
    return _waited(Server(lambda port: ["node", str(APPS / peer.app), str(port)], folder, environment, APPS))


def _waited(server: Server) -> Server:
    server.wait()
    return server


def _call(method: str, url: str, headers: Mapping[str, str] | None = None, **given: Any) -> requests.Response:
    answer = requests.request(method, url, headers=headers, timeout=_SECONDS, **given)
    if answer.status_code >= 400:
        raise ServerFailed(f"{method} {url}: {answer.status_code} {answer.text[:300]}")
    return answer


def _jwt_extended(base: str) -> SignedIn:
    form = {"email": f"a{os.urandom(6).hex()}@example.test", "password": PASSWORD}
    _call("POST", f"{base}/register", json=form)
    token = _call("POST", f"{base}/login", json=form).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    return SignedIn(Ask("/me", headers=headers), lambda at: _drop(_call("DELETE", f"{at}/logout", headers)))


def sign_in_to_refresh(base: str) -> tuple[Ask, Ask]:
    """Return a login and a refresh of a new account of Flask-JWT-Extended."""
    form = {"email": f"a{os.urandom(6).hex()}@example.test", "password": PASSWORD}
    _call("POST", f"{base}/register", json=form)
    token = _call("POST", f"{base}/login", json=form).json()["refresh"]
    login = Ask("/login", "POST", {"Content-Type": "application/json"}, json.dumps(form))
    return login, Ask("/refresh", "POST", {"Authorization": f"Bearer {token}"}, "")


def _security_too(base: str) -> SignedIn:
    form = {"email": f"a{os.urandom(6).hex()}@example.com", "password": PASSWORD}
    accept = {"Accept": "application/json"}
    _call("POST", f"{base}/register", accept, json=form)
    answer = _call("POST", f"{base}/login?include_auth_token", accept, json=form)
    token = answer.json()["response"]["user"]["authentication_token"]
    headers = {"Authentication-Token": token, **accept}
    cookies = answer.cookies
    return SignedIn(
        Ask("/me", headers=headers),
        lambda at: _drop(_call("POST", f"{at}/logout", accept, json={}, cookies=cookies)),
    )


def _allauth(base: str) -> SignedIn:
    place = "_allauth/app/v1/auth"
    form = {"email": f"a{os.urandom(6).hex()}@example.test", "password": PASSWORD}
    token = _call("POST", f"{base}/{place}/signup", json=form).json()["meta"]["session_token"]
    headers = {"X-Session-Token": token}

    def end(at: str) -> None:
        requests.delete(f"{at}/{place}/session", headers=headers, timeout=_SECONDS)  # its answer is 401: signed out

    return SignedIn(Ask("/me", headers=headers), end)


def _better_auth(base: str) -> SignedIn:
    form = {"email": f"a{os.urandom(6).hex()}@example.test", "password": PASSWORD, "name": "A"}
    cookies = _call("POST", f"{base}/api/auth/sign-up/email", {"Origin": base}, json=form).cookies
    headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()), "Origin": base}
    return SignedIn(
        Ask("/api/auth/get-session", headers=headers),
        lambda at: _drop(_call("POST", f"{at}/api/auth/sign-out", headers, json={})),
    )


def _oidc_provider(base: str) -> SignedIn:
    secret = base64.b64encode(("c:" + "s" * 32).encode()).decode()
    headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/x-www-form-urlencoded"}
    token = _call("POST", f"{base}/token", headers, data="grant_type=client_credentials").json()["access_token"]
    body = f"token={token}"
    return SignedIn(
        Ask("/token/introspection", "POST", headers, body),
        lambda at: _drop(_call("POST", f"{at}/token/revocation", headers, data=body)),
    )


def _drop(_answer: object) -> None:
    """Say that an answer is not needed."""


PEERS = (
    Peer(
        "Flask-JWT-Extended, blocklist in the database",
        ("flask-jwt-extended==4.7.4", "flask-sqlalchemy==3.1.1", "sqlalchemy==2.1.9", "argon2-cffi==25.1.0"),
        "jwt_extended:app",
        _jwt_extended,
    ),
    Peer(
        "Flask-Security-Too, authentication token",
        ("flask-security-too[common]==5.9.2", "flask-sqlalchemy==3.1.1", "sqlalchemy==2.1.9"),
        "security_too:app",
        _security_too,
    ),
    Peer(
        "django-allauth headless, session token",
        ("django==5.2.19", "django-allauth[headless]==65.21.1"),
        "allauth_headless:app",
        _allauth,
    ),
    Peer(
        "better-auth, session in the database",
        _NODE,
        "better_auth.mjs",
        _better_auth,
        lambda answer: bool(answer.json()),
    ),
    Peer(
        "oidc-provider (node), introspection",
        _NODE,
        "oidc_provider.mjs",
        _oidc_provider,
        lambda answer: answer.json()["active"],
    ),
)


def is_alive(peer: Peer, server: Server, session: SignedIn) -> bool:
    """Ask whether a session is good."""
    ask = session.verify
    answer = requests.request(ask.method, server.base + ask.path, headers=ask.headers, data=ask.body, timeout=_SECONDS)
    return peer.alive(answer)
