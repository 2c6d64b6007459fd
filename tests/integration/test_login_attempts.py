"""Guessing passwords: bounded on every endpoint, by source and account, and the owner still gets in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
import requests

from tests.support.client import Account, Client, Device, all_at_once, granted, refused, unique
from tests.support.servers import Suite

FEW = {
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT_SOURCE": "10",
    "ICHIDAI_LOGIN_ATTEMPTS_ACCOUNT": "50",
    "ICHIDAI_LOGIN_ATTEMPTS_SOURCE": "100000",
    "ICHIDAI_TRUSTED_PROXIES": "127.0.0.1",
    "ICHIDAI_TEST_CHEAP_HASH": "false",
}
"""The buckets as they are by default, but for the one of a source: all the tests come from one. The hash is real."""

WRONG = "not the password at all"


@pytest.fixture
def client(pool: Callable[..., Suite]) -> Client:
    """Return a client of a suite that counts guesses and believes what stands before it about addresses."""
    return pool(**FEW).client


def coming_from(address: str) -> dict[str, str]:
    """Return the header by which a trusted proxy tells where a call comes from."""
    return {"X-Forwarded-For": address}


class Addresses:
    """Addresses that no other test comes from."""

    def __init__(self) -> None:
        digits = unique().encode().hex()[-24:]
        self._stem = ":".join(digits[place : place + 4] for place in range(0, 12, 4))

    def __getitem__(self, number: int) -> str:
        return f"{self._stem}:{number:x}::1"


@pytest.fixture
def addresses() -> Addresses:
    """Return addresses of this test alone, each of another network."""
    return Addresses()


def guess(account: Account, address: str, device: Device | None = None, **more: str) -> requests.Response:
    """Try a wrong password from an address."""
    form = {**account.credentials, "client_cert_fp": device.fingerprint if device else "0" * 64, "password": WRONG}
    return account.client.post("/login", {**form, **more}, headers=coming_from(address))


def log_in(account: Account, address: str, device: Device) -> requests.Response:
    """Log in with the right password from an address."""
    form = {**account.credentials, **device.proof}
    return account.client.post("/login", form, headers=coming_from(address))


def use_up(account: Account, address: str) -> None:
    """Guess until there is no try left for this account from this address."""
    for _ in range(10):
        refused(guess(account, address), 401, "bad-credentials")
    refused(guess(account, address), 429, "too-many-attempts")


@pytest.mark.requirement("B04")
@pytest.mark.regression("X73")
def test_two_hundred_guesses_of_one_account_from_one_address(client: Client, addresses: Addresses) -> None:
    """Ten are judged, all others are told to wait, and how long; the right password is not judged either there."""
    account = client.register()
    replies = [guess(account, addresses[1]) for _ in range(200)]
    statuses = [reply.status_code for reply in replies]
    assert statuses[:10] == [401] * 10
    assert Counter(statuses[10:])[429] >= 188  # one try comes back with each minute
    last = refused(guess(account, addresses[1]), 429, "too-many-attempts")
    assert last["retry_after"] == pytest.approx(60, abs=60)
    refused(log_in(account, addresses[1], account.phone), 429, "too-many-attempts")


@pytest.mark.regression("X73", "X05")
def test_two_hundred_guesses_at_once(client: Client, addresses: Addresses) -> None:
    """A try is taken before the hash begins, so that guesses at the same time do not slip through."""
    account = client.register()
    replies = [reply for _ in range(5) for reply in all_at_once([partial(guess, account, addresses[1])] * 40)]
    assert Counter(reply.status_code for reply in replies)[401] <= 11
    assert {reply.status_code for reply in replies} <= {401, 429}


def test_the_time_to_wait_is_a_whole_number(client: Client, addresses: Addresses) -> None:
    """`Retry-After` in seconds, the same as in the body and its text."""
    account = client.register()
    use_up(account, addresses[1])
    reply = guess(account, addresses[1])
    body = refused(reply, 429, "too-many-attempts")
    assert 1 <= int(reply.headers["Retry-After"]) <= 60
    assert body["retry_after"] == int(reply.headers["Retry-After"])
    assert str(body["retry_after"]) in body["detail"]


@pytest.mark.regression("X73")
def test_the_owner_on_a_known_device_still_gets_in(client: Client, addresses: Addresses) -> None:
    """Guessers at many addresses use up the account's tries; a device that was in before from its place gets in."""
    account = client.register()
    granted(log_in(account, addresses[0], account.phone))
    judged = 0
    for number in range(1, 8):
        replies = [guess(account, addresses[number]) for _ in range(11)]
        judged += sum(reply.status_code == 401 for reply in replies)
    assert judged <= 51
    refused(guess(account, addresses[20]), 429, "too-many-attempts")
    granted(log_in(account, addresses[0], account.phone))
    refused(log_in(account, addresses[21], account.phone), 429, "too-many-attempts")


