"""Guessing passwords through every endpoint that takes one, by many at once; how many guesses were checked."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
import requests

from common.crypto.passwords import PasswordHash
from tests.support.client import PASSWORD

WRONG = "not the password at all"
OWNER, OWNERS_PLACE = "owner", "2001:db8:0:ffff::1"

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """Whose password is guessed, and what a guesser may know of the account. Plain values: it goes between processes.

    `access` is the token of a session whose password check is young: with it one can ask to unbind a device.
    """

    username: str
    email: str
    fingerprint: str
    qr_code: str
    access: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A route that takes a password, the fields that go with it, and what says that a wrong one was judged."""

    path: str
    fields: Callable[[Target], Fields]
    judged: int = 401
    signed_in: bool = False


def _named(target: Target) -> Fields:
    return {"username": target.username, "client_cert_fp": target.fingerprint}


def _with_qr_code(target: Target) -> Fields:
    return {"username": target.username, "qr_code": target.qr_code, "device_name": "Mine"}


def _recovering(target: Target) -> Fields:
    lost = {"recovery_code": "aaaaa-bbbbb", "new_password": "a phrase of the guesser"}
    return {"username": target.username, "device_name": "Mine", **lost}


def _with_passkey(target: Target) -> Fields:
    answer = {"clientDataJSON": "e30", "authenticatorData": "AA", "signature": "AA"}
    return {**_named(target), "passkey": {"id": "AA", "type": "public-key", "response": answer}}


ENDPOINTS = (
    Endpoint("/login", _named),
    Endpoint("/login", lambda target: {"email": target.email, "client_cert_fp": target.fingerprint}),
    Endpoint("/login/force", _named),
    Endpoint("/login/challenge", _named),
    Endpoint("/session/create", _named),
    Endpoint("/registration/request_pairing_token", _named),
    Endpoint("/registration/", _with_qr_code),
    Endpoint("/device/register", _with_qr_code),
    Endpoint("/device/unbind", lambda _: {"device_id": "junk"}, judged=404, signed_in=True),
    Endpoint("/registration/password", lambda _: {"new_password": "a phrase of the guesser"}, signed_in=True),
    Endpoint("/registration/recover", _recovering),
    Endpoint("/login/passkey/finish", _with_passkey),
    Endpoint("/registration/passkeys/begin", lambda _: {}, signed_in=True),
    Endpoint("/registration/email", lambda target: {"email": target.email}, signed_in=True),
    Endpoint("/registration/username", lambda _: {"username": "guessed"}, signed_in=True),
    Endpoint("/registration/close", lambda _: {}, signed_in=True),
    Endpoint("/registration/reopen", lambda target: {"username": target.username}),
    Endpoint("/registration/recovery-codes", lambda _: {}, signed_in=True),
    Endpoint("/registration/objection", lambda _: {"change_no": 1}, signed_in=True),
    Endpoint("/session/end-all", lambda _: {}, signed_in=True),
    Endpoint("/registration/otp/begin", lambda _: {}, signed_in=True),
    Endpoint("/device/revoke_certificate", lambda _: {"device_id": "junk"}, judged=404, signed_in=True),
)


def address(number: int) -> str:
    """Return an address; each is of another network."""
    return f"2001:db8:1:{number:x}::1"


def headers(source: str, token: str | None = None) -> dict[str, str]:
    """Return the headers of a call that a trusted proxy passes on."""
    return {"X-Forwarded-For": source, **({} if token is None else {"Authorization": f"Bearer {token}"})}


def guess(target: Target, endpoint: Endpoint, password: str) -> tuple[str, Fields, str | None]:
    """Return path, body and access token of a guess."""
    return (
        endpoint.path,
        {**endpoint.fields(target), "password": password},
        target.access if endpoint.signed_in else None,
    )


# -------------------------------------------------------------------------------------------------- in this process


@dataclass(slots=True)
class Judge:
    """Watches the hashes: how many wrong guesses were judged, and the most that were wrong or pending at one moment.

    What the thread called `OWNER` does is the owner's. A hash takes a moment longer, so that many guesses meet there.
    """

    wrong: int = 0
    pending: int = 0
    most: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def judge(self, real: Callable[[PasswordHash, str], bool], expected: PasswordHash, password: str) -> bool:
        """Stand in for `PasswordHash.matches`."""
        if threading.current_thread().name == OWNER:
            return real(expected, password)
        with self._lock:
            self.pending += 1
            self.most = max(self.most, self.wrong + self.pending)
        time.sleep(0.005)
        is_right = real(expected, password)
        with self._lock:
            self.pending -= 1
            self.wrong += not is_right
        return is_right


@contextmanager
def judging() -> Iterator[Judge]:
    """Watch all hashes of this process."""
    judge, real = Judge(), PasswordHash.matches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PasswordHash, "matches", lambda expected, password: judge.judge(real, expected, password))
        yield judge


# ------------------------------------------------------------------------------------------------------- over HTTP


@dataclass(frozen=True, slots=True)
class Siege:
    """How many guess how often, from how many addresses, through all endpoints of some servers."""

    ports: tuple[int, ...]
    target: Target
    seed: int
    guesses: int
    sources: int
    owner: int


def besiege(number: int, gate: Callable[[], None], siege: Siege) -> Counter[tuple[str, int]]:
    """Be a guesser (or, with number 0, the owner on a known device); return how often which endpoint answered what."""
    rng, told = Random(f"{siege.seed} {number}"), Counter[tuple[str, int]]()
    with requests.Session() as wire:
        gate()
        for _ in range(siege.guesses if number else siege.owner):
            if number:
                endpoint = rng.choice(ENDPOINTS)
                path, body, token = guess(siege.target, endpoint, WRONG)
                sent = headers(address(rng.randrange(siege.sources)), token)
            else:
                path, token, sent = "/login", None, headers(OWNERS_PLACE)
                body = {**_named(siege.target), "password": PASSWORD}
            url = f"http://127.0.0.1:{rng.choice(siege.ports)}{path}"
            reply = wire.post(url, json=body, headers=sent, timeout=60)
            told[path, reply.status_code] += 1
    return told
