"""Tokens bound to the device's certificate (RFC 8705): stolen, they are worth nothing without it, at any endpoint.

The tests' client is the listed proxy; what it forwards is what TLS has proven.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from tests.support.dpop import DpopKey
from tests.support.signing import given_keys
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import (
    DAY,
    MINUTE,
    SECOND,
    Device,
    HandClock,
    InProcessSuite,
    Login,
    Person,
    as_login,
    code_of,
    ended,
)
from tests.usecases.test_bound_tokens import BASE, SIGNED_IN
from tests.usecases.test_forwarded_certificates import NAMED, PROXY, header
from tests.usecases.test_renewal import challenge, renew, renewed
from tests.usecases.test_revocation import revoke, unbind

BINDING = {**NAMED, "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1", "ICHIDAI_CERTIFICATE_BOUND_TOKENS": "true"}
REFUSED = (401, "invalid-token")


@pytest.fixture
def suite(build_suite: Build) -> InProcessSuite:
    """Return a suite that binds tokens, behind a proxy."""
    return build_suite(**BINDING)


@pytest.fixture
def anna(suite: InProcessSuite) -> Person:
    """Return a registered person."""
    return suite.register()


@pytest.fixture
def phone(suite: InProcessSuite, anna: Person) -> Login:
    """Return a session that is bound."""
    return as_login(log_in(suite, anna, anna.first))


def by(device: Device) -> dict[str, str]:
    """Return what the proxy forwards for a device."""
    return {"Client-Cert": header(device)}


def log_in(suite: InProcessSuite, person: Person, device: Device, path: str = "/login", **more: str) -> TestResponse:
    """Log in over TLS with the device's certificate."""
    body = {"username": person.username, "password": person.password}
    return suite.post(path, body, None, **by(device), **more)


def bound_to(token: str) -> Any:
    """Return what a token is bound to."""
    return jwt.decode(token, options={"verify_signature": False}).get("cnf")


def digest_of(device: Device) -> dict[str, str]:
    """Return how a token names a device's certificate, made from the certificate alone."""
    digest = hashlib.sha256(base64.b64decode(device.answer["client_cert"])).digest()
    return {"x5t#S256": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}


def verify(suite: InProcessSuite, token: str, **headers: str) -> TestResponse:
    """Use a token."""
    return suite.client.get("/session/verify", headers={"Authorization": f"Bearer {token}", **headers})


def refresh(suite: InProcessSuite, login: Login, **headers: str) -> TestResponse:
    """Refresh."""
    return suite.post("/session/refresh", {"refresh_token": login.refresh}, None, **headers)


def signed_login(suite: InProcessSuite, anna: Person) -> TestResponse:
    """Log in by a signature, over TLS."""
    asked = challenge(suite, anna, anna.first, "login").get_json()
    signed = given_keys(anna.first.answer).proof(asked, "login", anna.uuid, anna.first.device_id)
    return suite.post("/login/verify", signed, None, **by(anna.first))


def takeover(suite: InProcessSuite, anna: Person) -> TestResponse:
    """Ask and consent, over TLS."""
    laptop = suite.pair(anna)
    assert log_in(suite, anna, laptop, "/login/force").status_code == 200
    token = log_in(suite, anna, anna.first).get_json()["takeover"]["token"]
    return suite.post("/login/takeover", {"takeover_token": token}, None, **by(anna.first))


WAYS_IN: dict[str, Callable[[InProcessSuite, Person], TestResponse]] = {
    "login": lambda suite, anna: log_in(suite, anna, anna.first),
    "force": lambda suite, anna: log_in(suite, anna, anna.first, "/login/force"),
    "session/create": lambda suite, anna: log_in(suite, anna, anna.first, "/session/create"),
    "login/verify": signed_login,
    "takeover": takeover,
}


