"""The OpenAPI document says what `api.md` promises, and what the routes do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from common.crypto.passwords import CHEAP_FOR_TESTS
from ichidai.apps import app_for
from ichidai.settings import read_settings
from ichidai.topology import DEV_PORTS, App
from ichidai.wiring.build import build

PROMISED = {
    ("get", "/registration/work"),
    ("post", "/registration/"),
    ("post", "/registration/request_pairing_token"),
    ("post", "/registration/password"),
    ("get", "/registration/account"),
    ("get", "/registration/export"),
    ("post", "/registration/username"),
    ("post", "/registration/close"),
    ("post", "/registration/reopen"),
    ("post", "/registration/recovery-codes"),
    ("post", "/registration/recover"),
    ("get", "/registration/passkeys"),
    ("post", "/registration/passkeys/begin"),
    ("post", "/registration/passkeys/finish"),
    ("delete", "/registration/passkeys/{passkey_id}"),
    ("post", "/registration/password/forgot"),
    ("post", "/registration/password/reset"),
    ("post", "/registration/email"),
    ("post", "/registration/email/confirm"),
    ("post", "/registration/objection"),
    ("get", "/registration/otp"),
    ("post", "/registration/otp/begin"),
    ("post", "/registration/otp/confirm"),
    ("post", "/registration/otp/remove"),
    ("post", "/registration/otp/recovery_codes"),
    ("post", "/registration/join"),
    ("post", "/login"),
    ("post", "/login/force"),
    ("post", "/login/takeover"),
    ("post", "/login/approval"),
    ("get", "/login/approvals"),
    ("post", "/login/approval/answer"),
    ("post", "/login/challenge"),
    ("post", "/login/verify"),
    ("post", "/login/passkey/begin"),
    ("post", "/login/passkey/finish"),
    ("post", "/session/create"),
    ("get", "/session/verify"),
    ("post", "/session/refresh"),
    ("post", "/session/logout"),
    ("get", "/session/list"),
    ("post", "/session/revoke"),
    ("post", "/session/end-all"),
    ("get", "/session/history"),
    ("get", "/session/events"),
    ("post", "/session/security-events"),
    ("get", "/.well-known/jwks.json"),
    ("get", "/.well-known/ichidai.json"),
    ("post", "/device/register"),
    ("get", "/device/list"),
    ("post", "/device/unbind"),
    ("post", "/device/force_logout"),
    ("post", "/device/rename"),
    ("post", "/device/revoke_certificate"),
    ("post", "/device/renew"),
    ("get", "/device/ca"),
    ("get", "/device/crl"),
}
"""The routes of the wire contract that are built."""

FORMS = {"/registration/", "/login", "/device/register", "/registration/request_pairing_token"}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    """Return a client of the combined app."""
    settings = read_settings({"ICHIDAI_DATA_DIR": str(tmp_path_factory.mktemp("data"))})
    suite = build(settings, App.ALL, DEV_PORTS[App.ALL], cost=CHEAP_FOR_TESTS)
    return app_for(App.ALL, suite).test_client()


@pytest.fixture(scope="module")
def document(client: FlaskClient) -> dict[str, Any]:
    """Return the combined app's document."""
    return dict(client.get("/openapi.json").get_json())


def operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the operations by method and path."""
    return {(method, path): op for path, item in document["paths"].items() for method, op in item.items()}


def example_of(document: dict[str, Any], path: str, body: str) -> dict[str, Any]:
    """Return the example of a body that a POST takes."""
    content = operations(document)[("post", path)]["requestBody"]["content"]["application/json"]
    return dict(content["examples"][body]["value"])


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    """A validator of the OpenAPI project's own finds no fault."""
    validate(document)


def references(part: Any) -> Iterator[str]:
    """Yield what a part of the document refers to."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for member in part.values():
            yield from references(member)
    elif isinstance(part, list):
        for member in part:
            yield from references(member)


def test_every_reference_leads_to_a_component(document: dict[str, Any]) -> None:
    """The validator does not follow them; a client that is made from the document does."""
    found = set(references(document))
    assert "#/components/schemas/ProofBody" in found
    kinds = ("schemas", "parameters")
    assert found == {f"#/components/{kind}/{name}" for kind in kinds for name in document["components"][kind]}


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    """Generated clients name their methods by them."""
    named = [operation["operationId"] for operation in operations(document).values()]
    assert len(set(named)) == len(named)


def test_the_document_has_the_promised_routes_and_no_others(document: dict[str, Any]) -> None:
    """Every route of the contract is documented; nothing undocumented was added."""
    assert set(operations(document)) == PROMISED


def test_forms_are_documented_where_they_are_read(document: dict[str, Any]) -> None:
    """Exactly the four routes of the contract take HTML forms."""
    found = {
        path
        for (_, path), operation in operations(document).items()
        if "application/x-www-form-urlencoded" in operation.get("requestBody", {}).get("content", {})
    }
    assert found == FORMS


def test_every_operation_tells_its_refusals_as_problem_documents(document: dict[str, Any]) -> None:
    """Every answer that is no success is a problem document, and signed-in routes tell of 401."""
    for key, operation in operations(document).items():
        assert operation["summary"], key
        for status, response in operation["responses"].items():
            if not status.startswith("2"):
                assert list(response["content"]) == ["application/problem+json"], (key, status)
        if operation.get("security"):
            assert "401" in operation["responses"], key


def test_examples_run(client: FlaskClient, document: dict[str, Any]) -> None:
    """The example of the registration's body registers, and that of the login is understood."""
    registered = client.post("/registration/", json=example_of(document, "/registration/", "RegistrationBody"))
    assert registered.status_code == 200
    login = example_of(document, "/login", "LoginBody")
    answer = client.post("/login", json={**login, "client_cert_fp": registered.get_json()["client_cert_fp"]})
    assert answer.status_code == 200


def test_the_viewer_needs_no_other_host(client: FlaskClient) -> None:
    """The viewer's page and everything it loads come from the app itself."""
    page = client.get("/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("<!doctype html>", "")
    for asset in ("/docs/swagger-ui.css", "/docs/swagger-ui.js", "/docs/start.js"):
        assert asset in page.text
        assert client.get(asset).status_code == 200
