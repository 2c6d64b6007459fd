"""A product behind a real nginx, Caddy and HAProxy with the files of `deploy/`.

What is allowed arrives, what is refused says why, and while nobody can say it is 503.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tests.support.client import Account, Login
from tests.support.nginx import Nginx, nginx_program
from tests.support.ports import free_port
from tests.support.servers import ROOT, Suite, combined, is_listened_to, until

DEPLOY = ROOT / "deploy"

FORGED = {
    "X-User-Uuid": "forged", "x-user-uuid": "forged", "X_User_Uuid": "forged", "X-USER_UUID": "forged",
    "X-Session-Id": "forged", "X_Session_Id": "forged", "X-Device-Id": "forged", "X_Device_Id": "forged",
}  # fmt: skip


class Product(BaseHTTPRequestHandler):
    """A product that tells every header and the body that reached it."""

    def answer(self) -> None:
        """Tell them."""
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        body = json.dumps({"headers": self.headers.items(), "body": sent, "method": self.command}).encode()
        self.send_response(500 if self.path == "/broken" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names that the library looks for

    def log_message(self, *_: object) -> None:  # type: ignore[explicit-override]
        """Say nothing."""


@dataclass
class Shop:
    """The proxy before the product, and the suite that it asks."""

    suite: Suite
    url: str
    account: Account

    def ask(self, session: Login | None, method: str = "GET", path: str = "/orders", **more: str) -> requests.Response:
        """Send a request to the product."""
        headers = {**more, **({} if session is None else {"Authorization": f"Bearer {session.access}"})}
        return requests.request(method, self.url + path, headers=headers, data=b"an order", timeout=30)


class Proxy:
    """A running proxy with a file of `deploy/`. `command` runs it with the file, whose name comes last."""

    def __init__(
        self, program: str, command: Sequence[str], file: Path, words: Mapping[str, str], folder: Path
    ) -> None:
        found = shutil.which(program) or shutil.which(program, path="/usr/sbin")
        if found is None:
            pytest.skip(f"missing part: {program}")
        self.port = free_port()
        text = file.read_text(encoding="utf-8").replace(" LISTEN", f" 127.0.0.1:{self.port}")
        for word, value in {"LISTEN": f"http://127.0.0.1:{self.port}", **words}.items():
            text = re.sub(rf"^(?!#)(.*)\b{word}\b", rf"\g<1>{value}", text, flags=re.MULTILINE)
        own_file = folder / file.name
        own_file.write_text(text, encoding="utf-8")
        own = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self._log = (folder / f"{program}.log").open("wb")
        whole = [found, *command, str(own_file)]
        self._process = subprocess.Popen(whole, env=own, stdout=self._log, stderr=self._log)
        until(lambda: is_listened_to(self.port) or self._process.poll() is not None, f"{program} listens")

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=10)
        self._log.close()


def nginx(words: Mapping[str, str], folder: Path) -> Nginx:
    """Return a running nginx."""
    nginx_program()
    return Nginx("forward-auth.conf", words, folder)


def caddy(words: Mapping[str, str], folder: Path) -> Proxy:
    """Return a running Caddy, whose file names addresses without a scheme."""
    bare = {word: url.removeprefix("http://") for word, url in words.items()}
    return Proxy("caddy", ["run", "--adapter", "caddyfile", "--config"], DEPLOY / "caddy" / "Caddyfile", bare, folder)


def haproxy(words: Mapping[str, str], folder: Path) -> Proxy:
    """Return a running HAProxy."""
    told = {
        **words,
        "PRODUCT": words["PRODUCT"].removeprefix("http://"),
        "LUA": str(DEPLOY / "haproxy" / "ichidai.lua"),
    }
    return Proxy("haproxy", ["-db", "-f"], DEPLOY / "haproxy" / "forward-auth.cfg", told, folder)


@pytest.fixture(scope="module", params=[nginx, caddy, haproxy], ids=["nginx", "caddy", "haproxy"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Return the whole, on ports of its own."""
    folder = tmp_path_factory.mktemp("shop")
    suite = combined(folder / "suite", ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
    client = suite.start()
    product = ThreadingHTTPServer(("127.0.0.1", 0), Product)
    threading.Thread(target=product.serve_forever, daemon=True).start()
    words = {"ICHIDAI": suite.servers[0].base, "PRODUCT": f"http://127.0.0.1:{product.server_port}"}
    proxy = request.param(words, folder)
    try:
        yield Shop(suite, f"http://127.0.0.1:{proxy.port}", client.register())
    finally:
        proxy.close()
        product.shutdown()
        product.server_close()
        suite.stop()


def test_what_is_allowed_arrives_with_true_names(shop: Shop) -> None:
    """By any method, with its body, without the token; what a client forged never arrives, however it is spelled."""
    session = shop.account.login()
    for method in ("GET", "POST", "PUT", "DELETE"):
        told = shop.ask(session, method, **FORGED).json()
        names = [(name.lower().replace("_", "-"), value) for name, value in told["headers"]]
        assert (told["method"], told["body"]) == (method, "an order")
        assert [value for name, value in names if name == "x-user-uuid"] == [shop.account.uuid]
        assert "forged" not in str(names)
        assert session.access not in str(names)
    assert shop.ask(session, path="/broken").status_code == 500  # the product's own answers stay what they are


def test_what_is_refused_says_why(shop: Shop) -> None:
    """Without a token, with junk, after a login elsewhere: the problem document, and its reason in a header."""
    session = shop.account.login()
    shop.account.login()
    for who, code, reason in ((None, "token-missing", "token-missing"), (session, "session-ended", "replaced")):
        answer = shop.ask(who, "POST", **FORGED)
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer.headers["X-Session-Reason"] == reason
        assert len(answer.raw.headers.getlist("WWW-Authenticate")) == 1


def test_while_nobody_can_say_it_is_503(shop: Shop) -> None:
    """Never 500, never 401, and never let in."""
    session = shop.account.login()
    shop.suite.stop()
    try:
        for who in (session, None):
            assert shop.ask(who).status_code == 503
    finally:
        shop.suite.start()
    assert shop.ask(session).status_code == 200