class TestBinding:
    """What binds, and to what."""

    @pytest.mark.parametrize("way", WAYS_IN)
    def test_every_way_in_binds(self, suite: InProcessSuite, anna: Person, way: str) -> None:
        """The token names the certificate it came with, stays a bearer's in form, and is good beside it alone."""
        login = as_login(WAYS_IN[way](suite, anna))
        assert login.answer["token_type"] == "Bearer"
        assert bound_to(login.access) == digest_of(anna.first)
        assert verify(suite, login.access, **by(anna.first)).status_code == 200
        assert code_of(verify(suite, login.access)) == REFUSED

    def test_it_goes_on_after_a_refresh(self, suite: InProcessSuite, anna: Person, phone: Login) -> None:
        """For as long as the session lives."""
        for _ in range(3):
            phone = as_login(refresh(suite, phone, **by(anna.first)))
            assert bound_to(phone.access) == digest_of(anna.first)
            assert verify(suite, phone.access, **by(anna.first)).status_code == 200

    def test_without_a_certificate_a_token_is_a_bearers(self, suite: InProcessSuite, anna: Person) -> None:
        """Nothing changes for devices that show their fingerprint; a certificate beside their token is no fault."""
        login = suite.log_in(anna)
        assert bound_to(login.access) is None
        for headers in ({}, by(anna.first), {"Client-Cert": "junk"}):
            assert verify(suite, login.access, **headers).status_code == 200

    def test_without_the_setting_nothing_is_bound(self, build_suite: Build) -> None:
        """The certificate names the device and proves its key, and that is all."""
        suite = build_suite(**PROXY)
        anna = suite.register()
        login = as_login(log_in(suite, anna, anna.first))
        assert bound_to(login.access) is None
        login = as_login(refresh(suite, login, **by(anna.first)))
        assert bound_to(login.access) is None
        assert verify(suite, login.access).status_code == 200

    def test_a_session_that_is_older_than_its_certificate_in_tls_is_bound_by_a_refresh(
        self, suite: InProcessSuite, anna: Person
    ) -> None:
        """From then on the token of before is good no more: with the certificate it is told to refresh."""
        login = suite.log_in(anna)
        bound = as_login(refresh(suite, login, **by(anna.first)))
        assert bound_to(bound.access) == digest_of(anna.first)
        assert code_of(verify(suite, login.access)) == REFUSED
        assert code_of(verify(suite, login.access, **by(anna.first))) == (401, "token-expired")
        assert code_of(suite.post("/session/logout", None, login.access)) == REFUSED
        assert verify(suite, bound.access, **by(anna.first)).status_code == 200

    def test_the_certificate_of_another_binds_nothing(self, suite: InProcessSuite, anna: Person) -> None:
        """A refresh beside it stays a bearer's, and so does a signature of the device's own key."""
        laptop = suite.pair(anna)
        login = as_login(refresh(suite, suite.log_in(anna), **by(laptop)))
        assert bound_to(login.access) is None
        asked = challenge(suite, anna, anna.first, "login").get_json()
        signed = given_keys(anna.first.answer).proof(asked, "login", anna.uuid, anna.first.device_id)
        assert bound_to(as_login(suite.post("/login/verify", signed, None, **by(laptop))).access) is None

    def test_a_key_and_a_certificate_together(self, suite: InProcessSuite, anna: Person) -> None:
        """A token may be bound to both, and then needs both."""
        key = DpopKey()

        def proof(method: str, path: str, token: str | None = None) -> dict[str, str]:
            return {"DPoP": key.proof(method, BASE + path, token, now=suite.clock.now.timestamp())}

        answer = log_in(suite, anna, anna.first, **proof("POST", "/login"))
        key.nonce, login = answer.headers["DPoP-Nonce"], as_login(answer)
        assert bound_to(login.access) == {"jkt": key.thumbprint, **digest_of(anna.first)}

        def send(*, proves: bool, shows: bool) -> TestResponse:
            more = {
                **(by(anna.first) if shows else {}),
                **(proof("GET", "/session/verify", login.access) if proves else {}),
            }
            headers = {"Authorization": f"DPoP {login.access}", **more}
            return suite.client.get("/session/verify", headers=headers)

        assert send(proves=True, shows=True).status_code == 200
        assert code_of(send(proves=True, shows=False)) == REFUSED
        assert code_of(send(proves=False, shows=True)) == (401, "invalid-dpop-proof")

    def test_the_suite_tells_that_it_binds(self, suite: InProcessSuite, build_suite: Build) -> None:
        """By the name of RFC 8705."""
        for one, expected in ((suite, True), (build_suite(), False)):
            told = one.get("/.well-known/ichidai.json").get_json()
            assert told["tls_client_certificate_bound_access_tokens"] is expected