def test_a_known_device_has_no_endless_tries_either(client: Client, addresses: Addresses) -> None:
    """Its own bucket holds ten, and it does not use up anybody else's."""
    account = client.register()
    granted(log_in(account, addresses[0], account.phone))
    for _ in range(10):
        refused(guess(account, addresses[0], account.phone), 401, "bad-credentials")
    refused(guess(account, addresses[0], account.phone), 429, "too-many-attempts")
    granted(log_in(account, addresses[1], account.phone))


def test_an_address_that_is_used_up_for_one_account_serves_others(client: Client, addresses: Addresses) -> None:
    """Nobody is locked out by a neighbour's guesses at somebody else."""
    account, other = client.register(), client.register()
    use_up(account, addresses[1])
    granted(log_in(other, addresses[1], other.phone))
    granted(log_in(account, addresses[2], account.phone))


def test_addresses_of_one_network_are_one_source(client: Client, addresses: Addresses) -> None:
    """A /64 of IPv6 is one source, for whoever has one has all of it."""
    account = client.register()
    network = addresses[1].removesuffix("::1")
    for number in range(10):
        refused(guess(account, f"{network}::{number + 1:x}"), 401, "bad-credentials")
    refused(guess(account, f"{network}::ffff"), 429, "too-many-attempts")


def test_an_unknown_name_is_bounded_alike(client: Client, addresses: Addresses) -> None:
    """The number of tries does not tell whether somebody exists; all spellings of a name are one."""
    name = unique()
    replies = [
        client.post(
            "/login",
            {"username": spelling, "password": WRONG, "client_cert_fp": "0" * 64},
            headers=coming_from(addresses[1]),
        )
        for spelling in [name, name.upper()] * 6
    ]
    assert [reply.status_code for reply in replies] == [401] * 10 + [429] * 2


@pytest.mark.requirement("D44")
def test_a_refusal_by_the_limit_is_no_guess(client: Client, addresses: Addresses) -> None:
    """Three dozen 409s, by every way in, cost nothing: as many wrong ones are judged as ever."""
    account = client.register()
    laptop = account.pair()
    granted(log_in(account, addresses[1], account.phone))
    qr_code = account.pairing()["qr_code"]
    headers = coming_from(addresses[1])
    for _ in range(12):
        refused(log_in(account, addresses[1], laptop), 409, "device-active")
        form = {**account.credentials, **laptop.proof}
        refused(client.post("/session/create", form, headers=headers), 409, "device-active")
        form = {**account.credentials, "qr_code": qr_code}
        refused(client.post("/device/register", form, headers=headers), 409, "device-active")
    use_up(account, addresses[1])


def test_a_right_password_costs_nothing(client: Client, addresses: Addresses) -> None:
    """A dozen logins, and a dozen with another's certificate from an address where nobody was: no try is gone."""
    account, stranger = client.register(), client.register()
    for _ in range(12):
        granted(log_in(account, addresses[1], account.phone))
        refused(log_in(account, addresses[2], stranger.phone), 401, "certificate-mismatch")
    use_up(account, addresses[2])


Endpoint = Callable[[Account, str, str], requests.Response]


def posting(path: str, **fields: str) -> Endpoint:
    """Return an endpoint: a route that takes name and password, with more fields."""

    def endpoint(account: Account, password: str, address: str) -> requests.Response:
        form = {"username": account.username, "password": password, **account.phone.proof, **fields}
        return account.client.post(path, form, headers=coming_from(address))

    return endpoint


def by_mail(account: Account, password: str, address: str) -> requests.Response:
    """Guess by mail address."""
    form = {"email": account.email, "password": password, **account.phone.proof}
    return account.client.post("/login", form, headers=coming_from(address))


def by_form(account: Account, password: str, address: str) -> requests.Response:
    """Guess by an HTML form."""
    form = {"username": account.username, "password": password, **account.phone.proof}
    return account.client.call("POST", "/login", data=form, headers=coming_from(address))


