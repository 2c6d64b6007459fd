"""The reference client's proof of work, against the suite's own check of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ichidai.client import ServerIdentityError
from ichidai.client.proof_of_work import solve
from registration.work import Unproven, WorkChallenges


def system_time() -> datetime:
    """Return the time, in whole seconds: the library compares a challenge's end with the system's clock."""
    return datetime.now(UTC).replace(microsecond=0)


def test_the_suite_takes_it() -> None:
    """For the source that the challenge was made for, and no other."""
    challenges, now = WorkChallenges(b"secret"), system_time()
    work = solve(challenges.new("192.0.2.1", now))
    assert challenges.check(work, "192.0.2.1", now).nonce
    with pytest.raises(Unproven):
        challenges.check(work, "192.0.2.2", now)


@pytest.mark.parametrize(
    "change",
    [{"algorithm": "SHA-256"}, {"cost": 10**9}, {"cost": 0}, {"nonce": "zz"}, {"salt": None}, {"keyPrefix": 0}],
)
def test_what_is_no_such_challenge_is_refused(change: dict[str, Any]) -> None:
    """A sentence, not hours of work for a server that is not the suite."""
    challenge = dict(WorkChallenges(b"secret").new("192.0.2.1", system_time()))
    parameters = challenge["parameters"] | change
    with pytest.raises(ServerIdentityError, match="proof of work cannot be done"):
        solve({**challenge, "parameters": parameters})


def test_one_that_is_too_hard_is_given_up() -> None:
    """A prefix that is not found in 65,536 tries."""
    challenge = dict(WorkChallenges(b"secret").new("192.0.2.1", system_time()))
    parameters = challenge["parameters"] | {"keyPrefix": "00" * 8, "cost": 1}
    with pytest.raises(ServerIdentityError, match="too hard"):
        solve({**challenge, "parameters": parameters})
