"""Envoy imitated by a client on a real server: `ext_authz` with `path_prefix: /session/verify`. No Envoy was run.

It asks with its client's own method, path and headers. Of the body it may send the length and nothing more, or a part.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.raw_http import RawAnswer, connected, head
from tests.support.client import Client, granted
from tests.support.servers import Suite, combined

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
PATHS = ("/", "/orders/7?page=2&limit=x", "/session/logout", "/%2e%2e/login", "//twice")
FORGED = ("X-User-Uuid: somebody-else", "x_user_uuid: somebody-else", "X-Session-Reason: none")
BODIES = (
    ((), b""),
    (("Content-Length: 0",), b""),
    (("Content-Length: 900000000", "Content-Type: application/x-of-the-product"), b""),
    (("Content-Length: 40", "Content-Type: application/json"), b'{"half": "of a bo'),
    (("Transfer-Encoding: chunked", "Content-Encoding: br"), b"zz not a chunk"),
)
"""Headers that tell of a body, and what comes of it."""

AT_ONCE_SECONDS = 8.0
"""Before the deadline of bodies: none was waited for."""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return a server of its own."""
    suite = combined(tmp_path_factory.mktemp("envoy"), ICHIDAI_TEST_CHEAP_HASH="true")
    suite.start()
    yield suite
    suite.stop()


def asked(suite: Suite, method: str, path: str, token: str | None, body: tuple[tuple[str, ...], bytes]) -> RawAnswer:
    """Ask as Envoy does about a request of its client, on a connection of its own."""
    shown = () if token is None else (f"Authorization: Bearer {token}",)
    with connected(suite.servers[0].port) as connection:
        connection.send(head(method, f"/session/verify{path}", *shown, *FORGED, *body[0]) + body[1])
        answer = connection.receive()
    assert answer is not None, (method, path, body)
    return answer


def judged(suite: Suite, token: str | None, status: int, reason: str | None) -> set[str | None]:
    """Ask with every method, at every path and with every body; return whom the answers name."""
    named = set()
    kinds = [(method, PATHS[0], body) for method in METHODS for body in BODIES]
    kinds += [("POST", path, body) for path in PATHS[1:] for body in BODIES]
    for method, path, body in kinds:
        answer = asked(suite, method, path, token, body)
        told = (answer.status, answer.headers.get("x-session-reason"))
        assert told == (status, reason), (method, path, body, answer.body)
        assert answer.seconds < AT_ONCE_SECONDS, (method, path, body)
        named.add(answer.headers.get("x-user-uuid"))
    return named


def test_envoy_asks_about_any_request_of_its_client(suite: Suite) -> None:
    """Allowed, with no token, taken over: told at once, whatever is sent along; a forged name is never answered."""
    client: Client = suite.client
    anna = client.register()
    laptop = anna.pair()
    phone = anna.login()
    assert judged(suite, phone.access, 200, None) == {anna.uuid}
    assert judged(suite, None, 401, "token-missing") == {None}
    granted(anna.take_over(anna.question(laptop), laptop))
    assert judged(suite, phone.access, 401, "taken-over") == {None}
