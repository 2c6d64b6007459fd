"""Where the active devices' users are asked: before this device takes their place, and before it joins.

What they have to type is shown here; they are waited for, and then this device goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from common.crypto.certificates import KeyKind
from ichidai.client.dpop_prover import DpopProver, auth_by, prover_for
from ichidai.client.enrolment import begin, forgetting_if_refused, keep_identity
from ichidai.client.errors import Answer, DeviceActive
from ichidai.client.http_transport import HttpTransport
from ichidai.client.state import StateStore

Ask = Callable[[DeviceActive], bool]
"""Shows the question to the user, and returns whether they consent."""

ShowDigits = Callable[[str], object]
"""Shows the user what is to be typed on the active device."""

LOOK_SECONDS = 1.0
"""How often it is asked whether the active devices' users have answered."""

_JOIN, _APPROVAL = "/registration/join", "/login/approval"


def approved_takeover(
    transport: HttpTransport, question: DeviceActive, show_digits: ShowDigits, prover: DpopProver | None
) -> Mapping[str, Any]:
    """Wait for the active devices' users; return the question's `takeover`.

    Raises Problem `approval-refused`, DeviceActive where one is silent, Unreachable.
    """
    body = {"approval_token": (question.approval or {})["token"]}
    answer = _awaited(transport, _APPROVAL, body, show_digits, prover, until="takeover")
    takeover: Mapping[str, Any] = answer["takeover"]
    return takeover


def join_by_approval(
    transport: HttpTransport,
    state_store: StateStore,
    person: Mapping[str, str],
    kind: KeyKind,
    show_digits: ShowDigits,
    ask: Ask | None,
) -> tuple[Answer, DpopProver | None]:
    """Make this a device that the active devices' users approve, and log it in; return what a login is answered.

    `person`: `username` and, if it has one, `device_name`. Keys are kept before anything is sent; a refusal leaves
    nothing behind. Raises DeviceExistsError, DeviceFileError, Problem, Unreachable, ServerIdentityError.
    """
    state = begin(transport, state_store, kind)
    with forgetting_if_refused(state_store):
        issuer = str(transport.discovery()["issuer"])
        prover = prover_for(state.keys.signing, transport)
        form = {**person, **state.keys.enrolment(issuer, person["username"], None)}
        answer = _let_in(transport, form, show_digits, ask, prover)
    keep_identity(state_store, state, issuer, person, answer)
    return answer, prover


def _let_in(
    transport: HttpTransport,
    form: Mapping[str, Any],
    show_digits: ShowDigits,
    ask: Ask | None,
    prover: DpopProver | None,
) -> Answer:
    """Ask to join and wait; where the limit's question is behind it, `ask` the user of this device."""
    asked = transport.call("POST", _JOIN, form, auth=auth_by(prover))
    show_digits(str(asked["digits"]))
    body = {**form, "join_token": asked["join_token"]}
    while True:
        try:
            return _awaited(transport, _JOIN, body, None, prover, until="access_token")
        except DeviceActive as question:
            if ask is None or not (question.takeover or question.approval) or not ask(question):
                raise
            takeover = question.takeover or approved_takeover(transport, question, show_digits, prover)
            body["takeover_token"] = takeover["token"]


def _awaited(
    transport: HttpTransport,
    path: str,
    body: Mapping[str, Any],
    show_digits: ShowDigits | None,
    prover: DpopProver | None,
    *,
    until: str,
) -> Answer:
    """Send the same again until the answer has a member; show the first answer's digits."""
    while True:
        answer = transport.call("POST", path, body, auth=auth_by(prover))
        if until in answer:
            return answer
        if show_digits is not None:
            show_digits(str(answer["digits"]))
            show_digits = None
        time.sleep(LOOK_SECONDS)
