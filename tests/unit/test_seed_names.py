"""What was asked for by name is there under that name: packages, modules, functions and their parameters, fields."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from common.book import Session
from common.storage import tables

ROOT = Path(__file__).parents[2]
ROOMS = ("registration", "login_app", "session_manager", "device_manager")

MODULES = [
    pytest.param("device_manager", marks=pytest.mark.row("D01")),
    pytest.param("device_manager.app_device_manager", marks=pytest.mark.row("D02")),
    pytest.param("device_manager.config", marks=pytest.mark.row("D03")),
    pytest.param("device_manager.device_model", marks=pytest.mark.row("D04")),
    pytest.param("device_manager.device_db", marks=pytest.mark.row("D05")),
    pytest.param("device_manager.device_service", marks=pytest.mark.row("D06")),
    pytest.param("device_manager.concurrency_policy", marks=pytest.mark.row("D07")),
    pytest.param("registration", marks=pytest.mark.row("R01")),
    pytest.param("registration.app_registration", marks=pytest.mark.row("R02")),
    pytest.param("registration.config", marks=pytest.mark.row("R03")),
    pytest.param("registration.registration", marks=pytest.mark.row("R04")),
    pytest.param("registration.email_sender", marks=pytest.mark.row("R05")),
    pytest.param("registration.pairing_token", marks=pytest.mark.row("R76")),
    pytest.param("registration.routes", marks=pytest.mark.row("R77")),
    pytest.param("registration.account_db", marks=pytest.mark.row("R14")),
    pytest.param("login_app.login", marks=pytest.mark.row("D25", "R17")),
    pytest.param("login_app.app_login", marks=pytest.mark.row("D22")),
    pytest.param("session_manager.app_session_manager", marks=pytest.mark.row("D29", "D35")),
    pytest.param("session_manager.session_service", marks=pytest.mark.row("B16", "B25")),
    pytest.param("session_manager.session_model", marks=pytest.mark.row("B12", "B24")),
]

FUNCTIONS = [
    pytest.param("registration.registration", "register_user", (), marks=pytest.mark.row("R09")),
    pytest.param("registration.registration", "register_second_device_via_qr", (), marks=pytest.mark.row("R49", "R69")),
    pytest.param("registration.registration", "request_pairing_token", (), marks=pytest.mark.row("R61")),
    pytest.param("registration.email_sender", "notify_user_via_sns", (), marks=pytest.mark.row("R15")),
    pytest.param("registration.email_sender", "qr_png", ("text",), marks=pytest.mark.row("R05")),
    pytest.param("registration.account_db", "user_writes", ("account",), marks=pytest.mark.row("R14")),
    pytest.param("device_manager.device_service", "register_device_for_user", (), marks=pytest.mark.row("D16")),
    pytest.param("device_manager.device_service", "force_logout", (), marks=pytest.mark.row("D43", "D50")),
    pytest.param("device_manager.device_db", "find_active_devices", (), marks=pytest.mark.row("D46")),
    pytest.param("device_manager.concurrency_policy", "decide", ("live", "device_id"), marks=pytest.mark.row("D47")),
    pytest.param("session_manager.session_service", "create_session", (), marks=pytest.mark.row("D29")),
    pytest.param(
        "common.crypto.certificates", "generate_client_certificate", ("user_uuid",), marks=pytest.mark.row("R12")
    ),
    pytest.param(
        "common.crypto.passwords", "hash_password", ("password", "salt_bytes"), marks=pytest.mark.row("R19", "R18")
    ),
    pytest.param("common.ids", "new_id", (), marks=pytest.mark.row("B15", "B29")),
]


@pytest.mark.parametrize("name", MODULES)
def test_the_modules_are_there(name: str) -> None:
    """Each can be imported and says in a docstring what it is for."""
    assert (importlib.import_module(name).__doc__ or "").strip()


@pytest.mark.parametrize(("module", "name", "first"), FUNCTIONS)
def test_the_functions_are_there(module: str, name: str, first: tuple[str, ...]) -> None:
    """Each under its name, with the parameters that were given in the lead, and a docstring."""
    function = getattr(importlib.import_module(module), name)
    assert tuple(inspect.signature(function).parameters)[: len(first)] == first
    assert inspect.getdoc(function)


@pytest.mark.row("D08", "D18", "D49", "D54", "D55", "D56", "D57", "D58", "R40", "R41", "R42", "R43", "R44", "R45")
@pytest.mark.parametrize(
    ("file", "names"),
    [
        (
            "test_device_manager.py",
            {
                "TestDeviceManagerIntegration.test_register_device",
                "TestDeviceManagerIntegration.test_list_device",
                "TestDeviceManagerIntegration.test_unbind_device",
                "TestDeviceManagerIntegration.test_force_logout",
                "TestDeviceManagerIntegration.test_reject_and_allow_with_force",
            },
        ),
        (
            "test_registration.py",
            {
                "test_registration_get",
                "test_registration_post_success",
                "test_registration_post_no_data",
                "test_registration_post_missing_fields",
                "test_qr_secondary_device_registration_success",
                "test_qr_secondary_device_registration_invalid_qr",
            },
        ),
    ],
)
def test_the_tests_are_there(file: str, names: set[str]) -> None:
    """The eleven that were asked for, under their names."""
    source = (ROOT / "tests" / "integration" / file).read_text(encoding="utf-8")
    assert names <= set(_tests_in(ast.parse(source)))


def _tests_in(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef))


@pytest.mark.row("B12", "B24", "D52")
def test_an_active_session_has_its_fields() -> None:
    """An id, the time of its login and of its last activity."""
    fields = {field.name: field.type for field in msgspec.structs.fields(Session)}
    assert {"session_id", "login_at", "last_seen_at", "device_id"} <= fields.keys()
    assert fields["login_at"] == fields["last_seen_at"] == datetime


@pytest.mark.row("D15", "D36")
def test_the_tables_have_their_keys() -> None:
    """DevicesTable is keyed by user and device, UsersTable by the user alone."""
    assert (tables.DEVICES.name, tables.DEVICES.partition, tables.DEVICES.sort) == (
        "DevicesTable",
        "user_uuid",
        "device_id",
    )
    assert (tables.USERS.name, tables.USERS.partition, tables.USERS.sort) == ("UsersTable", "uuid", None)


@pytest.mark.row("R38")
def test_the_libraries_that_were_named_are_depended_on() -> None:
    """Each is declared, and can be imported under the name it has in code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = " ".join([*project["dependencies"], *project["optional-dependencies"]["dev"]]).lower()
    named = {"flask": "flask", "flask-cors": "flask_cors", "requests": "requests", "boto3": "boto3"}
    named |= {"qrcode": "qrcode", "pytest": "pytest", "pyjwt": "jwt", "cryptography": "cryptography", "pillow": "PIL"}
    for package, module in named.items():
        assert f"{package}>=" in declared, package
        assert importlib.util.find_spec(module) is not None, module


@pytest.mark.row("R06")
@pytest.mark.parametrize("room", ROOMS)
def test_each_room_has_its_routes_in_a_file_of_their_own(room: str) -> None:
    """What a room serves is data of its routes module; rules and stores know no web framework."""
    assert callable(importlib.import_module(f"{room}.routes").endpoints)


def _calls(method: str) -> set[str]:
    """Return the modules in which a method of this name is called on a book."""
    found = set()
    for room in (*ROOMS, "ichidai", "common"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(f"book.{method}"):
                    found.add(path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.row("D32", "D33", "D34", "D35")
@pytest.mark.pitfall("X16", "X64")
def test_there_is_one_place_that_binds_devices_and_one_that_opens_sessions() -> None:
    """So every way in goes through both, and nobody registers a device twice."""
    assert _calls("bound") == {"device_manager/enrolment.py"}
    assert _calls("opened") == {"session_manager/session_model.py"}
