"""Every import contract of `pyproject.toml` can fail: a violation of each is planted in a copy and found."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
CONTRACTS = {contract["name"]: contract for contract in CONFIG["contracts"]}

LAYERS, NOBODY, ALONE, INSIDE, PURE, EDGE, BOTO, SQLITE, PAGES, EVENTUAL, BULK, CRYPTO, ACCOUNT, POSSESSION = (
    CONTRACTS  # in the order in which they stand there
)

_ABOVE_CRYPTO = {
    "common.storage": "port",
    "common.keys": "keyring",
    "common.account": "book",
    "common.proof": "challenge",
    "common.web": "problems",
    "common.wire": "tokens",
}

VIOLATIONS = [
    (LAYERS, "common.ids", "registration.account_model"),
    (LAYERS, "common.web.guards", "ichidai.wiring.build"),
    (LAYERS, "session_manager.session_service", "ichidai.wiring.build"),
    (LAYERS, "registration.credentials", "device_manager.device_model"),
    (LAYERS, "login_app.login", "session_manager.session_model"),
    (LAYERS, "device_manager.device_service", "login_app.takeover_token"),
    (NOBODY, "ichidai.wiring.build", "registration.app_registration"),
    (NOBODY, "ichidai.wiring.build", "login_app.app_login"),
    (NOBODY, "ichidai.wiring.build", "session_manager.app_session_manager"),
    (NOBODY, "ichidai.wiring.build", "device_manager.app_device_manager"),
    (ALONE, "registration.app_registration", "common.config"),
    (ALONE, "login_app.app_login", "login_app.login"),
    (ALONE, "session_manager.app_session_manager", "session_manager.routes"),
    (ALONE, "device_manager.app_device_manager", "device_manager.routes"),
    (INSIDE, "registration.schemas", "registration.routes"),
    (INSIDE, "login_app.login", "login_app.schemas"),
    (INSIDE, "session_manager.session_db", "session_manager.session_service"),
    (INSIDE, "device_manager.concurrency_policy", "device_manager.device_db"),
    (INSIDE, "registration.account_model", "registration.pairing_token"),
    *((PURE, module, "logging") for module in CONTRACTS[PURE]["source_modules"] if module != "common.account.book"),
    *((PURE, "common.account.book", package) for package in CONTRACTS[PURE]["forbidden_modules"]),
    *((EDGE, "registration.credentials", package) for package in CONTRACTS[EDGE]["protected_modules"]),
    *((BOTO, "common.storage.opening", package) for package in CONTRACTS[BOTO]["protected_modules"]),
    (SQLITE, "common.storage.opening", "sqlite3"),
    (PAGES, "session_manager.session_db", "common.storage.enumeration"),
    (PAGES, "ichidai.wiring.build", "common.storage.enumeration"),
    (EVENTUAL, "session_manager.session_db", "common.storage.eventual_reads"),
    (EVENTUAL, "registration.login_rate_limiter", "common.storage.eventual_reads"),
    (BULK, "session_manager.session_db", "common.storage.bulk"),
    (BULK, "ichidai.wiring.build", "common.storage.bulk"),
    *((CRYPTO, "common.crypto.kem", f"{package}.{module}") for package, module in _ABOVE_CRYPTO.items()),
    (CRYPTO, "common.crypto.passwords", "common.storage.port"),
    *(
        (ACCOUNT, f"common.{module}", "common.web.problems")
        for module in ("account.book", "storage.port", "keys.keyring", "proof.dpop")
    ),
    (ACCOUNT, "common.account.history", "common.wire.tokens"),
    (POSSESSION, "common.account.history", "common.proof.dpop"),
    (ACCOUNT, "common.account.history", "flask"),
    (ACCOUNT, "common.account.history", "starlette"),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of the packages with the project's contracts."""
    for package in CONFIG["root_packages"]:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_contracts(tree: Path) -> tuple[list[str], str]:
    """Return the names of the contracts that do not hold in a tree, and all that the tool said."""
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=tree,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    broken = re.findall(r"^(.+) BROKEN", said, re.MULTILINE)
    assert done.returncode == (1 if broken else 0), said
    return broken, said


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    """Nothing is broken to begin with."""
    broken, said = broken_contracts(tree)
    assert broken == [], said


@pytest.mark.parametrize(("contract", "importer", "imported"), VIOLATIONS)
def test_a_planted_violation_breaks_its_contract(tree: Path, contract: str, importer: str, imported: str) -> None:
    """The contract that forbids the planted import is broken, and the import is named."""
    with (tree / f"{importer.replace('.', '/')}.py").open("a", encoding="utf-8") as module:
        module.write(f"\nimport {imported}\n")
    broken, said = broken_contracts(tree)
    assert contract in broken, said
    assert f"{importer} -> {imported}" in said


def test_each_contract_has_a_planted_violation() -> None:
    """A new contract is not done before it has been seen to fail."""
    assert {contract for contract, _, _ in VIOLATIONS} == set(CONTRACTS)


def test_modules_have_names_that_say_something() -> None:
    """No module is a drawer for what has no place."""
    modules = {path.stem for package in CONFIG["root_packages"] for path in (ROOT / package).rglob("*.py")}
    assert not modules & {"util", "utils", "helper", "helpers", "misc", "base"}
