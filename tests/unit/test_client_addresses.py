"""The reference client's addresses: one for all apps, or one for each, as the discovery document says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from ichidai.client import Problem, ServerIdentityError, Unreachable
from ichidai.client.addresses import AppAddresses
from ichidai.client.http_transport import HttpTransport

GIVEN = "http://127.0.0.1:5000"
FOUR = {
    "registration_endpoint": "http://127.0.0.1:5000/registration/",
    "login_endpoint": "http://127.0.0.1:6010/login",
    "verify_endpoint": "http://127.0.0.1:5001/session/verify",
    "device_endpoint": "http://127.0.0.1:5002/device/register",
}
PATHS = {
    "/registration/": "http://127.0.0.1:5000",
    "/registration/otp/begin": "http://127.0.0.1:5000",
    "/login": "http://127.0.0.1:6010",
    "/login/challenge": "http://127.0.0.1:6010",
    "/session/list?page=2": "http://127.0.0.1:5001",
    "/device/list": "http://127.0.0.1:5002",
    "/health": GIVEN,
}


def all_at(base: str) -> dict[str, str]:
    """Return the discovery document of apps that share one address."""
    return {member: base + url.partition("/")[2][len("/127.0.0.1:5000") :] for member, url in FOUR.items()}


@pytest.mark.parametrize(("path", "base"), PATHS.items())
def test_each_path_goes_to_its_own_app(path: str, base: str) -> None:
    """Whichever of the four addresses was given; what is no app's path stays there."""
    addresses = AppAddresses.read(GIVEN, FOUR)
    assert addresses.url(path) == base + path


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("given", ["http://127.0.0.1:9000", "https://tunnel.test/suite"])
def test_one_address_for_all_is_the_one_that_was_given(given: str, path: str) -> None:
    """It may be known here by another name, as through a tunnel; proofs name what the suite calls itself."""
    addresses = AppAddresses.read(given, all_at("https://accounts.test"))
    assert addresses.url(path) == given + path
    sent = requests.Request("GET", given + path).prepare().path_url
    assert addresses.known_as(sent, "https://accounts.test") == "https://accounts.test" + path


@pytest.mark.parametrize(("path", "base"), list(PATHS.items())[:-1])
def test_a_proof_names_the_address_of_the_app(path: str, base: str) -> None:
    """Also where an app is known by a path of a proxy."""
    assert AppAddresses.read(GIVEN, FOUR).known_as(path, "unused") == base + path
    routed = FOUR | {"device_endpoint": "http://127.0.0.1/devices/device/register"}
    assert AppAddresses.read(GIVEN, routed).known_as("/devices/device/list", "unused") == (
        "http://127.0.0.1/devices/device/list"
    )


@pytest.mark.parametrize(
    "about",
    [
        {},
        dict.fromkeys(FOUR),
        dict.fromkeys(FOUR, 5),
        dict.fromkeys(FOUR, "http://elsewhere.test/nothing"),
        {member: url.replace("http:", "ftp:") for member, url in FOUR.items()},
        {member: url.replace("127.0.0.1", "user@127.0.0.1") for member, url in FOUR.items()},
        {member: url.replace("127.0.0.1:", "[1") for member, url in FOUR.items()},
    ],
)
def test_without_addresses_all_is_at_the_given_one(about: dict[str, Any]) -> None:
    """As for servers that have no discovery document."""
    assert {AppAddresses.read(GIVEN, about).url(path) for path in PATHS} == {GIVEN + path for path in PATHS}


def test_loopback_addresses_of_another_machine_are_its_own() -> None:
    """A password is not sent to this machine because a server elsewhere calls itself 127.0.0.1."""
    given = "https://accounts.test"
    told = {member: url.replace("http:", "https:") for member, url in FOUR.items()}
    assert AppAddresses.read(given, told).url("/login") == f"{given}/login"


def test_tls_is_not_given_up() -> None:
    """A server behind TLS that names an address without it is refused before anything is sent there."""
    told = {**all_at("https://accounts.test"), "login_endpoint": "http://login.test/login"}
    with pytest.raises(ServerIdentityError, match=r"without TLS: http://login\.test"):
        AppAddresses.read("https://accounts.test", told)


class TestAsking:
    """The discovery document is read once, at the first call that needs it."""

    @pytest.fixture
    def sent(self) -> list[str]:
        """Return where the requests went."""
        return []

    @pytest.fixture
    def answering(self, monkeypatch: pytest.MonkeyPatch, sent: list[str]) -> Callable[..., HttpTransport]:
        """Return a function that gives a transport over a network on which discovery is answered so."""

        def transport(status: int, body: bytes, headers: dict[str, str] | None = None) -> HttpTransport:
            def send(_adapter: object, request: requests.PreparedRequest, **_more: object) -> requests.Response:
                sent.append(str(request.url))
                reply = requests.Response()
                is_discovery = request.path_url.startswith("/.well-known/")
                reply.status_code = status if is_discovery else 200
                reply._content = body if is_discovery else b"{}"
                reply.headers.update(headers or {})
                reply.request, reply.url = request, str(request.url)
                return reply

            monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", send)
            return HttpTransport(GIVEN, pause=lambda _seconds: None)

        return transport

    def test_it_is_asked_once(self, answering: Callable[..., HttpTransport], sent: list[str]) -> None:
        """And not at all for what is no app's path."""
        transport = answering(200, json.dumps(FOUR).encode())
        transport.call("GET", "/health")
        assert sent == [f"{GIVEN}/health"]
        for _ in range(2):
            transport.call("POST", "/login", {})
        login = "http://127.0.0.1:6010/login"
        assert sent[1:] == [f"{GIVEN}/.well-known/ichidai.json", login, login]

    @pytest.mark.parametrize("answer", [(404, b'{"code": "not-found"}'), (200, b"<html>"), (301, b""), (500, b"{}")])
    def test_without_it_the_given_address_serves_all(
        self, answering: Callable[..., HttpTransport], sent: list[str], answer: tuple[int, bytes]
    ) -> None:
        """As before there was one."""
        transport = answering(*answer)
        for _ in range(2):
            transport.call("POST", "/login", {})
        assert sent[1:] == [f"{GIVEN}/login"] * 2

    def test_a_busy_server_is_asked_again(self, answering: Callable[..., HttpTransport], sent: list[str]) -> None:
        """It may have one in a moment: nothing is sent to a wrong address meanwhile."""
        transport = answering(503, b'{"code": "busy"}', {"Retry-After": "4"})
        with pytest.raises(Problem) as busy:
            transport.call("POST", "/login", {})
        assert (busy.value.code, sent) == ("busy", [f"{GIVEN}/.well-known/ichidai.json"] * 3)

    def test_no_answer_is_no_answer_of_the_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It names the address that does not answer."""

        def cut(*_arguments: object, **_more: object) -> requests.Response:
            raise requests.ConnectionError("cut")

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", cut)
        with pytest.raises(Unreachable, match=r"^http://127\.0\.0\.1:5000 does not answer"):
            HttpTransport(GIVEN).call("POST", "/login", {})
