"""Any method at `/session/verify` and below is the question; what the client sent along is not judged."""

from __future__ import annotations

from typing import Any

import pytest

from tests.usecases.in_process_suite import InProcessSuite, Login, Person, code_of

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
ANY_METHOD = ("POST", "PUT", "PATCH", "DELETE", "PROPFIND")
BELOW = ("/session/verify/", "/session/verify/orders/7", "/session/verify//", "/session/verify/session/logout")
FOREIGN: dict[str, Any] = {
    "data": b"\xff not json " * 20_000,
    "content_type": "application/x-unheard-of",
    "query_string": "a=1&a=2&limit=x",
}


@pytest.fixture
def phone(suite: InProcessSuite, anna: Person) -> Login:
    """Return a session."""
    return suite.log_in(anna)


@pytest.mark.parametrize(
    ("method", "path"),
    [*((method, path) for path in BELOW for method in METHODS), *((m, "/session/verify") for m in ANY_METHOD)],
)
def test_every_method_is_answered_as_get_is(suite: InProcessSuite, phone: Login, method: str, path: str) -> None:
    """With a good token, with none and with junk; nothing of the body, its type or the query is looked at."""
    for headers in ({"Authorization": f"Bearer {phone.access}"}, {}, {"Authorization": "Bearer junk"}):
        plain = suite.client.get("/session/verify", headers=headers)
        asked = suite.client.open(path, method=method, headers=headers, **FOREIGN)
        assert asked.status_code == plain.status_code
        assert dict(asked.headers) == dict(plain.headers)
        assert asked.get_data() == (b"" if method == "HEAD" else plain.get_data())
    assert suite.verify(phone).status_code == 200  # a path below that names another route is none of its


def test_what_only_begins_alike_is_not_the_question(suite: InProcessSuite, phone: Login) -> None:
    """And OPTIONS at the route itself is what browsers ask."""
    headers = {"Authorization": f"Bearer {phone.access}"}
    assert code_of(suite.client.post("/session/verifying", headers=headers)) == (404, "not-found")
    assert suite.client.options("/session/verify").status_code == 200
    assert code_of(suite.client.options("/session/verify/")) == (401, "token-missing")


def test_the_reason_is_in_a_header(suite: InProcessSuite, anna: Person, phone: Login) -> None:
    """For a proxy, which sees no body; a good answer has none."""

    def reason(token: str | None) -> str | None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return suite.client.get("/session/verify", headers=headers).headers.get("X-Session-Reason")

    assert reason(phone.access) is None
    assert reason(None) == "token-missing"
    assert reason("junk") == "invalid-token"
    suite.log_in(anna)
    assert reason(phone.access) == "replaced"
