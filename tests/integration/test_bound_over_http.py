"""Bound tokens at real servers of two workers, on both engines: nonces know no worker, and a proof is used up once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.client import Account, all_at_once, granted, refused
from tests.support.dpop import DpopKey
from tests.support.engines import ENGINES
from tests.support.servers import Suite, combined

Start = Callable[[Suite], Suite]


class Browser:
    """A client with a key of its own at a server."""

    def __init__(self, account: Account) -> None:
        self.account, self.client, self.key = account, account.client, DpopKey()
        self.tokens: Any = granted(self.post("/login", {**account.credentials, **account.phone.proof}))

    def post(self, path: str, body: object, proof: str | None = None) -> requests.Response:
        """Post with a proof."""
        return self.client.post(path, body, headers={"DPoP": proof or self.proof("POST", path)})

    def proof(self, method: str, path: str, token: str | None = None) -> str:
        """Return a proof for a route."""
        return self.key.proof(method, self.client.url(path), token)

    def get(self, path: str) -> requests.Response:
        """Get a signed-in route; take the nonce that is told."""
        token = self.tokens["access_token"]
        headers = {"Authorization": f"DPoP {token}", "DPoP": self.proof("GET", path, token)}
        reply = self.client.get(path, headers=headers)
        self.key.nonce = reply.headers.get("DPoP-Nonce", self.key.nonce)
        return reply


@pytest.mark.parametrize("engine", ENGINES)
def test_a_bound_session_lives_at_every_worker(tmp_path: Path, started: Start, engine: str) -> None:
    """One nonce is good at all; of 12 refreshes at once with one proof one succeeds; the token alone is nothing."""
    suite = started(combined(tmp_path / "suite", workers=2, **ENGINES[engine](tmp_path).settings))
    browser = Browser(suite.client.register())
    asked = refused(browser.get("/session/verify"), 401, "use-dpop-nonce")
    assert "dpop_nonce" not in asked
    for _ in range(12):
        granted(browser.get("/session/verify"))
    refused(suite.client.verify(browser.tokens["access_token"]), 401, "invalid-token")
    refused(suite.client.refresh(browser.tokens["refresh_token"]), 401, "invalid-dpop-proof")
    proof, first = browser.proof("POST", "/session/refresh"), {"refresh_token": browser.tokens["refresh_token"]}
    replies = all_at_once([lambda: browser.post("/session/refresh", first, proof)] * 12)
    codes = Counter(reply.json().get("code", "granted") for reply in replies)
    assert codes["granted"] == 1, codes
    assert set(codes) <= {"granted", "invalid-dpop-proof", "busy"}
    browser.tokens = next(reply.json() for reply in replies if reply.status_code == 200)
    granted(browser.get("/session/verify"))
    again = all_at_once(
        [lambda: browser.post("/session/refresh", {"refresh_token": browser.tokens["refresh_token"]})] * 4
    )
    assert len({granted(reply)["refresh_token"] for reply in again}) == 1, "honest repetitions get one successor"
    about = granted_document(suite.client.get("/.well-known/ichidai.json"))
    assert "ES256" in about["dpop_signing_alg_values_supported"]


def granted_document(reply: requests.Response) -> Any:
    """Return a public document."""
    assert reply.status_code == 200
    return reply.json()