def by_qr_code(path: str) -> Endpoint:
    """Return an endpoint that takes a QR code with name and password."""

    def endpoint(account: Account, password: str, address: str) -> requests.Response:
        form = {"username": account.username, "password": password, "qr_code": account.phone.answer["qr_code"]}
        return account.client.post(path, form, headers=coming_from(address))

    return endpoint


ENDPOINTS: dict[str, Endpoint] = {
    "login": posting("/login"),
    "login by mail": by_mail,
    "login by form": by_form,
    "login/force": posting("/login/force"),
    "session/create": posting("/session/create"),
    "request_pairing_token": posting("/registration/request_pairing_token"),
    "registration with qr_code": by_qr_code("/registration/"),
    "device/register": by_qr_code("/device/register"),
}


@pytest.mark.regression("X73", "X31")
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_no_endpoint_is_left_open(client: Client, addresses: Addresses, endpoint: str) -> None:
    """Ten guesses through any endpoint and all of them are shut, for the right password as well."""
    account = client.register()
    for _ in range(10):
        refused(ENDPOINTS[endpoint](account, WRONG, addresses[1]), 401, "bad-credentials")
    for name, other in ENDPOINTS.items():
        assert other(account, account.password, addresses[1]).status_code == 429, name


@pytest.mark.regression("X73")
def test_unbinding_is_an_endpoint_too(client: Client, addresses: Addresses) -> None:
    """Whoever holds a token cannot guess the password with it either."""
    account = client.register()
    session = account.login()
    body = {"device_id": "junk", "password": WRONG}
    unbind = partial(client.post, "/device/unbind", body, token=session.access, headers=coming_from(addresses[1]))
    for _ in range(10):
        refused(unbind(), 404, "not-found")
    refused(unbind(), 429, "too-many-attempts")
    refused(guess(account, addresses[1]), 429, "too-many-attempts")


@pytest.mark.regression("X73")
def test_repeating_a_registration_is_an_endpoint_too(client: Client, addresses: Addresses) -> None:
    """Whoever knows the key under which somebody registered cannot guess the password with it."""
    form = {"username": unique(), "email": f"{unique()}@b.test", "password": "correct horse battery 42"}
    headers = {"Idempotency-Key": unique(), **coming_from(addresses[1])}
    granted(client.post("/registration/", form, headers=headers))
    for _ in range(10):
        refused(client.post("/registration/", form | {"password": WRONG}, headers=headers), 401, "bad-credentials")
    refused(client.post("/registration/", form, headers=headers), 429, "too-many-attempts")


@pytest.mark.regression("X23")
def test_a_stranger_cannot_choose_its_address(pool: Callable[..., Suite]) -> None:
    """Without a trusted proxy the header is nothing: all guesses are one source's."""
    settings = {name: value for name, value in FEW.items() if name != "ICHIDAI_TRUSTED_PROXIES"}
    client = pool(**settings).client
    account = client.register()
    replies = [guess(account, f"203.0.113.{number}", ip_address="203.0.113.9") for number in range(12)]
    assert [reply.status_code for reply in replies] == [401] * 10 + [429] * 2


def test_a_source_is_bounded_over_all_accounts(pool: Callable[..., Suite], addresses: Addresses) -> None:
    """Spraying one password over many names: the source runs out, another one does not."""
    client = pool(**(FEW | {"ICHIDAI_LOGIN_ATTEMPTS_SOURCE": "20"})).client
    account = client.register()

    def spray() -> requests.Response:
        form = {"username": unique(), "password": WRONG, "client_cert_fp": "0" * 64}
        return client.post("/login", form, headers=coming_from(addresses[1]))

    statuses = Counter(reply.status_code for reply in all_at_once([spray] * 60))
    assert statuses[429] >= 20
    granted(log_in(account, addresses[2], account.phone))


@pytest.mark.requirement("B42")
@pytest.mark.regression("X68", "X23")
def test_the_owner_sees_the_failed_tries(client: Client, addresses: Addresses) -> None:
    """When and from where; nobody's password, and nobody else's tries."""
    account, other = client.register(), client.register()
    for address in (addresses[1], addresses[2]):
        refused(guess(account, address), 401, "bad-credentials")
    session = account.login()
    told = granted(client.get("/session/history", token=session.access))["failed_logins"]
    assert [failed["ip"] for failed in told] == [addresses[2], addresses[1]]
    assert WRONG not in str(told)
    assert granted(client.get("/session/history", token=other.login().access))["failed_logins"] == []
