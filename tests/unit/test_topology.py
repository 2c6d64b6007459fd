"""Where the apps answer, and which addresses they give out."""

from __future__ import annotations

import pytest

from ichidai.topology import DEV_ISSUER, DEV_PORTS, DOMAINS, Part, addresses


def test_each_app_has_its_dev_port() -> None:
    """Those that the seeds gave, and one for all."""
    assert DEV_PORTS == {
        Part.ALL: 8000,
        Part.REGISTRATION: 5000,
        Part.LOGIN: 6010,
        Part.SESSION: 5001,
        Part.DEVICE: 5002,
        Part.EVENTS: 8100,
    }


@pytest.mark.row("R33")
@pytest.mark.parametrize("serving", list(Part))
def test_with_a_public_url_everything_is_under_it(serving: Part) -> None:
    """Whoever serves and wherever."""
    where = addresses("https://a.test", "", serving, 4711)
    assert {where.url(domain, "/login") for domain in DOMAINS} == {"https://a.test/login"}
    assert where.issuer == "https://a.test"


def test_without_one_the_combined_app_is_all_domains() -> None:
    """On the port it serves."""
    where = addresses("", "", Part.ALL, 4711)
    assert set(where.bases.values()) == {"http://127.0.0.1:4711"}


@pytest.mark.parametrize("serving", DOMAINS)
def test_without_one_an_app_alone_knows_its_own_port_and_its_sisters_dev_ports(serving: Part) -> None:
    """So that four of them find each other."""
    where = addresses("", "", serving, 4711)
    for domain in DOMAINS:
        port = 4711 if domain is serving else DEV_PORTS[domain]
        assert where.url(domain, "/x") == f"http://127.0.0.1:{port}/x"


@pytest.mark.parametrize("serving", list(Part))
def test_the_issuer_is_the_same_for_all_apps_on_any_port(serving: Part) -> None:
    """A token of one is good at the others."""
    assert addresses("", "", serving, 4711).issuer == DEV_ISSUER
    assert addresses("", "https://issuer.test", serving, 4711).issuer == "https://issuer.test"
    assert addresses("https://a.test", "https://issuer.test", serving, 4711).issuer == "https://issuer.test"
