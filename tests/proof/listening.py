"""Streams that a client opens for its sessions in a storm, and what each was told of the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.proof.recording import Operation, Run, access_token_facts
from tests.proof.timeline import tell
from tests.proof.users import Actor
from tests.support.servers import until
from tests.support.streams import Listener

_SECONDS = 30.0
_ENDING = "*.streams"


@dataclass(slots=True)
class Listening:
    """The streams of one client: one for each session that any of its devices was given.

    A session that ends before its stream is open gets none: its token is refused there.
    """

    where: Sequence[str]
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))
    _actors: dict[str, tuple[Actor, str]] = field(default_factory=dict)
    _streams: dict[str, Listener] = field(default_factory=dict)

    def listen(self, actor: Actor) -> None:
        """Open a stream for the session that a device has now, unless there is one."""
        if actor.access is None or not self.where:
            return
        session_id = access_token_facts(actor.access)["session_id"]
        if session_id not in self._actors:
            self._actors[session_id] = (actor, actor.access)
            self._pool.submit(self._open, session_id, self.where[len(self._actors) % len(self.where)], actor.access)

    def close(self, path: Path) -> None:
        """Wait for the notices of all sessions that are dead; leave the others; write down what each stream heard."""
        self._pool.shutdown()
        for session_id, stream in self._streams.items():
            actor, access = self._actors[session_id]
            if actor.caller.call(Operation.VERIFY, token=access, user=actor.person.uuid).status == 200:
                stream.leave()
            else:
                with suppress(AssertionError):  # whoever judges finds that it was not told
                    until(lambda stream=stream: not stream.is_open(), "the stream ends", _SECONDS)
        heard = {session: [event.data["reason"] for event in each.events] for session, each in self._streams.items()}
        path.with_suffix(_ENDING[1:]).write_text(json.dumps(heard), encoding="utf-8")

    def _open(self, session_id: str, url: str, access: str) -> None:
        with suppress(AssertionError, requests.RequestException):
            self._streams[session_id] = Listener(url, access)


def heard(folder: Path) -> Mapping[str, list[str]]:
    """Return the reasons that each session's stream was told, of all clients."""
    return {key: told for path in folder.glob(_ENDING) for key, told in json.loads(path.read_text()).items()}


def told_wrongly(run: Run, streams: Mapping[str, list[str]]) -> list[str]:
    """Return where a stream was not told just what the history says: its session's end once, or nothing."""
    whole = [tell(entries, run.limit) for entries in run.histories.values()]
    why = {session: str(reason) for story in whole for session, reason in story.why.items() if session in story.died}
    ends = {session: [why[session]] if session in why else [] for session in streams}
    return [
        f"the stream of {session} was told {told}, and the history says {ends[session]}"
        for session, told in streams.items()
        if told != ends[session]
    ]