def shown_by_thieves(suite: InProcessSuite, anna: Person) -> dict[str, dict[str, str]]:
    """Return what a thief of Anna's tokens may show beside them."""
    bert, laptop, good = suite.register("bert"), suite.pair(anna), header(anna.first)
    return {
        "nothing": {},
        "another person's": by(bert.first),
        "another device's of hers": by(laptop),
        "its fingerprint": {"Client-Cert": anna.first.fingerprint},
        "its digest": {"Client-Cert": f":{digest_of(anna.first)['x5t#S256']}:"},
        "no colons": {"Client-Cert": good[1:-1]},
        "it twice": {"Client-Cert": f"{good},{good}"},
        "it and another": {"Client-Cert": f"{good}, {header(laptop)}"},
        "with a parameter": {"Client-Cert": good + ";a=1"},
        "one byte more": {"Client-Cert": good[:-1] + "AAAA:"},
        "cut": {"Client-Cert": good[:200] + ":"},
        "a letter less": {"Client-Cert": f":{good[1:-1].rstrip('=')[:-1]}:"},
        "too much padding": {"Client-Cert": f":{good[1:-1]}==:"},
        "junk": {"Client-Cert": "junk"},
        "endless": {"Client-Cert": f":{'A' * 20_000}:"},
        "by another name": {"X-Client-Cert": good},
        "in Forwarded": {"Forwarded": f"cert={good}"},
    }


class TestStolen:
    """Tokens without the certificate."""

    def test_a_stolen_token_is_worth_nothing(self, suite: InProcessSuite, anna: Person, phone: Login) -> None:
        """At every route, whatever the thief shows: 401, and the session lives on."""
        for what, shown in shown_by_thieves(suite, anna).items():
            for method, path, body in SIGNED_IN:
                headers = {"Authorization": f"Bearer {phone.access}", **shown}
                answer = suite.client.open(path, method=method, json=body, headers=headers)
                assert code_of(answer) == REFUSED, (what, path)
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="ichidai", error="invalid_token"'
                assert "certificate" in answer.get_json()["detail"]
        assert verify(suite, phone.access, **by(anna.first)).status_code == 200

    def test_a_stolen_refresh_token_is_worth_nothing(
        self, suite: InProcessSuite, anna: Person, phone: Login, clock: HandClock
    ) -> None:
        """Nor does an old one end the session without the certificate."""
        thieves = shown_by_thieves(suite, anna)
        for shown in thieves.values():
            assert code_of(refresh(suite, phone, **shown)) == REFUSED
        newer = as_login(refresh(suite, phone, **by(anna.first)))
        clock.move(11 * SECOND)
        for shown in thieves.values():
            assert code_of(refresh(suite, phone, **shown)) == REFUSED
        assert as_login(refresh(suite, newer, **by(anna.first)))
        assert code_of(refresh(suite, phone, **by(anna.first)))[1] == "session-ended"

    @pytest.mark.parametrize("settings", [{}, {**BINDING, "ICHIDAI_TRUSTED_PROXIES": "10.0.0.0/8"}])
    def test_what_a_stranger_says_is_no_certificate(
        self, build_suite: Build, anna: Person, phone: Login, settings: dict[str, str]
    ) -> None:
        """A process that lists nobody, or another proxy, refuses: the binding is the session's, not the setting's."""
        other = build_suite(**settings)
        assert code_of(verify(other, phone.access, **by(anna.first))) == REFUSED
        assert code_of(refresh(other, phone, **by(anna.first))) == REFUSED

    def test_turning_the_setting_off_unbinds_nobody(self, build_suite: Build, anna: Person, phone: Login) -> None:
        """It says what is bound from now on."""
        off = build_suite(**{**BINDING, "ICHIDAI_CERTIFICATE_BOUND_TOKENS": "false"})
        assert code_of(refresh(off, phone)) == REFUSED
        later = as_login(refresh(off, phone, **by(anna.first)))
        assert bound_to(later.access) == digest_of(anna.first)
        assert code_of(verify(off, later.access)) == REFUSED

    def test_a_consent_that_was_asked_for_with_a_certificate_needs_it(
        self, suite: InProcessSuite, anna: Person
    ) -> None:
        """A stolen takeover token with the fingerprint, which is public, ends nobody's session."""
        laptop = suite.pair(anna)
        first = as_login(log_in(suite, anna, laptop))
        token = log_in(suite, anna, anna.first).get_json()["takeover"]["token"]
        body = {"takeover_token": token, "client_cert_fp": anna.first.fingerprint}
        assert code_of(suite.post("/login/takeover", body)) == (403, "device-mismatch")
        assert code_of(suite.post("/login/takeover", {"takeover_token": token}, None, **by(laptop)))[0] == 403
        assert verify(suite, first.access, **by(laptop)).status_code == 200
        assert suite.post("/login/takeover", body, None, **by(anna.first)).status_code == 200

    def test_an_ended_session_is_told_to_its_device_alone(
        self, suite: InProcessSuite, anna: Person, phone: Login
    ) -> None:
        """A thief does not learn what became of it."""
        assert log_in(suite, anna, suite.pair(anna), "/login/force").status_code == 200
        assert code_of(verify(suite, phone.access)) == REFUSED
        assert ended(verify(suite, phone.access, **by(anna.first))) == "forced-out"

    def test_a_verification_is_one_read_and_no_write(self, suite: InProcessSuite, anna: Person, phone: Login) -> None:
        """Bound or not, good or not."""
        for headers in (by(anna.first), {}, {"Client-Cert": "junk"}):
            suite.store.watch()
            verify(suite, phone.access, **headers)
            assert [(call.verb, call.tables) for call in suite.store.calls] == [("get", ("SessionsTable",))]


