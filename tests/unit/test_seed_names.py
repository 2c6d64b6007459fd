"""What was asked for by name is there under that name: packages, modules, functions and their parameters, fields."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from common.account.book import Session
from common.storage import tables

ROOT = Path(__file__).parents[2]
PACKAGES = ("registration", "login_app", "session_manager", "device_manager")

MODULES = [
    "device_manager",
    pytest.param("device_manager.app_device_manager", marks=pytest.mark.requirement("D02")),
    pytest.param("device_manager.config", marks=pytest.mark.requirement("D03")),
    "device_manager.device_model",
    "device_manager.device_db",
    "device_manager.device_service",
    pytest.param("device_manager.concurrency_policy", marks=pytest.mark.requirement("D07")),
    "registration",
    pytest.param("registration.app_registration", marks=pytest.mark.requirement("R02")),
    pytest.param("registration.config", marks=pytest.mark.requirement("R03")),
    "registration.registration",
    pytest.param("registration.email_sender", marks=pytest.mark.requirement("R05")),
    "registration.pairing_token",
    pytest.param("registration.routes", marks=pytest.mark.requirement("R77")),
    pytest.param("registration.account_db", marks=pytest.mark.requirement("R14")),
    pytest.param("login_app.login", marks=pytest.mark.requirement("D25", "R17")),
    pytest.param("login_app.app_login", marks=pytest.mark.requirement("D22")),
    pytest.param("session_manager.app_session_manager", marks=pytest.mark.requirement("D29", "D35")),
    pytest.param("session_manager.session_service", marks=pytest.mark.requirement("B25")),
    pytest.param("session_manager.session_model", marks=pytest.mark.requirement("B24")),
]

FUNCTIONS = [
    pytest.param("registration.registration", "register_user", (), marks=pytest.mark.requirement("R09")),
    pytest.param(
        "registration.registration", "register_second_device_via_qr", (), marks=pytest.mark.requirement("R49", "R69")
    ),
    pytest.param("registration.registration", "request_pairing_token", (), marks=pytest.mark.requirement("R61")),
    pytest.param("registration.email_sender", "notify_user_via_sns", (), marks=pytest.mark.requirement("R15")),
    pytest.param("registration.email_sender", "qr_png", ("text",), marks=pytest.mark.requirement("R05")),
    pytest.param("registration.account_db", "user_writes", ("account",), marks=pytest.mark.requirement("R14")),
    pytest.param("device_manager.device_service", "register_device_for_user", (), marks=pytest.mark.requirement("D16")),
    pytest.param("device_manager.device_service", "force_logout", (), marks=pytest.mark.requirement("D43", "D50")),
    pytest.param("device_manager.device_db", "find_active_devices", (), marks=pytest.mark.requirement("D46")),
    pytest.param(
        "device_manager.concurrency_policy", "decide", ("live", "device_id"), marks=pytest.mark.requirement("D47")
    ),
    pytest.param("session_manager.session_service", "create_session", (), marks=pytest.mark.requirement("D29")),
    pytest.param(
        "common.crypto.certificates",
        "generate_client_certificate",
        ("user_uuid",),
        marks=pytest.mark.requirement("R12"),
    ),
    pytest.param(
        "common.crypto.passwords",
        "hash_password",
        ("password", "salt_bytes"),
        marks=pytest.mark.requirement("R19", "R18"),
    ),
    pytest.param("common.ids", "new_id", (), marks=pytest.mark.requirement("B15", "B29")),
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


@pytest.mark.requirement(
    "D08", "D18", "D49", "D54", "D55", "D56", "D57", "D58", "R40", "R41", "R42", "R43", "R44", "R45"
)
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


@pytest.mark.requirement("B24", "D52")
def test_an_active_session_has_its_fields() -> None:
    """An id, the time of its login and of its last activity."""
    fields = {field.name: field.type for field in msgspec.structs.fields(Session)}
    assert {"session_id", "login_at", "last_seen_at", "device_id"} <= fields.keys()
    assert fields["login_at"] == fields["last_seen_at"] == datetime


@pytest.mark.requirement("D15", "D36")
def test_the_tables_have_their_keys() -> None:
    """DevicesTable is keyed by user and device, UsersTable by the user alone."""
    assert (tables.DEVICES.name, tables.DEVICES.partition, tables.DEVICES.sort) == (
        "DevicesTable",
        "user_uuid",
        "device_id",
    )
    assert (tables.USERS.name, tables.USERS.partition, tables.USERS.sort) == ("UsersTable", "uuid", None)


@pytest.mark.requirement("R06")
@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_has_its_routes_in_a_file_of_their_own(package: str) -> None:
    """What a package serves is data of its routes module; rules and stores know no web framework."""
    assert callable(importlib.import_module(f"{package}.routes").endpoints)


def _calls(method: str) -> set[str]:
    """Return the modules in which a method of this name is called on a book."""
    found = set()
    for package in (*PACKAGES, "ichidai", "common"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(f"book.{method}"):
                    found.add(path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.requirement("D32", "D33", "D34", "D35")
@pytest.mark.regression("X16", "X64")
def test_there_is_one_place_that_binds_devices_and_one_that_opens_sessions() -> None:
    """So every way in goes through both, and nobody registers a device twice."""
    assert _calls("bound") == {"device_manager/enrolment.py"}
    assert _calls("opened") == {"session_manager/session_model.py"}
