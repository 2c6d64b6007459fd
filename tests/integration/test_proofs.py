"""Devices that prove themselves, over HTTP, by several workers, on both engines."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support.client import Account, Client, Device, all_at_once, bearer, device_of, granted, login_of, refused
from tests.support.engines import ENGINES
from tests.support.servers import Suite
from tests.support.signing import Keys, digest, enrolling, mldsa_keys, p256_keys

Pool = Callable[..., Suite]

TWENTY = 20
PAGE = Path(__file__).parents[2] / "docs" / "devices.md"


@dataclass(frozen=True)
class Signer:
    """A device of an account with its keys."""

    account: Account
    device: Device
    keys: Keys

    def asked(self, purpose: str = "login") -> Any:
        """Ask for a challenge."""
        body = self.account.credentials | self.device.proof | {"purpose": purpose}
        return granted(self.account.client.post("/login/challenge", body))

    def proof(self, asked: Mapping[str, Any], purpose: str = "login", token: str | None = None) -> dict[str, str]:
        """Sign a challenge."""
        acted_on = "-" if token is None else digest(token)
        return self.keys.proof(asked, purpose, self.account.uuid, self.device.device_id, acted_on)

    def log_in(self) -> requests.Response:
        """Log in by a signature."""
        return self.account.client.post("/login/verify", self.proof(self.asked()))


def issuer_of(client: Client) -> str:
    """Return whom statements name."""
    return str(granted_free(client.get("/.well-known/ichidai.json"))["issuer"])


def granted_free(reply: requests.Response) -> Any:
    """Return the body of an answer that is no success object."""
    assert reply.status_code == 200
    return reply.json()


def phone_of(client: Client, keys: Keys) -> Signer:
    """Register somebody whose phone brings its keys."""
    username = f"u{digest(str(keys.spki))[:16]}"
    account = client.register(username, **enrolling(keys, username, issuer=issuer_of(client)))
    assert "private_keys" not in account.phone.answer
    return Signer(account, account.phone, keys)


def laptop_of(phone: Signer, keys: Keys) -> Signer:
    """Join with another device that brings its keys, by a QR code that the phone proved itself for."""
    account = phone.account
    body = account.credentials | phone.device.proof | {"proof": phone.proof(phone.asked("pair-issue"), "pair-issue")}
    pairing = granted(account.client.post("/registration/request_pairing_token", body))
    own = enrolling(keys, account.username, pairing["pairing_token"], issuer_of(account.client))
    return Signer(account, device_of(granted(account.try_pair(pairing["qr_code"], **own))), keys)


@pytest.fixture(scope="module", params=list(ENGINES))
def proving(request: pytest.FixtureRequest, pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """Return a client of a suite in signature mode, on each engine; two workers."""
    settings = {} if request.param == "sqlite" else ENGINES[request.param](tmp_path_factory.mktemp("e")).settings
    return pool(workers=2, ICHIDAI_DEVICE_PROOF="signature", **settings).client


@pytest.mark.requirement("R37", "R56", "R73")
@pytest.mark.parametrize("make", [mldsa_keys, partial(p256_keys, kem=True), p256_keys], ids=["pq", "p256+kem", "p256"])
def test_register_challenge_takeover(proving: Client, make: Callable[[], Keys]) -> None:
    """The other session goes with the right key, and lives on with a wrong one."""
    phone = phone_of(proving, make())
    laptop = laptop_of(phone, make())
    on_phone = login_of(phone.log_in())
    question = refused(laptop.log_in(), 409, "device-active")["takeover"]
    assert ("sealed" in question["challenge"]) == (laptop.keys.kem is not None)
    body = {"takeover_token": question["token"], **laptop.device.proof}
    refused(proving.post(question["url"], body), 401, "proof-required")
    plain = {k: v for k, v in question["challenge"].items() if k != "sealed"}
    plain["challenge"] = laptop.keys.read(question["challenge"])
    for wrong in (mldsa_keys(), p256_keys(), phone.keys):
        forged = Signer(laptop.account, laptop.device, wrong).proof(plain, "takeover", question["token"])
        refused(proving.post(question["url"], body | {"proof": forged}), 401, "proof-invalid")
    granted(proving.verify(on_phone.access))
    proof = laptop.proof(question["challenge"], "takeover", question["token"])
    taken = login_of(proving.post(question["url"], body | {"proof": proof}))
    assert refused(proving.verify(on_phone.access), 401, "session-ended")["reason"] == "taken-over"
    granted(proving.verify(taken.access))


def winners(replies: list[requests.Response]) -> list[requests.Response]:
    """Return the successes; all others found the challenge spent, or a store that was too slow to ask it."""
    for reply in replies:
        if reply.status_code not in (200, 503):
            refused(reply, 401, "challenge-spent")
    return [reply for reply in replies if reply.status_code == 200]


@pytest.mark.requirement("R73")
@pytest.mark.regression("X63")
def test_a_challenge_used_by_twenty_at_once_logs_in_once(proving: Client) -> None:
    """The others find it spent, and the one session lives."""
    phone = phone_of(proving, mldsa_keys())
    proof = phone.proof(phone.asked())
    replies = all_at_once([partial(proving.post, "/login/verify", proof)] * TWENTY)
    (winner,) = [login_of(reply) for reply in winners(replies)]
    granted(proving.verify(winner.access))
    history = granted(requests.get(proving.url("/session/history"), headers=bearer(winner.access), timeout=30))
    assert [event["kind"] for event in history["events"]].count("login") == 1


def test_a_challenge_used_by_twenty_at_once_gives_one_pairing_token(proving: Client) -> None:
    """That commit has no book in it; the challenge alone decides."""
    phone = phone_of(proving, p256_keys())
    body = phone.account.credentials | phone.device.proof
    body |= {"proof": phone.proof(phone.asked("pair-issue"), "pair-issue")}
    send = partial(proving.post, "/registration/request_pairing_token", body)
    replies = all_at_once([send] * TWENTY)
    assert len(winners(replies)) == 1


def test_a_409_uses_nothing_up(proving: Client) -> None:
    """The same signature opens the endpoint as soon as the other is gone."""
    phone = phone_of(proving, p256_keys())
    laptop = laptop_of(phone, p256_keys())
    on_phone = login_of(phone.log_in())
    proof = laptop.proof(laptop.asked())
    refused(proving.post("/login/verify", proof), 409, "device-active")
    refused(proving.post("/login/verify", proof), 409, "device-active")
    granted(proving.post("/session/logout", token=on_phone.access))
    login_of(proving.post("/login/verify", proof))
    refused(proving.post("/login/verify", proof), 401, "challenge-spent")


@pytest.mark.parametrize("path", ["/login", "/login/force", "/session/create"])
def test_the_fingerprint_alone_opens_no_endpoint(proving: Client, path: str) -> None:
    """Nor the certificate; a device whose keys the server made must prove itself as well."""
    account = proving.register()
    refused(account.try_login(path=path), 401, "proof-required")
    certificate = {"client_cert": account.phone.answer["client_cert"]}
    refused(proving.post(path, account.credentials | certificate), 401, "proof-required")


def test_the_worked_example_runs(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `docs/devices.md` has it, to the letter."""
    client = pool(workers=2, ICHIDAI_DEVICE_PROOF="signature").client
    (text,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.setenv("ICHIDAI", client.url("/").rstrip("/"))
    names: dict[str, Any] = {}
    exec(compile(text, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    assert names["issuer"] == issuer_of(client)
    granted(client.verify(names["login"]["access_token"]))
