"""The smoke flow with one combined process, with four app processes on one data folder, and with two workers each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jwt
import pytest
import requests

from tests.support.client import Client, all_at_once, granted, refused
from tests.support.ports import free_port
from tests.support.servers import DOMAINS, Suite, combined, four_entrances, four_served
from tests.support.smoke_flow import run_smoke_flow

DEPLOYMENTS: dict[str, Callable[[Path], Suite]] = {
    "combined": combined,
    "combined, two workers": partial(combined, workers=2),
    "four apps": four_served,
    "four apps, two workers each": partial(four_served, workers=2),
    "four entrances": four_entrances,
}


@pytest.fixture(params=DEPLOYMENTS)
def deployment(request: pytest.FixtureRequest, tmp_path: Path, started: Callable[[Suite], Suite]) -> Suite:
    """Return a running suite on an empty data folder, in one of the ways it can be run."""
    return started(DEPLOYMENTS[request.param](tmp_path / "suite"))


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """Return four apps with the settings they have by default."""
    suite = four_served(tmp_path_factory.mktemp("four"))
    suite.start()
    yield suite
    suite.stop()


@pytest.mark.requirement("D22", "D25", "D26", "D27", "D28", "D29", "D30", "D31", "D02", "R02", "D18", "B22")
@pytest.mark.regression("X63", "X91", "X04", "Y01", "Y02")
def test_the_smoke_flow(deployment: Suite) -> None:
    """The flow has the same outcome in every deployment, also for four users at once."""
    run_smoke_flow(deployment.client)
    all_at_once([partial(run_smoke_flow, deployment.retrying_client)] * 4)


@pytest.mark.requirement("R17", "R06")
def test_each_app_serves_its_own_routes_alone(four: Suite) -> None:
    """Registration issues no tokens, and no app answers for another; each answers /health, /ready and discovery."""
    own = {
        "registration": "/registration/request_pairing_token",
        "login": "/login/takeover",
        "session": "/session/refresh",
        "device": "/device/unbind",
    }
    about = four.client.get("/.well-known/ichidai.json").json()
    for server in four.servers:
        alone = Client({"all": server.base})
        granted(alone.get("/health"))
        granted(alone.get("/ready"))
        assert alone.get("/.well-known/ichidai.json").json() == about
        for domain in DOMAINS:
            reply = alone.post(own[domain])
            if domain == server.part:
                assert reply.status_code in (400, 401)
            else:
                refused(reply, 404, "not-found")


@pytest.mark.requirement("D28", "R28")
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


@pytest.mark.requirement("R33")
def test_every_app_knows_the_address_of_every_other(four: Suite) -> None:
    """What the discovery names is each app's own address, and answers there."""
    client, own = four.client, {server.part: server.base for server in four.servers}
    about = client.get("/.well-known/ichidai.json").json()
    for name, domain in {
        "registration": "registration",
        "takeover": "login",
        "refresh": "session",
        "device": "device",
    }.items():
        assert about[f"{name}_endpoint"].startswith(f"{own[domain]}/"), name
        assert client.call("OPTIONS", about[f"{name}_endpoint"]).status_code == 200


@pytest.mark.requirement("R33")
def test_the_type_of_a_problem_leads_to_a_page_of_the_app_that_sent_it(four: Suite) -> None:
    """Not to the issuer, which is a name and answers nobody."""
    for server in four.servers:
        problem = refused(Client({"all": server.base}).get("/nowhere"), 404, "not-found")
        assert problem["type"] == f"{server.base}/problems/not-found"
        assert requests.get(problem["type"], timeout=10).text.startswith("not-found (404)")


@pytest.mark.regression("X76", "Y12")
def test_each_apps_pages_may_call_every_app_and_no_others_may(four: Suite) -> None:
    """Without a setting, in both spellings of this machine; what a browser needs to read is exposed."""
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    for server in four.servers:
        alone = Client({"all": server.base})
        for other in four.servers:
            for origin in (other.base, other.base.replace("127.0.0.1", "localhost")):
                allowed = alone.call("OPTIONS", "/health", headers={"Origin": origin, **asking})
                assert allowed.headers["Access-Control-Allow-Origin"] == origin
                assert "Access-Control-Allow-Credentials" not in allowed.headers
        for origin in (f"http://127.0.0.1:{free_port()}", server.base.replace("http", "https"), "null"):
            denied = alone.call("OPTIONS", "/health", headers={"Origin": origin, **asking})
            assert not [name for name in denied.headers if name.lower().startswith("access-control-")]
        assert "Access-Control-Allow-Origin" not in alone.get("/health").headers


@pytest.mark.requirement("R33", "B21")
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
