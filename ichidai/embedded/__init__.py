"""The suite inside a Python program: the functions that were asked for, without HTTP.

    with open_suite() as suite:
        answer = suite.register_user({"username": "alice", "email": "alice@example.test", "password": password})
        tokens = suite.log_in({"username": "alice", "password": password, "client_cert_fp": answer["client_cert_fp"]})
        print(suite.verify(tokens["access_token"])["user_uuid"])

Settings are those of a server, from the environment or a mapping; a program and servers may share one store. A refusal
raises `Problem` (a question `DeviceActive`, an ended session `SessionEnded`), as the client over HTTP does.
"""

from __future__ import annotations

from ichidai.client.errors import DeviceActive, Problem, SessionEnded
from ichidai.embedded.suite import EmbeddedSuite, open_suite

__all__ = ["DeviceActive", "EmbeddedSuite", "Problem", "SessionEnded", "open_suite"]
