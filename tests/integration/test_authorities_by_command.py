"""`ichidai ca …` beside a running server with several workers."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from cryptography import x509

from tests.support.client import granted
from tests.support.servers import Suite, combined, run_to_its_end, until


def said(suite: Suite, *words: str) -> str:
    """Run a command that must succeed."""
    status, output = run_to_its_end([sys.executable, "-m", "ichidai", "ca", *words], suite.settings, suite.folder)
    assert status == 0, output
    return output


def test_shown_and_rotated_while_servers_run(started: Callable[[Suite], Suite], tmp_path: Path) -> None:
    """The workers issue by the new one at the next registration; nobody restarts anything."""
    suite = started(combined(tmp_path / "suite", workers=2))
    before = said(suite, "show")
    assert re.findall(r"^(\S+)  [0-9a-f]{40}  issues$", before, re.MULTILINE) == ["ml-dsa-87", "p-256"]
    old = suite.client.register()
    rotated = said(suite, "rotate", "ml-dsa-87", "--after-hours", "0")
    assert re.search(r"^ml-dsa-87  [0-9a-f]{40}  issues from ", rotated)

    def issuer() -> bytes:
        answer = suite.client.register().phone.answer
        certificate = x509.load_pem_x509_certificate(answer["certificate"]["pem"].encode())
        pointer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        return pointer.key_identifier or b""

    names = re.findall(r"^ml-dsa-87  ([0-9a-f]{40})  (issues|verifies)", said(suite, "show"), re.MULTILINE)
    assert [state for _, state in names] == ["issues", "verifies"]
    assert {issuer().hex() for _ in range(6)} == {names[0][0]}
    pem = said(suite, "show", "--pem")
    assert len(x509.load_pem_x509_certificates(pem.encode())) == 3
    until(lambda: suite.client.get("/device/crl", params={"issuer": names[0][0]}).status_code == 200, "its list")
    granted(old.try_login())


def test_a_host_that_lacks_a_key_does_not_start(started: Callable[[Suite], Suite], tmp_path: Path) -> None:
    """One sentence says what to copy."""
    suite = started(combined(tmp_path / "suite"))
    suite.stop()
    (suite.data / "keys" / "authorities.json").unlink()
    command = [sys.executable, "-m", "ichidai", "serve", "all", "--port", str(suite.servers[0].port)]
    status, output = run_to_its_end(command, suite.settings, suite.folder)
    assert status == 2
    assert "authorities.json" in output
    assert "Traceback" not in output
