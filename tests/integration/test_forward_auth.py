"""A product behind a real nginx that asks us at every request: bound tokens, with method and URL told by the proxy."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from tests.support.client import bearer, granted, refused
from tests.support.dpop import DpopKey
from tests.support.ports import free_port
from tests.support.servers import ROOT, combined, is_listened_to, until

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
HOST = "shop.test"

HEAD = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
{locations}
  }}
}}
"""

BOUND = """
    location / {{
      auth_request /_session;
      auth_request_set $user_uuid $upstream_http_x_user_uuid;
      auth_request_set $dpop_nonce $upstream_http_dpop_nonce;
      add_header DPoP-Nonce $dpop_nonce always;
      proxy_set_header X-User-Uuid $user_uuid;
      proxy_set_header Authorization "";
      proxy_pass http://127.0.0.1:{product};
    }}
    location = /_session {{
      internal;
      proxy_pass http://127.0.0.1:{ichidai}/session/verify;
      proxy_method GET;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Method $request_method;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Host {host};
      proxy_set_header X-Forwarded-Uri $request_uri;
    }}
"""


class Product(BaseHTTPRequestHandler):
    """A product that tells what it was sent."""

    def answer(self) -> None:
        """Tell who the user is and whether a token came through."""
        body = f"{self.headers.get('X-User-Uuid')} {self.headers.get('Authorization')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = answer  # noqa: N815 - the names that the library looks for

    def log_message(self, *_: object) -> None:  # type: ignore[explicit-override]
        """Say nothing."""


@contextmanager
def product() -> Iterator[int]:
    """Serve the product; give its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Product)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


def bound(shop: int, ichidai: int) -> str:
    """Return what nginx is told for bound tokens."""
    return BOUND.format(product=shop, ichidai=ichidai, host=HOST)


def printed(shop: int, ichidai: int) -> str:
    """Return the configuration for nginx that docs/operations.md prints, with this test's ports in place of its own."""
    (snippet,) = re.findall(
        r"```\n(location / \{\n    auth_request .*?)```",
        (ROOT / "docs" / "operations.md").read_text("utf-8"),
        re.DOTALL,
    )
    for printed, port in {"9000": shop, "8000": ichidai}.items():
        assert f"127.0.0.1:{printed}" in snippet
        snippet = snippet.replace(f"127.0.0.1:{printed}", f"127.0.0.1:{port}")
    return snippet


@contextmanager
def nginx(folder: Path, locations: str) -> Iterator[str]:
    """Run nginx in front; give its address."""
    folder.mkdir()
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(HEAD.format(folder=folder, port=port, locations=locations), encoding="utf-8")
    process = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(configuration)], stderr=subprocess.PIPE)
    try:
        until(lambda: is_listened_to(port) or process.poll() is not None, "nginx listens")
        assert process.poll() is None, process.stderr and process.stderr.read()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)
        assert process.stderr
        process.stderr.close()


@pytest.mark.skipif(NGINX is None, reason="missing part: nginx")
@pytest.mark.parametrize("listed", [True, False])
def test_a_bound_token_is_good_for_the_request_it_was_signed_for(tmp_path: Path, listed: bool) -> None:  # noqa: FBT001
    """Behind a listed proxy the proof is for the product's URL and method; behind another one it is for ours."""
    suite = combined(tmp_path / "suite", **({"ICHIDAI_TRUSTED_PROXIES": "127.0.0.1"} if listed else {}))
    client = suite.start()
    try:
        ichidai = suite.servers[0].port
        with product() as shop, nginx(tmp_path / "nginx", bound(shop, ichidai)) as front:
            account, key = client.register(), DpopKey()
            proof = key.proof("POST", client.url("/login"))
            body = {**account.credentials, **account.phone.proof}
            token = granted(client.post("/login", body, headers={"DPoP": proof}))["access_token"]

            def ask(method: str, path: str, signed: tuple[str, str], **more: str) -> requests.Response:
                headers = {"Authorization": f"DPoP {token}", "DPoP": key.proof(*signed, token), **more}
                reply = requests.request(method, front + path, headers=headers, timeout=30)
                key.nonce = reply.headers.get("DPoP-Nonce", key.nonce)
                return reply

            own = ("GET", client.url("/session/verify"))
            meant = ("PUT", f"https://{HOST}/cart")
            good, bad = (meant, own) if listed else (own, meant)
            assert ask("PUT", "/cart?item=1", good).status_code == 401, "no nonce yet"
            reply = ask("PUT", "/cart?item=1", good)
            assert (reply.status_code, reply.text) == (200, f"{account.uuid} None")
            told = {"X-Forwarded-Method": bad[0], "X-Forwarded-Uri": "/session/verify", "X-Forwarded-Host": "evil.test"}
            assert ask("PUT", "/cart", good, **told).status_code == 200, "what a client tells is overwritten"
            for method, path, signed in (("PUT", "/cart", bad), ("PUT", "/cart", ("DELETE", meant[1]))):
                assert ask(method, path, signed).status_code == 401
            if listed:
                assert ask("GET", "/cart", good).status_code == 401
                assert ask("PUT", "/other", good).status_code == 401
            refused(client.verify(token), 401, "invalid-token")
    finally:
        suite.stop()


@pytest.mark.skipif(NGINX is None, reason="missing part: nginx")
def test_the_configuration_in_the_docs_as_it_is_printed(tmp_path: Path) -> None:
    """The product sees who the user is and no token; a refusal says why, and how to sign in once, not twice."""
    suite = combined(tmp_path / "suite", ICHIDAI_TRUSTED_PROXIES="127.0.0.1")
    client = suite.start()
    try:
        ichidai = suite.servers[0].port
        with product() as shop, nginx(tmp_path / "nginx", printed(shop, ichidai)) as front:
            account = client.register()
            session = account.login()
            given = {**bearer(session.access), "X-User-Uuid": "somebody-else"}
            reply = requests.get(f"{front}/cart", headers=given, timeout=30)
            assert (reply.status_code, reply.text) == (200, f"{account.uuid} None")
            granted(client.post("/session/logout", token=session.access))
            for headers, code in (({}, "token-missing"), (bearer(session.access), "session-ended")):
                reply = requests.get(f"{front}/cart", headers=headers, timeout=30)
                refused(reply, 401, code)
                assert len(reply.raw.headers.getlist("WWW-Authenticate")) == 1
    finally:
        suite.stop()
