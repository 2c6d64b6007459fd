"""The first requests of a process come at once: one thread learns each schema, and none meets it half learned."""

from __future__ import annotations

import subprocess
import sys

_FIRST = """
import sys, threading
from common.web import request_body
from device_manager.schemas import DeviceRegisterBody
from login_app.schemas import ChallengeBody, LoginBody, TakeoverBody
from registration.schemas import PairingBody, RegistrationBody

if sys.argv[1] == "unlearned":
    request_body._learned = lambda _schema: ()
sys.setswitchinterval(1e-6)
proof = {"challenge_id": "a", "signature": "b"}
fields = {"username": "anna", "email": "a@b.test", "password": "c", "proof": proof}
fields |= {"qr_code": "d", "takeover_token": "e"}
schemas = (LoginBody, TakeoverBody, ChallengeBody, PairingBody, RegistrationBody, DeviceRegisterBody)
gate = threading.Barrier(16)
read = []

def ask():
    gate.wait()
    read.extend(request_body.parse(schema, fields) for schema in schemas)

threads = [threading.Thread(target=ask) for _ in range(16)]
for each in threads:
    each.start()
for each in threads:
    each.join()
sys.exit(len(read) != 16 * len(schemas))
"""


def processes_that_fail(how: str, count: int) -> int:
    """Return how many of so many new processes do not read all the bodies that come at once."""
    command = [sys.executable, "-c", _FIRST, how]
    return sum(subprocess.run(command, capture_output=True, check=False).returncode != 0 for _ in range(count))


def test_first_requests_at_once_are_all_read() -> None:
    """In each of several new processes."""
    assert processes_that_fail("learned", 6) == 0


def test_without_learning_processes_die() -> None:
    """The negative control: the same processes, each schema learned by whoever comes first."""
    assert any(processes_that_fail("unlearned", 1) for _ in range(60))
