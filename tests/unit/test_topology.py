"""Where the apps answer, and which addresses they give out."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from ichidai.topology import (
    DEV_ISSUER,
    DEV_PORTS,
    DOMAINS,
    WITH_STREAMS,
    AddressSettings,
    App,
    addresses,
    hosts_of,
    origins_of,
)

NOTHING_SET = AddressSettings()
PUBLIC = AddressSettings(public_url="https://a.test")


def test_each_app_has_its_dev_port() -> None:
    """Those that the seeds gave, and one for all."""
    assert DEV_PORTS == {
        App.ALL: 8000,
        App.REGISTRATION: 5000,
        App.LOGIN: 6010,
        App.SESSION: 5001,
        App.DEVICE: 5002,
        App.EVENTS: 8100,
        App.ADMIN: 8200,
    }


@pytest.mark.requirement("R33")
@pytest.mark.parametrize("serving", [app for app in App if app is not App.ADMIN])
def test_with_a_public_url_everything_is_under_it(serving: App) -> None:
    """Whoever serves and wherever."""
    where = addresses(PUBLIC, serving, 4711)
    assert {where.url(domain, "/login") for domain in DOMAINS} == {"https://a.test/login"}
    assert {where.issuer, where.console, where.own, where.events} == {"https://a.test"}
    assert where.origins == ("https://a.test",)


def test_the_admin_app_has_an_address_of_its_own() -> None:
    """Never under the public URL."""
    assert addresses(PUBLIC, App.ADMIN, 4711).own == "http://127.0.0.1:4711"
    named = AddressSettings(public_url="https://a.test", app_urls={App.ADMIN: "https://ops.test"})
    assert addresses(named, App.ADMIN, 4711).own == "https://ops.test"
    assert addresses(named, App.ALL, 4711).own == "https://a.test"
    assert hosts_of("https://ops.test") == ("ops.test",)
    assert hosts_of("http://127.0.0.1:8200") == ("127.0.0.1:8200", "localhost:8200")


def test_without_one_the_combined_app_is_all_domains() -> None:
    """On the port it serves."""
    where = addresses(NOTHING_SET, App.ALL, 4711)
    assert {*where.bases.values(), where.own} == {"http://127.0.0.1:4711"}
    assert where.console == "http://localhost:4711"  # a name, for which browsers make passkeys
    assert where.events == "http://127.0.0.1:4811"


@pytest.mark.parametrize("serving", DOMAINS)
def test_without_one_an_app_alone_knows_its_own_port_and_its_sisters_dev_ports(serving: App) -> None:
    """So that four of them find each other; the console is the registration app's."""
    where = addresses(NOTHING_SET, serving, 4711)
    for domain in DOMAINS:
        port = 4711 if domain is serving else DEV_PORTS[domain]
        assert where.url(domain, "/x") == f"http://127.0.0.1:{port}/x"
    assert where.own == "http://127.0.0.1:4711"
    assert where.console == where.bases[App.REGISTRATION].replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("serving", list(App))
@pytest.mark.parametrize("public", ["", "https://a.test"])
def test_an_address_of_an_app_goes_before_all_others(serving: App, public: str) -> None:
    """Also before its own port and before the public URL; every app knows it."""
    named = AddressSettings(public_url=public, app_urls={App.LOGIN: "https://login.test"})
    where = addresses(named, serving, 4711)
    assert where.url(App.LOGIN, "/login/takeover") == "https://login.test/login/takeover"
    assert (where.own == "https://login.test") is (serving is App.LOGIN)
    assert where.bases[App.DEVICE] != "https://login.test"
    assert "https://login.test" in where.origins


@pytest.mark.parametrize("serving", [App.ALL, *DOMAINS])
def test_the_console_is_where_it_is_said_to_be(serving: App) -> None:
    """QR codes lead there, and its pages may call every app."""
    where = addresses(AddressSettings(console_url="https://console.test"), serving, 4711)
    assert where.join_url == "https://console.test/registration/#join="
    assert "https://console.test" in where.origins


@pytest.mark.parametrize("serving", list(App))
def test_the_issuer_is_the_same_for_all_apps_on_any_port(serving: App) -> None:
    """A token of one is good at the others. It is a name: an app's own address does not change it."""
    apart = AddressSettings(app_urls={domain: f"https://{domain}.test" for domain in DOMAINS})
    assert addresses(NOTHING_SET, serving, 4711).issuer == addresses(apart, serving, 4711).issuer == DEV_ISSUER
    for public in ("", "https://a.test"):
        named = AddressSettings(public_url=public, issuer="https://issuer.test")
        assert addresses(named, serving, 4711).issuer == "https://issuer.test"


@pytest.mark.parametrize(
    ("session", "events_port", "streams"),
    [
        ("", None, "http://127.0.0.1:5101"),
        ("", 7000, "http://127.0.0.1:7000"),
        ("", 0, ""),
        ("http://10.0.0.1:9000", None, "http://10.0.0.1:9100"),
        ("http://[fd00::1]:9000", None, "http://[fd00::1]:9100"),
        ("http://10.0.0.1:65500", None, "http://10.0.0.1:65400"),
        ("https://sessions.test", None, "https://sessions.test"),
    ],
)
@pytest.mark.parametrize("serving", [App.REGISTRATION, App.LOGIN, App.DEVICE])
def test_every_app_knows_where_the_streams_are(
    serving: App, session: str, events_port: int | None, streams: str
) -> None:
    """A hundred above the session app's port; at an address without a port a proxy routes them."""
    named = AddressSettings(app_urls={App.SESSION: session})
    assert addresses(named, serving, 4711, events_port).events == streams


@pytest.mark.parametrize("serving", WITH_STREAMS)
def test_streams_beside_an_app(serving: App) -> None:
    """A public URL that names the app's very port is no proxy's; any other one routes the streams."""
    beside, proxied = AddressSettings(public_url="http://h.test:4711"), AddressSettings(public_url="http://h.test:80")
    assert addresses(beside, serving, 4711).events == "http://h.test:4811"
    assert addresses(beside, serving, 4711, 7000).events == "http://h.test:7000"
    assert addresses(proxied, serving, 4711, 0).events == "http://h.test:80"
    assert addresses(NOTHING_SET, serving, 4711, 0).events == ""
    named = AddressSettings(events_url="https://e.test", public_url="http://h.test:4711")
    assert addresses(named, serving, 4711, 0).events == "https://e.test"


def test_origins() -> None:
    """As browsers write them; loopback in both spellings, which browsers hold apart."""
    assert origins_of("https://A.test:443/in") == ("https://a.test",)
    assert origins_of("http://a.test:8080") == ("http://a.test:8080",)
    assert origins_of("http://[::1]:80") == ("http://[::1]",)
    assert set(origins_of("http://localhost:1")) == {"http://127.0.0.1:1", "http://localhost:1"}
    four = addresses(NOTHING_SET, App.SESSION, 5001).origins
    assert {urlsplit(origin).port for origin in four} == {5000, 5001, 5002, 6010}
    assert len(four) == 8
