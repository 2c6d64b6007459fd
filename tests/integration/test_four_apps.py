"""The whole story with one combined process, with four app processes on one data folder, and with two workers each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jwt
import pytest

from tests.client import Client, all_at_once, granted, refused
from tests.servers import DOMAINS, Suite, combined, four_entrances, four_served
from tests.story import tell

HOUSES: dict[str, Callable[[Path], Suite]] = {
    "combined": combined,
    "combined, two workers": partial(combined, workers=2),
    "four apps": four_served,
    "four apps, two workers each": partial(four_served, workers=2),
    "four entrances": four_entrances,
}


@pytest.fixture(params=HOUSES)
def house(request: pytest.FixtureRequest, tmp_path: Path, started: Callable[[Suite], Suite]) -> Suite:
    """Return a running suite on an empty data folder, in one of the ways it can be run."""
    return started(HOUSES[request.param](tmp_path / "house"))


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return four apps with the settings they have by default."""
    suite = four_served(tmp_path_factory.mktemp("four"))
    suite.start()
    yield suite
    suite.stop()


@pytest.mark.row("D22", "D25", "D26", "D27", "D28", "D29", "D30", "D31", "D02", "R02", "D18", "B22")
@pytest.mark.pitfall("X63", "X91", "X04", "Y01", "Y02")
def test_the_whole_story(house: Suite) -> None:
    """It comes out the same however the house is run, also for four people at once."""
    tell(house.client)
    all_at_once([partial(tell, house.client)] * 4)


@pytest.mark.row("R17", "R06")
def test_each_app_serves_its_own_routes_alone(four: Suite) -> None:
    """Registration issues no tokens, and no app answers for another; each says that it is well and ready."""
    own = {
        "registration": "/registration/request_pairing_token",
        "login": "/login/takeover",
        "session": "/session/refresh",
        "device": "/device/unbind",
    }
    for server in four.servers:
        alone = Client({"all": server.base})
        granted(alone.get("/health"))
        granted(alone.get("/ready"))
        for domain in DOMAINS:
            reply = alone.post(own[domain])
            if domain == server.part:
                assert reply.status_code in (400, 401)
            else:
                refused(reply, 404, "not-found")


@pytest.mark.row("D28", "R28")
def test_a_token_of_one_app_is_good_at_all_four(four: Suite) -> None:
    """One key ring for all: the session app's public keys verify what the login app signed."""
    client = four.client
    account = client.register()
    session = account.login()
    granted(client.get("/session/list", token=session.access))
    granted(client.get("/device/list", token=session.access))
    about = client.get("/.well-known/ichidai.json").json()
    keys = jwt.PyJWKClient(client.url("/.well-known/jwks.json"))
    claims = jwt.decode(
        session.access,
        keys.get_signing_key_from_jwt(session.access),
        algorithms=["ES256"],
        issuer=about["issuer"],
        audience=about["issuer"],
    )
    assert (claims["sub"], claims["sid"]) == (account.uuid, session.session_id)


@pytest.mark.row("R33", "B21")
def test_the_question_names_the_apps_own_address(four: Suite) -> None:
    """The takeover of a login goes to the login app, that of a registration to the device app."""
    client = four.client
    account = client.register()
    laptop = account.pair()
    account.login()
    asked = account.question(laptop)
    joining = refused(account.try_join(account.pairing()["qr_code"]), 409, "device-active")
    assert asked["takeover"]["url"] == client.url("/login/takeover")
    assert joining["takeover"]["url"] == client.url("/device/register")
