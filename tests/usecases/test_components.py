"""What each component was asked for, shown by what it does: its routes, its rules, what it reads and writes."""

from __future__ import annotations

import ast
import re
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from common.ids import new_id
from common.storage import paging
from common.storage.idempotent_commit import write_once
from common.storage.sqlite.store import SqliteStore
from common.storage.tables import ALL, DEVICES
from device_manager.device_db import DeviceDb, device_put
from device_manager.device_model import Device as DeviceRow
from device_manager.device_model import Role
from ichidai.topology import App
from tests.usecases.conftest import Build
from tests.usecases.in_process_suite import DAY, MINUTE, PASSWORD, T0, HandClock, InProcessSuite, Person, as_login

ROOT = Path(__file__).parents[2]

ROUTES = {
    App.REGISTRATION: {
        "POST /registration/",
        "POST /registration/request_pairing_token",
        "GET /registration/otp",
        "POST /registration/otp/begin",
        "POST /registration/otp/confirm",
        "POST /registration/otp/remove",
        "POST /registration/otp/recovery_codes",
    },
    App.DEVICE: {
        "POST /device/register",
        "GET /device/list",
        "POST /device/unbind",
        "POST /device/force_logout",
        "POST /device/rename",
        "POST /device/renew",
        "POST /device/revoke_certificate",
        "GET /device/crl",
        "GET /device/ca",
    },
}


@pytest.mark.requirement("D01", "R01")
@pytest.mark.parametrize(("part", "package"), [(App.DEVICE, "device_manager"), (App.REGISTRATION, "registration")])
def test_a_package_serves_its_own_routes(suite: InProcessSuite, part: App, package: str) -> None:
    """At least those of the contract, each handled in the package itself, and nothing of another's."""
    served = {f"{each.method} {each.rule}": each.handler for each in suite.suite.endpoints(part)}
    assert served.keys() >= ROUTES[part]
    assert {handler.__module__.partition(".")[0] for handler in served.values()} == {package}
    assert {rule.split("/")[1] for rule in served} == {str(part)}


@pytest.mark.requirement("D04", "D15", "D38")
def test_a_devices_row_says_whose_it_is_what_it_is_called_and_since_when(
    suite: InProcessSuite, clock: HandClock, anna: Person
) -> None:
    """In DevicesTable, under user and device, and with the user's `uuid` too; the same is listed."""
    clock.move(MINUTE)
    tablet = suite.pair(anna, "Tablet")
    row = suite.store.inner.get(DEVICES.key(anna.uuid, tablet.device_id))
    assert row is not None
    assert (row["user_uuid"], row["uuid"], row["device_id"]) == (anna.uuid, anna.uuid, tablet.device_id)
    assert (row["device_name"], row["role"]) == ("Tablet", "secondary")
    assert row["registered_at"] == int((T0 + MINUTE).timestamp() * 1000)
    listed = suite.get("/device/list", suite.log_in(anna).access).get_json()["devices"]
    assert [each["registered_at"] for each in listed] == ["2036-11-21T09:00:00.000Z", "2036-11-21T09:01:00.000Z"]


@pytest.mark.requirement("D37", "D39")
def test_the_first_device_is_the_primary_one_and_all_later_ones_are_secondary(
    suite: InProcessSuite, clock: HandClock, anna: Person
) -> None:
    """Whichever way they joined; all are the same user's."""
    clock.move(MINUTE)
    laptop = suite.pair(anna, "Laptop")
    clock.move(MINUTE)
    body = {"username": "anna", "password": PASSWORD, "qr_code": suite.qr_code(anna), "device_name": "Tablet"}
    tablet = as_login(suite.post("/device/register", body))
    listed = suite.get("/device/list", tablet.access).get_json()["devices"]
    assert [(each["device_id"], each["role"]) for each in listed] == [
        (anna.first.device_id, "primary"),
        (laptop.device_id, "secondary"),
        (tablet.device_id, "secondary"),
    ]
    assert {answer["uuid"] for answer in (anna.first.answer, laptop.answer, tablet.answer)} == {anna.uuid}


@pytest.mark.requirement("D05")
def test_device_db_reads_and_writes_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device of a user, however many there ever were, and no other user's."""
    monkeypatch.setattr(paging, "MOST_AT_ONCE", 100)

    def a_row(user: str, number: int) -> DeviceRow:
        particulars = ("a" * 40, f"{number:x}", f"{number:064x}", T0, T0 + DAY)
        return DeviceRow(user, new_id(), f"Device {number}", Role.SECONDARY, T0, *particulars)

    rows = [a_row("anna", number) for number in range(230)]
    with closing(SqliteStore(tmp_path / "store.db", ALL, lambda: T0)) as store:
        for row in [*rows, a_row("bert", 1000)]:
            write_once(store, device_put(row))
        devices = DeviceDb(store)
        assert sorted(devices.of_user("anna"), key=lambda row: row.device_id) == sorted(
            rows, key=lambda row: row.device_id
        )
        assert devices.names("anna") == {row.device_id: row.device_name for row in rows}
        assert devices.of_user("nobody") == ()


@pytest.mark.requirement("D46")
def test_only_a_live_session_makes_a_device_active(suite: InProcessSuite, clock: HandClock, anna: Person) -> None:
    """One whose session idled out and was removed is none; it stays a device."""
    suite.log_in(anna)
    laptop = suite.pair(anna, "Laptop")
    clock.move(DAY + 2 * MINUTE)
    on_laptop = suite.log_in(anna, laptop)  # nobody is in its way: the phone's session idled out

    def active() -> dict[str, bool]:
        listed = suite.get("/device/list", on_laptop.access).get_json()["devices"]
        return {each["device_name"]: each["is_active"] for each in listed}

    assert active() == {"Phone": False, "Laptop": True}


@pytest.mark.requirement("D46")
def test_a_session_that_idled_out_is_no_active_device(build_suite: Build, clock: HandClock) -> None:
    """Also while its session still stands in the book, since nobody has come to remove it."""
    suite = build_suite(MAX_CONCURRENT_DEVICES="0")
    anna = suite.register()
    suite.log_in(anna)
    clock.move(DAY - MINUTE)
    on_laptop = suite.log_in(anna, suite.pair(anna, "Laptop"))
    clock.move(2 * MINUTE)
    assert len(suite.book(anna).sessions) == 2
    listed = suite.get("/device/list", on_laptop.access).get_json()["devices"]
    assert {each["device_name"]: each["is_active"] for each in listed} == {"Phone": False, "Laptop": True}


NAMED = {
    "flask": "flask",
    "flask-cors": "flask_cors",
    "requests": "requests",
    "boto3": "boto3",
    "qrcode": "qrcode",
    "pyjwt": "jwt",
    "cryptography": "cryptography",
    "pillow": "PIL",
}
"""The libraries that were asked for by name: as they are installed, and as they are imported."""


@pytest.mark.requirement("R38")
def test_the_libraries_that_were_named_do_the_work() -> None:
    """Each is a dependency of the package, and a module of ours imports it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    dependencies = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    declared = {re.match(r"[\w-]+", each)[0] for each in dependencies}  # type: ignore[index]
    packages = ("common", "registration", "login_app", "session_manager", "device_manager", "ichidai")
    imported = {name for package in packages for path in (ROOT / package).rglob("*.py") for name in _imports(path)}
    assert declared >= NAMED.keys()
    assert imported >= set(NAMED.values())


def _imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name.partition(".")[0] for name in plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}}
