"""Who is at the other end: the address behind proxies that we trust, its source, and a name for the device."""

from __future__ import annotations

import ipaddress
import logging
from ipaddress import ip_network
from threading import Event

import pytest
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st

from common.web import client_info
from common.web.client_info import Network, address_of, client_info_of, device_name_of
from registration.login_rate_limiter import source_of

APP = Flask(__name__)
PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8:aaaa::/48"))


def ip_of(peer: str | None, forwarded: str | None = None, trusted: tuple[Network, ...] = PROXIES) -> str:
    """Return the address that a request is held to come from."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    environment = {} if peer is None else {"REMOTE_ADDR": peer}
    with APP.test_request_context("/", headers=headers, environ_overrides=environment):
        if peer is None:
            request.environ.pop("REMOTE_ADDR", None)
        return client_info_of(request, trusted).ip


@pytest.mark.regression("X23")
@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        pytest.param("192.0.2.7", None, "192.0.2.7", id="a direct caller"),
        pytest.param("192.0.2.7", "198.51.100.1", "192.0.2.7", id="a direct caller who claims to be another"),
        pytest.param("10.0.0.1", None, "10.0.0.1", id="the proxy itself"),
        pytest.param("10.0.0.1", "198.51.100.1", "198.51.100.1", id="one proxy"),
        pytest.param("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1", id="two proxies"),
        pytest.param("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1", id="a caller who wrote something before"),
        pytest.param("10.0.0.1", "1.1.1.1,198.51.100.1,10.0.0.2", "198.51.100.1", id="both"),
        pytest.param("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3", id="proxies all the way"),
        pytest.param("10.0.0.1", " , ,198.51.100.1, ", "198.51.100.1", id="odd commas"),
        pytest.param("10.0.0.1", "unknown", "", id="a proxy that does not tell"),
        pytest.param("10.0.0.1", "198.51.100.1, _hidden", "", id="a hop that is no address"),
        pytest.param("10.0.0.1", "198.51.100.1:4711", "", id="a port behind it"),
        pytest.param("2001:db8:aaaa::1", "2001:db8::5", "2001:db8::5", id="IPv6"),
        pytest.param("a socket", "198.51.100.1", "", id="a peer that is no address"),
        pytest.param(None, None, "", id="no peer at all"),
    ],
)
def test_forwarded_for_counts_as_far_as_trusted_proxies_wrote_it(
    peer: str | None, forwarded: str | None, expected: str
) -> None:
    """Walking back from the peer, the first that is no proxy of ours is the client."""
    assert ip_of(peer, forwarded) == expected


def test_without_trusted_proxies_nobody_is_believed() -> None:
    """The default."""
    assert ip_of("10.0.0.1", "198.51.100.1", ()) == "10.0.0.1"


@given(st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=80))
def test_whatever_is_claimed_comes_out_as_an_address_or_nothing(claimed: str) -> None:
    """No text of a stranger reaches the history or a key of the store."""
    ip = ip_of("10.0.0.1", claimed)
    assert ip == "" or ipaddress.ip_address(ip)


@pytest.mark.parametrize(
    ("ip", "source"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8::5", "2001:db8::/64"),
        ("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::/64"),
        ("2001:db8:0:1::5", "2001:db8:0:1::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("fe80::1%" + "x" * 5000, "fe80::/64"),
        ("::1", "::/64"),
        ("", "unknown"),
        ("no address", "unknown"),
    ],
)
def test_a_source_is_an_address_or_its_64_for_ipv6(ip: str, source: str) -> None:
    """Whoever has one IPv6 address has 2^64 of them; a mapped IPv4 address is IPv4."""
    assert source_of(ip) == source


@pytest.mark.requirement("B42")
@pytest.mark.parametrize(
    ("agent", "kept"),
    [
        ("curl/8.5", "curl/8.5"),
        ("", ""),
        ("x" * 500, "x" * 200),
        ("a\tb\x7fc\x85d", "abcd"),
        ("<b>bold</b>", "<b>bold</b>"),
        ("\x1b]0;title\x07red", "]0;titlered"),
    ],
)
def test_a_user_agent_is_kept_short_and_without_control_characters(agent: str, kept: str) -> None:
    """Markup stays as it is: whoever shows it escapes it."""
    with APP.test_request_context("/", headers={"User-Agent": agent}):
        assert client_info_of(request, ()).user_agent == kept


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) AppleWebKit/605 Version/19.0 Safari/605", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 15_0)", "macOS"),
        ("python-requests/2.32", "python-requests"),
        ("", "Device"),
        ("/", "Device"),
        ("x" * 300, "x" * 64),
    ],
)
def test_a_device_without_a_name_is_named_after_its_browser_and_system(agent: str, name: str) -> None:
    """What a person recognises in a list."""
    assert device_name_of(agent) == name


@given(st.text(max_size=300))
def test_a_made_up_name_always_fits(agent: str) -> None:
    """1 to 64 characters."""
    assert 1 <= len(device_name_of(agent)) <= 64


def test_a_proxy_that_is_not_listed_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With the setting that mends it; a suite that knows its proxies says nothing, whatever clients write."""
    monkeypatch.setattr(client_info, "_told", Event())
    with caplog.at_level(logging.WARNING):
        assert address_of("192.0.2.1", "", ()) == "192.0.2.1"
        assert address_of("192.0.2.1", "203.0.113.9", [ip_network("10.0.0.0/8")]) == "192.0.2.1"
        assert not caplog.records
        for _ in range(3):
            assert address_of("10.0.0.1", "203.0.113.9", ()) == "10.0.0.1"
    (record,) = caplog.records
    assert "ICHIDAI_TRUSTED_PROXIES" in record.getMessage()
    assert "10.0.0.1" in record.getMessage()