@dataclass(frozen=True)
class Changed:
    """A device before and after its certificate was renewed, and its session of before."""

    old: Device
    new: Device
    login: Login


@pytest.fixture
def changed(suite: InProcessSuite, anna: Person, phone: Login) -> Changed:
    """Return Anna's phone, renewed."""
    return Changed(anna.first, renewed(renew(suite, anna, anna.first), anna.first), phone)


class TestRenewal:
    """The device's certificate is another by now."""

    def test_a_refresh_binds_to_the_new_one(self, suite: InProcessSuite, changed: Changed) -> None:
        """The device, which has it, is told to refresh; then it goes on."""
        assert code_of(verify(suite, changed.login.access, **by(changed.new))) == (401, "token-expired")
        later = as_login(refresh(suite, changed.login, **by(changed.new)))
        assert later.session_id == changed.login.session_id
        assert bound_to(later.access) == digest_of(changed.new)
        assert verify(suite, later.access, **by(changed.new)).status_code == 200
        assert code_of(verify(suite, later.access, **by(changed.old))) == REFUSED

    def test_the_old_one_opens_nothing(self, suite: InProcessSuite, changed: Changed) -> None:
        """Though the token names it: the book does not hold it any more."""
        for headers in ({}, by(changed.old)):
            assert code_of(verify(suite, changed.login.access, **headers)) == REFUSED
            assert code_of(refresh(suite, changed.login, **headers)) == REFUSED

    def test_the_device_can_still_log_out(self, suite: InProcessSuite, changed: Changed) -> None:
        """With a token that names the old one, and no refresh before."""
        answer = suite.post("/session/logout", None, changed.login.access, **by(changed.new))
        assert answer.status_code == 200
        assert ended(verify(suite, changed.login.access, **by(changed.new))) == "logged-out"


class TestEnd:
    """The certificate is no longer good."""

    def test_an_expired_one_is_told_so(self, build_suite: Build, clock: HandClock) -> None:
        """The session lives: renew, then refresh."""
        seconds = str(400 * 86_400)
        suite = build_suite(**BINDING, ICHIDAI_IDLE_SECONDS=seconds, ICHIDAI_SESSION_SECONDS=seconds)
        anna = suite.register()
        phone = as_login(log_in(suite, anna, anna.first))
        clock.move(365 * DAY - MINUTE)
        phone = as_login(refresh(suite, phone, **by(anna.first)))
        assert verify(suite, phone.access, **by(anna.first)).status_code == 200
        clock.move(timedelta(minutes=1))
        for answer in (verify(suite, phone.access, **by(anna.first)), refresh(suite, phone, **by(anna.first))):
            assert code_of(answer) == (401, "certificate-expired")
            assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
        new = renewed(renew(suite, anna, anna.first), anna.first)
        assert verify(suite, as_login(refresh(suite, phone, **by(new))).access, **by(new)).status_code == 200

    @pytest.mark.parametrize("end", [revoke, unbind])
    def test_a_revoked_one_is_out_at_the_next_request(self, build_suite: Build, end: Any) -> None:
        """As ever: the session has ended."""
        suite = build_suite(**BINDING, MAX_CONCURRENT_DEVICES="2")
        anna = suite.register()
        laptop = suite.pair(anna)
        phone, other = suite.log_in(anna), as_login(log_in(suite, anna, laptop))
        assert end(suite, phone, laptop).status_code == 200
        assert code_of(verify(suite, other.access, **by(laptop)))[1] == "session-ended"
        assert code_of(refresh(suite, other, **by(laptop)))[1] == "session-ended"


def test_a_token_that_names_a_certificate_of_a_session_that_is_bound_to_none(
    suite: InProcessSuite, anna: Person
) -> None:
    """We never sign one; it is good for nothing without what it names."""
    login = suite.log_in(anna)
    dependencies = suite.suite.context.authenticator.dependencies  # type: ignore[attr-defined]
    claims = replace(dependencies.access_tokens.verify(login.access), certificate="0" * 64)
    token = dependencies.access_tokens.sign(claims)
    assert code_of(verify(suite, token)) == REFUSED
    assert verify(suite, token, **by(anna.first)).status_code == 401
